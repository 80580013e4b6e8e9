/** What keeps an upstream in service while some of it fails; an upstream that asks for none of it has none of these, and pays one look for that. */
import { type ErrorCode, errorTable } from '../errors.ts'
import type { UpstreamPlan } from '../plan/plan.ts'
import { Availability, type AvailabilityEnvironment } from './availability.ts'
import { HealthChecks } from './health-checks.ts'
import { RetryBudget } from './retry-budget.ts'
import type { Endpoint } from './upstream.ts'

export interface SafeguardsEnvironment extends AvailabilityEnvironment {
  /** From 0 up to 1. */
  readonly random: () => number
  /** A verdict of health checks is another one. */
  verdictChanged(): void
}

export class Safeguards {
  /** Null: nothing is sent twice. */
  readonly budget: RetryBudget | null
  /** Null: all endpoints are used, whatever comes of it. */
  readonly availability: Availability | null
  /** Null: none. */
  readonly checks: HealthChecks | null
  /** Tries have times of their own. */
  readonly isTimed: boolean

  /** Null: the plan asks for none. */
  static of(plan: UpstreamPlan, endpoints: readonly Endpoint[], environment: SafeguardsEnvironment): Safeguards | null {
    const { retries, outlier, healthCheck, timeouts } = plan
    if (retries === null && outlier === null && healthCheck === null && timeouts.total === Number.POSITIVE_INFINITY) return null
    return new Safeguards(plan, endpoints, environment)
  }

  private constructor(plan: UpstreamPlan, endpoints: readonly Endpoint[], environment: SafeguardsEnvironment) {
    const { retries, outlier, healthCheck, timeouts } = plan
    this.budget = retries === null ? null : new RetryBudget(retries.budget)
    const availability = outlier === null && healthCheck === null ? null : new Availability(plan, endpoints, environment)
    this.availability = availability
    const { deadlines, random } = environment
    const changed = (): void => environment.verdictChanged()
    this.checks =
      healthCheck === null || availability === null
        ? null
        : new HealthChecks({ plan, check: healthCheck, availability, deadlines, random, changed }, endpoints)
    this.isTimed = Math.min(timeouts.total, retries?.perTry ?? Number.POSITIVE_INFINITY) !== Number.POSITIVE_INFINITY
  }

  /** An endpoint has answered, in so many milliseconds. */
  answered(endpoint: Endpoint, status: number, ms: number): void {
    this.availability?.record(endpoint, status < 500 ? null : `status ${status}`, ms)
  }

  failed(endpoint: Endpoint, code: ErrorCode): void {
    const { origin, status } = errorTable[code]
    // 503: it was not asked at all.
    if (origin === 'upstream' && status !== 503) this.availability?.record(endpoint, code, 0)
  }

  /** Another plan is in use, which goes on with these of its endpoints. */
  close(left: readonly Endpoint[]): void {
    if (this.checks !== null) this.checks.isOn = false
    this.availability?.close(left)
  }
}
