/**
 * The times of one exchange's way to an endpoint: how long a try may take, how long all of them, and the pause before one. Made only
 * where an upstream sets such a time or a try has to wait, and one entry among the deadlines however many tries there are.
 */
import type { Deadlines, Timed } from '../deadlines.ts'

export interface TryClockOwner {
  onPauseOver(): void
  /** `all`: no time is left for another try. */
  onTimeUp(what: 'try' | 'all'): void
}

export class TryClock implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #owner: TryClockOwner
  readonly #deadlines: Deadlines
  /** When all must be over. */
  readonly #allDueAt: number
  #isPausing = false

  constructor(owner: TryClockOwner, deadlines: Deadlines, allMs: number) {
    this.#owner = owner
    this.#deadlines = deadlines
    this.#allDueAt = deadlines.in(allMs)
  }

  /** A try begins. */
  begin(tryMs: number): void {
    this.#set(tryMs, false)
  }

  /** `onPauseOver` follows. */
  pause(ms: number): void {
    this.#set(ms, true)
  }

  /** Nobody waits for an endpoint any more. */
  stop(): void {
    this.#deadlines.remove(this)
  }

  onDeadline(): void {
    const isOver = this.#deadlines.now >= this.#allDueAt
    this.stop()
    if (isOver) this.#owner.onTimeUp('all')
    else if (this.#isPausing) this.#owner.onPauseOver()
    else this.#owner.onTimeUp('try')
  }

  #set(ms: number, isPausing: boolean): void {
    this.#isPausing = isPausing
    this.dueAt = Math.min(this.#allDueAt, this.#deadlines.in(ms))
    if (this.slot < 0) this.#deadlines.add(this)
  }
}
