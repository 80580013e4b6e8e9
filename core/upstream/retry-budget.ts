/**
 * How many requests may be sent once more: a share of those of the last ten seconds, and a few a second beside it, so that a quiet
 * upstream has retries too. When everything fails, endpoints get so much more and not a multiple. Pure: the time is a parameter.
 */

const SLOT_MS = 1_000
const SLOTS = 10
/** Beside the share. */
const LEAST_A_SECOND = 3

export class RetryBudget {
  readonly #ratio: number
  readonly #requests = new Float64Array(SLOTS)
  readonly #retries = new Float64Array(SLOTS)
  /** Sums of the two. */
  #requested = 0
  #retried = 0
  #slot = Number.NEGATIVE_INFINITY

  constructor(ratio: number) {
    this.#ratio = ratio
  }

  /** A request begins; its retries are not counted here. */
  count(now: number): void {
    this.#requests[this.#at(now)]! += 1
    this.#requested += 1
  }

  /** Whether one more may be sent. If so, it counts as sent. */
  take(now: number): boolean {
    const at = this.#at(now)
    if (this.#retried + 1 > this.#requested * this.#ratio + LEAST_A_SECOND * SLOTS) return false
    this.#retries[at]! += 1
    this.#retried += 1
    return true
  }

  /** The slot of that time; what is older than all slots is forgotten. */
  #at(now: number): number {
    const slot = Math.floor(now / SLOT_MS)
    for (let next = Math.max(this.#slot + 1, slot - SLOTS + 1, 0); next <= slot; next++) this.#forget(next % SLOTS)
    if (slot > this.#slot) this.#slot = slot
    return this.#slot % SLOTS
  }

  #forget(at: number): void {
    this.#requested -= this.#requests[at]!
    this.#retried -= this.#retries[at]!
    this.#requests[at] = 0
    this.#retries[at] = 0
  }
}
