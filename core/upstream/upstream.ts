/** A named group of endpoints at run time: chooses one, lends a connection from its pool or opens a new one. */
import type { HashKey, Tools } from '../balancer/balancer.ts'
import type { ErrorCode } from '../errors.ts'
import type { PendingPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { UpstreamConnection } from './connection.ts'
import { ConnectionQueue } from './connection-queue.ts'
import { DiskRoom } from './disk-room.ts'
import { Endpoint } from './endpoint.ts'
import { type Choice, type Group, groupsOf } from './group.ts'
import { Hedging } from './hedging.ts'
import type { PrivateConnections } from './private-connections.ts'
import { type Asked, hashOf } from './request-key.ts'
import { Safeguards, type SafeguardsEnvironment, type SafeguardsEvents } from './safeguards.ts'
import { Stickiness } from './stickiness.ts'

export interface UpstreamEvents extends SafeguardsEvents {
  dialled(upstream: string, endpoint: string, ok: boolean): void
  upstreamClosed(upstream: string, endpoint: string): void
  buffered(upstream: string, change: number): void
}

export interface UpstreamEnvironment extends SafeguardsEnvironment, Tools {
  readonly events: UpstreamEvents
  /** What cookies are signed with where a plan has no secret of its own. */
  readonly secret: Uint8Array
}

/** What an exchange gets when it asked for a connection that had to be opened. */
export interface Acquirer {
  /** Where it had to wait, a connection that has served others will do. */
  readonly takesKept: boolean
  onConnected(connection: UpstreamConnection): void
  onDialFailed(code: ErrorCode, detail: string | null): void
  /** It has to wait until there may be another connection; or, false, no more. */
  onWaiting(isWaiting: boolean): void
}

export class Upstream {
  /** Its endpoints change where they come and go at run time, nothing else of it. */
  plan: UpstreamPlan
  /** Null: its plan asks for none. */
  readonly safeguards: Safeguards | null
  /** Null: clients do not stay anywhere. */
  stickiness: Stickiness | null = null
  /** For its buffered bodies; null: none is. */
  readonly diskRoom: DiskRoom | null
  /** Its balancer wants to know how long answers take. */
  readonly timesAnswers: boolean
  /** Null: a request is asked of one endpoint at a time. */
  readonly hedging: Hedging | null
  endpoints: readonly Endpoint[] = []
  #groups: readonly Group[] = []
  readonly #key: HashKey | null
  readonly #environment: UpstreamEnvironment
  /** Null: nobody waits. */
  readonly #queue: ConnectionQueue | null
  readonly #choice: Choice = { tried: null, isNarrow: false, now: Number.NaN, hash: Number.NaN }

  constructor(plan: UpstreamPlan, endpoints: readonly Endpoint[], environment: UpstreamEnvironment) {
    const { balancer } = plan
    this.plan = plan
    this.safeguards = Safeguards.of(plan, endpoints, environment)
    this.diskRoom =
      plan.buffer === null ? null : new DiskRoom(plan.buffer.diskBytes, (change) => environment.events.buffered(plan.name, change))
    this.timesAnswers = balancer.kind === 'leastTime'
    this.hedging = plan.hedging === null ? null : new Hedging(plan.hedging, environment.deadlines)
    this.#key = 'key' in balancer ? balancer.key : null
    this.#environment = environment
    this.#queue = plan.pending === null ? null : this.#makeQueue(plan.pending)
    this.#take(plan, endpoints)
  }

  /** The same upstream with other endpoints: its circuit, its retry budget, who waits, and what is known of the endpoints that stay go on. */
  use(plan: UpstreamPlan, endpoints: readonly Endpoint[]): void {
    this.safeguards?.use(endpoints)
    this.#take(plan, endpoints)
    this.#queue?.useOthers()
  }

  #take(plan: UpstreamPlan, endpoints: readonly Endpoint[]): void {
    const { secret } = this.#environment
    this.plan = plan
    this.stickiness = plan.sticky === null ? null : new Stickiness(plan.sticky, plan, { endpoints, secret, before: this.stickiness })
    this.endpoints = endpoints
    this.#groups = groupsOf(plan, { endpoints, choice: this.#choice, tools: this.#environment })
  }

  #makeQueue(plan: PendingPlan): ConnectionQueue {
    const { deadlines, events } = this.#environment
    return new ConnectionQueue({
      ...{ plan, deadlines, pools: () => this.endpoints.map(({ pool }) => pool) },
      hasRoom: () => this.#hasRoom(),
      dropIdle: () => this.#dropIdle(),
      counted: (change) => events.queued(this.plan.name, change),
    })
  }

  /** Requests that wait for a connection, or to be under way. */
  get waiting(): number {
    return (this.#queue?.size ?? 0) + (this.safeguards?.limit?.waiting ?? 0)
  }

  /**
   * The endpoint for the next attempt: the one that the client stays with, or another, not tried yet if there is any; null if none takes
   * requests. Throws a ProxyError if the config's own function fails to choose.
   */
  choose(tried: readonly Endpoint[] | null, asked: Asked): Endpoint | null {
    const { endpoints } = this
    const isNarrow = this.safeguards?.availability?.narrows === true
    if (endpoints.length === 1 && this.plan.balancer.kind !== 'function') {
      const only = endpoints[0]!
      if (only.weight > 0) return isNarrow ? null : only
      if (this.stickiness === null) return null
    }
    if (this.stickiness !== null) {
      const own = this.stickiness.endpointOf(asked)
      if (own instanceof Endpoint && own.plan.drain !== 'all' && (!isNarrow || own.health!.isAvailable) && tried?.includes(own) !== true)
        return own
    }
    const choice = this.#choice
    choice.tried = tried
    choice.isNarrow = isNarrow
    choice.now = this.plan.slowStart > 0 ? this.#environment.deadlines.now : Number.NaN
    choice.hash = this.#key === null ? Number.NaN : hashOf(this.#key, asked, this.#environment.random)
    return this.#pick(asked)
  }

  /** What is asked for first is let go of first: rather one that is slow to start than none, rather one that was tried than none. */
  #pick(asked: Asked): Endpoint | null {
    const choice = this.#choice
    let chosen = this.#pickOf(asked)
    if (chosen === null && !Number.isNaN(choice.now)) {
      choice.now = Number.NaN
      chosen = this.#pickOf(asked)
    }
    if (chosen !== null || choice.tried === null) return chosen
    choice.tried = null
    return this.#pickOf(asked)
  }

  #pickOf(asked: Asked): Endpoint | null {
    for (const group of this.#groups) {
      const endpoint = group.pick(asked)
      if (endpoint !== null) return endpoint
    }
    return null
  }

  /** A kept connection; null: there is none, or others have waited for one for longer. */
  take(endpoint: Endpoint, privates: PrivateConnections | null): UpstreamConnection | null {
    return this.#queue !== null && this.#queue.size > 0 ? null : endpoint.pool.take(privates)
  }

  /**
   * Opens a connection, for one client alone if it has a header, or waits until there may be another one. Returns how to give up; or null,
   * with `onDialFailed` called, if the limit of connections is reached. `alpn`: what is offered over TLS; default HTTP/1.1.
   */
  dial(endpoint: Endpoint, acquirer: Acquirer, privates: PrivateConnections | null, alpn?: readonly string[]): (() => void) | null {
    const queue = this.#queue
    const isFirst = queue === null || queue.size === 0
    // What is idle must not keep anybody out.
    if (isFirst && (this.#hasRoom() || this.#dropIdle())) return this.#open(endpoint, acquirer, privates, alpn)
    if (queue === null) {
      acquirer.onDialFailed('connection_limit', null)
      return null
    }
    const leave = queue.add({
      ...{ endpoint, privates, takesKept: acquirer.takesKept },
      go: (kept) => {
        acquirer.onWaiting(false)
        if (kept === null) return this.#open(endpoint, acquirer, privates, alpn)
        acquirer.onConnected(kept)
        return null
      },
      late: () => acquirer.onDialFailed('pending_timeout', null),
    })
    if (leave === null) acquirer.onDialFailed('pending_limit', null)
    else acquirer.onWaiting(true)
    return leave
  }

  #open(endpoint: Endpoint, acquirer: Acquirer, privates: PrivateConnections | null, alpn?: readonly string[]): () => void {
    return endpoint.pool.dial(
      (connection, error, detail) => {
        const { name } = this.plan
        const { address } = endpoint.plan
        this.#environment.events.dialled(name, address, connection !== null)
        if (connection !== null) {
          connection.onGone = toldGone(this.#environment.events, name, address)
          acquirer.onConnected(connection)
        } else acquirer.onDialFailed(error ?? 'connect_failed', detail)
      },
      privates,
      alpn,
    )
  }

  #hasRoom(): boolean {
    if (this.plan.connections === Number.POSITIVE_INFINITY) return true
    let open = 0
    for (const endpoint of this.endpoints) open += endpoint.pool.open
    return open < this.plan.connections
  }

  #dropIdle(): boolean {
    return this.endpoints.some(({ pool }) => pool.dropIdle())
  }
}

/** Apart, so that a connection does not keep the exchange alive that had it opened. */
function toldGone(events: UpstreamEvents, upstream: string, endpoint: string): () => void {
  return () => events.upstreamClosed(upstream, endpoint)
}
