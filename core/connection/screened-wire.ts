/**
 * The client's wire of a tunnel on the forward side, whose first bytes are looked at: the name that a TLS hello asks for may be one that
 * is not to be reached, whatever address the tunnel was asked for. Until that is known nothing of the client goes on; what is no TLS, and
 * all that follows, passes as it is.
 */
import type { Refusal } from '../forward/access.ts'
import type { Blocks } from '../forward/blocks.ts'
import { blockedBy } from '../http/forwarding.ts'
import { type ClientHello, MAX_HELLO_BYTES, readClientHello } from '../net/client-hello.ts'
import { PassingWire } from '../net/passing-wire.ts'
import type { Wire } from '../net/wire.ts'

export interface Screen {
  readonly blocks: Blocks
  /** What else there may be against it. */
  readonly refuses?: (hello: ClientHello) => Refusal | null
  /** The client asks for this server by TLS, in lower case; null: for none by name. With a refusal the wire is reset. */
  readonly asked: (serverName: string | null, refused: Refusal | null) => void
}

export function screened(wire: Wire, screen: Screen): Wire {
  return new ScreenedWire(wire, screen)
}

const NOTHING = Buffer.alloc(0)

class ScreenedWire extends PassingWire {
  /** Both null once it is known: a tunnel holds no lists. */
  #screen: Screen | null
  #held: Buffer | null = NOTHING

  constructor(wire: Wire, screen: Screen) {
    super(wire)
    this.#screen = screen
  }

  /** What was held is its own; after that it is the carrier's word. */
  get lends(): boolean {
    return this.#held !== null || this.wire.lends
  }
  resume(): void {
    this.wire.resume()
  }
  pause(): void {
    this.wire.pause()
  }
  expectBulk(): void {
    this.wire.expectBulk()
  }
  leaveBuffer(): void {
    this.wire.leaveBuffer()
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#held === null) return this.owner.onBytes(bytes, length)
    const held = Buffer.concat([this.#held, bytes.subarray(0, length)])
    this.#held = held
    if (looksLikeTls(held)) {
      const hello = held.length > MAX_HELLO_BYTES ? 'too_large' : readClientHello(held, held.length)
      if (hello === null) return
      // What no server would understand is nothing to keep from one.
      const isRead = hello !== 'malformed' && hello !== 'too_large'
      if (isRead && !this.#mayPass(hello, this.#screen!)) {
        this.#held = null
        this.#screen = null
        return this.reset()
      }
    }
    this.#passOn()
  }

  onEnd(): void {
    this.#passOn()
    if (!this.closed) this.owner.onEnd()
  }

  #mayPass(hello: ClientHello, { blocks, asked, refuses }: Screen): boolean {
    const name = hello.serverName === null ? null : hello.serverName.toLowerCase().replace(/\.$/, '')
    const refused = (name === null ? null : blockedBy(blocks, name)) ?? refuses?.(hello) ?? null
    asked(name, refused)
    return refused === null
  }

  #passOn(): void {
    const held = this.#held
    if (held === null) return
    if (held.length > 0) this.owner.onBytes(held, held.length)
    this.#held = null
    this.#screen = null
    // From now on it is in nobody's way.
    if (!this.closed) this.wire.owner = this.owner
  }
}

/** RFC 8446 §5.1: a record of the type handshake, of whatever version 3. */
function looksLikeTls(bytes: Buffer): boolean {
  return bytes[0] === 22 && (bytes.length < 2 || bytes[1] === 3)
}
