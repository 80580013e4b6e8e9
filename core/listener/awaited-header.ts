/**
 * One connection to a listener with `proxyProtocol: 'require'`, from the accept until its header of the PROXY protocol is read. What
 * follows the header goes to whoever takes the connection over, nothing lost. No header, no connection.
 */
import type { Accepted } from '../connection/home.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { HandshakeFailure } from '../events.ts'
import { type ProxyHeader, readProxyHeader } from '../net/proxy-protocol.ts'
import type { AcceptedWire, WireOwner } from '../net/wire.ts'

export interface AwaitedHeaderHome {
  /** The wire is the home's from now on. `rest`: what was read behind the header. */
  headerRead(awaited: AwaitedHeader, header: ProxyHeader, rest: Buffer): void
  /** `connectionClosed` follows. */
  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void
  connectionClosed(awaited: AwaitedHeader): void
}

export interface AwaitedHeaderOptions {
  readonly deadlines: Deadlines
  readonly limitMs: number
}

export class AwaitedHeader implements Accepted, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly wire: AcceptedWire
  readonly #home: AwaitedHeaderHome
  readonly #deadlines: Deadlines
  #held: Buffer | null = null
  #failed = false
  #over = false

  constructor(wire: AcceptedWire, home: AwaitedHeaderHome, { deadlines, limitMs }: AwaitedHeaderOptions) {
    this.wire = wire
    this.#home = home
    this.#deadlines = deadlines
    this.dueAt = deadlines.in(limitMs)
    deadlines.add(this)
    wire.owner = this
    wire.resume()
  }

  /** It may still become a connection, which then drains. */
  drain(): void {}

  destroy(): void {
    this.#failed = true
    this.wire.destroy()
  }

  onDeadline(): void {
    this.#fail('timeout', null)
  }

  onBytes(bytes: Buffer, length: number): void {
    const fresh = bytes.subarray(0, length)
    const held = this.#held === null ? Buffer.from(fresh) : Buffer.concat([this.#held, fresh])
    this.#held = held
    const header = readProxyHeader(held, held.length)
    if (header === null) return
    if (header === 'malformed') return this.#fail('proxy_header', null)
    this.#end()
    this.#home.headerRead(this, header, held.subarray(header.end))
  }

  onDrain(): void {}

  onEnd(): void {
    this.#fail('gone', null)
  }

  onClose(error: string | null): void {
    if (this.#over) return
    this.#tell('gone', error)
    this.#end()
    this.#home.connectionClosed(this)
  }

  #fail(why: HandshakeFailure, detail: string | null): void {
    this.#tell(why, detail)
    this.wire.destroy()
  }

  #tell(why: HandshakeFailure, detail: string | null): void {
    if (this.#failed) return
    this.#failed = true
    this.#home.handshakeFailed(why, detail, this.wire.remoteAddress)
  }

  #end(): void {
    this.#over = true
    this.#deadlines.remove(this)
  }
}
