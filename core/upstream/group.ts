/** Endpoints of one priority with their balancer, and which of them may be chosen now. */
import { type Balancer, createBalancer, type Tools } from '../balancer/balancer.ts'
import { spread } from '../balancer/hash.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Endpoint } from './endpoint.ts'
import type { Asked } from './request-key.ts'

/** What an endpoint that has just begun gets at least of its weight, so that it warms up at all. */
const LEAST_SHARE = 0.1

/** What one choice is made by; the same object for each, with other values. */
export interface Choice {
  tried: readonly Endpoint[] | null
  /** Some endpoints are kept off. */
  isNarrow: boolean
  /** The time, if endpoints may be slow to start; NaN: whoever is available gets all of its weight. */
  now: number
  /** Of the request's key; NaN: it has none. */
  hash: number
}

export class Group {
  readonly #endpoints: readonly Endpoint[]
  readonly #balancer: Balancer
  /** Of second tries. With the turns of all, they would take those of the requests that come next: of two endpoints in turn, the bad one would get every first try. */
  readonly #second: () => Balancer
  readonly #choice: Choice
  readonly #slowStart: number
  readonly #random: () => number
  readonly #isWanted = (index: number): boolean => {
    const endpoint = this.#endpoints[index]!
    const { tried, isNarrow, now } = this.#choice
    if (isNarrow && !endpoint.health!.isAvailable) return false
    return tried?.includes(endpoint) !== true && !(now - endpoint.availableSince < this.#slowStart && this.#isTooEarly(endpoint, now))
  }

  constructor(plan: UpstreamPlan, { endpoints, choice, tools }: { endpoints: readonly Endpoint[]; choice: Choice; tools: Tools }) {
    this.#endpoints = endpoints
    this.#balancer = createBalancer(plan.balancer, endpoints, tools)
    let second = plan.balancer.kind === 'roundRobin' ? null : this.#balancer
    this.#second = () => (second ??= createBalancer(plan.balancer, endpoints, tools))
    this.#choice = choice
    this.#slowStart = plan.slowStart
    this.#random = tools.random
  }

  /** By the choice that it was made with. */
  pick(asked: Asked): Endpoint | null {
    const { tried, isNarrow, now, hash } = this.#choice
    const isFree = tried === null && !isNarrow && Number.isNaN(now)
    const balancer = tried === null ? this.#balancer : this.#second()
    const index = balancer.pick(isFree ? null : this.#isWanted, Number.isNaN(hash) ? 0 : hash, asked)
    return index < 0 ? null : this.#endpoints[index]!
  }

  /** Of a key the same is said until its turn comes: it moves there once. */
  #isTooEarly({ availableSince }: Endpoint, now: number): boolean {
    const { hash } = this.#choice
    const chance = Number.isNaN(hash) ? this.#random() : spread(hash ^ SALT) / 0x1_0000_0000
    return chance >= Math.max(LEAST_SHARE, (now - availableSince) / this.#slowStart)
  }
}

const SALT = 0x2c1b3c6d

/** One for each number that endpoints have, the first to be asked first. */
export function groupsOf(plan: UpstreamPlan, parts: { endpoints: readonly Endpoint[]; choice: Choice; tools: Tools }): Group[] {
  const numbers = [...new Set(parts.endpoints.map((endpoint) => endpoint.plan.group))].sort((a, b) => a - b)
  return numbers.map((number) => new Group(plan, { ...parts, endpoints: parts.endpoints.filter((one) => one.plan.group === number) }))
}
