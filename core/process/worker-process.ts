/**
 * One worker as the supervisor sees it: a process that answers questions by their id. Every question settles: by the answer, by its
 * deadline, or by the end of the process.
 */

import { type ChildProcess, fork } from 'node:child_process'
import type { Announced } from '../cache/announcements.ts'
import type { CacheAsk, CacheTold } from '../cache/asks.ts'
import type { KvOutcome } from '../capability/kv-store.ts'
import type { Bundle } from '../config/bundle.ts'
import { errorProblem, type Problem } from '../config/problems.ts'
import type { Challenge, RecordChange } from '../listener/challenges.ts'
import type { SocketsBy } from '../net/kernel.ts'
import type { Recalled } from '../observe/recorder.ts'
import type { Difference } from '../plan/difference.ts'
import { isolateFlags } from '../sandbox/engine/isolate-flags.ts'
import type { PluginProfile } from '../sandbox/profiling.ts'
import type { PluginState } from '../sandbox/roster.ts'
import type { EndpointChange } from '../upstream/endpoint-changes.ts'
import type { EndpointVerdict } from '../upstream/health-checks.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'
import type { BoundSocket } from './bind.ts'
import { Suspects } from './culprits.ts'
import type { Answer, FromWorker, LogTarget, MetricsSnapshot, PlanSummary, ToWorker } from './messages.ts'
import { NoteFile } from './note-file.ts'

export interface WorkerOptions {
  /** The file to fork. */
  readonly file: string
  readonly slot: number
  readonly flags: readonly string[]
  readonly heartbeatMs: number
  readonly drainMs: number
  readonly logTarget: LogTarget
  /** Sources of plugins that run in processes. */
  readonly toProcess: readonly string[]
  readonly ticketKeys: readonly Uint8Array[]
  /** In this process: the memory that all workers count in. */
  readonly counters: number | null
  /** Its number there, which no other has that lives; null: there are none left. */
  readonly seat: number | null
  readonly workers: number
  readonly challenges: readonly Challenge[]
  /** Of this run of the proxy. */
  readonly secret: Uint8Array
  readonly endpointChanges: readonly EndpointChange[]
}

export interface WorkerEvents {
  /** What it says of itself, unasked. */
  said(worker: WorkerProcess, message: Exclude<FromWorker, Answer | { kind: 'loaded' }>): void
  /** The last event: nothing of the process is left. `why` is for the log: `exit 1`, `SIGKILL`. */
  ended(worker: WorkerProcess, why: string): void
}

export const workerFlags: readonly string[] = [
  ...isolateFlags,
  // A looping plugin could outrun its memory limit.
  '--no-concurrent-osr',
  // It would keep the code of every config that was ever evaluated: 350 KB a reload for a config of 100 KB.
  '--no-compilation-cache',
  '--disable-sigusr1',
  '--disable-warning=ExperimentalWarning',
  // The data path is many small functions that always run one after the other: inlined more deeply, an exchange costs 8 % less of its own time.
  // And a system call by node:ffi costs 1 µs more where Node's wrapper of it was left out, as it was for reads beside a plugin at half of this.
  '--max-inlined-bytecode-size=1500',
  '--max-inlined-bytecode-size-cumulative=10000',
  // Under nothing but misses a cache's answers outlive the young heap, and V8 lets that grow to 48 MB, and what was put out to several times what is kept.
  '--max-semi-space-size=4',
  '--heap-growing-percent=30',
]

const commitMs = 5_000
/** For a function of the config, which asks others. */
const recordMs = 60_000
/** Beyond its own time: a process starts, a profile is written, an engine is made anew. */
const profileMs = 30_000
/** In the worker: the first after standard input, output, error and the channel. */
const NOTE_FD = 4
const COUNTERS_FD = 5
const lastWordsMs = 200

export interface PreparedPlan {
  readonly summary: PlanSummary
  /** From the plan it runs on; null if there is none. */
  readonly difference: Difference | null
}

export interface CommitCounts {
  /** Connections that are told to end. */
  readonly touched: number
  readonly connections: number
}

export class WorkerProcess {
  readonly slot: number
  readonly seat: number | null
  readonly pid: number
  readonly bornAt = performance.now()
  /** When it last proved that its event loop turns. */
  aliveAt = performance.now()
  connections = 0
  /** Resident bytes when it last told. */
  memory = 0
  /** What it reads and writes its sockets by; null: not told yet. */
  sockets: SocketsBy | null = null
  /** How its plugins fared when it last told. */
  plugins: readonly PluginState[] = []
  /** Of the plan it runs on. */
  generation = 0
  /** It runs on the committed plan: what is prepared next, it prepares too. */
  takesPart = false
  /** It carries traffic, and takes more. */
  isLive = false
  /** It let go of its sockets, for it is short of file descriptors. */
  isPressed = false
  /** It finishes what it has, then ends. */
  isDraining = false
  /** Why the supervisor killed it; null if it did not. */
  killedFor: string | null = null
  /** That was because its event loop stood still. */
  hasHung = false
  /** The plugins it was given. */
  readonly suspects = new Suspects()
  /** Number of the plugin whose code it was in when it ended; 0: none. */
  note = 0
  readonly #child: ChildProcess
  readonly #questions = new Map<number, Question>()
  readonly #loaded: Promise<{ readonly cold: boolean }>
  #nextId = 1
  #hasEnded = false

  constructor(options: WorkerOptions, events: WorkerEvents) {
    this.slot = options.slot
    this.seat = options.seat
    const noteFile = new NoteFile()
    this.#child = fork(options.file, [], {
      execArgv: [...options.flags],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', noteFile.fd ?? 'ignore', options.counters ?? 'ignore'],
    })
    this.pid = this.#child.pid ?? -1
    const { promise, resolve, reject } = Promise.withResolvers<{ readonly cold: boolean }>()
    this.#loaded = promise
    // Nobody may be waiting when it dies early.
    promise.catch(() => {})
    this.#child.on('message', (message: unknown) => {
      if (this.#hasEnded || !isFromWorker(message)) return
      this.aliveAt = performance.now()
      if (message.kind === 'loaded') resolve(message)
      else if ('id' in message) this.#answer(message)
      else events.said(this, message)
    })
    const end = (why: string): void => {
      if (this.#hasEnded) return
      this.#hasEnded = true
      this.note = noteFile.read()
      noteFile.close()
      const error = new Error(`worker ${this.slot} ended (${why})`)
      reject(error)
      for (const question of this.#questions.values()) question.reject(error)
      this.#questions.clear()
      events.ended(this, why)
    }
    this.#child.once('exit', (code, signal) => {
      const why = signal ?? `exit ${code}`
      if (!this.#child.connected) return end(why)
      // Its last words may still be on their way.
      this.#child.once('disconnect', () => end(why))
      setTimeout(end, lastWordsMs, why).unref()
    })
    this.#child.once('error', (error) => end(error.message))
    const { slot, seat, heartbeatMs, drainMs, logTarget, toProcess, ticketKeys, challenges, workers, secret, endpointChanges } = options
    const noteFd = noteFile.fd === null ? null : NOTE_FD
    const countersFd = options.counters === null ? null : COUNTERS_FD
    const shared = { ticketKeys, challenges, secret, countersFd, seat, workers, endpointChanges }
    this.#send({ kind: 'begin', slot, heartbeatMs, drainMs, logTarget, noteFd, toProcess, ...shared })
  }

  /** Its modules are loaded: from now on it answers. */
  loaded(): Promise<{ readonly cold: boolean }> {
    return this.#loaded
  }

  /** Rejects with PrepareError when the config is to blame. */
  async prepare(bundle: Bundle, generation: number, deadlineMs: number): Promise<PreparedPlan> {
    this.suspects.add(bundle.plugins ?? [])
    try {
      const answer = await this.#ask((id) => ({ kind: 'prepare', id, bundle, generation }), deadlineMs)
      if (answer.kind !== 'prepared') throw new Error(`worker ${this.slot} answered ${answer.kind}`)
      this.suspects.name(answer.summary)
      return answer
    } catch (error) {
      if (error instanceof DeadlineError) throw new PrepareError(`the config did not finish evaluating within ${deadlineMs / 1000} s`)
      throw error instanceof FailedError ? new PrepareError(error.message, error.problems) : error
    }
  }

  async commit(generation: number): Promise<CommitCounts> {
    const answer = await this.#ask((id) => ({ kind: 'commit', id, generation }), commitMs)
    if (answer.kind !== 'committed') throw new Error(`worker ${this.slot} answered ${answer.kind}`)
    this.connections = answer.connections
    this.generation = generation
    return answer
  }

  /** Resolves when they count. */
  async changeEndpoints(changes: readonly EndpointChange[]): Promise<void> {
    await this.#ask((id) => ({ kind: 'endpoint-changes', id, changes }), commitMs)
  }

  abort(generation: number): void {
    this.#send({ kind: 'abort', generation })
  }

  /** Resolves when it accepts on that socket, of its own slot or of another's. */
  async listen(
    { listener, key }: { readonly listener: string; readonly key: string },
    socket: BoundSocket,
    slot = this.slot,
  ): Promise<void> {
    const alone = socket.handle === null
    await this.#ask((id) => ({ kind: 'listen', id, listener, key, address: socket.address, alone, slot }), commitMs, socket)
  }

  async recall(requestId: string, deadlineMs: number): Promise<Recalled | null> {
    const answer = await this.#ask((id) => ({ kind: 'recall', id, requestId }), deadlineMs)
    return answer.kind === 'recalled' ? answer.found : null
  }

  async askCaches(ask: CacheAsk, deadlineMs: number): Promise<CacheTold> {
    const answer = await this.#ask((id) => ({ kind: 'cache', id, ask }), deadlineMs)
    if (answer.kind !== 'cache-told') throw new Error(`worker ${this.slot} answered ${answer.kind}`)
    return answer.told
  }

  tellInvalidated(announced: readonly Announced[]): void {
    this.#send({ kind: 'invalidated', announced })
  }

  async collect(deadlineMs: number): Promise<MetricsSnapshot> {
    const answer = await this.#ask((id) => ({ kind: 'collect', id }), deadlineMs)
    if (answer.kind !== 'collected') throw new Error(`worker ${this.slot} answered ${answer.kind}`)
    this.connections = answer.connections
    this.memory = answer.memory
    this.sockets = answer.sockets
    this.plugins = answer.plugins
    return answer.metrics
  }

  async upstreams(deadlineMs: number): Promise<readonly UpstreamState[]> {
    const answer = await this.#ask((id) => ({ kind: 'upstreams', id }), deadlineMs)
    return answer.kind === 'upstreams' ? answer.states : []
  }

  checkHealth(isOn: boolean): void {
    this.#send({ kind: 'check-health', isOn })
  }

  tellHealth(verdicts: readonly EndpointVerdict[]): void {
    this.#send({ kind: 'health', verdicts })
  }

  /** Rejects with the worker's own words. */
  async profile(plugin: string, ms: number): Promise<PluginProfile> {
    const answer = await this.#ask((id) => ({ kind: 'profile', id, plugin, ms }), ms + profileMs)
    if (answer.kind !== 'profiled') throw new Error(`worker ${this.slot} answered ${answer.kind}`)
    return answer
  }

  moveToProcess(sourceId: string): void {
    this.#send({ kind: 'plugin-to-process', sourceId })
  }

  /** It stops accepting from the sockets of another slot. */
  release(slot: number): void {
    this.#send({ kind: 'release', slot })
  }

  answerKv(batch: number, outcomes: readonly KvOutcome[]): void {
    this.#send({ kind: 'kv-answers', batch, outcomes })
  }

  useTicketKeys(keys: readonly Uint8Array[]): void {
    this.#send({ kind: 'ticket-keys', keys })
  }

  /** Resolves when authorities are shown these. */
  async showChallenges(challenges: readonly Challenge[]): Promise<void> {
    await this.#ask((id) => ({ kind: 'challenges', id, challenges }), commitMs)
  }

  /** Resolves when the zone has it; rejects with the words of the config's function. */
  async changeRecord(certificate: string, change: RecordChange): Promise<void> {
    await this.#ask((id) => ({ kind: 'dns-record', id, certificate, change }), recordMs)
  }

  reopenLog(): void {
    this.#send({ kind: 'reopen-log' })
  }

  /** Resolves when it accepts no more, or will never answer. Said again it can only make it end sooner. */
  async drain(deadlineMs: number): Promise<void> {
    this.isLive = false
    this.takesPart = false
    this.isDraining = true
    await this.#ask((id) => ({ kind: 'drain', id, deadlineMs }), commitMs).catch(() => {})
  }

  kill(why: string): void {
    this.killedFor ??= why
    this.#child.kill('SIGKILL')
  }

  async #ask(question: (id: number) => ToWorker, deadlineMs: number, socket?: BoundSocket): Promise<Answer> {
    if (this.#hasEnded) throw new Error(`worker ${this.slot} has ended`)
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const timer = setTimeout(() => {
      this.#questions.delete(id)
      reject(new DeadlineError(`worker ${this.slot} did not answer for ${deadlineMs / 1000} s`))
    }, deadlineMs)
    this.#questions.set(id, { resolve, reject })
    this.#send(question(id), socket)
    try {
      const answer = await promise
      if (answer.kind === 'failed') throw new FailedError(answer.error, answer.problems)
      return answer
    } finally {
      clearTimeout(timer)
    }
  }

  #answer(answer: Answer): void {
    const question = this.#questions.get(answer.id)
    this.#questions.delete(answer.id)
    question?.resolve(answer)
  }

  #send(message: ToWorker, socket?: BoundSocket): void {
    if (!this.#child.connected) return
    // An error here means that the process is going; its exit is what settles the questions.
    // The handle is what node:cluster sends: a bound socket, not yet a net.Server.
    const handle = socket?.handle as Parameters<ChildProcess['send']>[1]
    this.#child.send(message, handle, { keepOpen: true }, () => {})
  }
}

/** It runs the user's code: not all that comes need be ours. */
function isFromWorker(message: unknown): message is FromWorker {
  return typeof message === 'object' && message !== null && 'kind' in message && typeof message.kind === 'string'
}

interface Question {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** The config was understood, but the proxy cannot run it; no worker is to blame. */
export class PrepareError extends Error {
  override readonly name = 'PrepareError'
  readonly problems: readonly Problem[]
  constructor(message: string, problems: readonly Problem[] = [errorProblem(message)]) {
    super(message)
    this.problems = problems
  }
}

/** The worker answered that it could not. */
class FailedError extends Error {
  readonly problems: readonly Problem[]
  constructor(message: string, problems: readonly Problem[]) {
    super(message)
    this.problems = problems
  }
}

class DeadlineError extends Error {}
