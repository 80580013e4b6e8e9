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
import { type PluginFailure, type RouteSlots, TrafficSeries } from './traffic-series.ts'
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

export class Traffic implements Observer {
  readonly #counters: Counters
  readonly #options: TrafficOptions
  readonly #sink: LineSink
  #format: FormatLine | null = null
  #formatTunnel: FormatTunnel | null = null
  readonly #series: TrafficSeries
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

  constructor(options: TrafficOptions) {
    this.#options = options
    this.#counters = options.counters
    this.#sink = options.sink
    this.#series = new TrafficSeries(options.counters)
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
    const slots = this.#series.listener(listener)
    this.#counters.values[slots.accepted]! += 1
    this.#counters.values[slots.open]! += 1
  }

  connectionClosed(listener: string): void {
    this.#counters.values[this.#series.listener(listener).open]! -= 1
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
    const route = this.#series.route(x)
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
    const slots = this.#series.tunnel(x)
    const values = this.#counters.values
    values[slots.tunnels]! += 1
    values[slots.received]! += x.bytesIn
    values[slots.sent]! += x.bytesOut
    if (x.datagramsIn > 0) this.#countDatagrams(x)
    if (x.destination !== null || x.user !== null) this.#forwardBytes.count(x, x.connectMs >= 0)
    if (x.reason !== null) this.#countError(x.reason)
    if (x.upstream === null || x.attempts <= 1) return
    const { retries } = this.#series.upstream(x.upstream)
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
    const { waiting } = this.#series.upstream(upstream)
    this.#counters.values[waiting]! += change
  }

  buffered(upstream: string, change: number): void {
    const { buffered } = this.#series.upstream(upstream)
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
    const { hedges } = this.#series.upstream(upstream)
    hedges[outcome] ??= this.#counters.add('upstream_hedges_total', upstream, outcome)
    this.#counters.values[hedges[outcome]]! += 1
  }

  limitMoved(upstream: string, limit: number): void {
    const slots = this.#series.upstream(upstream)
    slots.limit ??= this.#counters.add('upstream_concurrency_limit', upstream)
    this.#counters.values[slots.limit] = limit
  }

  retryRefused(upstream: string): void {
    const { refused } = this.#series.upstream(upstream)
    this.#counters.values[refused]! += 1
  }

  pluginCalled(plugin: string, calls: number, tookMs: number): void {
    const slots = this.#series.plugin(plugin)
    const values = this.#counters.values
    values[slots.calls]! += calls
    if (tookMs > 0) values[slots.crossings]! += 1
    values[slots.seconds]! += tookMs / 1000
  }

  pluginFailed(plugin: string, why: PluginFailure, detail: string | null): void {
    const { failures } = this.#series.plugin(plugin)
    this.#counters.values[failures[why]]! += 1
    if (detail !== null) this.#options.onPluginLine({ plugin, level: 'error', text: `${failureText[why]}: ${detail}` })
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
    this.#countCache(this.#series.route(x), 'beside')
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
    const upstream = this.#series.upstream(name)
    if (x.attempts > 1) this.#counters.values[upstream.retries]! += x.attempts - 1
    if (x.endpoint === null) return
    const endpoint = this.#endpoints.of(name, x.endpoint)
    const answered = x.upstreamMs >= 0
    this.#counters.values[answered ? endpoint.outcomes + statusClass(x.status) : endpoint.failed]! += 1
    if (answered) this.#counters.observe(upstream.response, x.upstreamMs / 1000)
  }

  #countDatagrams(x: EndedTunnel): void {
    const slots = this.#series.tunnel(x)
    slots.datagrams ??= {
      received: this.#counters.add('received_datagrams_total', x.listener, slots.label),
      sent: this.#counters.add('sent_datagrams_total', x.listener, slots.label),
    }
    this.#counters.values[slots.datagrams.received]! += x.datagramsIn
    this.#counters.values[slots.datagrams.sent]! += x.datagramsOut
  }
}

const failureText: Readonly<Record<PluginFailure, string>> = {
  threw: 'threw an error',
  timeout: 'took too long',
  memory: 'used too much memory',
  crashed: 'crashed',
  parked: 'is parked after repeated failures',
}

function statusClass(status: number): number {
  const hundreds = (status / 100) | 0
  return hundreds >= 0 && hundreds <= 5 ? hundreds : 5
}
