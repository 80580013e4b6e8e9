/**
 * The process engine: the plugin lives in a process of its own, which is killed when it does not answer and started again. Calls
 * that were on their way are submitted again, one by one, so that the next death names its cause; nobody else's call is lost.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { Batch } from '../batch.ts'
import { readSetUp } from '../set-up.ts'
import type { PluginSource } from '../source.ts'
import { FAILURES, type FailureWhy, IN_INTS } from '../wire.ts'
import { bytesNeeded, type Engine, type EngineSink, type EngineUse, type WishAnswer } from './engine.ts'
import {
  ANSWERED,
  FAILED,
  type Frame,
  type FrameParts,
  FrameReader,
  LOST,
  OVERRAN,
  RESULT,
  SETTLED,
  TO_CLOCK,
  TO_DEFINE,
  TO_DROP,
  TO_GRANT,
  TO_PROFILE,
  TO_RELOAD,
  TO_RUN,
  TO_SET_UP,
  TO_START,
  writeFrame,
} from './frames.ts'
import { hostArguments, hostEnvironment, profiledArguments } from './host-arguments.ts'
import type { StartMessage } from './host-side.ts'
import { OwnRoom } from './own-room.ts'

/** A run that brings nothing for so long, beyond its own time limits, and the process is killed. */
const HANG_MS = 400
/** A profiled plugin is slower, and has no other limit of time. */
const PROFILED_HANG_MS = 2000
const LOAD_HANG_MS = 6000
const WATCH_MS = 50
/** What the process may hold beside the plugin's own memory. */
const SPARE_MB = 160
/** Samples and what is made of them included. */
const PROFILED_SPARE_MB = 400
/** Starts that failed one after another, and the engine gives up until it is made anew. */
const MOST_STARTS = 3

/** Calls [from, to) of a batch, sent or to be sent together. */
interface Run {
  readonly batch: Batch
  readonly from: number
  readonly to: number
  isSent: boolean
  /** After a death: sent only when all before it are answered. */
  readonly isCareful: boolean
}

interface Question {
  resolve(text: string): void
  reject(error: Error): void
}

export class ProcessEngine implements Engine {
  readonly kind = 'process'
  readonly #source: PluginSource
  readonly #memoryMb: number
  readonly #sink: EngineSink
  readonly #uses = new Map<number, EngineUse>()
  /** What one call may carry: the plugin host has room for no more. */
  readonly #needed = { bytes: 0 }
  readonly #questions = new Map<number, Question>()
  #clockMs: number | null = null
  /** Timers are known there alone. */
  readonly timerDueMs = null
  readonly #free: Batch[] = []
  /** In the order they were sent. */
  #runs: Run[] = []
  #child: ChildProcess | null = null
  #socket: Socket | null = null
  #state: 'starting' | 'ready' | 'dead' | 'closed' = 'ready'
  #isDefined = false
  #seq = 0
  #lastSignOfLife = 0
  #watch: NodeJS.Timeout | null = null
  /** The sign of life that the watch saw last, and what the process had worked by then. */
  #watchedSign = 0
  #watchedCpuMs = 0
  /** Why it is being killed. */
  #verdict: { readonly why: FailureWhy; readonly detail: string } | null = null

  readonly #isProfiled: boolean

  /** `isProfiled`: the process is one that can be profiled, for seconds, and has no limits of time but that of its silence. */
  constructor(source: PluginSource, memoryMb: number, sink: EngineSink, isProfiled = false) {
    this.#isProfiled = isProfiled
    this.#source = source
    this.#memoryMb = memoryMb
    this.#sink = sink
    this.#spawn()
  }

  async define(): Promise<string> {
    const answer = await this.#ask({ type: TO_DEFINE })
    this.#isDefined = true
    return answer
  }

  async setUp(use: EngineUse): Promise<string> {
    const answer = await this.#ask({ type: TO_SET_UP, text: JSON.stringify(use) })
    this.#uses.set(use.index, { ...use, restore: '' })
    this.#needed.bytes = Math.max(this.#needed.bytes, bytesNeeded(readSetUp(answer)))
    return answer
  }

  async startProfile(): Promise<void> {
    await this.#ask({ type: TO_PROFILE, a: 1 })
  }

  /** A V8 CPU profile as JSON. Throws when the process has ended since. */
  stopProfile(): Promise<string> {
    return this.#ask({ type: TO_PROFILE, a: 0 })
  }

  reload(use: number): Promise<string> {
    return this.#ask({ type: TO_RELOAD, a: use })
  }

  drop(use: number): void {
    this.#uses.delete(use)
    if (this.#state === 'ready') this.#send({ type: TO_DROP, a: use })
  }

  open(): Batch {
    const batch = this.#free.pop() ?? new Batch(new Int32Array(IN_INTS), 0, new OwnRoom(this.#needed))
    batch.reset()
    return batch
  }

  submit(batch: Batch): void {
    const run: Run = { batch, from: 0, to: batch.count, isSent: false, isCareful: false }
    this.#runs.push(run)
    if (this.#state === 'dead' || this.#state === 'closed') {
      this.#failRuns('the plugin host cannot be started')
      return
    }
    if (this.#runs.length === 1) this.#lastSignOfLife = performance.now()
    this.#sendRuns()
    this.#keepWatch()
  }

  answerWishes(answers: readonly WishAnswer[]): void {
    if (this.#state !== 'ready' && this.#state !== 'starting') return
    for (const { id, isDone, text } of answers) this.#send({ type: TO_GRANT, a: id, b: isDone ? 1 : 0, text })
  }

  shiftClock(ms: number): void {
    this.#clockMs = ms
    if (this.#state === 'ready' || this.#state === 'starting') this.#send({ type: TO_CLOCK, text: String(ms) })
  }

  close(): void {
    this.#state = 'closed'
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#runs = []
    for (const question of this.#questions.values()) question.reject(new Error('the plugin was closed'))
    this.#questions.clear()
    this.#child?.kill('SIGKILL')
    this.#socket?.destroy()
  }

  #spawn(): void {
    const child = spawn(process.execPath, this.#isProfiled ? profiledArguments(this.#memoryMb) : hostArguments, {
      env: this.#isProfiled ? {} : hostEnvironment(),
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    const socket = child.stdio[3] as Socket // 'pipe' makes a socket pair of it
    const reader = new FrameReader((frame) => this.#receive(frame))
    socket.on('data', (chunk: Buffer) => {
      try {
        if (this.#child === child) reader.push(chunk)
      } catch {
        this.#kill('crashed', 'the plugin host wrote what is no frame')
      }
    })
    socket.on('error', () => undefined)
    child.once('error', (error) => this.#onClosed(child, error.message))
    child.once('close', (code, signal) => this.#onClosed(child, signal ?? `code ${code}`))
    this.#child = child
    this.#socket = socket
    this.#verdict = null
    this.#lastSignOfLife = performance.now()
    const start: StartMessage = { source: this.#source, memoryMb: this.#memoryMb }
    this.#send({ type: TO_START, text: JSON.stringify(start) })
    if (this.#clockMs !== null) this.#send({ type: TO_CLOCK, text: String(this.#clockMs) })
  }

  #receive(frame: Frame): void {
    this.#lastSignOfLife = performance.now()
    const why = FAILURES[frame.b] ?? 'crashed'
    const answers = { ints: frame.ints, at: 0, count: frame.count, text: frame.text, bytes: frame.bytes }
    switch (frame.type) {
      case RESULT: {
        const question = this.#questions.get(frame.seq)
        this.#questions.delete(frame.seq)
        if (frame.a === 1) question?.resolve(frame.text)
        else question?.reject(new Error(frame.text))
        return
      }
      case SETTLED:
        this.#sink.settled(answers)
        return
      case OVERRAN:
        this.#sink.overran(frame.a, why, frame.text)
        return
      case LOST:
        this.#sink.lost(why, frame.text)
        return
      case ANSWERED:
      case FAILED: {
        const run = this.#runs[0]
        if (run?.isSent !== true) return
        const index = run.from + frame.a
        if (frame.type === ANSWERED) this.#sink.answered(run.batch, Math.min(index, run.to), answers)
        else this.#sink.failed(run.batch, index, why, frame.text)
        this.#advance(run)
      }
    }
  }

  #advance(run: Run): void {
    if (run.batch.done < run.to || this.#runs[0] !== run) return
    this.#runs.shift()
    if (run.to === run.batch.count) this.#free.push(run.batch)
    if (this.#runs[0]?.isCareful === true) this.#sendRuns()
  }

  /** Sends what may be sent now. */
  #sendRuns(): void {
    if (this.#state !== 'ready') return
    for (const run of this.#runs) {
      if (run.isCareful && run !== this.#runs[0]) return
      if (!run.isSent) this.#sendRun(run)
      if (run.isCareful) return
    }
  }

  #sendRun(run: Run): void {
    const { batch, from, to } = run
    run.isSent = true
    let at = batch.start
    for (let i = 0; i < from; i++) at += batch.ints[at]!
    let end = at
    if (to === batch.count) end = batch.end
    else for (let i = from; i < to; i++) end += batch.ints[end]!
    const bytes = batch.room.bytes.subarray(0, batch.byteCount)
    this.#send({ type: TO_RUN, a: to - from, b: batch.timeoutMs, ints: batch.ints, at, count: end - at, text: batch.text, bytes })
  }

  #send(parts: FrameParts): void {
    this.#socket?.write(writeFrame(parts))
  }

  async #ask(parts: FrameParts): Promise<string> {
    if (this.#child === null || this.#state === 'closed') throw new Error('the plugin host does not run')
    const seq = ++this.#seq
    return new Promise((resolve, reject) => {
      this.#questions.set(seq, { resolve, reject })
      this.#lastSignOfLife = performance.now()
      this.#send({ ...parts, seq })
      this.#keepWatch()
    })
  }

  /** While something is awaited, looks whether the process still makes progress and how much it holds. */
  #keepWatch(): void {
    this.#watch ??= setInterval(() => {
      if (this.#runs.length === 0 && this.#questions.size === 0) {
        clearInterval(this.#watch!)
        this.#watch = null
        return
      }
      if (this.#hangs()) this.#kill('timeout', 'the plugin did not give way')
      else if (residentMb(this.#child?.pid) > (this.#isProfiled ? PROFILED_SPARE_MB : SPARE_MB) + 2 * this.#memoryMb)
        this.#kill('memory', 'the plugin took too much memory')
    }, WATCH_MS)
  }

  /** Quiet for too long, though it had the processor; or for so long that this does not matter. */
  #hangs(): boolean {
    const cpuMs = workedMs(this.#child?.pid)
    if (this.#watchedSign !== this.#lastSignOfLife) {
      this.#watchedSign = this.#lastSignOfLife
      this.#watchedCpuMs = cpuMs
    }
    const quietMs = performance.now() - this.#lastSignOfLife
    if (this.#questions.size > 0 || quietMs > LOAD_HANG_MS) return quietMs > LOAD_HANG_MS
    const limitMs = (this.#isProfiled ? PROFILED_HANG_MS : HANG_MS) + 4 * (this.#runs[0]?.batch.timeoutMs ?? 0)
    return quietMs > limitMs && (cpuMs < 0 || cpuMs - this.#watchedCpuMs > limitMs / 2)
  }

  #kill(why: FailureWhy, detail: string): void {
    this.#verdict ??= { why, detail }
    this.#child?.kill('SIGKILL')
  }

  #onClosed(child: ChildProcess, how: string): void {
    if (child !== this.#child || this.#state === 'closed') return
    this.#child = null
    const { why, detail } = this.#verdict ?? { why: 'crashed', detail: `the plugin made its process end (${how})` }
    this.#socket?.destroy()
    for (const question of this.#questions.values()) question.reject(new Error(detail))
    this.#questions.clear()
    if (this.#state === 'starting') return
    this.#state = this.#isDefined ? 'starting' : 'dead'
    this.#suspect(why, detail)
    if (!this.#isDefined || this.#isClosed()) return
    this.#sink.lost(why, detail)
    void this.#restart()
  }

  /** One call under way is the culprit; of several, each is to be tried alone. */
  #suspect(why: FailureWhy, detail: string): void {
    const sent = this.#runs.filter((run) => run.isSent)
    const first = sent[0]
    if (first === undefined) return
    const others = this.#runs.slice(sent.length)
    if (sent.length === 1 && first.to - first.batch.done === 1) {
      this.#runs = [first, ...others]
      this.#sink.failed(first.batch, first.batch.done, why, detail)
      this.#advance(first)
      return
    }
    const alone = sent.flatMap(({ batch, to }) =>
      Array.from(
        { length: to - batch.done },
        (_, i): Run => ({ batch, from: batch.done + i, to: batch.done + i + 1, isSent: false, isCareful: true }),
      ),
    )
    this.#runs = [...alone, ...others]
  }

  async #restart(): Promise<void> {
    for (let tries = 0; tries < MOST_STARTS; tries++) {
      this.#spawn()
      try {
        await this.#ask({ type: TO_DEFINE })
        for (const use of this.#uses.values()) await this.#ask({ type: TO_SET_UP, text: JSON.stringify(use) })
      } catch {
        if (this.#isClosed()) return
        continue
      }
      this.#state = 'ready'
      this.#lastSignOfLife = performance.now()
      this.#sendRuns()
      return
    }
    this.#state = 'dead'
    this.#failRuns('the plugin host cannot be started')
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #failRuns(detail: string): void {
    const runs = this.#runs
    this.#runs = []
    for (const { batch, to } of runs) while (batch.done < to) this.#sink.failed(batch, batch.done, 'crashed', detail)
  }
}

/** CPU time of the process and its threads, in steps of 10 ms; -1 where the system does not tell. */
function workedMs(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return -1
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return -1
  }
}

/** 0 where the system does not tell. */
function residentMb(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return 0
  try {
    return (Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096) / 2 ** 20
  } catch {
    return 0
  }
}
