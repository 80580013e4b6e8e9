/**
 * The record of one endpoint: whether what came of the requests it got makes it one to keep off for a while, and for how long. Pure: the
 * time is a parameter.
 */
import type { OutlierPlan } from '../plan/plan.ts'

const SLOTS = 10
/** No ejection is longer than so many times the first. */
const LONGEST = 10

export class OutlierRecord {
  readonly #plan: OutlierPlan
  readonly #slotMs: number
  /** Failures since the last success. */
  #inARow = 0
  readonly #requests = new Float64Array(SLOTS)
  readonly #failures = new Float64Array(SLOTS)
  /** Milliseconds, of those that were answered. */
  readonly #times = new Float64Array(SLOTS)
  #slot = Number.NEGATIVE_INFINITY

  constructor(plan: OutlierPlan) {
    this.#plan = plan
    this.#slotMs = plan.window / SLOTS
  }

  /** What came of one request. `failure`: why it failed; null: it was answered in that time. Returns why to eject the endpoint, or null. */
  add(failure: string | null, ms: number, now: number): string | null {
    this.#inARow = failure === null ? 0 : this.#inARow + 1
    const { consecutiveFailures, failureRatio, latency } = this.#plan
    if (this.#inARow >= consecutiveFailures) return `${this.#inARow} failures in a row, the last: ${failure}`
    if (failureRatio === Number.POSITIVE_INFINITY && latency === Number.POSITIVE_INFINITY) return null
    const at = this.#at(now)
    this.#requests[at]! += 1
    if (failure === null) this.#times[at]! += ms
    else this.#failures[at]! += 1
    return this.#judge()
  }

  /** Everything so far is forgotten: it gets another chance. */
  clear(): void {
    this.#inARow = 0
    this.#slot = Number.NEGATIVE_INFINITY
    for (const slots of [this.#requests, this.#failures, this.#times]) slots.fill(0)
  }

  #judge(): string | null {
    const { failureRatio, minRequests, latency } = this.#plan
    const requests = sum(this.#requests)
    if (requests < minRequests) return null
    const failures = sum(this.#failures)
    if (failures / requests >= failureRatio) return `${failures} of ${requests} requests failed`
    const mean = sum(this.#times) / (requests - failures)
    return mean >= latency ? `answers took ${Math.round(mean)} ms on average` : null
  }

  /** The slot of that time; what is older than the window is forgotten. */
  #at(now: number): number {
    const slot = Math.floor(now / this.#slotMs)
    for (let next = Math.max(this.#slot + 1, slot - SLOTS + 1, 0); next <= slot; next++) {
      const at = next % SLOTS
      this.#requests[at] = this.#failures[at] = this.#times[at] = 0
    }
    if (slot > this.#slot) this.#slot = slot
    return this.#slot % SLOTS
  }
}

/** For how long, at the ejection of that number in a row, counted from 1. */
export function ejectionMs({ ejectFor }: OutlierPlan, number: number): number {
  return ejectFor * Math.min(number, LONGEST)
}

/** How many of so many may be ejected at a time: of several always one, unless none may be. */
export function mostEjected({ maxEjected }: OutlierPlan, endpoints: number): number {
  if (maxEjected === 0) return 0
  return Math.max(Math.floor(endpoints * maxEjected), endpoints > 1 ? 1 : 0)
}

function sum(slots: Float64Array): number {
  let total = 0
  for (const value of slots) total += value
  return total
}
