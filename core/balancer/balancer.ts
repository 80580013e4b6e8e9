/** Which endpoint the next attempt goes to. Pure: time and chance are given to a balancer, and what it knows of endpoints it is told. */
import { byFunction, type EndpointFunction } from './by-function.ts'
import { firstAvailable } from './first-available.ts'
import { leastRequest } from './least-request.ts'
import { leastTime } from './least-time.ts'
import { maglev } from './maglev.ts'
import type { PeakAverage } from './peak-average.ts'
import { random } from './random.ts'
import { ringHash } from './ring-hash.ts'
import { roundRobin } from './round-robin.ts'

export interface Balancer {
  /**
   * An index into the endpoints it was made with, of one that is available; -1 if none is. Null: all are. Never one of weight 0.
   * `hash`: 32 bits of what the request is told apart by, for those that go by it. `asked`: for the user's own function.
   */
  pick(isAvailable: IsAvailable | null, hash?: number, asked?: Viewed | null): number
}

export type IsAvailable = (index: number) => boolean

/** What a balancer may know of an endpoint; what is under way and how long answers take changes while it looks on. */
export interface Candidate {
  /** Whatever is hashed of it: the same in each worker and after a restart. */
  readonly address: string
  readonly weight: number
  /** Attempts under way, in this worker. */
  readonly inFlight: number
  readonly time: PeakAverage
}

/** A request, for functions of the config. */
export interface Viewed {
  view(): unknown
}

export interface Tools {
  /** From 0 up to 1. */
  readonly random: () => number
  /** Milliseconds. */
  readonly now: () => number
}

export type BalancerKind =
  | { readonly kind: 'roundRobin' | 'random' | 'leastTime' | 'firstAvailable' }
  | { readonly kind: 'leastRequest' /** How many are looked at. */; readonly choices: number }
  | { readonly kind: 'ringHash' | 'maglev'; readonly key: HashKey }
  | { readonly kind: 'function'; readonly choose: EndpointFunction }

/** What of a request is hashed. */
export type HashKey = { readonly kind: 'ip' | 'path' } | { readonly kind: 'header' | 'cookie'; readonly name: string }

export function createBalancer(balancer: BalancerKind, endpoints: readonly Candidate[], tools: Tools): Balancer {
  switch (balancer.kind) {
    case 'roundRobin':
      return roundRobin(endpoints.map(({ weight }) => weight))
    case 'random':
      return random(endpoints, tools)
    case 'leastRequest':
      return leastRequest(endpoints, { ...tools, choices: balancer.choices })
    case 'leastTime':
      return leastTime(endpoints, tools)
    case 'ringHash':
      return ringHash(endpoints)
    case 'maglev':
      return maglev(endpoints)
    case 'firstAvailable':
      return firstAvailable(endpoints)
    case 'function':
      return byFunction(endpoints, balancer.choose)
  }
}
