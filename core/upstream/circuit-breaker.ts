/**
 * Closed, it lets requests to an upstream pass and counts how they end; open, it lets none pass, so that who is down gets time to come
 * up again; half-open, it lets a single one try. Pure: the time is a parameter.
 */
import type { CircuitBreakerPlan } from '../plan/upstream-plan.ts'
import { RollingSums } from './rolling-sums.ts'

export type Circuit = 'closed' | 'open' | 'half-open'
/** `none`: it says nothing of the upstream, as when its client left. */
export type Outcome = 'served' | 'failed' | 'none'

const REQUESTS = 0
const FAILURES = 1

export class CircuitBreaker {
  state: Circuit = 'closed'
  readonly #plan: CircuitBreakerPlan
  readonly #changed: (state: Circuit, why: string) => void
  readonly #sums: RollingSums
  #openUntil = 0
  /** Of the state it is in: what was let pass under another one counts for nothing. */
  #ticket = 1
  #isTrying = false

  constructor(plan: CircuitBreakerPlan, changed: (state: Circuit, why: string) => void) {
    this.#plan = plan
    this.#changed = changed
    this.#sums = new RollingSums(2, plan.window)
  }

  /** Whether `admit` would let one pass. */
  mayPass(now: number): boolean {
    return this.state === 'closed' || (now >= this.#openUntil && !this.#isTrying)
  }

  /** A ticket for `settle`, which is to be called once; 0: it may not pass. */
  admit(now: number): number {
    if (this.state === 'closed') return this.#ticket
    if (!this.mayPass(now)) return 0
    if (this.state === 'open') this.#enter('half-open', 'one request tries')
    this.#isTrying = true
    return this.#ticket
  }

  /** How a request that was let pass has ended. */
  settle(ticket: number, outcome: Outcome, now: number): void {
    if (ticket !== this.#ticket) return
    if (this.state === 'closed') return this.#count(outcome, now)
    this.#isTrying = false
    if (outcome === 'served') this.#enter('closed', 'a request was served')
    else if (outcome === 'failed') this.#open('a request that tried has failed', now)
  }

  /** Nobody will ask again. */
  close(): void {
    if (this.state !== 'closed') this.#enter('closed', 'its upstream is another one by now')
  }

  /** Milliseconds until one may try; more than 0. */
  waitMs(now: number): number {
    return Math.max(1, this.#openUntil - now)
  }

  #count(outcome: Outcome, now: number): void {
    if (outcome === 'none') return
    const { minRequests, failureRatio } = this.#plan
    this.#sums.add(REQUESTS, 1, now)
    if (outcome === 'served') return
    this.#sums.add(FAILURES, 1, now)
    const requests = this.#sums.sum(REQUESTS, now)
    const failures = this.#sums.sum(FAILURES, now)
    if (requests >= minRequests && failures / requests >= failureRatio) this.#open(`${failures} of ${requests} requests failed`, now)
  }

  #open(why: string, now: number): void {
    this.#openUntil = now + this.#plan.openFor
    this.#enter('open', `for ${this.#plan.openFor / 1000} s: ${why}`)
  }

  #enter(state: Circuit, why: string): void {
    this.state = state
    this.#ticket++
    this.#isTrying = false
    this.#sums.clear()
    this.#changed(state, why)
  }
}
