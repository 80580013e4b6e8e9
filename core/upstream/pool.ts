/**
 * Idle connections to one endpoint, the latest used first, so that the others can age out. The key is what makes two connections
 * interchangeable: address, TLS identity and PROXY header, never the upstream's name alone. One with a header is idle for its client only.
 */
import type { Deadlines } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { Guard } from '../forward/guard.ts'
import { writeProxyHeader } from '../net/proxy-protocol-writer.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'
import { UpstreamConnection } from './connection.ts'
import { type Dial, dial as dialEndpoint, type Origination } from './dial.ts'
import type { DnsCache } from './dns.ts'
import type { PrivateConnections } from './private-connections.ts'

export interface PoolOptions {
  readonly target: EndpointPlan['target']
  readonly tls: Origination | null
  /** Version of the header that connections begin with; null: none. */
  readonly proxyProtocol: 1 | 2 | null
  readonly connectMs: number
  readonly keepAliveMs: number
  readonly maxIdle: number
  /** Of addresses that a name resolves to; default: every one may be dialled. */
  readonly guard?: Guard
}

export interface PoolEnvironment {
  readonly dns: DnsCache
  readonly deadlines: Deadlines
  /** A connection was opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
  /** How a connection is opened. Default: over the network. */
  readonly dial?: Dial
}

export type Opened = (connection: UpstreamConnection | null, error: ErrorCode | null, detail: string | null) => void

/** Bytes and lines of a response head; what endpoints send is not the user's to tune. */
const HEAD_BYTES = 65536
const MAX_FIELDS = 256

export class Pool {
  readonly headBytes = HEAD_BYTES
  readonly fields = MAX_FIELDS
  #options: PoolOptions
  readonly #environment: PoolEnvironment
  readonly #idle: UpstreamConnection[] = []
  /** Idle, and kept by the client that they are for. */
  readonly #idlePrivate = new Set<UpstreamConnection>()
  /** Who waits for room; null: nobody does. */
  #watchers: Set<() => void> | null = null
  #retired = false
  /** Open connections, idle or not. */
  open = 0

  constructor(options: PoolOptions, environment: PoolEnvironment) {
    this.#options = options
    this.#environment = environment
  }

  /** A new plan may change times and sizes, never what the key is made of. */
  configure(options: PoolOptions): void {
    this.#options = options
    this.#retired = false
  }

  /** An idle connection, or null. `privates`: of a client that needs its own. */
  take(privates: PrivateConnections | null = null): UpstreamConnection | null {
    if (privates !== null) {
      const connection = privates.take(this)
      if (connection !== null) this.#idlePrivate.delete(connection)
      return connection
    }
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) return null
      if (!connection.wire.closed) return connection
    }
  }

  /** Opens a connection; `done` is called once, unless given up by the function returned. */
  dial(done: Opened, privates: PrivateConnections | null = null, alpn?: readonly string[]): () => void {
    const { dns, deadlines, dial = dialEndpoint } = this.#environment
    const wait = { dueAt: deadlines.in(this.#options.connectMs), slot: -1, onDeadline: () => timedOut() }
    this.#count(1)
    deadlines.add(wait)
    const { target, tls, proxyProtocol, guard = null } = this.#options
    const header = proxyProtocol === null || privates === null ? null : writeProxyHeader(proxyProtocol, privates.facts())
    const asked = { target, tls, header, dns, guard, ...(alpn === undefined ? {} : { alpn }) }
    const abort = dial(asked, (wire, error, detail, by) => {
      deadlines.remove(wait)
      if (wire !== null) {
        const connection = new UpstreamConnection(wire, this, deadlines)
        connection.privates = privates
        if (by !== undefined) {
          connection.asksWhole = by.asksWhole
          connection.isForOnce = by.isStandIn
        }
        return done(connection, null, null)
      }
      this.#count(-1)
      done(null, error, detail)
    })
    const giveUp = () => {
      deadlines.remove(wait)
      abort()
      this.#count(-1)
    }
    const timedOut = () => {
      giveUp()
      done(null, 'connect_timeout', null)
    }
    return giveUp
  }

  /** For a health check: it is nobody else's, and not among the open ones. `tls`: instead of the pool's own. */
  dialApart(tls: Origination | null, done: Opened, alpn?: readonly string[]): () => void {
    const { dns, deadlines, counted, dial = dialEndpoint } = this.#environment
    const { target, proxyProtocol, tls: own } = this.#options
    const header = proxyProtocol === null ? null : writeProxyHeader(proxyProtocol, { source: null, destination: null, tls: null })
    counted(1)
    const home = {
      ...{ headBytes: HEAD_BYTES, fields: MAX_FIELDS, closed: () => counted(-1) },
      release: (connection: UpstreamConnection) => connection.wire.destroy(),
    }
    const asked = { target, tls: tls ?? own, header, dns, ...(alpn === undefined ? {} : { alpn }) }
    const giveUp = dial(asked, (wire, error, detail) => {
      if (wire !== null) return done(new UpstreamConnection(wire, home, deadlines), null, null)
      counted(-1)
      done(null, error, detail)
    })
    return () => {
      giveUp()
      counted(-1)
    }
  }

  release(connection: UpstreamConnection): void {
    const { privates } = connection
    if (connection.isForOnce) return connection.wire.destroy()
    if (this.#retired || this.#idle.length + this.#idlePrivate.size >= this.#options.maxIdle) return connection.wire.destroy()
    if (privates !== null) {
      if (!privates.keep(connection, this)) return connection.wire.destroy()
      this.#idlePrivate.add(connection)
      connection.rest(this.#options.keepAliveMs)
      return this.#tellRoom()
    }
    connection.rest(this.#options.keepAliveMs)
    this.#idle.push(connection)
    this.#tellRoom()
  }

  closed(connection: UpstreamConnection): void {
    this.#count(-1)
    connection.onGone?.()
    connection.privates?.remove(connection)
    this.#idlePrivate.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** No plan names this endpoint any more: idle connections go now, busy ones when they are done. */
  retire(): void {
    this.#retired = true
    for (const connection of [...this.#idle.splice(0), ...this.#idlePrivate]) connection.wire.destroy()
  }

  /** Closes an idle one: of those that are for one client only, or else of all, the one that has been idle longest. False: there is none. */
  dropIdle(): boolean {
    const [own] = this.#idlePrivate
    const connection = own ?? this.#idle.shift()
    if (connection === undefined) return false
    this.#idlePrivate.delete(connection)
    connection.wire.destroy()
    return true
  }

  /** `onRoom` is called whenever a connection is idle again, or one less is open. */
  watch(onRoom: () => void): void {
    this.#watchers ??= new Set()
    this.#watchers.add(onRoom)
  }

  unwatch(onRoom: () => void): void {
    this.#watchers?.delete(onRoom)
    if (this.#watchers?.size === 0) this.#watchers = null
  }

  #count(change: 1 | -1): void {
    this.open += change
    this.#environment.counted(change)
    if (change === -1) this.#tellRoom()
  }

  #tellRoom(): void {
    if (this.#watchers !== null) for (const onRoom of this.#watchers) onRoom()
  }
}
