/**
 * The workers in their slots: forked, given their sockets, watched, and replaced when they die, hang or leave. A replacement runs on
 * the plan that is committed by the time it opens its sockets, whatever was committed when it was born.
 */
import { randomBytes } from 'node:crypto'
import { removeShared, sweepShared } from '../cache/disk/shared-memory-folder.ts'
import { LocalKvStore } from '../capability/local-kv.ts'
import type { Bundle } from '../config/bundle.ts'
import type { Challenge } from '../listener/challenges.ts'
import type { EndpointChange } from '../upstream/endpoint-changes.ts'
import { CountersFile } from './counters-file.ts'
import { Culprits } from './culprits.ts'
import { HealthWatch } from './health-watch.ts'
import type { LogEntry } from './messages.ts'
import { Restarts } from './restarts.ts'
import { type Bound, type Sockets, socketOf } from './sockets.ts'
import { StandIns } from './stand-ins.ts'
import type { SupervisorOptions } from './supervisor.ts'
import { TICKET_ROTATION_MS, TicketRotation } from './ticket-rotation.ts'
import { workerFlags as defaultFlags, type WorkerEvents, WorkerProcess } from './worker-process.ts'

export interface Committed {
  readonly bundle: Bundle
  readonly generation: number
}

export interface CrewParts {
  readonly options: SupervisorOptions
  readonly sockets: Sockets
  committed(): Committed
  /** What was changed about endpoints at run time. */
  endpointChanges(): readonly EndpointChange[]
  /** Resolves when the reload that runs is over; null if none does. */
  reloading(): Promise<void> | null
}

/** So long the tunnels of a worker may live on when another one has taken its place. */
const dismissMs = 15 * 60_000

export class Crew {
  /** Every process that has not ended, those that are being drained or replaced included. */
  readonly running = new Set<WorkerProcess>()
  readonly #parts: CrewParts
  readonly #options: SupervisorOptions
  readonly #slots: (WorkerProcess | null)[]
  readonly #restarts: Restarts
  readonly #standIns = new StandIns()
  /** Of the plugins of all workers; it outlives each of them. */
  readonly kv = new LocalKvStore()
  readonly health = new HealthWatch<WorkerProcess>()
  readonly #tickets: TicketRotation
  readonly #counters: CountersFile
  readonly #secret = randomBytes(32)
  readonly culprits: Culprits
  /** What authorities are shown at the moment. */
  #challenges: readonly Challenge[] = []
  #watch: NodeJS.Timeout | null = null
  #watchedAt = 0
  #isEnding = false
  /** Before the first commit a worker's death fails the start; after it, it is replaced. */
  #isUp = false
  readonly #allEnded = Promise.withResolvers<void>()

  constructor(parts: CrewParts) {
    this.#parts = parts
    this.#options = parts.options
    this.#slots = Array.from({ length: parts.options.workers }, () => null)
    this.#counters = new CountersFile(parts.options.workers)
    this.#tickets = new TicketRotation(parts.options.ticketRotationMs ?? TICKET_ROTATION_MS, (keys) => {
      for (const worker of this.running) worker.useTicketKeys(keys)
    })
    this.culprits = new Culprits({ tell: (entry) => parts.options.events.log(entry) })
    this.#restarts = new Restarts({
      slots: parts.options.workers,
      restart: (slot) => void this.#replace(slot),
      tell: (entry) => parts.options.events.log(entry),
    })
  }

  get workers(): readonly WorkerProcess[] {
    return this.#slots.filter((worker) => worker !== null)
  }

  /** Those that run on the committed plan, and prepare the next. */
  get taking(): readonly WorkerProcess[] {
    return this.workers.filter((worker) => worker.takesPart)
  }

  get restartCounts(): Readonly<Record<string, number>> {
    return this.#restarts.counts
  }

  /** Every slot has a worker that carries traffic. */
  get isReady(): boolean {
    return this.#isUp && !this.#isEnding && this.#slots.every((worker) => worker?.isLive === true)
  }

  spawn(): void {
    sweepShared()
    for (let slot = 0; slot < this.#slots.length; slot++) this.#slots[slot] = this.#create(slot)
  }

  /** The same for each slot; the first failure is everybody's. */
  async each<T>(run: (worker: WorkerProcess) => Promise<T>): Promise<T[]> {
    const ended = (slot: number): Promise<never> => Promise.reject(new Error(`worker ${slot} has ended`))
    return Promise.all(this.#slots.map((worker, slot) => (worker === null ? ended(slot) : run(worker))))
  }

  /** The first workers of a new version fill the module cache; they are replaced, once, by such that are quicker and smaller. */
  async warmUp(): Promise<void> {
    const loaded = await this.each((worker) => worker.loaded())
    if (this.#options.cacheFolder === null) return
    for (const [slot, { cold }] of loaded.entries()) {
      if (!cold) continue
      this.#slots[slot]?.kill('cold')
      this.#slots[slot] = this.#create(slot)
    }
    await this.each((worker) => worker.loaded())
  }

  /** The first plan is committed: they accept, and from now on each that ends is replaced. */
  async goUp(): Promise<void> {
    this.#isUp = true
    for (const worker of this.workers) worker.takesPart = true
    await Promise.all(this.workers.map((worker) => this.#open(worker)))
    this.#watchedAt = performance.now()
    const everyMs = this.#options.hangMs / 5
    this.#watch = setInterval(() => this.#findHanging(everyMs), everyMs)
  }

  /** What a reload has bound, to all that accept. */
  async openAdded(added: readonly Bound[]): Promise<void> {
    if (added.length === 0) return
    const workers = this.taking.filter((worker) => !worker.isPressed)
    const listen = (worker: WorkerProcess): Promise<void> => this.#listen(worker, added).catch((error) => worker.kill(String(error)))
    await Promise.all(workers.map(listen))
    this.#standIns.extend(added)
  }

  /** One for each slot, which it does not have yet. */
  createApart(): WorkerProcess[] {
    return this.#slots.map((_, slot) => this.#create(slot))
  }

  /** Each takes its slot; who had it finishes what it has: connections until their next exchange, tunnels until they end. */
  async takeSlots(fresh: readonly WorkerProcess[]): Promise<void> {
    const before = [...this.#slots]
    await Promise.all(fresh.map((worker) => this.#takeSlot(worker)))
    await Promise.all(before.map((worker) => this.#dismiss(worker)))
  }

  /** Whoever connects after this meets one of the new ones. */
  async #dismiss(worker: WorkerProcess | null): Promise<void> {
    if (worker === null || !this.running.has(worker)) return
    if (worker.takesPart) {
      const drained = worker.drain(dismissMs)
      this.health.appoint(this.workers)
      await drained
    } else if (!worker.isDraining) worker.kill('another one has its slot')
  }

  /** Resolves when all that carry traffic show them to authorities; those to come will. */
  async showChallenges(challenges: readonly Challenge[]): Promise<void> {
    this.#challenges = challenges
    await Promise.allSettled([...this.running].map((worker) => worker.showChallenges(challenges)))
  }

  /** In one step: one that carries traffic and does not take them is ended, and its replacement has them. */
  async changeEndpoints(changes: readonly EndpointChange[]): Promise<void> {
    await Promise.all(
      [...this.running].map(async (worker) => {
        const mustTake = worker.takesPart
        const taken = worker.changeEndpoints(changes).catch(() => mustTake && worker.kill('it did not take the change of endpoints'))
        if (mustTake) await taken
      }),
    )
  }

  /** Resolves when every worker has ended. */
  async drain(): Promise<void> {
    this.#beginEnd()
    for (const worker of this.running) {
      if (worker.isLive || worker.isDraining) void worker.drain(this.#options.drainMs)
      else worker.kill('draining')
    }
    // A worker that does not keep its own deadline is not waited for.
    const late = setTimeout(() => this.kill(), this.#options.drainMs + 2_000)
    if (this.running.size > 0) await this.#allEnded.promise
    clearTimeout(late)
  }

  /** At once. */
  kill(): void {
    this.#beginEnd()
    for (const worker of this.running) worker.kill('stopping')
  }

  #beginEnd(): void {
    this.#isEnding = true
    this.#restarts.stop()
    this.#tickets.stop()
    if (this.#watch !== null) clearInterval(this.#watch)
  }

  #create(slot: number): WorkerProcess {
    const { workerFile: file, workerFlags: flags = defaultFlags, hangMs, drainMs, logTarget, workers } = this.#options
    const toProcess = [...this.culprits.moved]
    const shared = {
      ticketKeys: this.#tickets.keys,
      secret: this.#secret,
      challenges: this.#challenges,
      counters: this.#counters.fd,
      seat: this.#takeSeat(slot),
      workers,
      endpointChanges: this.#parts.endpointChanges(),
    }
    const options = { file, flags, slot, heartbeatMs: hangMs / 5, drainMs, logTarget, toProcess, ...shared }
    const worker = new WorkerProcess(options, this.#workerEvents)
    this.running.add(worker)
    this.health.greet(worker)
    return worker
  }

  #takeSeat(slot: number): number | null {
    const seat = this.#counters.takeSeat()
    if (seat === null && this.#counters.fd !== null) {
      this.#log('warn', `worker ${slot} counts what is under way by itself: too many processes are being drained`, {})
    }
    return seat
  }

  readonly #workerEvents: WorkerEvents = {
    said: (worker, message) => this.#onSaid(worker, message),
    ended: (worker, why) => this.#onEnded(worker, why),
  }

  #onSaid(worker: WorkerProcess, message: Parameters<WorkerEvents['said']>[1]): void {
    const { events } = this.#options
    switch (message.kind) {
      case 'alive':
        worker.connections = message.connections
        worker.memory = message.memory
        worker.sockets = message.sockets
        worker.plugins = message.plugins
        return events.metrics(worker, message.metrics)
      case 'drained':
        return events.metrics(worker, message.metrics)
      case 'leaving':
        return this.#onLeaving(worker)
      case 'log':
        for (const entry of message.entries) events.log({ ...entry, fields: { ...entry.fields, worker: worker.slot } })
        return
      case 'kv':
        return worker.answerKv(message.batch, this.kv.performAll(message.operations))
      case 'health':
        return this.health.heard(worker, message.verdicts, this.running)
      case 'invalidated':
        // Those too that drain: they still answer.
        for (const other of this.running) if (other !== worker) other.tellInvalidated(message.announced)
        return
      case 'pressure':
        return this.#onPressure(worker, message.pressed)
      default:
        message satisfies never
    }
  }

  #onEnded(worker: WorkerProcess, why: string): void {
    this.running.delete(worker)
    if (worker.seat !== null) this.#counters.endSeat(worker.seat)
    this.#options.events.retired(worker)
    if (!this.#isEnding) this.#blame(worker, why)
    const hadSlot = this.#slots[worker.slot] === worker
    if (hadSlot) this.#slots[worker.slot] = null
    if (this.#isEnding && this.running.size === 0) {
      this.#allEnded.resolve()
      this.#counters.close()
      removeShared(process.pid)
    }
    worker.isLive = false
    worker.takesPart = false
    if (!this.#isEnding) this.health.appoint(this.workers)
    if (this.#isEnding || !this.#isUp || !hadSlot) return
    this.#standIns.cover(this.#slots, this.#parts.sockets.all)
    this.#restarts.ended(worker, why)
  }

  /** The code of a plugin may have made it end. */
  #blame(worker: WorkerProcess, why: string): void {
    const sourceId = this.culprits.ended(worker, why)
    if (sourceId !== null) for (const other of this.running) other.moveToProcess(sourceId)
  }

  /** A new worker takes the slot: the plan in force, the same sockets, whose queues have been waiting. */
  async #replace(slot: number): Promise<void> {
    const worker = this.#create(slot)
    this.#slots[slot] = worker
    try {
      await worker.loaded()
      await this.#catchUp(worker)
      await this.#open(worker)
      this.#log('info', `worker ${slot} is back`, { pid: worker.pid, ms: Math.round(performance.now() - worker.bornAt) })
    } catch (error) {
      if (this.running.has(worker)) worker.kill(error instanceof Error ? error.message : String(error))
    }
  }

  /** Until it runs on what is committed, also if that changes meanwhile; then it takes part in what comes. */
  async #catchUp(worker: WorkerProcess): Promise<void> {
    for (;;) {
      const committed = this.#parts.committed()
      await worker.prepare(committed.bundle, committed.generation, this.#options.prepareMs)
      await worker.commit(committed.generation)
      for (let reloading = this.#parts.reloading(); reloading !== null; reloading = this.#parts.reloading()) await reloading
      if (this.#slots[worker.slot] !== worker) throw new Error('another one has its slot')
      if (this.#parts.committed() === committed) break
    }
    worker.takesPart = true
  }

  async #takeSlot(worker: WorkerProcess): Promise<void> {
    if (this.running.has(worker)) {
      this.#slots[worker.slot] = worker
      worker.takesPart = true
      await this.#open(worker).catch((error) => worker.kill(String(error)))
    } else {
      // It ended since it prepared: another one has to come.
      this.#slots[worker.slot] = null
      void this.#replace(worker.slot)
    }
  }

  /** Gives a worker the sockets of its slot; it carries traffic from then on. */
  async #open(worker: WorkerProcess): Promise<void> {
    await this.#listen(worker, this.#parts.sockets.all)
    worker.isPressed = false
    worker.isLive = true
    this.health.appoint(this.workers)
    this.#standIns.end(worker.slot)
  }

  async #listen(worker: WorkerProcess, all: readonly Bound[]): Promise<void> {
    const listen = (bound: Bound): Promise<void> | null => {
      const socket = socketOf(bound, worker.slot)
      return socket === null ? null : worker.listen(bound, socket)
    }
    await Promise.all(all.map(listen))
  }

  #onLeaving(worker: WorkerProcess): void {
    worker.isLive = false
    worker.takesPart = false
    worker.isDraining = true
    this.health.appoint(this.workers)
    if (this.#isEnding || this.#slots[worker.slot] !== worker) return
    this.#standIns.cover(this.#slots, this.#parts.sockets.all)
    this.#log('info', `worker ${worker.slot} was told to end; another one takes its place`, { pid: worker.pid })
    void this.#replace(worker.slot)
  }

  #onPressure(worker: WorkerProcess, pressed: boolean): void {
    if (this.#isEnding) return
    worker.isPressed = pressed
    const text = pressed ? 'pauses accepting: it is short of file descriptors' : 'accepts again'
    this.#log('warn', `worker ${worker.slot} ${text}`, { connections: worker.connections })
    if (!pressed) this.#open(worker).catch((error) => worker.kill(String(error)))
  }

  /** When this process itself was held up, it cannot tell whose silence is whose. */
  #findHanging(everyMs: number): void {
    const now = performance.now()
    const wasHeldUp = now - this.#watchedAt > everyMs * 3
    this.#watchedAt = now
    for (const worker of this.workers) {
      if (wasHeldUp) worker.aliveAt = now
      else if (worker.isLive && now - worker.aliveAt > this.#options.hangMs) {
        worker.hasHung = true
        worker.kill(`its event loop stood still for ${this.#options.hangMs / 1000} s`)
      }
    }
  }

  #log(level: LogEntry['level'], text: string, fields: LogEntry['fields']): void {
    this.#options.events.log({ level, text, fields })
  }
}
