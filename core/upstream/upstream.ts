/** A named group of endpoints at run time: chooses one, lends a connection from its pool or opens a new one. */
import type { Balancer } from '../balancer/balancer.ts'
import type { ErrorCode } from '../errors.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/plan.ts'
import type { AvailabilityEvents, EndpointHealth } from './availability.ts'
import type { UpstreamConnection } from './connection.ts'
import type { Pool } from './pool.ts'
import type { PrivateConnections } from './private-connections.ts'
import { Safeguards, type SafeguardsEnvironment } from './safeguards.ts'

export interface UpstreamEvents extends AvailabilityEvents {
  dialled(upstream: string, endpoint: string, ok: boolean): void
  upstreamClosed(upstream: string, endpoint: string): void
}

export interface UpstreamEnvironment extends SafeguardsEnvironment {
  readonly events: UpstreamEvents
}

/** What an exchange gets when it asked for a connection that had to be opened. */
export interface Acquirer {
  onConnected(connection: UpstreamConnection): void
  onDialFailed(code: ErrorCode, detail: string | null): void
}

export class Endpoint {
  readonly plan: EndpointPlan
  readonly pool: Pool
  /** Null: nobody looks at it. */
  health: EndpointHealth | null = null

  constructor(plan: EndpointPlan, pool: Pool) {
    this.plan = plan
    this.pool = pool
  }
}

export class Upstream {
  readonly plan: UpstreamPlan
  /** Null: its plan asks for none. */
  readonly safeguards: Safeguards | null
  readonly endpoints: readonly Endpoint[]
  readonly #balancer: Balancer
  readonly #events: UpstreamEvents
  readonly #isAvailable = (index: number): boolean => this.endpoints[index]!.health!.isAvailable

  constructor(plan: UpstreamPlan, endpoints: readonly Endpoint[], balancer: Balancer, environment: UpstreamEnvironment) {
    this.plan = plan
    this.safeguards = Safeguards.of(plan, endpoints, environment)
    this.endpoints = endpoints
    this.#balancer = balancer
    this.#events = environment.events
  }

  /** The endpoint for the next attempt, one that was not tried yet if there is any; null if none takes requests. */
  choose(tried: readonly Endpoint[] | null): Endpoint | null {
    const endpoints = this.endpoints
    const isNarrow = this.safeguards?.availability?.narrows === true
    if (endpoints.length === 1) return endpoints[0]!.plan.weight > 0 && !isNarrow ? endpoints[0]! : null
    let index = -1
    if (tried !== null)
      index = this.#balancer.pick((i) => !tried.includes(endpoints[i]!) && (!isNarrow || endpoints[i]!.health!.isAvailable))
    if (index < 0) index = this.#balancer.pick(isNarrow ? this.#isAvailable : null)
    return index < 0 ? null : endpoints[index]!
  }

  /**
   * Opens a connection, for one client alone if it has a header. Returns how to give up; or null, with `onDialFailed` called, if the
   * limit of connections is reached. `alpn`: what is offered over TLS; default HTTP/1.1.
   */
  dial(endpoint: Endpoint, acquirer: Acquirer, privates: PrivateConnections | null, alpn?: readonly string[]): (() => void) | null {
    // What is idle for one client must not keep another one out.
    if (this.#open() >= this.plan.connections && !this.endpoints.some(({ pool }) => pool.dropPrivate())) {
      acquirer.onDialFailed('connection_limit', null)
      return null
    }
    return endpoint.pool.dial(
      (connection, error, detail) => {
        const { name } = this.plan
        const { address } = endpoint.plan
        this.#events.dialled(name, address, connection !== null)
        if (connection !== null) {
          connection.onGone = toldGone(this.#events, name, address)
          acquirer.onConnected(connection)
        } else acquirer.onDialFailed(error ?? 'connect_failed', detail)
      },
      privates,
      alpn,
    )
  }

  #open(): number {
    if (this.plan.connections === Number.POSITIVE_INFINITY) return 0
    let open = 0
    for (const endpoint of this.endpoints) open += endpoint.pool.open
    return open
  }
}

/** Apart, so that a connection does not keep the exchange alive that had it opened. */
function toldGone(events: UpstreamEvents, upstream: string, endpoint: string): () => void {
  return () => events.upstreamClosed(upstream, endpoint)
}
