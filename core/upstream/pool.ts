/**
 * Idle connections to one endpoint, the latest used first, so that the others can age out. The key is what makes two connections
 * interchangeable: address and TLS identity, never the upstream's name alone.
 */
import type { Deadlines } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { EndpointPlan } from '../plan/plan.ts'
import { UpstreamConnection } from './connection.ts'
import { type Dial, dial as dialEndpoint, type Origination } from './dial.ts'
import type { DnsCache } from './dns.ts'

export interface PoolOptions {
  readonly target: EndpointPlan['target']
  readonly tls: Origination | null
  readonly connectMs: number
  readonly keepAliveMs: number
  readonly maxIdle: number
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

  /** An idle connection, or null. */
  take(): UpstreamConnection | null {
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) return null
      if (!connection.wire.closed) return connection
    }
  }

  /** Opens a connection; `done` is called once, unless given up by the function returned. */
  dial(done: Opened, alpn?: readonly string[]): () => void {
    const { dns, deadlines, dial = dialEndpoint } = this.#environment
    const wait = { dueAt: deadlines.in(this.#options.connectMs), slot: -1, onDeadline: () => timedOut() }
    this.#count(1)
    deadlines.add(wait)
    const asked = { target: this.#options.target, tls: this.#options.tls, dns, ...(alpn === undefined ? {} : { alpn }) }
    const abort = dial(asked, (wire, error, detail) => {
      deadlines.remove(wait)
      if (wire !== null) return done(new UpstreamConnection(wire, this, deadlines), null, null)
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

  release(connection: UpstreamConnection): void {
    if (this.#retired || this.#idle.length >= this.#options.maxIdle) return connection.wire.destroy()
    connection.rest(this.#options.keepAliveMs)
    this.#idle.push(connection)
  }

  closed(connection: UpstreamConnection): void {
    this.#count(-1)
    connection.onGone?.()
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** No plan names this endpoint any more: idle connections go now, busy ones when they are done. */
  retire(): void {
    this.#retired = true
    for (const connection of this.#idle.splice(0)) connection.wire.destroy()
  }

  #count(change: 1 | -1): void {
    this.open += change
    this.#environment.counted(change)
  }
}
