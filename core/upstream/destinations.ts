/**
 * Upstreams of the forward side: one for each host and port that clients name, made when it is first asked for. Of more than so many, the
 * one asked for longest ago is let go: what it has idle closes, what is busy ends by itself.
 */
import { monotonicMs } from '../clock.ts'
import type { Guard } from '../forward/guard.ts'
import type { Parent } from '../forward/parent.ts'
import { type ParentRule, parentRuleFor } from '../forward/parent-rules.ts'
import { formatDestination, type NamedDestination } from '../net/destination.ts'
import { UpstreamCompiler } from '../plan/compile-upstream.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import { dial, type Origination } from './dial.ts'
import { Endpoint } from './endpoint.ts'
import { dialByParents, longestMs } from './parent-dial.ts'
import type { ParentHealths } from './parent-healths.ts'
import { Pool, type PoolEnvironment, type PoolOptions } from './pool.ts'
import { Upstream, type UpstreamEvents } from './upstream.ts'

/** A worker and listener; idle connections are at most so many times IDLE. */
const MOST_DESTINATIONS = 512
const IDLE = 8
/**
 * Its name is empty: it is no upstream of the config. Idle connections go sooner than those to endpoints of a config: whether a client comes
 * again is not known.
 */
const template = new UpstreamCompiler('/').compile({
  kind: 'upstream',
  name: '',
  options: { endpoints: ['127.0.0.1:80'], timeouts: { connect: '10s', keepAlive: '15s' }, idleConnections: IDLE },
})

export interface DestinationsOptions {
  /** Of the listener: what is counted of connections is counted under it, whatever host they go to. */
  readonly name: string
  readonly guard: Guard
  /** By way of whom places are reached; none: directly. Then the guard is asked, for parents resolve names themselves. */
  readonly parents: readonly ParentRule[]
  readonly healths: ParentHealths
  readonly events: UpstreamEvents
  readonly environment: PoolEnvironment
  readonly most?: number
}

export class Destinations {
  readonly #options: DestinationsOptions
  readonly #events: UpstreamEvents
  readonly #upstreams = new Map<string, Known>()
  /** Connections to HTTP parents that are asked for whole URLs, by the rule's parents and the number of the one that is asked first. */
  readonly #shared = new Map<readonly Parent[], Map<number, Known>>()

  constructor(options: DestinationsOptions) {
    const { name, events } = options
    this.#options = options
    this.#events = {
      dialled: (_, __, ok) => events.dialled(name, ANY, ok),
      upstreamClosed: () => events.upstreamClosed(name, ANY),
      // Nobody watches over the health of hosts that clients choose.
      upstreamChanged: () => {},
      queued: () => {},
      buffered: () => {},
      limitMoved: () => {},
    }
  }

  /** `tls`: how the place is spoken to by TLS; null: whatever is said there is said by somebody else. */
  to(destination: NamedDestination, tls: Origination | null = null): Upstream {
    const { parents, healths } = this.#options
    const place = formatDestination(destination)
    const key = tls === null ? place : `${place} ${tls.identity}`
    if (parents.length === 0) return this.#find(key) ?? this.#keep(key, this.#direct(destination, tls))
    const by = this.#parentsFor(destination)
    if (by.length === 0) return this.#find(key) ?? this.#keep(key, this.#direct(destination, tls))
    const first = healths.first(by, this.#now())
    return this.#find(`${key} ${first}`) ?? this.#keep(`${key} ${first}`, this.#by(by, { first, isPlain: false }, planTo(destination), tls))
  }

  /** For requests of plain HTTP, which HTTP parents take by their whole URLs. */
  asking(destination: NamedDestination): Upstream {
    const { parents, healths } = this.#options
    const by = parents.length === 0 ? NONE : this.#parentsFor(destination)
    if (!by.some(isHttp)) return this.to(destination)
    const first = healths.first(by, this.#now())
    if (by.every(isHttp)) return this.#sharedBy(by, first)
    const key = `${formatDestination(destination)} plain ${first}`
    return this.#find(key) ?? this.#keep(key, this.#by(by, { first, isPlain: true }, planTo(destination), null))
  }

  /** Nobody will ask again. */
  retire(): void {
    for (const { pool } of this.#upstreams.values()) pool.retire()
    this.#upstreams.clear()
    for (const known of this.#shared.values()) for (const { pool } of known.values()) pool.retire()
    this.#shared.clear()
  }

  #retireOldest(): void {
    const [key, { pool }] = this.#upstreams.entries().next().value!
    this.#upstreams.delete(key)
    pool.retire()
  }

  #parentsFor(destination: NamedDestination): readonly Parent[] {
    return parentRuleFor(this.#options.parents, destination)?.parents ?? NONE
  }

  #find(key: string): Upstream | null {
    const one = this.#upstreams.get(key)
    if (one === undefined) return null
    this.#upstreams.delete(key)
    this.#upstreams.set(key, one)
    return one.upstream
  }

  #keep(key: string, one: Known): Upstream {
    this.#upstreams.set(key, one)
    if (this.#upstreams.size > (this.#options.most ?? MOST_DESTINATIONS)) this.#retireOldest()
    return one.upstream
  }

  #sharedBy(parents: readonly Parent[], first: number): Upstream {
    const known = this.#shared.get(parents) ?? new Map<number, Known>()
    this.#shared.set(parents, known)
    const { target, name } = parents[first]!
    const one = known.get(first) ?? this.#by(parents, { first, isPlain: true }, planOf(target, name), null)
    known.set(first, one)
    return one.upstream
  }

  #direct(destination: NamedDestination, tls: Origination | null): Known {
    const { environment, guard } = this.#options
    return this.#makeIn(environment, planTo(destination), { tls, guard })
  }

  #by(parents: readonly Parent[], how: { first: number; isPlain: boolean }, plan: UpstreamPlan, tls: Origination | null): Known {
    const { healths, environment } = this.#options
    const { deadlines } = environment
    const dialled = dialByParents({ parents, ...how, healths, deadlines, dial: environment.dial ?? dial })
    const timeouts = { ...plan.timeouts, connect: longestMs(parents) }
    return this.#makeIn({ ...environment, dial: dialled }, { ...plan, timeouts }, { tls })
  }

  #now(): number {
    return this.#options.environment.deadlines.read()
  }

  #makeIn(environment: PoolEnvironment, plan: UpstreamPlan, reached: Pick<PoolOptions, 'tls' | 'guard'>): Known {
    const [{ target }] = plan.endpoints as readonly [EndpointPlan]
    const { connect: connectMs, keepAlive: keepAliveMs } = plan.timeouts
    const options = { target, proxyProtocol: null, connectMs, keepAliveMs, maxIdle: plan.idleConnections }
    const pool = new Pool({ ...options, ...reached }, environment)
    const own = {
      ...{ events: this.#events, deadlines: environment.deadlines, random: Math.random, now: monotonicMs, secret: NO_SECRET },
      verdictChanged() {},
    }
    return { pool, upstream: new Upstream(plan, [new Endpoint(plan.endpoints[0]!, pool)], own) }
  }
}

interface Known {
  readonly pool: Pool
  readonly upstream: Upstream
}

const NONE: readonly Parent[] = []

function isHttp({ kind }: Parent): boolean {
  return kind === 'http'
}

/** In metrics: hosts that clients choose get no labels. */
const ANY = 'any'
/** Nobody stays with them by a cookie. */
const NO_SECRET = new Uint8Array()

export function planTo(destination: NamedDestination): UpstreamPlan {
  const { kind, host, port } = destination
  return planOf({ kind, host, port }, formatDestination(destination))
}

function planOf(target: EndpointPlan['target'], address: string): UpstreamPlan {
  return { ...template, endpoints: [{ ...template.endpoints[0]!, address, target }] }
}
