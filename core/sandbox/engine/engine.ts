/**
 * The contract of the two engines: batches go in by `submit`, answers come back through the sink, perhaps before `submit` returns,
 * perhaps later, never as its value. One engine runs one plugin.
 */
import type { Batch } from '../batch.ts'
import { DEFAULT_BUFFERED, type FailureWhy, LEAST_BYTES_IN, MAX_BUFFERED, type SetUp } from '../wire.ts'

export interface Engine {
  readonly kind: 'worker' | 'process'
  /** Evaluates the plugin. Returns its Definition as JSON; throws what is wrong with it. */
  define(): Promise<string>
  /** Runs `setup` for one use. Returns its SetUp as JSON; throws what is wrong with it. `restore` is JSON or `''`. */
  setUp(use: EngineUse): Promise<string>
  /** The value for the next version's `host.restore()`, as JSON; `''` if there is none. Throws why it could not be had. */
  reload(use: number): Promise<string>
  drop(use: number): void
  /** An empty batch to fill. */
  open(): Batch
  submit(batch: Batch): void
  /** Answers to what the guest wished. */
  answerWishes(answers: readonly WishAnswer[]): void
  /** In a simulation: for the plugin it is so much later than the machine says. Timers that are due by that run. */
  shiftClock(ms: number): void
  /** How long until a timer of the plugin is due; null: there is none, or it is not known here. */
  readonly timerDueMs: number | null
  /** Ends it. Calls that are not answered by now are forgotten. */
  close(): void
}

export interface EngineUse {
  readonly index: number
  /** JSON. */
  readonly options: string
  readonly restore: string
  /** For one turn, ms. */
  readonly timeoutMs: number
}

/** Bytes that one call may carry at the most, and so the room for those of a batch. 0: it does not look at bytes. */
export function bytesNeeded({ requestBody, responseBody, hooks }: SetUp): number {
  const sizes = [requestBody, responseBody].map((body) => (body === null ? 0 : body.mode === 'buffer' ? body.maxBytes : 1))
  const most = Math.max(hooks.includes('onMessage') || hooks.includes('onData') ? DEFAULT_BUFFERED : 0, ...sizes)
  return most === 0 ? 0 : Math.min(MAX_BUFFERED, Math.max(most, LEAST_BYTES_IN))
}

/** What an engine tells of the batches it was given. Within a batch, in the order of its calls. */
export interface EngineSink {
  /**
   * All calls of the batch below `done` are answered by the `count` numbers of `ints` from `at` and their text; those that are not
   * named there change nothing.
   */
  answered(batch: Batch, done: number, answers: Answers): void
  /** Call number `index`, the next one, failed. */
  failed(batch: Batch, index: number, why: FailureWhy, detail: string): void
  /** Answers of calls whose promise has settled, and lines of console. */
  settled(answers: Answers): void
  /** A failure outside of a hook's own turn: in a timer or a promise of the call `id`, or of nobody known (0). */
  overran(id: number, why: FailureWhy, detail: string): void
  /** The isolate was lost: calls that wait for a promise will not hear of it. */
  lost(why: FailureWhy, detail: string): void
  /** The engine cannot go on: what is not answered is to be asked of another. */
  gone(): void
}

export interface Answers {
  readonly ints: Int32Array
  readonly at: number
  readonly count: number
  readonly text: string
  /** Valid inside the call only; null for a plugin that does not look at bytes. */
  readonly bytes: Uint8Array | null
}

/** What became of a wish. */
export interface WishAnswer {
  readonly id: number
  readonly isDone: boolean
  /** JSON, or why it was not done. */
  readonly text: string
}

/** For evaluating a plugin and for `setup`, ms by the wall's clock: that a machine is busy is no reason to refuse a plugin with a large table. */
export const LOAD_TIMEOUT_MS = 2000
/** For a `setup` that returns a promise, ms. */
export const SETUP_DEADLINE_MS = 5000
/** For one turn of `onReload`, and for all of it, ms. */
export const RELOAD_TIMEOUT_MS = 500
export const RELOAD_DEADLINE_MS = 2000
