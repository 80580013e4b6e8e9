/**
 * Connections to endpoints that speak for one connection of a client, serve its exchanges alone, and end with it: they began with a PROXY
 * header, or credentials were sent on them that count for all that follows.
 */
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import type { UpstreamConnection } from './connection.ts'

export class PrivateConnections {
  /** Of the client's connection. */
  readonly facts: () => ProxyFacts
  /** As many as their pools let be idle. */
  readonly #idle: { readonly connection: UpstreamConnection; readonly pool: object }[] = []
  #closed = false

  constructor(facts: () => ProxyFacts) {
    this.facts = facts
  }

  has(pool: object): boolean {
    return this.#idle.some((one) => one.pool === pool && !one.connection.wire.closed)
  }

  /** The one used last of those that the pool opened, or null. */
  take(pool: object): UpstreamConnection | null {
    const at = this.#idle.findLastIndex((one) => one.pool === pool && !one.connection.wire.closed)
    return at < 0 ? null : this.#idle.splice(at, 1)[0]!.connection
  }

  /** False: the client is gone. */
  keep(connection: UpstreamConnection, pool: object): boolean {
    if (!this.#closed) this.#idle.push({ connection, pool })
    return !this.#closed
  }

  remove(connection: UpstreamConnection): void {
    const at = this.#idle.findIndex((one) => one.connection === connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  close(): void {
    this.#closed = true
    for (const { connection } of this.#idle.splice(0)) connection.wire.destroy()
  }
}
