/**
 * A client's connection while its server is looked at first: by a connection that is verified, and then lent to the first request. Whatever comes of it, or if
 * it takes too long, the client goes on: what is wrong with its server is said where it can be read, in the answer to its request.
 */
import type { Accepted } from '../connection/home.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { AcceptedWire, WireOwner } from '../net/wire.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Acquirer, Upstream } from '../upstream/upstream.ts'

/** The client waits for its handshake meanwhile. */
const LIMIT_MS = 5_000

export interface ServerLookHome {
  /** The wire is paused, and the home's. */
  looked(look: ServerLook): void
  /** The client left meanwhile. */
  gone(look: ServerLook): void
}

export class ServerLook implements Accepted, Acquirer, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  /** One that was kept has shown its certificate already, to somebody else. */
  readonly takesKept = false
  readonly #wire: AcceptedWire
  readonly #upstream: Upstream
  readonly #home: ServerLookHome
  readonly #deadlines: Deadlines
  #giveUp: (() => void) | null = null
  #isOver = false

  /** `wire`: paused. */
  constructor(wire: AcceptedWire, upstream: Upstream, home: ServerLookHome, deadlines: Deadlines) {
    this.#wire = wire
    this.#upstream = upstream
    this.#home = home
    this.#deadlines = deadlines
    this.dueAt = deadlines.in(LIMIT_MS)
    wire.owner = this
  }

  /** Apart from making it, for it may be over at once. */
  start(): void {
    this.#deadlines.add(this)
    const giveUp = this.#upstream.dial(this.#upstream.endpoints[0]!, this, null)
    if (!this.#isOver) this.#giveUp = giveUp
  }

  drain(): void {}

  destroy(): void {
    this.#wire.destroy()
  }

  onConnected(connection: UpstreamConnection): void {
    this.#upstream.endpoints[0]!.pool.release(connection)
    this.#done()
  }

  onDialFailed(): void {
    this.#done()
  }

  onWaiting(): void {}

  onDeadline(): void {
    this.#giveUp?.()
    this.#done()
  }

  onBytes(): void {}
  onDrain(): void {}
  onEnd(): void {}

  onClose(): void {
    if (this.#isOver) return
    this.#end()
    this.#giveUp?.()
    this.#home.gone(this)
  }

  #done(): void {
    if (this.#isOver) return
    this.#end()
    this.#home.looked(this)
  }

  #end(): void {
    this.#isOver = true
    this.#deadlines.remove(this)
  }
}
