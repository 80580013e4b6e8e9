/** Which endpoint the balancer of an upstream would name for one request, and why; by the balancer itself, with nothing under way. */
import { type BalancerKind, type Candidate, createBalancer, type HashKey } from '../balancer/balancer.ts'
import { partOfHash } from '../balancer/part-of-hash.ts'
import { PeakAverage } from '../balancer/peak-average.ts'
import { roundRobin } from '../balancer/round-robin.ts'
import { cookieIn } from '../net/http1/cookie.ts'
import type { SplitDestination } from '../plan/plan.ts'
import type { DiscoveryPlan, EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import { type Asked, hashOf, keyText } from '../upstream/request-key.ts'
import { clean, shownValue } from './shown.ts'

export interface Balancing {
  /** Null: that depends on more than the request. */
  readonly first: EndpointPlan | null
  readonly because: string
}

/** The part of a split, and what decides; null: each part has weight 0. */
export function explainSplit({ parts, by }: SplitDestination, asked: Asked): { readonly upstream: UpstreamPlan; readonly because: string } {
  const weights = parts.map(({ weight }) => weight)
  const inTurn = parts[Math.max(0, roundRobin(weights).pick(null))]!.upstream
  const text = by === null ? null : keyText(by, asked)
  if (by === null) return { upstream: inTurn, because: `a new worker begins with ${inTurn.name}` }
  if (text === null) return { upstream: inTurn, because: `by lot: it goes by ${keyName(by)}, which this request has not` }
  const { upstream } =
    parts[
      partOfHash(
        weights,
        hashOf(by, asked, () => 0),
      )
    ]!
  return { upstream, because: `${upstream.name} by ${keyName(by)}${shownKey(by, text)}` }
}

/** Null: none takes requests. */
export function explainBalancing(upstream: UpstreamPlan, asked: Asked): Balancing | null {
  if (upstream.discovery !== null) return { first: null, because: discoveryText(upstream.discovery) }
  const balancing = balancingOf(upstream, asked)
  if (balancing === null || upstream.sticky === null) return balancing
  const { cookie } = upstream.sticky
  // What it names, only the workers know: they have the key.
  const hasOne = cookieIn(asked.request?.get('cookie') ?? null, cookie) !== null
  if (hasOne) return { first: null, because: `where its cookie ${cookie} says, if that is one of ours; else ${balancing.because}` }
  return { ...balancing, because: `${balancing.because}; from then on the client stays there by the cookie ${cookie}` }
}

function balancingOf({ balancer, endpoints: all }: UpstreamPlan, asked: Asked): Balancing | null {
  const first = Math.min(...all.filter(({ weight }) => weight > 0).map(({ group }) => group))
  const endpoints = all.filter(({ group }) => group === first)
  const balancing = balancingIn(balancer, endpoints, asked)
  const others = all.length - endpoints.length
  if (balancing === null || others === 0) return balancing
  return {
    ...balancing,
    because: `${balancing.because}; ${others === 1 ? 'another stands' : `${others} others stand`} by, of a later priority or zone`,
  }
}

/** Of one group. */
function balancingIn(balancer: BalancerKind, endpoints: readonly EndpointPlan[], asked: Asked): Balancing | null {
  const taking = endpoints.filter(({ weight }) => weight > 0)
  const [one] = taking
  if (one === undefined) return null
  if (balancer.kind === 'function') return { first: null, because: "by the config's own function, which is not run here" }
  if (taking.length === 1) return { first: one, because: 'the only endpoint that takes requests' }
  const isEven = taking.every(({ weight }) => weight === one.weight)
  const all = `${taking.length} endpoints${isEven ? '' : ', by weight'}`
  switch (balancer.kind) {
    case 'roundRobin':
      return { first: picked(balancer, endpoints, 0), because: `round robin over ${all}, in each worker` }
    case 'firstAvailable':
      return { first: picked(balancer, endpoints, 0), because: 'the first that is available, in the order written' }
    case 'random':
      return { first: null, because: `by lot over ${all}` }
    case 'leastRequest':
      return { first: null, because: `the one with the fewest requests under way of ${balancer.choices} drawn from ${all}` }
    case 'leastTime':
      return { first: null, because: `the one that should answer first of 2 drawn from ${all}` }
    case 'ringHash':
    case 'maglev': {
      const name = balancer.kind === 'maglev' ? 'maglev' : 'ring hash'
      const text = keyText(balancer.key, asked)
      if (text === null) return { first: null, because: `by lot: ${name} goes by ${keyName(balancer.key)}, which it has not` }
      const first = picked(
        balancer,
        endpoints,
        hashOf(balancer.key, asked, () => 0),
      )
      return { first, because: `${name} of ${keyName(balancer.key)}${shownKey(balancer.key, text)}, as long as it is available` }
    }
  }
}

/** Nothing is looked up here. */
function discoveryText(discovery: DiscoveryPlan): string {
  switch (discovery.kind) {
    case 'dns':
      return `one of the addresses that DNS has for ${discovery.host}, port ${discovery.port}`
    case 'srv':
      return `one of the hosts that the SRV records of ${discovery.name} name`
    case 'file':
      return `one of the endpoints that the file ${discovery.path} holds`
    case 'etcd':
      return `one of the endpoints that etcd has under ${discovery.prefix}`
    case 'kubernetes':
      return `one of the endpoints of the Service ${discovery.namespace === null ? '' : `${discovery.namespace}/`}${discovery.service} of Kubernetes`
    case 'poll':
      return 'one of the endpoints that the function of its discovery returns'
  }
}

function picked(balancer: UpstreamPlan['balancer'], endpoints: readonly EndpointPlan[], hash: number): EndpointPlan {
  const candidates = endpoints.map(({ address, weight }): Candidate => ({ address, weight, inFlight: 0, time: new PeakAverage() }))
  return endpoints[createBalancer(balancer, candidates, { random: () => 0, now: () => 0 }).pick(null, hash)]!
}

function keyName(key: HashKey): string {
  if (key.kind === 'ip') return "the client's address"
  return 'name' in key ? `the ${key.kind} ${key.name}` : 'the path'
}

/** Cookies are credentials. */
function shownKey(key: HashKey, text: string): string {
  if (key.kind === 'cookie') return ''
  return ` ${'name' in key ? shownValue(key.name, text) : clean(text)}`
}
