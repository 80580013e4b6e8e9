/** How an upstream is, for people: what `status` and the admin listener tell. */
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { AdaptiveLimit } from './adaptive-limit.ts'
import type { Circuit } from './circuit-breaker.ts'
import type { DiscoveryTrouble } from './discovery/discoveries.ts'
import type { EndpointChange } from './endpoint-changes.ts'
import type { Upstream } from './upstream.ts'

export interface UpstreamState {
  readonly name: string
  /** It is no upstream: its endpoints are the parents of a listener. */
  readonly isParents?: true
  /** All endpoints are used, for too few are available. */
  readonly isPanicking: boolean
  /** Requests that wait for a connection. */
  readonly waiting: number
  /** Null: it has no circuit breaker. */
  readonly circuit: Circuit | null
  /** Clients may stay with their endpoint. */
  readonly isSticky: boolean
  readonly isDiscovered: boolean
  /** Why nothing can be discovered at the moment; '' if all is well. */
  readonly undiscovered: string
  /** What of that which is discovered makes no sense; '' if all does. */
  readonly leftOut: string
  /** How many requests may be under way, and are; null: it learns no limit. */
  readonly limit: { readonly most: number; readonly underWay: number; readonly isReached: boolean } | null
  readonly endpoints: readonly EndpointState[]
  /** Addresses that were taken out at run time, and would be there else. */
  readonly removed: readonly string[]
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
  /** Attempts under way, and tunnels. */
  readonly inFlight: number
  /** It came at run time; the config does not name it, and no discovery. */
  readonly isAdded: boolean
  readonly drain: EndpointPlan['drain']
  /** When clients that stay with it are let go, in milliseconds since the epoch; null: nobody stays. */
  readonly until: number | null
}

/** `source`: the plan without what was changed at run time. */
export function stateOf(
  { plan, endpoints, safeguards, waiting }: Upstream,
  source: UpstreamPlan,
  { changes, trouble }: { readonly changes: readonly EndpointChange[]; readonly trouble: DiscoveryTrouble },
): UpstreamState {
  const named = new Set(source.endpoints.map(({ address }) => address))
  const untilOf = new Map(changes.map(({ address, until }) => [address, until]))
  return {
    ...{ name: plan.name, waiting, isSticky: plan.sticky !== null, isDiscovered: plan.discovery !== null, ...trouble },
    circuit: safeguards?.breaker?.state ?? null,
    limit: limitOf(safeguards?.limit ?? null),
    isPanicking: safeguards?.availability?.isPanicking === true,
    endpoints: endpoints.map(({ plan: { address, weight, drain }, pool, health, inFlight }) => {
      const isEjected = health?.isEjected === true
      const isHealthy = health?.isHealthy ?? null
      const why = isEjected ? health.why : isHealthy === false ? health!.checkWhy : ''
      return {
        ...{ address, weight, isEjected, isHealthy, why, connections: pool.open, inFlight, drain },
        ...{ isAdded: !named.has(address), until: untilOf.get(address) ?? null },
      }
    }),
    removed: changes.filter(({ isRemoved, address }) => isRemoved && named.has(address)).map(({ address }) => address),
  }
}

function limitOf(limit: AdaptiveLimit | null): UpstreamState['limit'] {
  return limit === null ? null : { most: limit.limit, underWay: limit.underWay, isReached: limit.isLimited }
}
