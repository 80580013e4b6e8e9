/** A connection that may be of HTTP, of SOCKS or of something else, until its first byte tells. */
import type { Accepted } from '../connection/home.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { AcceptedWire, WireOwner } from '../net/wire.ts'

export interface FirstByteHome {
  /** The wire is the home's. The bytes are valid inside the call only. */
  firstRead(stage: FirstByte, bytes: Buffer): void
  connectionClosed(stage: FirstByte): void
}

/** What is known of a connection when its first byte has told. */
export interface FirstRead {
  /** Valid inside the call only. */
  readonly early: Buffer
  /** What came before everything else; null: nothing did. */
  readonly header: ProxyHeader | null
}

/** As for clients of HTTP that keep a connection and ask nothing. */
const DRAIN_IDLE_MS = 1_000

export class FirstByte implements Accepted, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly wire: AcceptedWire
  /** What came before; null: nothing did. */
  readonly header: ProxyHeader | null
  readonly #home: FirstByteHome
  readonly #deadlines: Deadlines

  constructor(
    wire: AcceptedWire,
    home: FirstByteHome,
    { deadlines, limitMs, header }: { readonly deadlines: Deadlines; readonly limitMs: number; readonly header: ProxyHeader | null },
  ) {
    this.wire = wire
    this.header = header
    this.#home = home
    this.#deadlines = deadlines
    this.dueAt = deadlines.in(limitMs)
    deadlines.add(this)
    wire.owner = this
    wire.resume()
  }

  drain(): void {
    this.dueAt = Math.min(this.dueAt, this.#deadlines.in(DRAIN_IDLE_MS))
  }

  destroy(): void {
    this.wire.destroy()
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#deadlines.remove(this)
    this.#home.firstRead(this, bytes.subarray(0, length))
  }

  onDrain(): void {}

  onEnd(): void {
    this.wire.destroy()
  }

  /** It has said nothing, and is told nothing. */
  onDeadline(): void {
    this.wire.destroy()
  }

  onClose(): void {
    this.#deadlines.remove(this)
    this.#home.connectionClosed(this)
  }
}

/** A method begins with a letter, but for those that nobody uses; empty lines may come before it (RFC 9112 §2.2). */
export function isHttp(bytes: Uint8Array): boolean {
  const [first = 0] = bytes
  return first === 13 || first === 10 || (first >= 65 && first <= 90) || (first >= 97 && first <= 122)
}

/** Nothing of HTTP begins with the number of a version of SOCKS. */
export function isSocks(bytes: Uint8Array): boolean {
  return bytes[0] === 4 || bytes[0] === 5
}
