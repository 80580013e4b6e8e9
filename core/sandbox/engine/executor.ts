/**
 * Runs batches in a room (an isolate, but where it is profiled) and keeps it usable: finds the call that hung or ate the memory, lets the others finish, replaces an
 * isolate that died. Both engines run on it, one in the worker, one in the plugin host.
 */
import type { Batch, ByteRoom } from '../batch.ts'
import { readSetUp } from '../set-up.ts'
import type { PluginSource } from '../source.ts'
import { ASYNC, CELL, DONE, IN_AT, LEAST_BYTES_OUT, MORE, OUT, OUT_AT, OUT_BYTES, OUT_INTS, OWNER, TAPE_INTS, TIMER } from '../wire.ts'
import {
  type Answers,
  bytesNeeded,
  type EngineSink,
  type EngineUse,
  LOAD_TIMEOUT_MS,
  RELOAD_DEADLINE_MS,
  RELOAD_TIMEOUT_MS,
  SETUP_DEADLINE_MS,
  type WishAnswer,
} from './engine.ts'
import { flightNote, noteNumber } from './flight-note.ts'
import { expectReturn, patient, threadCpuMs, whyOf } from './limits.ts'
import type { Ending, Room, Rooms } from './room.ts'

/**
 * The limit of isolated-vm is one of the clock on the wall. A crossing cut short is tried again with the thread's own clock in view:
 * until its tries had this share of the limit together, it was not scheduled, and is not to blame.
 */
const FAIR_SHARE = 0.6
const MOST_RETRIES = 20
/** Of loading a plugin whose thread was not scheduled. */
const MOST_LOADS = 4
/** A crossing has a millisecond more for each 128 KiB that it carries. */
const BYTES_A_MS_SHIFT = 17
/** Timers run in one go, and for so long; then the event loop gets its chance. */
const MOST_TICKS = 64
const TICKS_MS = 5

export class Executor implements ByteRoom {
  readonly memory: SharedArrayBuffer
  readonly #rooms: Rooms
  readonly #source: PluginSource
  readonly #memoryMb: number
  readonly #sink: EngineSink
  readonly #tape: Int32Array
  readonly #uses = new Map<number, EngineUse>()
  #isolate: Room | null = null
  /** One call a crossing, so that what runs after an `await` can be told whose it is. */
  #alone = false
  /** Each crossing is measured by the thread's own clock, since one was cut short when its hooks had all answered. */
  #isWatched = false
  #timer: NodeJS.Timeout | null = null
  #timerAt = 0
  /** Null: the machine's clock. */
  #clockMs: number | null = null
  #timeoutMs = 5
  /** Setups under way: what they wait for goes on with the time of loading, or a busy machine would cut them short and they never end. */
  #settingUp = 0
  #closed = false
  /** Of calls, then of answers; null while no use looks at bytes. */
  #shared: SharedArrayBuffer | null = null
  bytes: Uint8Array = new Uint8Array(0)
  #bytesOut: Uint8Array | null = null

  constructor(source: PluginSource, memoryMb: number, { sink, rooms }: { readonly sink: EngineSink; readonly rooms: Rooms }) {
    this.#rooms = rooms
    this.memory = rooms.share(TAPE_INTS * 4)
    this.#tape = new Int32Array(this.memory)
    this.#source = source
    this.#memoryMb = memoryMb
    this.#sink = sink
  }

  /** Throws the guest's words. */
  define(): string {
    let isolate: Room
    for (let tries = 0; ; tries++) {
      this.#isolate?.dispose()
      const cpuMs = threadCpuMs()
      isolate = this.#rooms.open(this.#source, this.memory, this.#memoryMb)
      this.#isolate = isolate
      if (this.#clockMs !== null) isolate.clock(this.#clockMs, LOAD_TIMEOUT_MS)
      const isLate = isolate.define(this.#source, LOAD_TIMEOUT_MS) === 'timeout'
      // A thread that was not scheduled is not to blame.
      if (!isLate || tries === MOST_LOADS || threadCpuMs() - cpuMs >= LOAD_TIMEOUT_MS * FAIR_SHARE) break
    }
    const definition = expectReturn(isolate.ending, isolate)
    this.#attach()
    return definition
  }

  shiftClock(ms: number): void {
    this.#clockMs = ms
    if (this.#isolate === null || this.#isolate.isDisposed || this.#closed) return
    this.#isolate.clock(ms, LOAD_TIMEOUT_MS)
    this.#tick()
  }

  get timerDueMs(): number | null {
    return this.#timer === null ? null : this.#timerAt - performance.now()
  }

  get most(): number {
    return this.bytes.length
  }

  ensure(size: number): boolean {
    return size <= this.bytes.length
  }

  /** One after the other: what runs too long is the fault of the call that wished. */
  answerWishes(answers: readonly WishAnswer[]): void {
    for (const { id, isDone, text } of answers) {
      const isolate = this.#isolate
      if (this.#closed || isolate === null || isolate.isDisposed) return
      const ending = isolate.granted(id, isDone, text, this.#turnMs)
      if (ending !== 'returned') this.#overran(ending)
      this.#after()
    }
  }

  async setUp(use: EngineUse): Promise<string> {
    const deadline = performance.now() + SETUP_DEADLINE_MS
    this.#settingUp++
    try {
      let answer = this.#setUpOnce(use)
      while (answer === '') {
        if (performance.now() > deadline) throw new Error('setup did not finish in time')
        await new Promise((resolve) => setTimeout(resolve, 2))
        answer = this.#setUpOnce(use)
      }
      return this.#useReady(use, answer)
    } finally {
      this.#settingUp--
    }
  }

  async reload(use: number): Promise<string> {
    const deadline = performance.now() + RELOAD_DEADLINE_MS
    let answer = this.#reloadOnce(use, true)
    while (answer === '') {
      if (performance.now() > deadline) throw new Error(`it did not answer within ${RELOAD_DEADLINE_MS} ms`)
      await new Promise((resolve) => setTimeout(resolve, 2))
      answer = this.#reloadOnce(use, false)
    }
    if (answer.startsWith('!')) throw new Error(answer.slice(1))
    return answer.slice(1)
  }

  drop(use: number): void {
    this.#uses.delete(use)
    if (this.#isolate !== null && !this.#isolate.isDisposed) this.#isolate.drop(use, 100)
  }

  /** Answers every call of a batch whose calls lie on the tape, through the sink. */
  run(batch: Batch, hookMs: number): void {
    // Copying its bytes is not the hook's doing.
    const timeoutMs = hookMs + (batch.byteCount >> BYTES_A_MS_SHIFT)
    let from = 0
    let at = IN_AT
    let doomed = -1
    let retries = 0
    let workedMs = 0
    while (from < batch.count && !this.#closed) {
      if (from === doomed) {
        this.#sink.failed(batch, from, 'memory', 'the isolate ran out of memory')
        at += this.#tape[at]!
        from++
        continue
      }
      const to = this.#alone ? from + 1 : doomed > from ? doomed : batch.count
      const isolate = this.#isolate
      if (isolate === null) {
        this.#failAll(batch, from)
        return
      }
      const cpuMs = retries > 0 || this.#isWatched ? threadCpuMs() : -1
      const ending = isolate.run(from, to, at, batch.text, this.#alone ? patient(timeoutMs) : timeoutMs)
      if (ending === 'memory') {
        doomed = this.#culprit(from, to)
        this.#replace()
        continue
      }
      const done = this.#answered(batch, from, to, ending)
      const first = done === from
      const tried = retries
      retries = 0
      for (; from < done; from++) at += this.#tape[at]!
      if (ending === 'returned') {
        if (first) {
          this.#failAll(batch, from)
          return
        }
        this.#after()
      } else if (this.#tape[CELL] === -1) {
        if (ending !== 'timeout' || this.#isToBlame(cpuMs, timeoutMs)) this.#overran(ending)
        else this.#after()
      } else if (first) {
        workedMs = tried > 0 ? workedMs + threadCpuMs() - cpuMs : 0
        if (ending === 'timeout' && workedMs < timeoutMs * FAIR_SHARE && tried < MOST_RETRIES) {
          retries = tried + 1
          continue
        }
        this.#sink.failed(
          batch,
          from,
          whyOf(ending),
          ending === 'timeout' ? `the hook ran longer than ${hookMs} ms (its timeout)` : isolate.output,
        )
        at += this.#tape[at]!
        from++
      } else {
        retries = 1
        workedMs = 0
      }
    }
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#isolate?.dispose()
    this.#isolate = null
  }

  #setUpOnce(use: EngineUse): string {
    const isolate = this.#isolate
    if (isolate === null || isolate.isDisposed) throw new Error('the plugin ran out of memory while it was set up')
    const answer = expectReturn(isolate.setUp(use.index, use.options, use.restore, LOAD_TIMEOUT_MS), isolate)
    if (answer !== '') return answer
    // Its promise may have settled in the microtasks of that very crossing.
    this.#tick()
    return expectReturn(isolate.setUp(use.index, '', '', LOAD_TIMEOUT_MS), isolate)
  }

  #reloadOnce(use: number, begins: boolean): string {
    const isolate = this.#isolate
    if (isolate === null || isolate.isDisposed) throw new Error('the plugin does not run')
    const ending = isolate.reload(use, begins, RELOAD_TIMEOUT_MS)
    if (ending === 'timeout') throw new Error(`it ran longer than ${RELOAD_TIMEOUT_MS} ms`)
    if (ending === 'memory') throw new Error('it ran out of memory')
    if (ending === 'broken') throw new Error(isolate.output)
    const answer = isolate.output
    this.#after()
    return answer
  }

  /** Of a turn that is no hook's own: of a timer, or of what goes on after a promise. */
  get #turnMs(): number {
    return this.#settingUp > 0 ? LOAD_TIMEOUT_MS : patient(this.#timeoutMs)
  }

  #useReady(use: EngineUse, answer: string): string {
    if (answer.startsWith('!')) throw new Error(answer.slice(1))
    this.#uses.set(use.index, { ...use, restore: '' })
    this.#timeoutMs = Math.max(this.#timeoutMs, use.timeoutMs)
    const setUp = readSetUp(answer)
    if (setUp.isAsync) this.#alone = true
    const needed = bytesNeeded(setUp)
    if (needed > this.bytes.length) {
      const outBytes = Math.max(LEAST_BYTES_OUT, 2 * needed)
      this.#shared = this.#rooms.share(needed + outBytes)
      this.bytes = new Uint8Array(this.#shared, 0, needed)
      this.#bytesOut = new Uint8Array(this.#shared, needed)
      this.#attach()
    }
    this.#after()
    return answer
  }

  #attach(): void {
    if (this.#shared !== null && this.#isolate !== null) expectReturn(this.#isolate.attach(this.#shared, this.bytes.length), this.#isolate)
  }

  /** Hands on what the crossing answered. Returns the number of the first call that is not answered. */
  #answered(batch: Batch, from: number, to: number, ending: Ending): number {
    const isolate = this.#isolate!
    if (ending !== 'returned') {
      const detail = isolate.output
      if (isolate.finished(100) !== 'returned') return from
      const answers = this.#answers(isolate.output)
      isolate.output = detail
      return this.#handOn(batch, from, to, answers)
    }
    return this.#handOn(batch, from, to, this.#answers(isolate.output))
  }

  #handOn(batch: Batch, from: number, to: number, answers: Answers): number {
    const done = this.#tape[DONE]!
    if (!(done > from && done <= to)) return from
    this.#sink.answered(batch, done, answers)
    return done
  }

  #answers(text: string): Answers {
    const count = this.#tape[OUT]!
    const used = this.#tape[OUT_BYTES]!
    const bytes = this.#bytesOut === null || used <= 0 ? null : this.#bytesOut.subarray(0, used)
    return { ints: this.#tape, at: OUT_AT, count: count >= 0 && count <= OUT_INTS ? count : 0, text, bytes }
  }

  /** Which call ran when the isolate died. */
  #culprit(from: number, to: number): number {
    const cell = this.#tape[CELL]!
    return cell >= from && cell < to ? cell : from
  }

  /** A new isolate in the place of one that died; without one, every call fails until the plugin is loaded again. */
  #replace(): void {
    this.#sink.lost('memory', 'the isolate ran out of memory')
    try {
      this.define()
      for (const use of this.#uses.values()) {
        const answer = this.#setUpOnce(use)
        if (!answer.startsWith('{')) throw new Error(answer)
      }
    } catch {
      // A setup that awaits cannot be waited for here.
      this.#isolate?.dispose()
      this.#isolate = null
      this.#sink.gone()
    }
  }

  #failAll(batch: Batch, from: number): void {
    for (let i = from; i < batch.count; i++) this.#sink.failed(batch, i, 'crashed', 'the plugin could not be started again')
  }

  /** What a crossing may have left: promises that settled, lines of console, timers. */
  #after(): void {
    for (let i = 0; i < MOST_TICKS && this.#tape[MORE] === 1; i++) {
      const isolate = this.#isolate
      if (isolate === null) return
      const ending = isolate.drain(LOAD_TIMEOUT_MS)
      if (ending !== 'returned') {
        this.#overran(ending)
        return
      }
      this.#sink.settled(this.#answers(isolate.output))
    }
    if (this.#tape[ASYNC] === 1) this.#alone = true
    const due = this.#tape[TIMER]!
    if (due === -2 || this.#closed) return
    this.#tape[TIMER] = -2
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timerAt = performance.now() + due
    this.#timer = due < 0 ? null : setTimeout(() => this.#onTimer(), due)
  }

  #onTimer(): void {
    flightNote.enter(noteNumber(this.#source.id))
    this.#tick()
    flightNote.leave()
  }

  /** Runs the timers that are due, each in a crossing of its own. */
  #tick(): void {
    const until = performance.now() + TICKS_MS
    for (let i = 0; i < MOST_TICKS && !this.#closed && (i === 0 || performance.now() < until); i++) {
      const isolate = this.#isolate
      if (isolate === null || isolate.isDisposed) return
      const ending = isolate.tick(this.#turnMs)
      if (ending !== 'returned') this.#overran(ending)
      if (this.#tape[TIMER] !== 0) break
    }
    this.#after()
  }

  /**
   * Whether code ran too long after the last hook of a crossing. A short hook notices an end it did not earn there: the thread was not
   * scheduled. Its answers are out, so one doubt is free, and from then on the thread's clock tells. A promise cut short is waited for.
   */
  #isToBlame(cpuMs: number, timeoutMs: number): boolean {
    if (this.#tape[ASYNC] === 1) return true
    if (cpuMs >= 0) return threadCpuMs() - cpuMs >= timeoutMs * FAIR_SHARE
    this.#isWatched = true
    return false
  }

  #overran(ending: Ending): void {
    if (ending === 'memory') {
      this.#replace()
      return
    }
    this.#sink.overran(this.#tape[OWNER]!, whyOf(ending), ending === 'timeout' ? 'code after the hook ran too long' : this.#isolate!.output)
  }
}
