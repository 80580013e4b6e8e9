/**
 * The store of another process: what is asked within one turn of the event loop goes in one message, and comes back in one. Every
 * operation settles: by its answer, by the deadline, or when the other side is gone.
 */
import type { KvOperation, KvOutcome, KvStore, KvValue } from './kv-store.ts'

const DEADLINE_MS = 1000
/** Text of a message; what more there is goes in another one. */
const MOST_TEXT = 1024 * 1024

export interface RemoteKvOptions {
  send(batch: number, operations: readonly KvOperation[]): void
  readonly deadlineMs?: number
}

interface Asked {
  readonly operation: KvOperation
  readonly resolve: (value: KvValue) => void
  readonly reject: (error: Error) => void
}

interface Batch {
  readonly asked: readonly Asked[]
  readonly timer: NodeJS.Timeout
}

export class RemoteKvStore implements KvStore {
  readonly #send: RemoteKvOptions['send']
  readonly #deadlineMs: number
  readonly #batches = new Map<number, Batch>()
  #asked: Asked[] = []
  #lastBatch = 0
  /** Why there is no store any more; null: there is. */
  #gone: string | null = null

  constructor({ send, deadlineMs = DEADLINE_MS }: RemoteKvOptions) {
    this.#send = send
    this.#deadlineMs = deadlineMs
  }

  perform(operation: KvOperation): Promise<KvValue> {
    if (this.#gone !== null) return Promise.reject(new Error(this.#gone))
    const { promise, resolve, reject } = Promise.withResolvers<KvValue>()
    if (this.#asked.push({ operation, resolve, reject }) === 1) setImmediate(() => this.#flush())
    return promise
  }

  /** The outcomes of a batch, in its order. Those of a batch that is not waited for any more are ignored. */
  answer(batch: number, outcomes: readonly KvOutcome[]): void {
    const waiting = this.#take(batch)
    if (waiting === undefined) return
    for (const [i, { resolve, reject }] of waiting.entries()) {
      const outcome = outcomes[i] ?? { error: 'the store left this one out' }
      if ('error' in outcome) reject(new Error(outcome.error))
      else resolve(outcome.value)
    }
  }

  /** The other side is gone: whatever was asked, or will be, is rejected. */
  close(why: string): void {
    this.#gone = why
    const asked = this.#asked
    this.#asked = []
    for (const { reject } of asked) reject(new Error(why))
    for (const batch of [...this.#batches.keys()]) this.#fail(batch, why)
  }

  #flush(): void {
    const asked = this.#asked
    this.#asked = []
    let from = 0
    let text = 0
    for (const [i, { operation }] of asked.entries()) {
      text += 'value' in operation ? operation.value.length : 0
      if (text < MOST_TEXT && i < asked.length - 1) continue
      this.#sendBatch(asked.slice(from, i + 1))
      from = i + 1
      text = 0
    }
  }

  #sendBatch(asked: readonly Asked[]): void {
    const batch = ++this.#lastBatch
    const late = `the store of kv did not answer within ${this.#deadlineMs} ms`
    const timer = setTimeout(() => this.#fail(batch, late), this.#deadlineMs).unref()
    this.#batches.set(batch, { asked, timer })
    this.#send(
      batch,
      asked.map(({ operation }) => operation),
    )
  }

  #fail(batch: number, why: string): void {
    for (const { reject } of this.#take(batch) ?? []) reject(new Error(why))
  }

  #take(batch: number): readonly Asked[] | undefined {
    const waiting = this.#batches.get(batch)
    if (waiting === undefined) return undefined
    this.#batches.delete(batch)
    clearTimeout(waiting.timer)
    return waiting.asked
  }
}
