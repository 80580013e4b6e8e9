/** What keeps an upstream in service while some of it fails; an upstream that asks for none of it has none of these, and pays one look for that. */

import type { Deadlines } from '../deadlines.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import { AdaptiveLimit } from './adaptive-limit.ts'
import { Availability, type AvailabilityEnvironment, type AvailabilityEvents } from './availability.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import type { Endpoint } from './endpoint.ts'
import { HealthChecks } from './health-checks.ts'
import { RetryBudget } from './retry-budget.ts'

export interface SafeguardsEvents extends AvailabilityEvents {
  /** So many requests are under way at a time. */
  limitMoved(upstream: string, limit: number): void
  /** One more, or one less, waits. */
  queued(upstream: string, change: 1 | -1): void
}

export interface SafeguardsEnvironment extends AvailabilityEnvironment {
  readonly events: SafeguardsEvents
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
  /** Null: requests pass always. */
  readonly breaker: CircuitBreaker | null
  /** Null: as many requests as come. */
  readonly limit: AdaptiveLimit | null
  readonly #deadlines: Deadlines
  /** Tries have times of their own. */
  readonly isTimed: boolean

  /** Null: the plan asks for none. */
  static of(plan: UpstreamPlan, endpoints: readonly Endpoint[], environment: SafeguardsEnvironment): Safeguards | null {
    const { retries, outlier, healthCheck, circuitBreaker, timeouts, hedging, adaptive } = plan
    const isSingle = retries === null && hedging === null
    const isPlain = isSingle && outlier === null && healthCheck === null && circuitBreaker === null && adaptive === null
    if (isPlain && timeouts.total === Number.POSITIVE_INFINITY) return null
    return new Safeguards(plan, endpoints, environment)
  }

  private constructor(plan: UpstreamPlan, endpoints: readonly Endpoint[], environment: SafeguardsEnvironment) {
    const { retries, outlier, healthCheck, timeouts, hedging } = plan
    this.budget = retries === null && hedging === null ? null : new RetryBudget(retries?.budget ?? DEFAULT_BUDGET)
    this.limit = limitOf(plan, environment)
    const availability = outlier === null && healthCheck === null ? null : new Availability(plan, endpoints, environment)
    this.availability = availability
    const { deadlines, random, events } = environment
    this.#deadlines = deadlines
    this.breaker =
      plan.circuitBreaker === null
        ? null
        : new CircuitBreaker(plan.circuitBreaker, (state, why) =>
            events.upstreamChanged({ upstream: plan.name, endpoint: null, state, why, isShared: false }),
          )
    const changed = (): void => environment.verdictChanged()
    this.checks =
      healthCheck === null || availability === null
        ? null
        : new HealthChecks({ plan, check: healthCheck, availability, deadlines, random, changed }, endpoints)
    this.isTimed = Math.min(timeouts.total, retries?.perTry ?? Number.POSITIVE_INFINITY) !== Number.POSITIVE_INFINITY
  }

  /** Whether the circuit breaker lets none pass. */
  get isOpen(): boolean {
    return this.breaker !== null && !this.breaker.mayPass(this.#deadlines.now)
  }

  /** A ticket for `settle`; 0: the request may not pass. Only where there is a breaker. */
  admit(): number {
    return this.breaker!.admit(this.#deadlines.now)
  }

  /** How a request has ended that was let pass. `failure`: the reason; null: it was served. */
  settle(ticket: number, failure: ErrorCode | 'status' | null): void {
    const outcome = failure === null ? 'served' : failure === 'status' || isOfEndpoint(failure) ? 'failed' : 'none'
    this.breaker!.settle(ticket, outcome, this.#deadlines.now)
  }

  /** When a request may pass again, for a client that was not let pass. */
  get retryFields(): Readonly<Record<string, string>> {
    return { 'Retry-After': String(Math.ceil(this.breaker!.waitMs(this.#deadlines.now) / 1_000)) }
  }

  /** An endpoint has answered, in so many milliseconds. */
  answered(endpoint: Endpoint, status: number, ms: number): void {
    this.availability?.record(endpoint, status < 500 ? null : `status ${status}`, ms)
  }

  failed(endpoint: Endpoint, code: ErrorCode): void {
    if (isOfEndpoint(code)) this.availability?.record(endpoint, code, 0)
  }

  /** Its endpoints are others; what is known of those that stay, and of the upstream, goes on. */
  use(endpoints: readonly Endpoint[]): void {
    this.availability?.use(endpoints)
    this.checks?.use(endpoints)
  }

  /** Another plan is in use, which goes on with these of its endpoints. */
  close(left: readonly Endpoint[]): void {
    if (this.checks !== null) this.checks.isOn = false
    this.breaker?.close()
    this.limit?.close()
    this.availability?.close(left)
  }
}

/** What an endpoint has done, or failed to do. 503: it was not asked at all. */
export function isOfEndpoint(code: ErrorCode): boolean {
  const { origin, status } = errorTable[code]
  return origin === 'upstream' && status !== 503
}

/** Where the plan says nothing of retries. */
const DEFAULT_BUDGET = 0.2

function limitOf({ name, adaptive }: UpstreamPlan, { deadlines, events }: SafeguardsEnvironment): AdaptiveLimit | null {
  if (adaptive === null) return null
  return new AdaptiveLimit({
    ...{ plan: adaptive, deadlines },
    counted: (change) => events.queued(name, change),
    moved: (limit) => events.limitMoved(name, limit),
    changed: (isLimited, why) =>
      events.upstreamChanged({ upstream: name, endpoint: null, state: isLimited ? 'limited' : 'unlimited', why, isShared: false }),
  })
}
