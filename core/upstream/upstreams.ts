/**
 * All upstreams of a worker, from plan to plan: what did not change is the same object as before, and so is each endpoint that stays, with
 * its pool and what is known of it.
 */
import type { Deadlines } from '../deadlines.ts'
import type { EndpointPlan, Plan, UpstreamPlan } from '../plan/plan.ts'
import type { Origination } from './dial.ts'
import { Discoveries } from './discovery/discoveries.ts'
import { Endpoint } from './endpoint.ts'
import { HealthBoard } from './health-board.ts'
import { Pool, type PoolEnvironment, type PoolOptions } from './pool.ts'
import { Upstream, type UpstreamEnvironment } from './upstream.ts'
import { stateOf, type UpstreamState } from './upstream-state.ts'

export interface UpstreamsEnvironment extends Omit<UpstreamEnvironment, 'verdictChanged'> {
  readonly pools: PoolEnvironment
  readonly deadlines: Deadlines
  /** False: what would be discovered stays what the plan has in its place. */
  readonly discovers: boolean
}

interface InUse {
  readonly plan: Plan
  readonly originations: ReadonlyMap<UpstreamPlan, Origination>
  /** Exchanges look into it: what is discovered later is put into it. */
  readonly byPlan: Map<UpstreamPlan, Upstream>
}

export class Upstreams {
  readonly health = new HealthBoard()
  readonly #environment: UpstreamsEnvironment
  readonly #discoveries: Discoveries | null
  #inUse: InUse | null = null
  #pools = new Map<string, Pool>()
  /** By upstream, pool and address. */
  #endpoints = new Map<string, Endpoint>()
  #upstreams = new Map<string, KnownUpstream>()

  constructor(environment: UpstreamsEnvironment) {
    const { pools, deadlines, events, discovers } = environment
    this.#environment = environment
    const changed = (): void => {
      if (this.#inUse !== null) this.#fill(this.#inUse)
    }
    this.#discoveries = discovers ? new Discoveries({ dns: pools.dns, deadlines, events, changed }) : null
  }

  get(name: string): Upstream | null {
    return this.#upstreams.get(name)?.upstream ?? null
  }

  /** How they are. */
  get states(): UpstreamState[] {
    return [...this.#upstreams.values()].map(({ upstream }) => stateOf(upstream))
  }

  /** Asks for what a plan discovers, so that it need not begin with nothing. */
  async prepare(plan: Plan): Promise<void> {
    await this.#discoveries?.prepare(plan)
  }

  /** Cannot fail. */
  use(plan: Plan, originations: ReadonlyMap<UpstreamPlan, Origination>): ReadonlyMap<UpstreamPlan, Upstream> {
    const byPlan = new Map<UpstreamPlan, Upstream>()
    this.#inUse = { plan, originations, byPlan }
    this.#discoveries?.use(plan)
    this.#fill(this.#inUse)
    return byPlan
  }

  close(): void {
    this.#discoveries?.close()
    for (const pool of this.#pools.values()) pool.retire()
  }

  /** What did not change stays as it is, the balancer's turn too; pools are kept by their key, whatever the upstream is called. */
  #fill({ plan, originations, byPlan }: InUse): void {
    const pools = new Map<string, Pool>()
    const endpoints = new Map<string, Endpoint>()
    const known = new Map<string, KnownUpstream>()
    for (const written of plan.upstreams.values()) {
      const upstream = this.#discoveries?.withEndpoints(written) ?? written
      const tls = originations.get(written) ?? null
      const text = JSON.stringify([upstream, tls?.identity], numbered)
      const before = this.#upstreams.get(upstream.name)
      // Also for what is kept: its pools must outlive this plan.
      const own = upstream.endpoints.map((endpoint) => {
        const [poolKey, pool] = this.#poolFor(upstream, endpoint, tls, pools)
        const key = JSON.stringify([upstream.name, endpoint.address, poolKey])
        const kept = this.#endpoints.get(key)
        const one = kept ?? new Endpoint(endpoint, pool)
        if (kept === undefined && before !== undefined) one.availableSince = this.#environment.deadlines.now
        one.plan = endpoint
        endpoints.set(key, one)
        return one
      })
      const same = before?.text === text ? before.upstream : null
      if (same === null && before !== undefined) this.#closeUpstream(before.upstream, own)
      const made = same ?? new Upstream(upstream, own, { ...this.#environment, verdictChanged: () => this.health.changed() })
      known.set(upstream.name, { text, upstream: made })
      byPlan.set(written, made)
    }
    for (const [key, pool] of this.#pools) if (!pools.has(key)) pool.retire()
    for (const [name, { upstream }] of this.#upstreams) if (!known.has(name)) this.#closeUpstream(upstream, [])
    this.health.use([...known.values()].map(({ upstream }) => upstream))
    this.#pools = pools
    this.#endpoints = endpoints
    this.#upstreams = known
  }

  #poolFor(plan: UpstreamPlan, endpoint: EndpointPlan, tls: Origination | null, pools: Map<string, Pool>): [key: string, pool: Pool] {
    const { connect, keepAlive } = plan.timeouts
    const { idleConnections: maxIdle, proxyProtocol } = plan
    const options: PoolOptions = { target: endpoint.target, tls, proxyProtocol, connectMs: connect, keepAliveMs: keepAlive, maxIdle }
    const key = JSON.stringify([endpoint.target, tls?.identity ?? null, proxyProtocol])
    const known = pools.get(key) ?? this.#pools.get(key)
    const pool = known ?? new Pool(options, this.#environment.pools)
    known?.configure(options)
    pools.set(key, pool)
    return [key, pool]
  }

  /** `left`: of its endpoints, those that the next plan goes on with. */
  #closeUpstream(upstream: Upstream, left: readonly Endpoint[]): void {
    this.health.remember(upstream)
    upstream.safeguards?.close(left)
  }
}

interface KnownUpstream {
  /** All that it is made of. */
  readonly text: string
  readonly upstream: Upstream
}

const functions = new WeakMap<object, number>()
let lastFunction = 0

/** A function is the same only if it is itself: what it knows does not show. */
function numbered(_key: string, value: unknown): unknown {
  if (typeof value !== 'function') return value
  const number = functions.get(value) ?? ++lastFunction
  functions.set(value, number)
  return number
}
