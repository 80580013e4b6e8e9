/**
 * The supervisor: binds, forks workers, and gives all of them the same plan. It takes no traffic and runs no code of a user. Its
 * sockets stay open while it lives, so a worker's death refuses nobody. A new plan is taken by all workers or by none: until the
 * commit point nothing has changed, after it nothing can fail.
 */
import { type CacheAsk, type CacheTold, mergeTold } from '../cache/asks.ts'
import { type KvUsage, kvShares } from '../capability/kv-shares.ts'
import type { Bundle } from '../config/bundle.ts'
import type { Challenge, RecordChange } from '../listener/challenges.ts'
import type { Recalled } from '../observe/recorder.ts'
import type { Difference } from '../plan/difference.ts'
import type { PluginProfile } from '../sandbox/profiling.ts'
import type { EndpointVerdict } from '../upstream/health-checks.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'
import { type Committed, Crew } from './crew.ts'
import type { Culprits } from './culprits.ts'
import { EndpointBoard } from './endpoint-board.ts'
import type { LogEntry, LogTarget, MetricsSnapshot, PlanSummary } from './messages.ts'
import { commitAll, mustAgree, prepareAll } from './round.ts'
import { type Bound, Sockets } from './sockets.ts'
import { type CommitCounts, PrepareError, type WorkerProcess } from './worker-process.ts'

export interface SupervisorOptions {
  readonly workers: number
  readonly workerFile: string
  /** For Node. Default: what workers with plugins need. */
  readonly workerFlags?: readonly string[]
  readonly logTarget: LogTarget
  /** Where workers keep their compiled modules (module-cache.ts); null: nowhere. */
  readonly cacheFolder: string | null
  /** A worker whose event loop stops for so long is killed. */
  readonly hangMs: number
  readonly drainMs: number
  /** For evaluating the config and loading plugins. */
  readonly prepareMs: number
  /** Another key for TLS session tickets each so often. Default: 8 h. */
  readonly ticketRotationMs?: number
  /** Workers bind by themselves, as where the runtime cannot bind without accepting: a dead worker's queue is lost. */
  readonly bindAlone?: boolean
  /** What a test wants to happen when all is prepared, just before the commit point of a reload. */
  readonly beforeCommit?: () => Promise<void>
  readonly events: SupervisorEvents
}

export interface SupervisorEvents {
  log(entry: LogEntry): void
  metrics(worker: WorkerProcess, snapshot: MetricsSnapshot): void
  retired(worker: WorkerProcess): void
}

export interface ReloadOptions {
  /** There is a newer one: this one is given up, if it is not too late. */
  isStale(): boolean
  /** What else must succeed before the commit point. */
  alongside(summary: PlanSummary): Promise<Alongside>
}

export interface Alongside {
  commit(): void
  abort(): void
}

export interface Reloaded extends CommitCounts {
  readonly summary: PlanSummary
  /** Null where new workers took the place of the old ones. */
  readonly difference: Difference | null
}

/** A newer one is wanted: nothing has changed. */
export class StaleError extends Error {
  override readonly name = 'StaleError'
}

/** All that can fail is done. Called, it is the commit point: returns what is bound since, and how to close what is not named any more. */
type Commit = (committed: Committed) => { readonly added: readonly Bound[]; close(): void }

const waitStepMs = 20
/** For what workers say of their upstreams. */
const STATES_MS = 2_000
const collectMs = 500

export class Supervisor {
  /** What is changed about endpoints at run time. */
  readonly endpoints: EndpointBoard
  readonly #options: SupervisorOptions
  readonly #crew: Crew
  readonly #sockets: Sockets
  #committed: Committed | null = null
  #summary: PlanSummary | null = null
  #lastGeneration = 0
  /** Resolves when the reload that runs is over. */
  #reloading: Promise<void> | null = null
  #draining = false
  /** The plugin that is being profiled. */
  #profiled: string | null = null

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#sockets = new Sockets({ slots: options.workers, bindAlone: options.bindAlone === true })
    this.endpoints = new EndpointBoard({
      // Parents are the config's alone to change.
      states: async () => (await this.upstreams(STATES_MS)).map((states) => states.filter(({ isParents }) => isParents !== true)),
      apply: (changes) => this.#crew.changeEndpoints(changes),
      log: (text, fields) => options.events.log({ level: 'info', text, fields }),
    })
    this.#crew = new Crew({
      ...{ options, sockets: this.#sockets, committed: () => this.#committed!, reloading: () => this.#reloading },
      endpointChanges: () => this.endpoints.changes,
    })
  }

  get isDraining(): boolean {
    return this.#draining
  }

  get generation(): number {
    return this.#committed?.generation ?? 0
  }

  get summary(): PlanSummary | null {
    return this.#summary
  }

  get restartCounts(): Readonly<Record<string, number>> {
    return this.#crew.restartCounts
  }

  /** Workers that plugins made end, by the plugin's name; and the sources that run in processes since. */
  get culprits(): Culprits {
    return this.#crew.culprits
  }

  /** What plugins keep in kv. */
  get kvUsage(): readonly KvUsage[] {
    return this.#crew.kv.usage
  }

  get workers(): readonly WorkerProcess[] {
    return this.#crew.workers
  }

  /** Every slot has a worker that carries traffic. */
  get isReady(): boolean {
    return this.#crew.isReady
  }

  /** Forks the workers, so that they load while the config is being read. */
  spawn(): void {
    this.#crew.spawn()
  }

  /** All workers prepare the bundle and must understand it alike. Nothing is bound. */
  async prepare(bundle: Bundle): Promise<PlanSummary> {
    const generation = ++this.#lastGeneration
    await this.#crew.warmUp()
    const prepared = await this.#crew.each((worker) => worker.prepare(bundle, generation, this.#options.prepareMs))
    const summaries = prepared.map(({ summary }) => summary)
    mustAgree(summaries)
    this.#committed = { bundle, generation }
    this.#summary = summaries[0]!
    return this.#summary
  }

  /** Binds what the plan listens on. Throws BindError. */
  async bind(summary: PlanSummary): Promise<void> {
    const change = await this.#sockets.change(summary)
    change.commit()
  }

  /** The plan becomes the current one everywhere, and then connections are accepted. */
  async commit(): Promise<void> {
    const committed = this.#committed
    if (committed === null) throw new PrepareError('nothing is prepared')
    this.#crew.kv.allot(kvShares(this.#summary?.plugins ?? []))
    await this.#crew.each((worker) => worker.commit(committed.generation))
    await this.#crew.goUp()
  }

  /**
   * Another plan for all workers, or for none: rejects with what kept it from being taken, and then nothing has changed. One at a
   * time.
   */
  async reload(bundle: Bundle, options: ReloadOptions): Promise<Reloaded> {
    if (this.#reloading !== null) throw new Error('a reload is under way')
    await this.#someWorker()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#reloading = promise
    try {
      const isRolling = bundle.packagesStamp !== this.#committed?.bundle.packagesStamp
      const reloaded = await (isRolling ? this.#roll(bundle, options) : this.#swap(bundle, options))
      void this.endpoints.reloaded()
      return reloaded
    } finally {
      this.#reloading = null
      resolve()
    }
  }

  /** What is bound: `web http://0.0.0.0:8080`. */
  describe(): string[] {
    return this.#sockets.describe()
  }

  /** Fresh counters of all workers, as far as they answer in time. */
  async collect(deadlineMs: number): Promise<void> {
    const ask = async (worker: WorkerProcess): Promise<void> => this.#options.events.metrics(worker, await worker.collect(deadlineMs))
    await Promise.allSettled(this.workers.filter((worker) => worker.isLive).map(ask))
  }

  /** What any worker remembers of a request. */
  async recall(requestId: string, deadlineMs: number): Promise<Recalled | null> {
    const ask = async (worker: WorkerProcess): Promise<Recalled> => {
      const found = await worker.recall(requestId, deadlineMs)
      if (found === null) throw new Error('not mine')
      return found
    }
    return Promise.any([...this.#crew.running].map(ask)).catch(() => null)
  }

  /** Of all workers, those too that drain: rejects if one of them does not answer in time, for what was to be purged may be in it. */
  async askCaches(ask: CacheAsk, deadlineMs: number): Promise<CacheTold> {
    const workers = [...this.#crew.running]
    const answers = await Promise.allSettled(workers.map((worker) => worker.askCaches(ask, deadlineMs)))
    const told = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    // One that has ended meanwhile keeps nothing any more.
    const left = new Set(this.#crew.running)
    const silent = workers.filter((worker, i) => answers[i]!.status === 'rejected' && left.has(worker)).length
    if (ask.kind === 'purge' && silent > 0) throw new Error(`${silent} of ${answers.length} workers did not answer: ask again`)
    return mergeTold(told, ask.kind === 'list' ? ask.most : undefined)
  }

  /** How upstreams fare, by each worker that answers in time. */
  async upstreams(deadlineMs: number): Promise<(readonly UpstreamState[])[]> {
    const live = this.workers.filter(({ isLive }) => isLive)
    const answers = await Promise.allSettled(live.map((worker) => worker.upstreams(deadlineMs)))
    return answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  }

  /** What checks of endpoints have shown. */
  get verdicts(): readonly EndpointVerdict[] {
    return this.#crew.health.verdicts
  }

  /** What a plugin spends the processor on, in the worker that has the most connections. Rejects with a sentence. */
  async profile(plugin: string, ms: number): Promise<PluginProfile> {
    const names = [...new Set(this.#summary?.plugins.map(({ name }) => name))]
    if (names.length === 0) throw new Error(`there is no plugin ${plugin}: the config uses none`)
    if (!names.includes(plugin))
      throw new Error(`there is no plugin ${plugin}; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`)
    if (this.#profiled !== null) throw new Error(`${this.#profiled} is being profiled: one at a time, try again when that is done`)
    this.#profiled = plugin
    try {
      await this.collect(collectMs)
      const [worker] = this.workers.filter(({ isLive }) => isLive).sort((a, b) => b.connections - a.connections)
      if (worker === undefined) throw new Error('no worker carries traffic at the moment: try again')
      return await worker.profile(plugin, ms)
    } finally {
      this.#profiled = null
    }
  }

  /** What authorities are to be shown from now on. Resolves when they are. */
  showChallenges(challenges: readonly Challenge[]): Promise<void> {
    return this.#crew.showChallenges(challenges)
  }

  /** One worker does it, by a function of the config. Rejects with its words. */
  async changeRecord(certificate: string, change: RecordChange): Promise<void> {
    const worker = this.workers.find(({ isLive }) => isLive)
    if (worker === undefined) throw new Error('no worker carries traffic at the moment')
    await worker.changeRecord(certificate, change)
  }

  reopenLogs(): void {
    for (const worker of this.#crew.running) worker.reopenLog()
  }

  /** Resolves when every worker has ended. */
  async drain(): Promise<void> {
    this.#draining = true
    this.endpoints.stop()
    // First these copies: then a socket goes with the worker's, and whoever comes is refused instead of waiting for nobody.
    this.#sockets.close()
    await this.#crew.drain()
  }

  /** At once. */
  kill(): void {
    this.#draining = true
    this.endpoints.stop()
    this.#crew.kill()
    this.#sockets.close()
  }

  /** Everywhere what runs already: nobody's connection is touched but of listeners that are gone. */
  async #swap(bundle: Bundle, options: ReloadOptions): Promise<Reloaded> {
    const generation = ++this.#lastGeneration
    const workers = this.#crew.taking
    try {
      const prepared = await prepareAll(workers, { bundle, generation, deadlineMs: this.#options.prepareMs })
      const commit = await this.#reserve(prepared.summary, options)
      const { added, close } = commit({ bundle, generation })
      const counts = await commitAll(this.#still(workers), generation)
      await this.#crew.openAdded(added)
      close()
      return { ...prepared, ...counts }
    } catch (error) {
      for (const worker of workers) worker.abort(generation)
      throw error
    }
  }

  /** What a process has imported it remembers: new workers take the slots, the old ones finish what they have. */
  async #roll(bundle: Bundle, options: ReloadOptions): Promise<Reloaded> {
    const generation = ++this.#lastGeneration
    const fresh = this.#crew.createApart()
    try {
      await Promise.all(fresh.map((worker) => worker.loaded()))
      const prepared = await prepareAll(fresh, { bundle, generation, deadlineMs: this.#options.prepareMs })
      const commit = await this.#reserve(prepared.summary, options)
      const { close } = commit({ bundle, generation })
      const counts = await commitAll(this.#still(fresh), generation)
      await this.#crew.takeSlots(fresh)
      close()
      return { ...prepared, ...counts, difference: null }
    } catch (error) {
      for (const worker of fresh) worker.kill('its plan was not taken into use')
      throw error
    }
  }

  /** All else that can fail: done, or undone again. */
  async #reserve(summary: PlanSummary, options: ReloadOptions): Promise<Commit> {
    const mustBeWanted = (): void => {
      if (options.isStale() || this.#draining) throw new StaleError('another one is wanted')
    }
    mustBeWanted()
    const sockets = await this.#sockets.change(summary)
    let alongside: Alongside | null = null
    try {
      alongside = await options.alongside(summary)
      await this.#options.beforeCommit?.()
      mustBeWanted()
    } catch (error) {
      alongside?.abort()
      sockets.abort()
      throw error
    }
    const { commit } = alongside
    return (committed) => {
      this.#committed = committed
      this.#summary = summary
      this.#crew.kv.allot(kvShares(summary.plugins))
      commit()
      return { added: sockets.added, close: sockets.commit() }
    }
  }

  #still(workers: readonly WorkerProcess[]): WorkerProcess[] {
    return workers.filter((worker) => this.#crew.running.has(worker))
  }

  /** Somebody must try the plan before it is taken; when nobody is there, somebody soon is. */
  async #someWorker(): Promise<void> {
    const deadline = performance.now() + this.#options.prepareMs
    while (this.#crew.taking.length === 0) {
      if (this.#draining) throw new StaleError('the proxy is draining')
      if (performance.now() > deadline) throw new PrepareError('there is no worker to try the config')
      await new Promise((resolve) => setTimeout(resolve, waitStepMs))
    }
  }
}
