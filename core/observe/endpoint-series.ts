/**
 * The series of endpoints in a worker's counters: so many have names of their own, the rest are counted together as `other`. Those of an
 * endpoint that is gone are added to `other`, and their places are given to the next: what is counted never goes back.
 */
import type { UpstreamState } from '../upstream/upstream-state.ts'
import type { Counters, Family } from './counters.ts'

/** Endpoints that get labels of their own. */
const MOST = 2_000
const OTHER = 'other'
const OUTCOMES = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx', 'failed'] as const

/** In this order, one slot each. */
const ROWS: readonly (readonly [Family, ...string[]])[] = [
  ...OUTCOMES.map((outcome) => ['upstream_requests_total', outcome] as const),
  ['upstream_dials_total', 'ok'],
  ['upstream_dials_total', 'failed'],
  ['upstream_connections'],
]

export interface EndpointSlots {
  /** Six in a row, as for a route. */
  readonly outcomes: number
  readonly failed: number
  readonly dialled: number
  readonly dialFailed: number
  readonly open: number
  /** Of its first series. */
  readonly series: number
}

export class EndpointSeries {
  readonly #counters: Counters
  /** By upstream and label. */
  readonly #upstreams = new Map<string, Map<string, EndpointSlots>>()
  /** Places whose endpoint is gone. */
  readonly #free: EndpointSlots[] = []
  #named = 0

  constructor(counters: Counters) {
    this.#counters = counters
  }

  of(upstream: string, address: string): EndpointSlots {
    let endpoints = this.#upstreams.get(upstream)
    if (endpoints === undefined) {
      endpoints = new Map()
      this.#upstreams.set(upstream, endpoints)
    }
    return endpoints.get(address) ?? this.#add(endpoints, upstream, address)
  }

  /** Who is there by now. Of upstreams that are not among them nothing is forgotten: hosts that clients choose are counted as one. */
  keepOnly(states: readonly UpstreamState[]): void {
    for (const { name, endpoints } of states) {
      const known = this.#upstreams.get(name)
      if (known === undefined) continue
      const there = new Set(endpoints.map(({ address }) => address))
      // Some of its connections may still be open.
      for (const [address, slots] of known)
        if (address !== OTHER && !there.has(address) && this.#counters.values[slots.open] === 0) this.#forget(known, name, address)
    }
  }

  #add(endpoints: Map<string, EndpointSlots>, upstream: string, address: string): EndpointSlots {
    if (this.#named >= MOST && address !== OTHER) return endpoints.get(OTHER) ?? this.#add(endpoints, upstream, OTHER)
    const slots = this.#free.pop() ?? this.#make()
    if (address !== OTHER) this.#named++
    this.#name(slots, upstream, address)
    endpoints.set(address, slots)
    return slots
  }

  #forget(endpoints: Map<string, EndpointSlots>, upstream: string, address: string): void {
    const slots = endpoints.get(address)!
    endpoints.delete(address)
    this.#named--
    const other = endpoints.get(OTHER) ?? this.#add(endpoints, upstream, OTHER)
    const { values } = this.#counters
    for (let i = 0; i < ROWS.length; i++) {
      values[other.outcomes + i]! += values[slots.outcomes + i]!
      values[slots.outcomes + i] = 0
    }
    this.#name(slots, upstream, OTHER)
    this.#free.push(slots)
  }

  /** Without names yet. */
  #make(): EndpointSlots {
    const series = this.#counters.series
    const [first = 0] = ROWS.map(([family]) => this.#counters.add(family))
    const at = (row: number): number => first + row
    return { series, outcomes: first, failed: at(6), dialled: at(7), dialFailed: at(8), open: at(9) }
  }

  #name({ series }: EndpointSlots, upstream: string, label: string): void {
    for (const [i, [family, ...more]] of ROWS.entries()) this.#counters.rename(series + i, family, upstream, label, ...more)
  }
}
