/** Who waits for a connection where no more may be opened: first come, first served, bounded in number and in time. */
import type { Deadlines, Timed } from '../deadlines.ts'

/** `late` is called once, unless it left before. */
export interface Waiter {
  late(): void
}

export interface WaitQueueOptions {
  readonly most: number
  readonly maxWaitMs: number
  readonly deadlines: Deadlines
}

export class WaitQueue<W extends Waiter> implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #options: WaitQueueOptions
  /** With when its time is over: who came first is late first. */
  readonly #waiters = new Map<W, number>()

  constructor(options: WaitQueueOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#waiters.size
  }

  /** Null: nobody waits. */
  get first(): W | null {
    for (const waiter of this.#waiters.keys()) return waiter
    return null
  }

  /** The first so many, in their order. */
  upTo(count: number): IteratorObject<W> {
    return this.#waiters.keys().take(count)
  }

  /** False: it is full. */
  add(waiter: W): boolean {
    const { most, maxWaitMs, deadlines } = this.#options
    if (this.#waiters.size >= most) return false
    this.#waiters.set(waiter, deadlines.in(maxWaitMs))
    this.#wait()
    return true
  }

  /** It got what it waited for, or does not want it any more. False: it was not waiting. */
  remove(waiter: W): boolean {
    const wasWaiting = this.#waiters.delete(waiter)
    if (wasWaiting) this.#wait()
    return wasWaiting
  }

  onDeadline(): void {
    const { now } = this.#options.deadlines
    for (const [waiter, dueAt] of this.#waiters) {
      if (dueAt > now) break
      this.#waiters.delete(waiter)
      waiter.late()
    }
    this.#wait()
  }

  #wait(): void {
    const { deadlines } = this.#options
    const first = this.first
    if (first === null) return deadlines.remove(this)
    if (this.slot < 0) deadlines.add(this)
    this.dueAt = this.#waiters.get(first)!
  }
}
