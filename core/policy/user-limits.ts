/** What a listener of the forward side lets each of its users have: so much in a period, and so fast. Without users, each client's address is one. */
import type { Deadlines } from '../deadlines.ts'
import type { ForwardPlan, UserRatesPlan } from '../plan/forward-plan.ts'
import type { Counting } from './counting.ts'
import { type Meter, Quotas } from './quota.ts'
import { networkOf } from './request-key.ts'
import { Shares } from './shares.ts'
import type { Paces } from './throttle.ts'

export interface LimitsEnvironment {
  readonly counting: Counting
  readonly deadlines: Deadlines
  /** Milliseconds since the epoch. */
  readonly clock: () => number
}

export class UserLimits {
  readonly #quotas: Quotas | null
  readonly #rates: UserRates | null

  constructor(quotas: Quotas | null, rates: UserRates | null) {
    this.#quotas = quotas
    this.#rates = rates
  }

  /** Null: nothing is limited. `listener`: its name; `before`: of the plan before. */
  static of(
    { quota, bandwidth }: ForwardPlan,
    listener: string,
    before: UserRates | null,
    environment: LimitsEnvironment,
  ): UserLimits | null {
    const { counting, clock } = environment
    if (quota === null && bandwidth === null) return null
    const quotas = quota === null ? null : new Quotas(quota, `quota ${listener}`, counting, clock)
    const isSame = bandwidth !== null && before?.plan.key === bandwidth.key
    return new UserLimits(quotas, bandwidth === null ? null : isSame ? before : new UserRates(bandwidth, listener, environment))
  }

  /** Goes on into the next plan if it says the same. */
  get rates(): UserRates | null {
    return this.#rates
  }

  /** Null: as much as they like. */
  meter(user: string | null, ip: string): Meter | null {
    return this.#quotas?.meter(user, ip) ?? null
  }

  /** Null: as fast as may be. `whenEnded` gets what is to be called when it has ended. */
  paces(user: string | null, ip: string, whenEnded: (ending: () => void) => void): Paces | null {
    return this.#rates?.take(user, ip, whenEnded) ?? null
  }
}

export class UserRates {
  readonly plan: UserRatesPlan
  readonly #shares: Shares

  constructor(plan: UserRatesPlan, listener: string, { counting, deadlines }: LimitsEnvironment) {
    this.plan = plan
    const ratesOf = (key: string) => (key.startsWith('=') ? plan.byUser.get(key.slice(1)) : undefined) ?? plan.each
    this.#shares = new Shares({ ratesOf, salt: `${listener} ${plan.key}`, counting, deadlines })
  }

  /** No plan has it any more; what is under way goes on with it. */
  close(): void {
    this.#shares.close()
  }

  take(user: string | null, ip: string, whenEnded: (ending: () => void) => void): Paces | null {
    const { up, down } = (user === null ? undefined : this.plan.byUser.get(user)) ?? this.plan.each
    if (up === null && down === null) return null
    return this.#shares.take(user === null ? `/${networkOf(ip)}` : `=${user}`, whenEnded)
  }
}
