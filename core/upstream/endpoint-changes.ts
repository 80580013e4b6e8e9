/** What was changed about the endpoints of upstreams while the proxy runs, beside what the config and discoveries say. Pure. */
import { planEndpoints } from '../plan/endpoints.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'

/** At most one for each address of an upstream. */
export interface EndpointChange {
  readonly upstream: string
  readonly address: string
  /** Null: it is one that the config names, or that was discovered. */
  readonly added: { readonly weight: number; readonly priority: number; readonly zone: string | null } | null
  readonly isRemoved: boolean
  readonly drain: EndpointPlan['drain']
  /** When clients that stay are let go, in milliseconds since the epoch; null: nobody stays. */
  readonly until: number | null
}

/** By the name of the upstream. */
export type ChangesByUpstream = ReadonlyMap<string, readonly EndpointChange[]>

export function byUpstream(changes: readonly EndpointChange[]): ChangesByUpstream {
  return Map.groupBy(changes, ({ upstream }) => upstream)
}

/** The plan as the changes make it. Whoever is added and there anyway is there once, as the plan has it. */
export function changed(plan: UpstreamPlan, changes: readonly EndpointChange[] | undefined): UpstreamPlan {
  if (changes === undefined) return plan
  const byAddress = new Map(changes.map((change) => [change.address, change]))
  const endpoints = plan.endpoints.flatMap((endpoint): EndpointPlan[] => {
    const { isRemoved = false, drain = null } = byAddress.get(endpoint.address) ?? {}
    return isRemoved ? [] : [drain === null ? endpoint : { ...endpoint, drain }]
  })
  const there = new Set(plan.endpoints.map(({ address }) => address))
  for (const { address, added, isRemoved, drain } of changes) {
    if (added === null || isRemoved || there.has(address)) continue
    const { weight, priority, zone } = added
    const [one] = planEndpoints([{ address, weight, priority, ...(zone === null ? {} : { zone }) }], plan.zone)
    endpoints.push({ ...one!, drain })
  }
  return { ...plan, endpoints }
}
