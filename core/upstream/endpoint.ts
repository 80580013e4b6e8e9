/** One address of an upstream in this worker: its pool, and what is known of how it fares. The same from plan to plan. */
import type { Candidate } from '../balancer/balancer.ts'
import { PeakAverage } from '../balancer/peak-average.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'
import type { EndpointHealth } from './availability.ts'
import type { Pool } from './pool.ts'

/** An attempt that failed counts as one that took at least so long: failing fast must not draw the requests of all. */
const FAILED_MS = 1000

export class Endpoint implements Candidate {
  plan: EndpointPlan
  readonly pool: Pool
  /** Attempts under way; what became a tunnel, until it closes. */
  inFlight = 0
  readonly time = new PeakAverage()
  /** When it began to take requests, on the clock of deadlines, if it did so later than its upstream. */
  availableSince = Number.NEGATIVE_INFINITY
  /** Null: nobody looks at it. */
  health: EndpointHealth | null = null

  constructor(plan: EndpointPlan, pool: Pool) {
    this.plan = plan
    this.pool = pool
  }

  get address(): string {
    return this.plan.address
  }
  get weight(): number {
    return this.plan.drain === null ? this.plan.weight : 0
  }

  failed(tookMs: number, now: number): void {
    this.time.observe(Math.max(tookMs, FAILED_MS), now)
  }
}
