/** How often a client may do something that costs us and says nothing: so much at once, and so much a second in the long run. */
export class Allowance {
  readonly #most: number
  readonly #perSecond: number
  #left: number
  /** As of when, in milliseconds of a clock that never goes back. */
  #at: number

  constructor(most: number, perSecond: number, now: number) {
    this.#most = most
    this.#perSecond = perSecond
    this.#left = most
    this.#at = now
  }

  /** False: it has used up what it may. */
  take(now: number): boolean {
    if (now > this.#at) {
      this.give(((now - this.#at) * this.#perSecond) / 1000)
      this.#at = now
    }
    if (this.#left < 1) return false
    this.#left--
    return true
  }

  /** For something that makes more of it likely. */
  give(count: number): void {
    this.#left = Math.min(this.#most, this.#left + count)
  }
}
