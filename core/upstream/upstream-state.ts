/** How an upstream is, for people: what `status` and the admin listener tell. */
import type { Circuit } from './circuit-breaker.ts'
import type { Upstream } from './upstream.ts'

export interface UpstreamState {
  readonly name: string
  /** All endpoints are used, for too few are available. */
  readonly isPanicking: boolean
  /** Requests that wait for a connection. */
  readonly waiting: number
  /** Null: it has no circuit breaker. */
  readonly circuit: Circuit | null
  readonly endpoints: readonly EndpointState[]
}

export interface EndpointState {
  readonly address: string
  readonly weight: number
  readonly isEjected: boolean
  /** By its health checks; null: they have not said yet, or there are none. */
  readonly isHealthy: boolean | null
  /** Why it gets no requests; '' if it does. */
  readonly why: string
  /** Open connections, idle or not. */
  readonly connections: number
}

export function stateOf({ plan, endpoints, safeguards, waiting }: Upstream): UpstreamState {
  return {
    ...{ name: plan.name, waiting },
    circuit: safeguards?.breaker?.state ?? null,
    isPanicking: safeguards?.availability?.isPanicking === true,
    endpoints: endpoints.map(({ plan: { address, weight }, pool, health }) => {
      const isEjected = health?.isEjected === true
      const isHealthy = health?.isHealthy ?? null
      const why = isEjected ? health.why : isHealthy === false ? health!.checkWhy : ''
      return { address, weight, isEjected, isHealthy, why, connections: pool.open }
    }),
  }
}
