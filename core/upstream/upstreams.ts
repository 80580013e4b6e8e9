/**
 * All upstreams of a worker, from plan to plan: what did not change is the same object as before, and so is each endpoint that stays, with
 * its pool and what is known of it.
 */
import type { Deadlines } from '../deadlines.ts'
import type { Plan } from '../plan/plan.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Origination } from './dial.ts'
import { Discoveries } from './discovery/discoveries.ts'
import { Endpoint } from './endpoint.ts'
import { byUpstream, type ChangesByUpstream, changed, type EndpointChange } from './endpoint-changes.ts'
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
  #changes: ChangesByUpstream = new Map()

  constructor(environment: UpstreamsEnvironment) {
    const { pools, deadlines, events, discovers } = environment
    this.#environment = environment
    const others = (): void => this.#refill()
    this.#discoveries = discovers ? new Discoveries({ dns: pools.dns, deadlines, events, changed: others }) : null
  }

  get(name: string): Upstream | null {
    return this.#upstreams.get(name)?.upstream ?? null
  }

  /** How they are. */
  get states(): UpstreamState[] {
    return [...this.#upstreams.values()].map(({ upstream, source }) =>
      stateOf(upstream, source, {
        changes: this.#changes.get(upstream.plan.name) ?? [],
        trouble: this.#discoveries?.troubleOf(upstream.plan.name) ?? { undiscovered: '', leftOut: '' },
      }),
    )
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

  /** What was changed at run time, all of it: it counts from now on, under the next plans too. Cannot fail. */
  changeEndpoints(changes: readonly EndpointChange[]): void {
    this.#changes = byUpstream(changes)
    this.#refill()
  }

  close(): void {
    this.#discoveries?.close()
    for (const pool of this.#pools.values()) pool.retire()
  }

  #refill(): void {
    if (this.#inUse !== null) this.#fill(this.#inUse)
  }

  /** What did not change stays as it is, the balancer's turn too; pools are kept by their key, whatever the upstream is called. */
  #fill({ plan, originations, byPlan }: InUse): void {
    const next: Next = { pools: new Map(), endpoints: new Map() }
    const known = new Map<string, KnownUpstream>()
    for (const written of plan.upstreams.values()) {
      const source = this.#discoveries?.withEndpoints(written) ?? written
      const upstream = changed(source, this.#changes.get(written.name))
      const tls = originations.get(written) ?? null
      const before = this.#upstreams.get(upstream.name)
      // Also for what is kept: its pools must outlive this plan.
      const own = upstream.endpoints.map((endpoint) => this.#endpointFor(upstream, endpoint, { tls, next, isNews: before !== undefined }))
      const rest = JSON.stringify([{ ...upstream, endpoints: null }, tls?.identity], numbered)
      const list = JSON.stringify(upstream.endpoints)
      const made = this.#upstreamFor(upstream, own, { before, rest, list })
      known.set(upstream.name, { rest, list, source, upstream: made })
      byPlan.set(written, made)
    }
    for (const [key, pool] of this.#pools) if (!next.pools.has(key)) pool.retire()
    for (const [name, { upstream }] of this.#upstreams) if (!known.has(name)) this.#closeUpstream(upstream, [])
    this.health.use([...known.values()].map(({ upstream }) => upstream))
    this.#pools = next.pools
    this.#endpoints = next.endpoints
    this.#upstreams = known
  }

  /** The one before, if nothing or only its endpoints changed; of a set of which nobody stayed nothing is known. */
  #upstreamFor(
    plan: UpstreamPlan,
    own: readonly Endpoint[],
    { before, rest, list }: Pick<KnownUpstream, 'rest' | 'list'> & Before,
  ): Upstream {
    if (before !== undefined && before.rest === rest) {
      if (before.list === list) return before.upstream
      const stay = new Set(own)
      if (before.upstream.endpoints.some((endpoint) => stay.has(endpoint))) {
        before.upstream.use(plan, own)
        return before.upstream
      }
    }
    if (before !== undefined) this.#closeUpstream(before.upstream, own)
    return new Upstream(plan, own, { ...this.#environment, verdictChanged: () => this.health.changed() })
  }

  /** `isNews`: the upstream was there before. */
  #endpointFor(
    upstream: UpstreamPlan,
    endpoint: EndpointPlan,
    { tls, next, isNews }: { readonly tls: Origination | null; readonly next: Next; readonly isNews: boolean },
  ): Endpoint {
    const [poolKey, pool] = this.#poolFor(upstream, endpoint, tls, next.pools)
    const key = JSON.stringify([upstream.name, endpoint.address, poolKey])
    const kept = this.#endpoints.get(key)
    const one = kept ?? new Endpoint(endpoint, pool)
    const { now } = this.#environment.deadlines
    if (kept === undefined ? isNews : kept.plan.drain !== null && endpoint.drain === null) one.availableSince = now
    // Nobody is to come any more: what is kept for them goes.
    if (endpoint.drain === 'all' && one.plan.drain !== 'all') while (pool.dropIdle()) {}
    one.plan = endpoint
    next.endpoints.set(key, one)
    return one
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

/** What the next plan goes on with. */
interface Next {
  readonly pools: Map<string, Pool>
  readonly endpoints: Map<string, Endpoint>
}

interface Before {
  readonly before: KnownUpstream | undefined
}

interface KnownUpstream {
  /** All that it is made of, but its endpoints. */
  readonly rest: string
  readonly list: string
  /** Without what was changed at run time. */
  readonly source: UpstreamPlan
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
