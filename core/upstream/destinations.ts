/**
 * Upstreams of the forward side: one for each host and port that clients name, made when it is first asked for. Of more than so many, the
 * one asked for longest ago is let go: what it has idle closes, what is busy ends by itself.
 */
import { monotonicMs } from '../clock.ts'
import type { Guard } from '../forward/guard.ts'
import type { Parent } from '../forward/parent.ts'
import { formatDestination, type NamedDestination } from '../net/destination.ts'
import { UpstreamCompiler } from '../plan/compile-upstream.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/plan.ts'
import { dial, type Origination } from './dial.ts'
import { Endpoint } from './endpoint.ts'
import { dialThrough } from './parent.ts'
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
  /** By way of whom places are reached; null: directly. Then the guard is asked, for the parent resolves names itself. */
  readonly parent: Parent | null
  readonly events: UpstreamEvents
  readonly environment: PoolEnvironment
  readonly most?: number
}

export class Destinations {
  readonly #options: DestinationsOptions
  readonly #events: UpstreamEvents
  readonly #upstreams = new Map<string, Known>()
  readonly #environment: PoolEnvironment
  readonly #parent: Known | null

  constructor(options: DestinationsOptions) {
    const { name, events, parent, environment } = options
    this.#options = options
    this.#environment = parent === null ? environment : { ...environment, dial: dialThrough(parent, environment.dial ?? dial) }
    this.#events = {
      dialled: (_, __, ok) => events.dialled(name, ANY, ok),
      upstreamClosed: () => events.upstreamClosed(name, ANY),
      // Nobody watches over the health of hosts that clients choose.
      upstreamChanged: () => {},
      queued: () => {},
      buffered: () => {},
      limitMoved: () => {},
    }
    this.#parent = parent?.kind === 'http' ? this.#makeIn(environment, planOf(parent.target, parent.name)) : null
  }

  /** A parent that takes whole URLs. */
  get parentUpstream(): Upstream | null {
    return this.#parent?.upstream ?? null
  }

  /** `tls`: how the place is spoken to by TLS; null: whatever is said there is said by somebody else. */
  to(destination: NamedDestination, tls: Origination | null = null): Upstream {
    const place = formatDestination(destination)
    const key = tls === null ? place : `${place} ${tls.identity}`
    const known = this.#upstreams.get(key)
    this.#upstreams.delete(key)
    const one = known ?? this.#make(destination, tls)
    this.#upstreams.set(key, one)
    if (this.#upstreams.size > (this.#options.most ?? MOST_DESTINATIONS)) this.#retireOldest()
    return one.upstream
  }

  /** Nobody will ask again. */
  retire(): void {
    for (const { pool } of this.#upstreams.values()) pool.retire()
    this.#upstreams.clear()
    this.#parent?.pool.retire()
  }

  #retireOldest(): void {
    const [key, { pool }] = this.#upstreams.entries().next().value!
    this.#upstreams.delete(key)
    pool.retire()
  }

  #make(destination: NamedDestination, tls: Origination | null): Known {
    const { parent, guard } = this.#options
    return this.#makeIn(this.#environment, planTo(destination), { tls, ...(parent === null ? { guard } : {}) })
  }

  #makeIn(environment: PoolEnvironment, plan: UpstreamPlan, reached: Pick<PoolOptions, 'tls' | 'guard'> = { tls: null }): Known {
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
