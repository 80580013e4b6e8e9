/** What keeps an upstream in service while some of it fails; an upstream that asks for none of it has none of these, and pays one look for that. */
import type { UpstreamPlan } from '../plan/plan.ts'
import { RetryBudget } from './retry-budget.ts'

export class Safeguards {
  /** Null: nothing is sent twice. */
  readonly budget: RetryBudget | null
  /** Tries have times of their own. */
  readonly isTimed: boolean

  /** Null: the plan asks for none. */
  static of(plan: UpstreamPlan): Safeguards | null {
    const isTimed = plan.timeouts.total !== Number.POSITIVE_INFINITY || (plan.retries?.perTry ?? Infinity) !== Number.POSITIVE_INFINITY
    return isTimed || plan.retries !== null ? new Safeguards(plan, isTimed) : null
  }

  private constructor({ retries }: UpstreamPlan, isTimed: boolean) {
    this.budget = retries === null ? null : new RetryBudget(retries.budget)
    this.isTimed = isTimed
  }
}
