/**
 * The observer of a worker: turns what the data path tells into counters and access lines. Every call is synchronous, keeps
 * nothing of what it was given, and costs a look-up and a few additions.
 */
import type { Deadlines } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type {
  DatagramLoss,
  EndedExchange,
  EndedTunnel,
  HandshakeFailure,
  MirrorOutcome,
  Observer,
  SourcePlace,
  UpstreamChange,
} from '../events.ts'
import type { LogPlan } from '../plan/plan.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'
import { type FormatLine, formatter, handshakeLine } from './access-line.ts'
import type { Counters } from './counters.ts'
import { EndpointSeries } from './endpoint-series.ts'
import { ForwardBytes } from './forward-bytes.ts'
import type { LineSink } from './line-sink.ts'
import { type AnyPending, LogQueue } from './log-queue.ts'
import { PendingTunnel } from './pending-tunnel.ts'
import { FlightRecorder, type Recalled } from './recorder.ts'
import { type FormatTunnel, tunnelFormatter } from './tunnel-line.ts'
import { type ChangeLine, changeLine, UpstreamChanges } from './upstream-changes.ts'

export interface PluginLine {
  readonly plugin: string
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
  /** Where it was printed: `/srv/plugins/tag/index.ts:12`. */
  readonly at?: string
}

export interface TrafficOptions {
  readonly counters: Counters
  readonly sink: LineSink
  /** console.* of plugins, and failures of hooks: these are rare, or should be. */
  readonly onPluginLine: (line: PluginLine) => void
  /** Endpoints and upstreams that change. */
  readonly onChangeLine: (line: ChangeLine) => void
  /** The clock of batches for `onLog`. Default: one of its own. */
  readonly deadlines?: Deadlines
}

/** Routes and endpoints that get labels of their own; more than that are counted together as `other`. */
const maxPlaces = 2_000

export class Traffic implements Observer {
  readonly #counters: Counters
  readonly #options: TrafficOptions
  readonly #sink: LineSink
  #format: FormatLine | null = null
  #formatTunnel: FormatTunnel | null = null
  readonly #listeners = new Map<string, ListenerSlots>()
  readonly #routes = new Map<string, RouteSlots>()
  /** Of listeners of TCP and UDP. */
  readonly #tunnels = new Map<string, TunnelSlots>()
  readonly #upstreams = new Map<string, UpstreamSlots>()
  readonly #plugins = new Map<string, PluginSlots>()
  readonly #errors = new Map<ErrorCode, number>()
  readonly #handshakes = new Map<string, number>()
  readonly #changes: UpstreamChanges
  readonly #endpoints: EndpointSeries
  readonly #losses = new Map<string, number>()
  /** By upstream and outcome. */
  readonly #mirrored = new Map<string, number>()
  readonly #recorder = new FlightRecorder()
  readonly #forwardBytes: ForwardBytes
  readonly #queue: LogQueue
  #lastRoute: RouteSlots | null = null

  constructor(options: TrafficOptions) {
    this.#options = options
    this.#counters = options.counters
    this.#sink = options.sink
    this.#changes = new UpstreamChanges(options.counters)
    this.#endpoints = new EndpointSeries(options.counters)
    this.#forwardBytes = new ForwardBytes(options.counters)
    const slots = { leftOut: options.counters.add('log_left_out_total'), masked: options.counters.add('log_masked_total') }
    this.#queue = new LogQueue({
      write: (line) => this.#write(line),
      count: (what, lines) => {
        this.#counters.values[slots[what]]! += lines
      },
      warn: (plugin, text) => options.onPluginLine({ plugin, level: 'warn', text }),
      ...(options.deadlines === undefined ? {} : { deadlines: options.deadlines }),
    })
  }

  /** Takes over the log options of a plan that has become the current one. */
  configure(log: LogPlan): void {
    const format = log.format ?? (this.#sink.isTerminal ? 'pretty' : 'json')
    this.#format = log.access ? formatter(format, { color: this.#sink.hasColor }) : null
    this.#formatTunnel = log.access ? tunnelFormatter(format, { color: this.#sink.hasColor }) : null
  }

  /** What a request, tunnel or session of this worker was and how it ended; null if it is not remembered, or was not of this worker. */
  recall(id: string): Recalled | null {
    return this.#recorder.recall(id)
  }

  /** Lines that were dropped, by a slow reader or by slow hooks. */
  get linesDropped(): number {
    return this.#sink.dropped + this.#queue.dropped
  }

  /** Before the end: hooks that owe an answer for the log have so long; then what they were asked about is written masked. */
  settleLog(ms: number): Promise<void> {
    return this.#queue.settle(ms)
  }

  connectionOpened(listener: string): void {
    const slots = this.#listener(listener)
    this.#counters.values[slots.accepted]! += 1
    this.#counters.values[slots.open]! += 1
  }

  connectionClosed(listener: string): void {
    this.#counters.values[this.#listener(listener).open]! -= 1
  }

  handshakeFailed(listener: string, why: HandshakeFailure, detail: string | null, address: string): void {
    // Whoever is kept out will ask why; the others are mostly noise of the network.
    if (why === 'client_certificate' && this.#format !== null) this.#sink.append(handshakeLine({ listener, why, detail, address }))
    const key = `${listener} ${why}`
    let slot = this.#handshakes.get(key)
    if (slot === undefined) {
      slot = this.#counters.add('handshake_failures_total', listener, why)
      this.#handshakes.set(key, slot)
    }
    this.#counters.values[slot]! += 1
  }

  datagramDropped(listener: string, why: DatagramLoss): void {
    const key = `${listener} ${why}`
    let slot = this.#losses.get(key)
    if (slot === undefined) {
      slot = this.#counters.add('dropped_datagrams_total', listener, why)
      this.#losses.set(key, slot)
    }
    this.#counters.values[slot]! += 1
  }

  exchangeEnded(x: EndedExchange): void {
    if (x.cache === 'beside') return this.#fetchedBeside(x)
    const { logHooks, logged } = x
    if (logged === null || logged.isWritten) {
      if (logHooks !== null) this.#queue.add(x, logHooks)
      else if (this.#format !== null) this.#sink.append(this.#format(x))
    }
    this.#recorder.record(x)
    const route = this.#route(x)
    const values = this.#counters.values
    values[route.statuses + statusClass(x.status)]! += 1
    values[route.received]! += x.bytesIn
    values[route.sent]! += x.bytesOut
    if (x.tunnel) values[route.tunnels]! += 1
    else this.#counters.observe(route.duration, x.durationMs / 1000)
    if (x.reason !== null) this.#countError(x.reason)
    if (x.cache !== null) this.#countCache(route, x.cache)
    const { destination } = x
    if (destination !== null)
      this.#forwardBytes.count(
        { listener: x.listener, user: x.user, destination, bytesIn: x.bytesIn, bytesOut: x.bytesOut },
        x.upstreamMs >= 0,
      )
    if (x.upstream !== null) this.#countUpstream(x, x.upstream)
  }

  tunnelEnded(x: EndedTunnel): void {
    const hooks = x.logHooks
    if (hooks !== null) this.#queue.addTunnel(x, hooks)
    else if (this.#formatTunnel !== null) this.#sink.append(this.#formatTunnel(x))
    this.#recorder.recordTunnel(x)
    const slots = this.#tunnelRoute(x)
    const values = this.#counters.values
    values[slots.tunnels]! += 1
    values[slots.received]! += x.bytesIn
    values[slots.sent]! += x.bytesOut
    if (x.datagramsIn > 0) this.#countDatagrams(x)
    if (x.destination !== null || x.user !== null) this.#forwardBytes.count(x, x.connectMs >= 0)
    if (x.reason !== null) this.#countError(x.reason)
    if (x.upstream === null || x.attempts <= 1) return
    const { retries } = this.#upstream(x.upstream)
    this.#counters.values[retries]! += x.attempts - 1
  }

  dialled(upstream: string, endpoint: string, ok: boolean): void {
    const slots = this.#endpoints.of(upstream, endpoint)
    this.#counters.values[ok ? slots.dialled : slots.dialFailed]! += 1
    if (ok) this.#counters.values[slots.open]! += 1
  }

  upstreamClosed(upstream: string, endpoint: string): void {
    this.#counters.values[this.#endpoints.of(upstream, endpoint).open]! -= 1
  }

  upstreamChanged(change: UpstreamChange): void {
    this.#changes.count(change)
    if (!change.isShared) this.#options.onChangeLine(changeLine(change))
  }

  /** Who is there by now: of endpoints that are gone no series is kept. */
  keepOnly(states: readonly UpstreamState[]): void {
    this.#endpoints.keepOnly(states)
    this.#changes.keepOnly(states)
  }

  queued(upstream: string, change: 1 | -1): void {
    const { waiting } = this.#upstream(upstream)
    this.#counters.values[waiting]! += change
  }

  buffered(upstream: string, change: number): void {
    const { buffered } = this.#upstream(upstream)
    this.#counters.values[buffered]! += change
  }

  mirrored(upstream: string, outcome: MirrorOutcome): void {
    const key = `${upstream} ${outcome}`
    let slot = this.#mirrored.get(key)
    if (slot === undefined) {
      slot = this.#counters.add('mirrored_requests_total', upstream, outcome)
      this.#mirrored.set(key, slot)
    }
    this.#counters.values[slot]! += 1
  }

  hedged(upstream: string, outcome: 'won' | 'lost' | 'failed'): void {
    const { hedges } = this.#upstream(upstream)
    hedges[outcome] ??= this.#counters.add('upstream_hedges_total', upstream, outcome)
    this.#counters.values[hedges[outcome]]! += 1
  }

  limitMoved(upstream: string, limit: number): void {
    const slots = this.#upstream(upstream)
    slots.limit ??= this.#counters.add('upstream_concurrency_limit', upstream)
    this.#counters.values[slots.limit] = limit
  }

  retryRefused(upstream: string): void {
    const { refused } = this.#upstream(upstream)
    this.#counters.values[refused]! += 1
  }

  pluginCalled(plugin: string, calls: number, tookMs: number): void {
    const slots = this.#plugin(plugin)
    const values = this.#counters.values
    values[slots.calls]! += calls
    if (tookMs > 0) values[slots.crossings]! += 1
    values[slots.seconds]! += tookMs / 1000
  }

  pluginFailed(plugin: string, why: PluginFailure, detail: string): void {
    const { failures } = this.#plugin(plugin)
    this.#counters.values[failures[why]]! += 1
    this.#options.onPluginLine({ plugin, level: 'error', text: `${failureText[why]}: ${detail}` })
  }

  pluginLogged(plugin: string, level: PluginLine['level'], text: string, at: SourcePlace | null): void {
    this.#options.onPluginLine({ plugin, level, text, ...(at !== null && at.line > 0 ? { at: `${at.file}:${at.line}` } : {}) })
  }

  /** A line that hooks have been asked about. */
  #write(line: AnyPending): void {
    if (line instanceof PendingTunnel) {
      if (this.#formatTunnel !== null) this.#sink.append(this.#formatTunnel(line))
    } else if (this.#format !== null) this.#sink.append(this.#format(line))
  }

  /** No client asked for it: it is no request, and has no line. */
  #fetchedBeside(x: EndedExchange): void {
    this.#countCache(this.#route(x), 'beside')
    if (x.reason !== null) this.#countError(x.reason)
    if (x.upstream !== null) this.#countUpstream(x, x.upstream)
  }

  #countCache(route: RouteSlots, outcome: string): void {
    let slot = route.cache.get(outcome)
    if (slot === undefined) {
      slot = this.#counters.add('cache_requests_total', route.listener, route.label, outcome)
      route.cache.set(outcome, slot)
    }
    this.#counters.values[slot]! += 1
  }

  #countError(reason: ErrorCode): void {
    let slot = this.#errors.get(reason)
    if (slot === undefined) {
      slot = this.#counters.add('errors_total', reason)
      this.#errors.set(reason, slot)
    }
    this.#counters.values[slot]! += 1
  }

  #countUpstream(x: EndedExchange, name: string): void {
    const upstream = this.#upstream(name)
    if (x.attempts > 1) this.#counters.values[upstream.retries]! += x.attempts - 1
    if (x.endpoint === null) return
    const endpoint = this.#endpoints.of(name, x.endpoint)
    const answered = x.upstreamMs >= 0
    this.#counters.values[answered ? endpoint.outcomes + statusClass(x.status) : endpoint.failed]! += 1
    if (answered) this.#counters.observe(upstream.response, x.upstreamMs / 1000)
  }

  #listener(name: string): ListenerSlots {
    let slots = this.#listeners.get(name)
    if (slots === undefined) {
      slots = { accepted: this.#counters.add('connections_total', name), open: this.#counters.add('connections', name) }
      this.#listeners.set(name, slots)
    }
    return slots
  }

  /** The names of a plan are the same strings for each exchange, so the one before is found by comparing pointers. */
  #route(x: EndedExchange): RouteSlots {
    const last = this.#lastRoute
    if (last !== null && last.route === x.route && last.listener === x.listener) return last
    const key = x.route ?? `${x.listener} `
    let slots = this.#routes.get(key)
    if (slots === undefined) {
      const crowded = this.#routes.size >= maxPlaces
      slots = crowded ? this.#otherRoute(x) : routeSlots(this.#counters, x.listener, x.route, x.route ?? '')
      if (!crowded) this.#routes.set(key, slots)
    }
    this.#lastRoute = slots
    return slots
  }

  #countDatagrams(x: EndedTunnel): void {
    const slots = this.#tunnelRoute(x)
    slots.datagrams ??= {
      received: this.#counters.add('received_datagrams_total', x.listener, slots.label),
      sent: this.#counters.add('sent_datagrams_total', x.listener, slots.label),
    }
    this.#counters.values[slots.datagrams.received]! += x.datagramsIn
    this.#counters.values[slots.datagrams.sent]! += x.datagramsOut
  }

  #otherRoute(x: EndedExchange): RouteSlots {
    const key = `${x.listener} other`
    let slots = this.#routes.get(key)
    if (slots === undefined) {
      slots = routeSlots(this.#counters, x.listener, key, 'other')
      this.#routes.set(key, slots)
    }
    return slots
  }

  #tunnelRoute({ listener, route }: EndedTunnel): TunnelSlots {
    const key = route ?? `${listener} `
    let slots = this.#tunnels.get(key)
    if (slots === undefined) {
      const label = this.#tunnels.size < maxPlaces ? (route ?? '') : 'other'
      slots = tunnelSlots(this.#counters, listener, label)
      this.#tunnels.set(key, slots)
    }
    return slots
  }

  #upstream(name: string): UpstreamSlots {
    let slots = this.#upstreams.get(name)
    if (slots === undefined) {
      slots = {
        name,
        response: this.#counters.add('upstream_response_seconds', name),
        retries: this.#counters.add('upstream_retries_total', name),
        refused: this.#counters.add('upstream_retries_refused_total', name),
        waiting: this.#counters.add('upstream_waiting', name),
        buffered: this.#counters.add('upstream_buffered_bytes', name),
        hedges: {},
        limit: undefined,
      }
      this.#upstreams.set(name, slots)
    }
    return slots
  }

  #plugin(name: string): PluginSlots {
    let slots = this.#plugins.get(name)
    if (slots === undefined) {
      const counters = this.#counters
      const failure = (why: PluginFailure): number => counters.add('plugin_failures_total', name, why)
      slots = {
        calls: counters.add('plugin_calls_total', name),
        crossings: counters.add('plugin_crossings_total', name),
        seconds: counters.add('plugin_seconds_total', name),
        failures: {
          threw: failure('threw'),
          timeout: failure('timeout'),
          memory: failure('memory'),
          crashed: failure('crashed'),
          parked: failure('parked'),
        },
      }
      this.#plugins.set(name, slots)
    }
    return slots
  }
}

interface ListenerSlots {
  readonly accepted: number
  readonly open: number
}

interface RouteSlots extends TunnelSlots {
  readonly listener: string
  readonly route: string | null
  /** Six in a row: no status, 1xx … 5xx. */
  readonly statuses: number
  readonly duration: number
  /** By outcome: there are a handful. */
  readonly cache: Map<string, number>
}

interface TunnelSlots {
  readonly received: number
  readonly sent: number
  readonly tunnels: number
  readonly label: string
  /** Of UDP; undefined until the first session has ended. */
  datagrams: { readonly received: number; readonly sent: number } | undefined
}

interface UpstreamSlots {
  readonly name: string
  readonly response: number
  readonly retries: number
  readonly refused: number
  readonly waiting: number
  readonly buffered: number
  readonly hedges: { won?: number; lost?: number; failed?: number }
  limit: number | undefined
}

type PluginFailure = Parameters<Observer['pluginFailed']>[1]

interface PluginSlots {
  readonly calls: number
  readonly crossings: number
  readonly seconds: number
  readonly failures: Readonly<Record<PluginFailure, number>>
}

const failureText: Readonly<Record<PluginFailure, string>> = {
  threw: 'threw an error',
  timeout: 'took too long',
  memory: 'used too much memory',
  crashed: 'crashed',
  parked: 'is parked after repeated failures',
}

const statusClasses = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

function statusClass(status: number): number {
  const hundreds = (status / 100) | 0
  return hundreds >= 0 && hundreds <= 5 ? hundreds : 5
}

function routeSlots(counters: Counters, listener: string, route: string | null, label: string): RouteSlots {
  const statuses = statusClasses.map((status) => counters.add('requests_total', listener, label, status))
  return {
    listener,
    route,
    cache: new Map(),
    statuses: statuses[0]!,
    duration: counters.add('request_duration_seconds', listener, label),
    ...tunnelSlots(counters, listener, label),
  }
}

function tunnelSlots(counters: Counters, listener: string, label: string): TunnelSlots {
  return {
    received: counters.add('received_bytes_total', listener, label),
    sent: counters.add('sent_bytes_total', listener, label),
    tunnels: counters.add('tunnels_total', listener, label),
    label,
    datagrams: undefined,
  }
}
