/**
 * The record of one endpoint: whether what came of the requests it got makes it one to keep off for a while, and for how long. Pure: the
 * time is a parameter.
 */
import type { OutlierPlan } from '../plan/upstream-plan.ts'
import { RollingSums } from './rolling-sums.ts'

/** No ejection is longer than so many times the first. */
const LONGEST = 10
const REQUESTS = 0
const FAILURES = 1
/** Milliseconds, of those that were answered. */
const TIMES = 2

export class OutlierRecord {
  readonly #plan: OutlierPlan
  readonly #sums: RollingSums
  /** Failures since the last success. */
  #inARow = 0

  constructor(plan: OutlierPlan) {
    this.#plan = plan
    this.#sums = new RollingSums(3, plan.window)
  }

  /** What came of one request. `failure`: why it failed; null: it was answered in that time. Returns why to eject the endpoint, or null. */
  add(failure: string | null, ms: number, now: number): string | null {
    this.#inARow = failure === null ? 0 : this.#inARow + 1
    const { consecutiveFailures, failureRatio, latency } = this.#plan
    if (this.#inARow >= consecutiveFailures) return `${this.#inARow} failures in a row, the last: ${failure}`
    if (failureRatio === Number.POSITIVE_INFINITY && latency === Number.POSITIVE_INFINITY) return null
    this.#sums.add(REQUESTS, 1, now)
    if (failure === null) this.#sums.add(TIMES, ms, now)
    else this.#sums.add(FAILURES, 1, now)
    return this.#judge(now)
  }

  /** Everything so far is forgotten: it gets another chance. */
  clear(): void {
    this.#inARow = 0
    this.#sums.clear()
  }

  #judge(now: number): string | null {
    const { failureRatio, minRequests, latency } = this.#plan
    const requests = this.#sums.sum(REQUESTS, now)
    if (requests < minRequests) return null
    const failures = this.#sums.sum(FAILURES, now)
    if (failures / requests >= failureRatio) return `${failures} of ${requests} requests failed`
    const mean = this.#sums.sum(TIMES, now) / (requests - failures)
    return mean >= latency ? `answers took ${Math.round(mean)} ms on average` : null
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
