/**
 * The worker's end of the conversation with its supervisor: prepares and commits plans, takes over listening sockets, tells that it
 * is alive, and drains when it is told to, or when the supervisor is gone.
 */
import { Console } from 'node:console'
import { Announcements, soon } from '../cache/announcements.ts'
import type { Caches } from '../cache/caches.ts'
import type { KvStore } from '../capability/kv-store.ts'
import { RemoteKvStore } from '../capability/remote-kv.ts'
import type { Bundle } from '../config/bundle.ts'
import type { Source } from '../doors.ts'
import type { Observer } from '../events.ts'
import type { Challenge, RecordChange } from '../listener/challenges.ts'
import type { AuthorityCounts } from '../listener/leaves.ts'
import { socketsBy } from '../net/kernel.ts'
import { TicketKeys } from '../net/ticket-keys.ts'
import { Counters } from '../observe/counters.ts'
import { LineSink } from '../observe/line-sink.ts'
import { StoreNews } from '../observe/store-news.ts'
import { Traffic } from '../observe/traffic.ts'
import { fetchedListsOf } from '../plan/compile-blocklist.ts'
import type { Difference } from '../plan/difference.ts'
import { blocklistsOf } from '../plan/forward-listeners.ts'
import type { Plan } from '../plan/plan.ts'
import type { Counting } from '../policy/counting.ts'
import type { Capabilities } from '../sandbox/capabilities.ts'
import { openFlightNote } from '../sandbox/engine/flight-note.ts'
import type { PluginProfile } from '../sandbox/profiling.ts'
import type { PluginState, UseSummary } from '../sandbox/roster.ts'
import type { StoreEvents } from '../store/store.ts'
import type { EndpointChange } from '../upstream/endpoint-changes.ts'
import type { HealthBoard } from '../upstream/health-board.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'
import { AuthorityGauges } from './authority-gauges.ts'
import { CacheGauges } from './cache-gauges.ts'
import { maxConnections } from './capacity.ts'
import { listenOn } from './connection-source.ts'
import { openCounting } from './counters-file.ts'
import { DatagramDoors } from './datagram-doors.ts'
import { ForwardedLog } from './forwarded-log.ts'
import type { FromWorker, LogTarget, MetricsSnapshot, PlanSummary, ToWorker, Vitals } from './messages.ts'
import { fillModuleCache } from './module-cache.ts'
import { Pulse } from './pulse.ts'
import { problemsOf } from './worker-problems.ts'

/** Hooks of the log have so long at the end. The supervisor waits two seconds beyond a drain. */
const SETTLE_LOG_MS = 1_200
const TIDY_MS = 30_000
/** What a cache is still writing to a disk may take so long. */
const SETTLE_CACHES_MS = 2_000

export interface Prepared {
  readonly plan: Plan
  /** From the plan in use; null if there is none. */
  readonly difference: Difference | null
  readonly plugins: readonly UseSummary[]
  discard(): void
}

/** What a worker needs of the proxy; the real one is in proxy.ts. */
export interface WorkerProxy<P extends Prepared> {
  prepare(bundle: Bundle, generation: number): Promise<P>
  /** Returns how many connections are told to end. */
  commit(prepared: P): number
  accept(listener: string, source: Source, key: string): void
  stopAccepting(): void
  drain(deadlineMs: number): Promise<number>
  readonly connections: number
  readonly plugins: readonly PluginState[]
  readonly upstreams: readonly UpstreamState[]
  readonly health: Pick<HealthBoard, 'apply' | 'isOn' | 'onVerdicts'>
  changeEndpoints(changes: readonly EndpointChange[]): void
  readonly authorities: readonly (readonly [file: string, counts: AuthorityCounts])[]
  readonly caches: Caches
  moveToProcess(sourceId: string): void
  showChallenges(challenges: readonly Challenge[]): void
  changeRecord(certificate: string, change: RecordChange): Promise<void>
  profilePlugin(name: string, ms: number): Promise<PluginProfile>
  onPressure: ((pressed: boolean) => void) | null
  close(): void
}

export interface ProxyParts {
  readonly observer: Observer
  readonly maxConnections: number
  readonly capabilities: Capabilities
  readonly ticketKeys: TicketKeys
  readonly counting: Counting
  readonly secret: Uint8Array
  readonly storeEvents: StoreEvents
  readonly onInvalidated: (cache: string, url: string) => void
}

type CreateProxy<P extends Prepared> = (options: ProxyParts) => WorkerProxy<P>

/** Takes over this process. */
export function serveAsWorker<P extends Prepared>(createProxy: CreateProxy<P>): void {
  keepToOurselves()
  // The supervisor decides: Ctrl-C and a closed terminal reach the whole group of processes.
  process.on('SIGINT', () => {})
  process.on('SIGHUP', () => {})
  process.once('message', (message: ToWorker) => {
    if (message.kind === 'begin') new WorkerSide(createProxy, message).start()
  })
  send({ kind: 'loaded', cold: fillModuleCache() })
}

class WorkerSide<P extends Prepared> {
  readonly #proxy: WorkerProxy<P>
  readonly #counters = new Counters()
  readonly #sink: LineSink
  readonly #traffic: Traffic
  readonly #log = new ForwardedLog((entries) => send({ kind: 'log', entries }))
  readonly #kv = new RemoteKvStore({ send: (batch, operations) => send({ kind: 'kv', batch, operations }) })
  readonly #ticketKeys: TicketKeys
  readonly #pulse: Pulse
  readonly #cacheGauges: CacheGauges
  readonly #authorityGauges: AuthorityGauges
  readonly #drainMs: number
  readonly #slot: number
  /** Servers on sockets of slots that have no worker at the moment. */
  readonly #borrowed = new Map<number, { close(): void }[]>()
  /** Of UDP, by slot and key. */
  readonly #datagrams = new DatagramDoors()
  readonly #dropped: number
  /** What was asked for last, and not taken back. */
  #wanted = 0
  #prepared: { readonly generation: number; readonly value: P } | null = null
  #draining = false
  /** When series of endpoints that are gone were last taken out. */
  #tidiedAt = performance.now()

  constructor(createProxy: CreateProxy<P>, begin: ToWorker & { kind: 'begin' }) {
    process.title = `sluice: worker ${begin.slot}`
    this.#drainMs = begin.drainMs
    this.#slot = begin.slot
    this.#dropped = this.#counters.add('log_dropped_total')
    this.#sink = this.#openSink(begin.logTarget)
    this.#traffic = new Traffic({
      counters: this.#counters,
      sink: this.#sink,
      onPluginLine: ({ plugin, level, text, at }) =>
        this.#log.write({ level, text, fields: at === undefined ? { plugin } : { plugin, at } }),
      onChangeLine: (line) => this.#log.write(line),
    })
    this.#ticketKeys = new TicketKeys(begin.ticketKeys)
    const capabilities = capabilitiesWith(this.#kv)
    const warn = (text: string): void => this.#log.write({ level: 'warn', text, fields: {} })
    const counting = openCounting(begin, warn)
    const storeEvents = new StoreNews(this.#counters, (line) => begin.slot === 0 && this.#log.write(line))
    const announcements = new Announcements({ send: (announced) => send({ kind: 'invalidated', announced }), later: soon })
    this.#proxy = createProxy({
      ...{ observer: this.#traffic, maxConnections: maxConnections(), capabilities, ticketKeys: this.#ticketKeys },
      ...{ counting, secret: begin.secret, storeEvents, warn, onInvalidated: (cache, url) => announcements.add(cache, url) },
    })
    if (begin.noteFd !== null) openFlightNote(begin.noteFd)
    for (const sourceId of begin.toProcess) this.#proxy.moveToProcess(sourceId)
    this.#proxy.showChallenges(begin.challenges)
    this.#proxy.changeEndpoints(begin.endpointChanges)
    this.#proxy.onPressure = (pressed) => this.#onPressure(pressed)
    this.#proxy.health.onVerdicts = (verdicts) => send({ kind: 'health', verdicts })
    this.#cacheGauges = new CacheGauges(this.#counters, begin.slot)
    this.#authorityGauges = new AuthorityGauges(this.#counters, begin.slot)
    this.#pulse = new Pulse(this.#counters, { slot: begin.slot, everyMs: begin.heartbeatMs, beat: () => this.#tellAlive() })
  }

  start(): void {
    process.on('message', (message: ToWorker, handle: unknown) => this.#receive(message, handle))
    process.once('disconnect', () => {
      this.#kv.close('kv: the supervisor, which holds the store, is gone')
      void this.#drain(this.#drainMs)
    })
    process.on('SIGTERM', () => this.#leave())
    process.on('uncaughtException', (error) => this.#fail(error))
    process.on('unhandledRejection', (error) => this.#fail(error))
    this.#pulse.start()
  }

  #receive(message: ToWorker, handle: unknown): void {
    switch (message.kind) {
      case 'begin':
        return
      case 'prepare':
        void this.#prepare(message)
        return
      case 'commit':
        this.#commit(message)
        return
      case 'abort':
        this.#abort(message.generation)
        return
      case 'listen':
        void this.#listen(message, handle)
        return
      case 'release':
        this.#release(message.slot)
        return
      case 'collect':
        send({ kind: 'collected', id: message.id, ...this.#vitals() })
        return
      case 'plugin-to-process':
        this.#proxy.moveToProcess(message.sourceId)
        return
      case 'challenges':
        return this.#showChallenges(message)
      case 'dns-record':
        return void this.#changeRecord(message)
      case 'recall':
        send({ kind: 'recalled', id: message.id, found: this.#traffic.recall(message.requestId) })
        return
      case 'check-health':
        this.#proxy.health.isOn = message.isOn
        return
      case 'health':
        this.#proxy.health.apply(message.verdicts)
        return
      case 'endpoint-changes':
        this.#proxy.changeEndpoints(message.changes)
        send({ kind: 'done', id: message.id })
        return
      case 'upstreams':
        send({ kind: 'upstreams', id: message.id, states: this.#proxy.upstreams })
        return
      case 'cache':
        void this.#tellOfCaches(message)
        return
      case 'invalidated':
        this.#proxy.caches.hear(message.announced)
        return
      case 'profile':
        void this.#profile(message)
        return
      case 'kv-answers':
        this.#kv.answer(message.batch, message.outcomes)
        return
      case 'reopen-log':
        this.#reopenLog()
        return
      case 'ticket-keys':
        this.#ticketKeys.replace(message.keys)
        return
      case 'drain':
        void this.#drain(message.deadlineMs, () => send({ kind: 'done', id: message.id }))
        return
      default:
        message satisfies never
    }
  }

  async #prepare({ id, bundle, generation }: ToWorker & { kind: 'prepare' }): Promise<void> {
    this.#wanted = generation
    this.#discard()
    try {
      const value = await this.#proxy.prepare(bundle, generation)
      // Taken back meanwhile, or another one is wanted by now.
      if (this.#wanted !== generation) {
        value.discard()
        return send({ kind: 'failed', id, error: `generation ${generation} is not wanted any more`, problems: [] })
      }
      this.#prepared = { generation, value }
      send({ kind: 'prepared', id, summary: summarize(value), difference: value.difference })
    } catch (error) {
      send({ kind: 'failed', id, error: readable(error), problems: problemsOf(error) })
    }
  }

  #showChallenges({ id, challenges }: ToWorker & { kind: 'challenges' }): void {
    try {
      this.#proxy.showChallenges(challenges)
      send({ kind: 'done', id })
    } catch (error) {
      send({ kind: 'failed', id, error: readable(error), problems: [] })
    }
  }

  async #changeRecord({ id, certificate, change }: ToWorker & { kind: 'dns-record' }): Promise<void> {
    try {
      await this.#proxy.changeRecord(certificate, change)
      send({ kind: 'done', id })
    } catch (error) {
      send({ kind: 'failed', id, error: readable(error), problems: [] })
    }
  }

  async #tellOfCaches({ id, ask }: ToWorker & { kind: 'cache' }): Promise<void> {
    try {
      send({ kind: 'cache-told', id, told: await this.#proxy.caches.tell(ask) })
    } catch (error) {
      send({ kind: 'failed', id, error: readable(error), problems: [] })
    }
  }

  async #profile({ id, plugin, ms }: ToWorker & { kind: 'profile' }): Promise<void> {
    try {
      send({ kind: 'profiled', id, ...(await this.#proxy.profilePlugin(plugin, ms)) })
    } catch (error) {
      send({ kind: 'failed', id, error: readable(error), problems: [] })
    }
  }

  #commit({ id, generation }: ToWorker & { kind: 'commit' }): void {
    const prepared = this.#prepared
    if (prepared?.generation !== generation) {
      return send({ kind: 'failed', id, error: `generation ${generation} is not prepared`, problems: [] })
    }
    this.#prepared = null
    const { connections } = this.#proxy
    const touched = this.#proxy.commit(prepared.value)
    this.#traffic.configure(prepared.value.plan.log)
    send({ kind: 'committed', id, touched, connections })
  }

  #abort(generation: number): void {
    if (this.#wanted !== generation) return
    this.#wanted = 0
    this.#discard()
  }

  #discard(): void {
    this.#prepared?.value.discard()
    this.#prepared = null
  }

  /** Listening begins before the answer: from then on nothing that connects is lost. */
  async #listen(message: ToWorker & { kind: 'listen' }, handle: unknown): Promise<void> {
    const { id, listener, key, address, alone, slot } = message
    try {
      if (address.kind === 'udp') {
        const socket = await this.#datagrams.open(`${slot} ${key}`, address, handle)
        if (socket !== null) {
          this.#proxy.accept(listener, socket, key)
          this.#borrow(slot, socket)
        }
        return send({ kind: 'done', id })
      }
      const failed = (error: string): void =>
        this.#log.write({ level: 'warn', text: 'connections cannot be accepted at the moment, and wait', fields: { listener, error } })
      const { source, begun } = listenOn({ address, handle: alone ? undefined : handle, failed })
      this.#proxy.accept(listener, source, key)
      this.#borrow(slot, source)
      await begun
      send({ kind: 'done', id })
    } catch (error) {
      send({ kind: 'failed', id, error: readable(error), problems: [] })
    }
  }

  #borrow(slot: number, server: { close(): void }): void {
    if (slot !== this.#slot) this.#borrowed.set(slot, [...(this.#borrowed.get(slot) ?? []), server])
  }

  #release(slot: number): void {
    for (const server of this.#borrowed.get(slot) ?? []) server.close()
    this.#borrowed.delete(slot)
  }

  /** Short of descriptors: connections wait in the queue of the socket, which the supervisor keeps open. */
  #onPressure(pressed: boolean): void {
    if (this.#draining) return
    if (pressed) this.#proxy.stopAccepting()
    send({ kind: 'pressure', pressed })
  }

  /** Somebody else than the supervisor asked: it may send another worker meanwhile. */
  #leave(): void {
    if (!this.#draining) send({ kind: 'leaving' })
    void this.#drain(this.#drainMs)
  }

  async #drain(deadlineMs: number, onClosed?: () => void): Promise<void> {
    if (this.#draining) {
      void this.#proxy.drain(deadlineMs)
      onClosed?.()
      return
    }
    this.#draining = true
    // Who is in the queue came in time: one more turn takes them, which begins behind this one.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    this.#proxy.stopAccepting()
    const drained = this.#proxy.drain(deadlineMs)
    onClosed?.()
    const cut = await drained
    if (cut > 0)
      this.#log.write({ level: 'warn', text: 'the time for draining is over: connections were cut', fields: { connections: cut } })
    await Promise.all([this.#traffic.settleLog(SETTLE_LOG_MS), this.#proxy.caches.close(SETTLE_CACHES_MS)])
    this.#proxy.close()
    this.#end(0)
  }

  /** What happens to one exchange is caught where it runs; what arrives here is a mistake of the proxy, and its state is unknown. */
  #fail(error: unknown): void {
    this.#log.write({
      level: 'error',
      text: `a worker failed: ${readable(error)}`,
      fields: { stack: error instanceof Error ? (error.stack ?? '') : '' },
    })
    this.#end(1)
  }

  #end(code: number): void {
    this.#pulse.stop()
    this.#sink.close()
    this.#log.flush()
    const exit = (): never => process.exit(code)
    if (process.connected) toSupervisor?.({ kind: 'drained', metrics: this.#snapshot() } satisfies FromWorker, exit)
    else exit()
  }

  #tellAlive(): void {
    send({ kind: 'alive', ...this.#vitals() })
  }

  #vitals(): Vitals {
    const { connections, plugins } = this.#proxy
    return { connections, memory: process.memoryUsage.rss(), sockets: socketsBy(), plugins, metrics: this.#snapshot() }
  }

  #snapshot(): MetricsSnapshot {
    this.#counters.values[this.#dropped] = this.#traffic.linesDropped
    this.#pulse.measure()
    if (performance.now() - this.#tidiedAt >= TIDY_MS) {
      this.#tidiedAt = performance.now()
      this.#traffic.keepOnly(this.#proxy.upstreams)
    }
    this.#cacheGauges.measure(this.#proxy.caches.counts)
    this.#authorityGauges.measure(this.#proxy.authorities)
    return this.#counters.snapshot()
  }

  #openSink(path: LogTarget): LineSink {
    const onDrops: ConstructorParameters<typeof LineSink>[0]['onDrops'] = ({ kind, lines, why }) => {
      if (kind === 'began') this.#log.write({ level: 'warn', text: `access lines are being dropped: ${why}`, fields: {} })
      else this.#log.write({ level: 'warn', text: `${lines} access lines were dropped`, fields: { lines } })
    }
    return new LineSink({ path, onDrops })
  }

  #reopenLog(): void {
    try {
      this.#sink.reopen()
    } catch (error) {
      this.#log.write({ level: 'error', text: `the access log stays where it was: ${readable(error)}`, fields: {} })
    }
  }
}

const toSupervisor = process.send?.bind(process)

/** A config, or a package of it, that speaks to its parent (`process.send?.('ready')`) or prints would be in the middle of what we say there. */
function keepToOurselves(): void {
  delete process.send
  globalThis.console = new Console({ stdout: process.stderr, stderr: process.stderr })
}

function send(message: FromWorker): void {
  // A supervisor that is gone is told nothing; `disconnect` tells us.
  if (process.connected) toSupervisor?.(message, () => {})
}

function summarize({ plan, plugins }: Prepared): PlanSummary {
  const listeners = plan.listeners.map((listener) => {
    const { name, addresses } = listener
    return {
      name,
      addresses,
      scheme: listener.kind !== 'http' ? listener.kind : listener.tls === null ? ('http' as const) : ('https' as const),
    }
  })
  return { listeners, log: plan.log, admin: plan.admin, plugins, acme: plan.acme, lists: fetchedListsOf(blocklistsOf(plan.listeners)) }
}

/** Loaded when a plugin first asks: most workers have none that does. */
function capabilitiesWith(kv: KvStore): Capabilities {
  let loaded: Promise<Capabilities> | null = null
  return {
    async perform(wish) {
      loaded ??= import('../capability/capabilities.ts').then(({ createCapabilities }) => createCapabilities({ kv }))
      return (await loaded).perform(wish)
    },
  }
}

function readable(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
