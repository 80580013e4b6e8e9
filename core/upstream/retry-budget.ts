/**
 * How many requests may be sent once more: a share of those of the last ten seconds, and a few a second beside it, so that a quiet
 * upstream has retries too. When everything fails, endpoints get so much more and not a multiple. Pure: the time is a parameter.
 */
import { RollingSums } from './rolling-sums.ts'

const WINDOW_MS = 10_000
/** Beside the share: three a second. */
const LEAST = 30
const REQUESTS = 0
const RETRIES = 1

export class RetryBudget {
  readonly #ratio: number
  readonly #sums = new RollingSums(2, WINDOW_MS)

  constructor(ratio: number) {
    this.#ratio = ratio
  }

  /** A request begins; its retries are not counted here. */
  count(now: number): void {
    this.#sums.add(REQUESTS, 1, now)
  }

  /** Whether one more may be sent. If so, it counts as sent. */
  take(now: number): boolean {
    if (this.#sums.sum(RETRIES, now) + 1 > this.#sums.sum(REQUESTS, now) * this.#ratio + LEAST) return false
    this.#sums.add(RETRIES, 1, now)
    return true
  }
}
