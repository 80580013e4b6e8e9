/** Where the datagrams of a client go: the same client gets the same endpoint, whichever worker it reaches, as long as that is there. Pure. */
import { ranked } from '../balancer/rendezvous.ts'
import type { UdpRoutePlan } from '../plan/plan.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'

export interface Places {
  /** Its name. */
  readonly upstream: string
  /** In the order in which they are tried. */
  readonly endpoints: readonly EndpointPlan[]
}

/** `endpointsOf`: by now, if that is more than what the plan says. */
export function placesOf(
  destination: UdpRoutePlan['destination'],
  ip: string,
  endpointsOf: (upstream: UpstreamPlan) => readonly EndpointPlan[] = ({ endpoints }) => endpoints,
): Places {
  const parts = destination.kind === 'split' ? destination.parts : [{ upstream: destination.upstream, weight: 1 }]
  const [first = 0] = ranked(
    parts.map(({ upstream, weight }) => ({ address: upstream.name, weight })),
    ip,
  )
  const { upstream } = parts[first]!
  const endpoints = endpointsOf(upstream).filter(({ drain }) => drain === null)
  const inOrder = ranked(endpoints, ip).map((index) => endpoints[index]!)
  return { upstream: upstream.name, endpoints: inOrder.sort((a, b) => a.group - b.group) }
}
