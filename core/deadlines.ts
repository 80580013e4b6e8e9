/**
 * One coarse clock for all deadlines of a worker: setting one is writing a number, and a tick looks at every open connection
 * (10,000 of them: about 50 µs). A timer a request would cost 0.5 µs each. Deadlines are kept to within two ticks, never early.
 */

/** Something with a deadline. `slot` belongs to the list it is in. */
export interface Timed {
  /** On the clock of `Deadlines.now`; Infinity: none. */
  dueAt: number
  slot: number
  /** Called once the time has come; `dueAt` is Infinity again by then. */
  onDeadline(): void
}

export class Deadlines {
  readonly #timed: Timed[] = []
  readonly #tickMs: number
  readonly #clock: () => number
  #timer: NodeJS.Timeout | null = null
  /** Milliseconds of a clock that never goes back, as of the last tick. */
  now: number

  constructor(tickMs = 50, clock: () => number = () => performance.now()) {
    this.#tickMs = tickMs
    this.#clock = clock
    this.now = clock()
  }

  /** The clock itself: for what is counted finer than ticks are. */
  read(): number {
    return this.#clock()
  }

  /** The clock value to put into `dueAt` for a deadline in `ms`. */
  in(ms: number): number {
    // Nobody ticks while there is nobody to tick for.
    if (this.#timer === null) this.now = this.#clock()
    return this.now + ms + this.#tickMs
  }

  add(timed: Timed): void {
    timed.slot = this.#timed.length
    this.#timed.push(timed)
    if (this.#timer === null) this.#start()
  }

  remove(timed: Timed): void {
    const at = timed.slot
    if (at < 0) return
    const last = this.#timed.pop()!
    if (last !== timed) {
      this.#timed[at] = last
      last.slot = at
    }
    timed.slot = -1
    timed.dueAt = Number.POSITIVE_INFINITY
  }

  /** Fires what is due. Also for tests, which turn the clock themselves. */
  tick(): void {
    this.now = this.#clock()
    for (let i = this.#timed.length - 1; i >= 0; i--) {
      const timed = this.#timed[i]
      if (timed === undefined || timed.dueAt > this.now) continue
      timed.dueAt = Number.POSITIVE_INFINITY
      timed.onDeadline()
    }
    if (this.#timed.length === 0) this.stop()
  }

  /** When the next is due; Infinity: none is set. */
  get nextDueAt(): number {
    return this.#timed.reduce((next, { dueAt }) => Math.min(next, dueAt), Number.POSITIVE_INFINITY)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #start(): void {
    this.now = this.#clock()
    this.#timer = setInterval(() => this.tick(), this.#tickMs)
    this.#timer.unref()
  }
}
