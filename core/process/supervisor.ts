/**
 * The supervisor: binds, forks workers, gives all of them the same plan, and replaces those that die or hang. It takes no traffic
 * and runs no code of a user. Its sockets stay open while it lives, so a worker's death refuses nobody.
 */
import type { Bundle } from '../config/bundle.ts'
import { type BoundSocket, bindAddress, describeAddress } from './bind.ts'
import type { LogEntry, LogTarget, MetricsSnapshot, PlanSummary } from './messages.ts'
import { Restarts } from './restarts.ts'
import { StandIns } from './stand-ins.ts'
import { PrepareError, type WorkerEvents, WorkerProcess } from './worker-process.ts'

export interface SupervisorOptions {
  readonly workers: number
  readonly workerFile: string
  readonly logTarget: LogTarget
  /** Where workers keep their compiled modules (module-cache.ts); null: nowhere. */
  readonly cacheFolder: string | null
  /** A worker whose event loop stops for so long is killed. */
  readonly hangMs: number
  readonly drainMs: number
  /** For evaluating the config and loading plugins. */
  readonly prepareMs: number
  /** Workers bind by themselves, as where the runtime cannot bind without accepting: a dead worker's queue is lost. */
  readonly bindAlone?: boolean
  readonly events: SupervisorEvents
}

export interface SupervisorEvents {
  log(entry: LogEntry): void
  metrics(worker: WorkerProcess, snapshot: MetricsSnapshot): void
  retired(worker: WorkerProcess): void
}

interface Listening {
  readonly name: string
  readonly secure: boolean
  /** One for each slot; all the same one where it is shared. */
  readonly sockets: readonly BoundSocket[]
}

interface Committed {
  readonly bundle: Bundle
  readonly generation: number
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #slots: (WorkerProcess | null)[]
  /** Every process that has not ended, those that are being drained or replaced included. */
  readonly #running = new Set<WorkerProcess>()
  readonly #restarts: Restarts
  readonly #standIns = new StandIns()
  #listening: Listening[] = []
  #committed: Committed | null = null
  #summary: PlanSummary | null = null
  #watch: NodeJS.Timeout | null = null
  #watchedAt = 0
  #draining = false
  readonly #allEnded = Promise.withResolvers<void>()
  /** Before the first commit a worker's death fails the start; after it, it is replaced. */
  #isUp = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.workers }, () => null)
    this.#restarts = new Restarts({
      slots: options.workers,
      restart: (slot) => void this.#replace(slot),
      tell: (entry) => options.events.log(entry),
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
    return this.#restarts.counts
  }

  get workers(): readonly WorkerProcess[] {
    return this.#slots.filter((worker) => worker !== null)
  }

  /** Every slot has a worker that carries traffic. */
  get isReady(): boolean {
    return this.#isUp && !this.#draining && this.#slots.every((worker) => worker?.isLive === true)
  }

  /** Forks the workers, so that they load while the config is being read. */
  spawn(): void {
    for (let slot = 0; slot < this.#slots.length; slot++) this.#fork(slot)
  }

  /** All workers prepare the bundle and must understand it alike. Nothing is bound. */
  async prepare(bundle: Bundle): Promise<PlanSummary> {
    const generation = 1
    await this.#warmUp()
    const summaries = await this.#allWorkers((worker) => worker.prepare(bundle, generation, this.#options.prepareMs))
    const [first] = summaries
    if (first === undefined) throw new PrepareError('there is no worker')
    if (summaries.some((summary) => JSON.stringify(summary) !== JSON.stringify(first))) {
      throw new PrepareError('the config is not the same in each worker: it depends on the time, on chance, or on something that changes')
    }
    this.#committed = { bundle, generation }
    this.#summary = first
    return first
  }

  /** Binds what the plan listens on. Throws BindError. */
  async bind({ listeners }: PlanSummary): Promise<void> {
    for (const { name, addresses, secure } of listeners) {
      for (const address of addresses) {
        const sockets = await bindAddress(name, address, this.#slots.length, this.#options.bindAlone === true ? null : undefined)
        this.#listening.push({ name, secure, sockets })
      }
    }
  }

  /** The plan becomes the current one everywhere, and then connections are accepted. */
  async commit(): Promise<void> {
    const committed = this.#committed
    if (committed === null) throw new PrepareError('nothing is prepared')
    await this.#allWorkers((worker) => worker.commit(committed.generation))
    this.#isUp = true
    await Promise.all(this.workers.map((worker) => this.#open(worker)))
    this.#watchedAt = performance.now()
    const everyMs = this.#options.hangMs / 5
    this.#watch = setInterval(() => this.#findHanging(everyMs), everyMs)
  }

  /** What is bound: `web http://0.0.0.0:8080`. */
  describe(): string[] {
    return this.#listening.map(({ name, secure, sockets }) => {
      const address = sockets[0]!.address
      return `${name} ${address.kind === 'unix' ? '' : secure ? 'https://' : 'http://'}${describeAddress(address)}`
    })
  }

  /** Fresh counters of all workers, as far as they answer in time. */
  async collect(deadlineMs: number): Promise<void> {
    const ask = async (worker: WorkerProcess): Promise<void> => this.#options.events.metrics(worker, await worker.collect(deadlineMs))
    await Promise.allSettled(this.workers.filter((worker) => worker.isLive).map(ask))
  }

  reopenLogs(): void {
    for (const worker of this.#running) worker.reopenLog()
  }

  /** Resolves when every worker has ended. */
  async drain(): Promise<void> {
    this.#beginEnd()
    for (const worker of this.#running) {
      if (worker.isLive) worker.drain(this.#options.drainMs)
      else if (!worker.isDraining) worker.kill('draining')
    }
    // A worker that does not keep its own deadline is not waited for.
    const late = setTimeout(() => this.kill(), this.#options.drainMs + 2_000)
    if (this.#running.size > 0) await this.#allEnded.promise
    clearTimeout(late)
    this.#closeSockets()
  }

  /** At once. */
  kill(): void {
    this.#beginEnd()
    for (const worker of this.#running) worker.kill('stopping')
    this.#closeSockets()
  }

  /** The first workers of a new version fill the module cache; they are replaced, once, by such that are quicker and smaller. */
  async #warmUp(): Promise<void> {
    const loaded = await this.#allWorkers((worker) => worker.loaded())
    if (this.#options.cacheFolder === null) return
    for (const [slot, { cold }] of loaded.entries()) {
      if (!cold) continue
      this.#slots[slot]?.kill('cold')
      this.#fork(slot)
    }
    await this.#allWorkers((worker) => worker.loaded())
  }

  #beginEnd(): void {
    this.#draining = true
    this.#restarts.stop()
    if (this.#watch !== null) clearInterval(this.#watch)
  }

  #closeSockets(): void {
    for (const { sockets } of this.#listening) for (const socket of sockets) socket.close()
  }

  #fork(slot: number): WorkerProcess {
    const { workerFile: file, hangMs, drainMs, logTarget } = this.#options
    const worker = new WorkerProcess({ file, slot, heartbeatMs: hangMs / 5, drainMs, logTarget }, this.#workerEvents)
    this.#slots[slot] = worker
    this.#running.add(worker)
    return worker
  }

  readonly #workerEvents: WorkerEvents = {
    said: (worker, message) => {
      switch (message.kind) {
        case 'alive':
          worker.connections = message.connections
          worker.memory = message.memory
          this.#options.events.metrics(worker, message.metrics)
          return
        case 'drained':
          this.#options.events.metrics(worker, message.metrics)
          return
        case 'leaving':
          this.#onLeaving(worker)
          return
        case 'log':
          for (const entry of message.entries) this.#options.events.log({ ...entry, fields: { ...entry.fields, worker: worker.slot } })
          return
        case 'pressure':
          this.#onPressure(worker, message.pressed)
          return
        default:
          message satisfies never
      }
    },
    ended: (worker, why) => {
      this.#running.delete(worker)
      this.#options.events.retired(worker)
      const hadSlot = this.#slots[worker.slot] === worker
      if (hadSlot) this.#slots[worker.slot] = null
      if (this.#draining && this.#running.size === 0) this.#allEnded.resolve()
      worker.isLive = false
      if (this.#draining || !this.#isUp || !hadSlot) return
      this.#standIns.cover(this.#slots, this.#listening)
      this.#restarts.ended(worker, why)
    },
  }

  /** A new worker takes the slot: the same plan, the same sockets, whose queues have been waiting. */
  async #replace(slot: number): Promise<void> {
    const worker = this.#fork(slot)
    try {
      await worker.loaded()
      const { bundle, generation } = this.#committed!
      await worker.prepare(bundle, generation, this.#options.prepareMs)
      await worker.commit(generation)
      await this.#open(worker)
      this.#log('info', `worker ${slot} is back`, { pid: worker.pid, ms: Math.round(performance.now() - worker.bornAt) })
    } catch (error) {
      if (this.#running.has(worker)) worker.kill(error instanceof Error ? error.message : String(error))
    }
  }

  /** Gives a worker the sockets of its slot; true from then on. */
  async #open(worker: WorkerProcess): Promise<void> {
    await Promise.all(this.#listening.map(({ name, sockets }) => worker.listen(name, sockets[worker.slot]!)))
    worker.isLive = true
    this.#standIns.end(worker.slot)
  }

  #onLeaving(worker: WorkerProcess): void {
    worker.isLive = false
    worker.isDraining = true
    if (this.#draining || this.#slots[worker.slot] !== worker) return
    this.#standIns.cover(this.#slots, this.#listening)
    this.#log('info', `worker ${worker.slot} was told to end; another one takes its place`, { pid: worker.pid })
    void this.#replace(worker.slot)
  }

  #onPressure(worker: WorkerProcess, pressed: boolean): void {
    if (this.#draining) return
    this.#log(
      'warn',
      pressed ? `worker ${worker.slot} pauses accepting: it is short of file descriptors` : `worker ${worker.slot} accepts again`,
      {
        connections: worker.connections,
      },
    )
    if (!pressed) this.#open(worker).catch((error) => worker.kill(String(error)))
  }

  /** When this process itself was held up, it cannot tell whose silence is whose. */
  #findHanging(everyMs: number): void {
    const now = performance.now()
    const wasHeldUp = now - this.#watchedAt > everyMs * 3
    this.#watchedAt = now
    for (const worker of this.workers) {
      if (wasHeldUp) worker.aliveAt = now
      else if (worker.isLive && now - worker.aliveAt > this.#options.hangMs)
        worker.kill(`its event loop stood still for ${this.#options.hangMs / 1000} s`)
    }
  }

  /** The same for each worker; the first failure is everybody's. */
  async #allWorkers<T>(run: (worker: WorkerProcess) => Promise<T>): Promise<T[]> {
    const ended = (slot: number): Promise<never> => Promise.reject(new Error(`worker ${slot} has ended`))
    return Promise.all(this.#slots.map((worker, slot) => (worker === null ? ended(slot) : run(worker))))
  }

  #log(level: LogEntry['level'], text: string, fields: LogEntry['fields']): void {
    this.#options.events.log({ level, text, fields })
  }
}
