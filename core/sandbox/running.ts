/**
 * One running plugin: gathers the calls of a turn, sends them across together, and answers each once. Failures are counted: a
 * repeat offender moves to a process of its own, then is parked, longer each time.
 */
import type { Observer } from '../events.ts'
import type { HookCall } from '../hooks.ts'
import { AnswerReader, type Asides, Garbage } from './answers.ts'
import { AsideSink } from './aside.ts'
import type { Batch } from './batch.ts'
import type { Capabilities } from './capabilities.ts'
import type { Answers, Engine, EngineSink, EngineUse, WishAnswer } from './engine/engine.ts'
import { Keeping } from './keeping.ts'
import type { PluginState } from './roster.ts'
import type { PluginSource } from './source.ts'
import { StackMap } from './stack.ts'
import { Told } from './told.ts'
import type { LoadedUse } from './use.ts'
import { hookOf, misplaced } from './verdicts.ts'
import { type FailureWhy, FIRST_PART_KIND } from './wire.ts'

const MOST_WAITING = 8192
/** So many failures, other than a hook that throws, within so long, and the plugin is moved or parked. */
const STRIKES = 3
const STRIKE_WINDOW_MS = 10_000
const FIRST_PARK_MS = 1000
const LONGEST_PARK_MS = 60_000
/** For what a plugin does with the answers to its wishes; then the event loop gets its chance. */
const TURN_MS = 5

export interface RunningParts {
  readonly source: PluginSource
  readonly name: string
  readonly observer: Observer
  readonly capabilities: Capabilities
  createEngine(kind: 'worker' | 'process', sink: EngineSink): Engine
  /** Asks for a `flush` at the end of this turn. */
  schedule(plugin: RunningPlugin): void
  /** Of deadlines, ms. */
  now(): number
  /** Asks for `expire` now and then while calls are pending. */
  watchDeadlines(): void
}

interface AskedCall {
  readonly call: HookCall
  readonly use: LoadedUse
  readonly kind: number
}
interface PendingCall extends AskedCall {
  readonly deadline: number
}

export class RunningPlugin implements EngineSink {
  readonly source: PluginSource
  engine: Engine
  readonly uses = new Map<number, { readonly use: LoadedUse; readonly start: EngineUse }>()
  readonly stacks: StackMap
  readonly #told: Told
  readonly #parts: RunningParts
  readonly #reader = new AnswerReader()
  #calls: HookCall[] = []
  #callUses: LoadedUse[] = []
  #callKinds: number[] = []
  readonly #pending = new Map<number, PendingCall>()
  readonly #triedTwice = new WeakSet<HookCall>()
  #nextId = 1
  #state: 'ready' | 'starting' | 'parked' = 'ready'
  #isScheduled = false
  #strikes: number[] = []
  #parkMs = 0
  #parkTimer: NodeJS.Timeout | null = null
  #parkedAt = 0
  #isToMove = false
  #restarts = 0
  /** Batches that are not answered in full. */
  readonly #inFlight = new Set<Batch>()
  #closed = false
  /** What the isolate keeps of bodies goes with it. */
  readonly #keeping = new Keeping()
  /** Granted to uses that are being set up. */
  readonly #granting: (readonly string[])[] = []
  #wishAnswers: WishAnswer[] = []
  #isAnswering = false
  #aside: AsideSink | null = null
  /** Whose answers are being read, if not those of the engine in use. */
  #speaker: Engine | null = null

  constructor(parts: RunningParts, kind: 'worker' | 'process') {
    this.source = parts.source
    this.stacks = new StackMap(parts.source)
    this.#told = new Told(parts.name, parts.observer, this.stacks)
    this.#parts = parts
    this.engine = parts.createEngine(kind, this)
  }

  get name(): string {
    return this.#told.name
  }
  set name(name: string) {
    this.#told.name = name
  }

  /** False while it is parked or moves, and when it is closed. */
  get isReady(): boolean {
    return this.#state === 'ready' && !this.#closed
  }

  /** How it fares, for who operates it. */
  get state(): PluginState {
    const parkedMs = this.#parkedAt + this.#parkMs - performance.now()
    const parkedUntil = this.#state === 'parked' ? Math.round(Date.now() + Math.max(0, parkedMs)) : null
    return { id: this.source.id, name: this.name, engine: this.engine.kind, state: this.#state, parkedUntil, restarts: this.#restarts }
  }

  /** Calls that it was asked in crossings, in all. */
  calls = 0

  /** Another engine, ready to take over: it has this plugin's uses, set up anew. The one in use goes on meanwhile. */
  async prepare<E extends Engine>(create: (sink: EngineSink) => E): Promise<E> {
    const sink = new AsideSink(this)
    const engine = create(sink)
    sink.engine = engine
    this.#aside = sink
    try {
      await engine.define()
      for (const { start } of this.uses.values()) await engine.setUp(start)
      return engine
    } catch (error) {
      engine.close()
      throw error
    }
  }

  /** A body is asked about in one engine, from its first piece to its last. */
  get isAmidBodies(): boolean {
    return this.#keeping.isAmid
  }

  /** The engine that was prepared last takes over. What the other did not answer it is asked again. */
  take(engine: Engine): void {
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    this.#keeping.lost()
    this.#wishAnswers = []
    this.engine.close()
    this.engine = engine
    if (this.#aside?.engine === engine) this.#aside.isOn = true
    for (const { call, use, kind } of waiting) this.#acceptAgain(call, use, kind)
    this.#reclaim()
  }

  /** What an engine says that has not taken over yet: `setup` may print and wish. */
  settledAside(answers: Answers, engine: Engine): void {
    this.#speaker = engine
    this.settled(answers)
    this.#speaker = null
  }

  /** From now on in a process of its own. */
  moveToProcess(): void {
    if (this.engine.kind === 'worker' && this.#state === 'ready' && !this.#closed) void this.#start('process')
  }

  /** In a fresh engine of that kind; calls wait until it is there. */
  startAnew(kind: 'worker' | 'process'): void {
    if (this.isReady) void this.#start(kind)
  }

  /** What a use hands on to the version after it, as JSON; `''`: nothing. What goes wrong is told, and costs that version its state alone. */
  async handOver(index: number): Promise<string> {
    try {
      const text = await this.engine.reload(index)
      // A guest that was taken over may say anything; its successor is not to be hurt.
      if (text !== '') JSON.parse(text)
      return text
    } catch (error) {
      const text = this.stacks.readable(error instanceof Error ? error.message : String(error))
      this.#told.news('warn', `hands nothing over to its next version: onReload: ${text}`)
      return ''
    }
  }

  /** Calls that wait for a timer of the plugin, or for what comes after it. */
  get sleeping(): number {
    return this.engine.timerDueMs === null ? 0 : this.#pending.size
  }

  /** When the first of its calls is late. */
  get deadline(): number {
    let first = Number.POSITIVE_INFINITY
    for (const { deadline } of this.#pending.values()) first = Math.min(first, deadline)
    return first
  }

  get hasPending(): boolean {
    return this.#pending.size > 0
  }

  /** Runs a `setup` with what its use is granted. */
  async granting<T>(grant: readonly string[], run: () => Promise<T>): Promise<T> {
    this.#granting.push(grant)
    try {
      return await run()
    } finally {
      this.#granting.splice(this.#granting.indexOf(grant), 1)
    }
  }

  /** Takes a call of that kind (wire.ts), to be answered by `resume`. False: not now, the plugin is parked. */
  accept(call: HookCall, use: LoadedUse, kind: number): boolean {
    if (this.#state === 'parked' || this.#closed || this.#calls.length >= MOST_WAITING || this.#pending.size >= MOST_WAITING) return false
    this.#calls.push(call)
    this.#callUses.push(use)
    this.#callKinds.push(kind)
    if (!this.#isScheduled && this.#state === 'ready') {
      this.#isScheduled = true
      this.#parts.schedule(this)
    }
    return true
  }

  /** Sends what has gathered. */
  flush(): void {
    this.#isScheduled = false
    if (this.#state !== 'ready' || this.#calls.length === 0) return
    const calls = this.#calls
    const uses = this.#callUses
    const kinds = this.#callKinds
    this.#calls = []
    this.#callUses = []
    this.#callKinds = []
    let next = 0
    while (next < calls.length && this.isReady) {
      const batch = this.engine.open()
      batch.firstId = this.#nextId
      for (; next < calls.length; next++) {
        const call = calls[next]!
        const kind = kinds[next]!
        if (call.ended) continue
        if (kind >= FIRST_PART_KIND && !this.#mayAsk(batch, call, uses[next]!, kind)) continue
        if (!batch.add(call, uses[next]!, kind)) break
      }
      if (batch.count === 0) return
      this.#nextId += batch.count
      if (this.#nextId > 0x3fffffff) this.#nextId = 1
      this.#submit(batch)
    }
    for (; next < calls.length; next++) this.#acceptAgain(calls[next]!, uses[next]!, kinds[next]!)
  }

  /** False: the call is answered, for it cannot be asked. */
  #mayAsk(batch: Batch, call: HookCall, use: LoadedUse, kind: number): boolean {
    const lost = this.#keeping.problemOf(call, use, kind)
    const problem = lost ?? batch.problemOf(call)
    if (problem !== null) this.#fail({ call, use, kind }, lost === null ? 'threw' : 'crashed', problem, false)
    return problem === null
  }

  #submit(batch: Batch): void {
    batch.sentAt = performance.now()
    this.calls += batch.count
    this.#inFlight.add(batch)
    this.engine.submit(batch)
    if (this.#isToMove) this.#moveOrPark()
  }

  answered(batch: Batch, done: number, answers: Answers): void {
    const reader = this.#reader
    try {
      reader.open(answers)
      while (batch.done < done) {
        const index = batch.done++
        const call = batch.calls[index]!
        if (reader.isFor(batch.firstId + index)) {
          reader.read()
          batch.calls[index] = null
          this.#finish({ id: batch.firstId + index, call, use: batch.shapes[index] as LoadedUse, kind: batch.kinds[index]! })
        } else {
          batch.calls[index] = null
          call.resume(null)
        }
      }
      reader.expectEnd(this.#asides)
    } catch (error) {
      if (!(error instanceof Garbage)) throw error
      this.#onGarbage(batch, done, error)
    }
    if (batch.done === batch.count) this.#completed(batch)
  }

  failed(batch: Batch, index: number, why: FailureWhy, detail: string): void {
    const call = batch.calls[index]
    if (index !== batch.done || call === null || call === undefined) return
    batch.done++
    batch.calls[index] = null
    this.#fail({ call, use: batch.shapes[index] as LoadedUse, kind: batch.kinds[index]! }, why, detail)
    if (batch.done === batch.count) this.#completed(batch)
  }

  settled(answers: Answers): void {
    try {
      this.#reader.open(answers)
      for (let id = this.#reader.nextId(this.#asides); id !== 0; id = this.#reader.nextId(this.#asides)) {
        this.#reader.read()
        const waiting = this.#pending.get(id)
        if (waiting === undefined) continue
        this.#pending.delete(id)
        this.#finish({ id, ...waiting })
      }
    } catch (error) {
      if (!(error instanceof Garbage)) throw error
      this.#onGarbage(null, 0, error)
    }
  }

  overran(id: number, why: FailureWhy, detail: string): void {
    const waiting = this.#pending.get(id)
    if (waiting === undefined) {
      this.#told.failure(why, this.stacks.readable(detail))
      this.#strike(why)
      return
    }
    this.#pending.delete(id)
    this.#fail(waiting, why, detail)
  }

  lost(why: FailureWhy, detail: string): void {
    if (why !== 'parked') this.#restarts++
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    this.#keeping.lost()
    this.#wishAnswers = []
    for (const asked of waiting) {
      const { call, use, kind } = asked
      // Nobody knows whose promise it was: each gets a second try, and the culprit will be seen again.
      if (this.#triedTwice.has(call) || !this.accept(call, use, kind)) this.#fail(asked, why, detail)
      else this.#triedTwice.add(call)
    }
  }

  /** A call that was answered without a crossing. */
  countUncrossed(): void {
    this.#parts.observer.pluginCalled(this.name, 1, 0)
  }

  forget(state: number): void {
    this.#keeping.forget(state)
  }

  gone(): void {
    this.#giveUp()
  }

  /** Gives up the calls whose deadline has passed; their isolate goes on. */
  expire(now: number): void {
    for (const [id, asked] of this.#pending) {
      const { call, use, deadline } = asked
      if (!call.ended && now < deadline) continue
      this.#pending.delete(id)
      if (!call.ended) this.#fail(asked, 'timeout', `the hook did not answer within ${use.deadlineMs} ms (its deadline)`, false)
    }
  }

  close(): void {
    this.#closed = true
    if (this.#parkTimer !== null) clearTimeout(this.#parkTimer)
    this.engine.close()
    for (const { call, use } of this.#pending.values()) call.resume(use.onUnavailable())
    this.#pending.clear()
    this.#reclaim()
    this.#answerAll()
  }

  /** A call that was taken and not answered: it waits for the next engine, or learns that there is none. */
  #acceptAgain(call: HookCall, use: LoadedUse, kind: number): void {
    if (!this.accept(call, use, kind)) call.resume(use.onUnavailable())
  }

  /** Takes back what a closed engine did not answer. */
  #reclaim(): void {
    for (const batch of this.#inFlight) {
      for (; batch.done < batch.count; batch.done++) {
        const call = batch.calls[batch.done]
        batch.calls[batch.done] = null
        if (call !== null && call !== undefined) this.#acceptAgain(call, batch.shapes[batch.done] as LoadedUse, batch.kinds[batch.done]!)
      }
    }
    this.#inFlight.clear()
  }

  #completed(batch: Batch): void {
    this.#inFlight.delete(batch)
    this.#parts.observer.pluginCalled(this.name, batch.count, performance.now() - batch.sentAt)
  }

  #finish(asked: AskedCall & { readonly id: number }): void {
    const { id, call, use, kind } = asked
    const reader = this.#reader
    if (reader.failure !== null) return this.#fail(asked, reader.failure.why, reader.failure.detail)
    if (reader.isPending) {
      this.#pending.set(id, { call, use, kind, deadline: this.#parts.now() + use.deadlineMs })
      this.#parts.watchDeadlines()
      return
    }
    const { verdict } = reader
    const problem = verdict === null ? null : misplaced(verdict, call, kind)
    if (problem !== null) return this.#fail(asked, 'threw', problem)
    if (kind < FIRST_PART_KIND && !call.ended) reader.apply(call)
    call.resume(verdict)
  }

  #fail({ call, use, kind }: AskedCall, why: FailureWhy, detail: string, strikes = true): void {
    const text = withHook(this.stacks.readable(detail), hookOf(kind, call))
    this.#told.failure(why, text)
    if (strikes) this.#strike(why)
    const firstLine = text.split('\n', 1)[0]!
    call.resume(use.onFailed(`${this.name}: ${firstLine}`))
  }

  /** The guest is not what it was: its isolate goes, and those whose answers it garbled have failed. */
  #onGarbage(batch: Batch | null, done: number, error: Garbage): void {
    this.#giveUp()
    if (batch === null) return
    for (let index = Math.max(0, batch.done - 1); index < done; index++) {
      const call = batch.calls[index]
      batch.done = index + 1
      batch.calls[index] = null
      if (call === null || call === undefined) continue
      this.#fail({ call, use: batch.shapes[index] as LoadedUse, kind: batch.kinds[index]! }, 'crashed', error.message, false)
    }
  }

  #strike(why: FailureWhy): void {
    if (why === 'threw' || this.#state !== 'ready') return
    const now = performance.now()
    this.#strikes = this.#strikes.filter((at) => now - at < STRIKE_WINDOW_MS)
    this.#strikes.push(now)
    const isOnProbation = this.#parkMs > 0 && now - this.#parkedAt < this.#parkMs + STRIKE_WINDOW_MS
    if (!isOnProbation) this.#parkMs = 0
    if (isOnProbation || this.#strikes.length >= STRIKES) this.#giveUp()
  }

  /** Ends the engine now, so that the rest of its batch costs nobody anything; what follows waits for the end of this call. */
  #giveUp(): void {
    if (this.#isToMove) return
    this.#isToMove = true
    this.engine.close()
    setImmediate(() => {
      if (this.#isToMove && !this.#closed) this.#moveOrPark()
    })
  }

  #moveOrPark(): void {
    this.#isToMove = false
    this.#strikes = []
    if (this.engine.kind !== 'worker') return this.#park()
    this.#told.news('warn', 'failed again and again: it runs in a process of its own from now on')
    void this.#start('process')
  }

  #park(): void {
    this.#state = 'parked'
    this.#parkedAt = performance.now()
    this.#parkMs = this.#parkMs === 0 ? FIRST_PARK_MS : Math.min(2 * this.#parkMs, LONGEST_PARK_MS)
    this.#told.failure('parked', `for ${this.#parkMs} ms`)
    this.lost('parked', 'the plugin was parked')
    this.#reclaim()
    this.#answerAll()
    this.#parkTimer = setTimeout(() => void this.#start('process'), this.#parkMs)
    this.#parkTimer.unref()
  }

  /** A new engine in the place of the old; calls that come meanwhile wait. */
  async #start(kind: 'worker' | 'process'): Promise<void> {
    this.#state = 'starting'
    this.engine.close()
    this.lost('crashed', 'the plugin was moved to a process of its own')
    this.#reclaim()
    this.engine = this.#parts.createEngine(kind, this)
    try {
      await this.engine.define()
      for (const { start } of this.uses.values()) await this.engine.setUp(start)
    } catch (error) {
      if (this.#closed) return
      this.#told.news('error', `cannot be started again: ${this.stacks.readable(error instanceof Error ? error.message : String(error))}`)
      this.#park()
      return
    }
    if (this.#closed) return this.engine.close()
    this.#state = 'ready'
    if (this.#parkMs > 0) this.#told.news('info', 'runs again')
    if (this.#calls.length > 0) this.#parts.schedule(this)
  }

  #answerAll(): void {
    const calls = this.#calls
    const uses = this.#callUses
    this.#calls = []
    this.#callUses = []
    this.#callKinds = []
    for (let i = 0; i < calls.length; i++) calls[i]!.resume(uses[i]!.onUnavailable())
  }

  readonly #asides: Asides = {
    log: (level, text, stack) => this.#told.line(level, text, stack),
    ask: (id, method, args) => this.#wish(id, method, args),
  }

  /** Has it done, and tells the isolate that wished, if it is still there. */
  #wish(id: number, method: string, args: string): void {
    const { epoch } = this.#keeping
    const speaker = this.#speaker
    const grant = new Set([...this.#granting, ...[...this.uses.values()].map(({ use }) => use.grant)].flat())
    const answer = (isDone: boolean, text: string): void => {
      if (speaker !== null) return speaker.answerWishes([{ id, isDone, text }])
      if (this.#closed || this.#keeping.epoch !== epoch) return
      this.#wishAnswers.push({ id, isDone, text })
      if (!this.#isAnswering) setImmediate(() => this.#answerWishes())
      this.#isAnswering = true
    }
    this.#parts.capabilities.perform({ plugin: this.name, method, args, grant: [...grant] }).then(
      (text) => answer(true, text),
      (error: unknown) => answer(false, error instanceof Error ? error.message : String(error)),
    )
  }

  /** As many as a turn has time for: with each the plugin goes on, and one of them may end the isolate that waits for the others. */
  #answerWishes(): void {
    const until = performance.now() + TURN_MS
    for (let answer = this.#wishAnswers.shift(); answer !== undefined && !this.#closed; answer = this.#wishAnswers.shift()) {
      this.engine.answerWishes([answer])
      if (performance.now() >= until) break
    }
    this.#isAnswering = this.#wishAnswers.length > 0
    if (this.#isAnswering) setImmediate(() => this.#answerWishes())
    if (this.#isToMove) this.#moveOrPark()
  }
}

/** Says of which hook it is, where the text does not. */
function withHook(text: string, hook: string | null): string {
  if (hook === null || text.includes(`.${hook} (`)) return text
  return text.startsWith('the hook ') ? `${hook}${text.slice(8)}` : `${hook}: ${text}`
}
