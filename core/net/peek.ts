/**
 * The first bytes of an accepted wire: reads just enough of them to tell what it speaks, and hands them on with the wire, nothing
 * lost. Only listeners that have to choose go through here; for the others it costs nothing.
 */
import { nobody, type Wire, type WireOwner } from './wire.ts'

/** `unknown`: nothing that this proxy speaks starts like that. */
export type Protocol = 'tls' | 'http2' | 'http1' | 'unknown'

const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
/** ContentType handshake of RFC 8446 §5.1; no HTTP method starts with it. */
const TLS_HANDSHAKE = 0x16

/** What bytes [0, length) are the start of; null if that takes more of them, which it does for a part of the HTTP/2 preface only. */
export function recognise(bytes: Uint8Array, length: number): Protocol | null {
  if (length === 0) return null
  if (bytes[0] === TLS_HANDSHAKE) return 'tls'
  const shared = sharedWithPreface(bytes, length)
  if (shared === HTTP2_PREFACE.length) return 'http2'
  if (shared === length) return null
  return startsHttp1(bytes[0]!) ? 'http1' : 'unknown'
}

export interface PeekResult {
  /** The wire is paused, and nobody's. `bytes`: all that was read, a copy. */
  onRecognised(protocol: Protocol, bytes: Buffer): void
  /** It closed before; it is destroyed. */
  onGone(error: string | null): void
}

/** Starts reading; the deadline is the caller's. */
export function peek(wire: Wire, result: PeekResult): void {
  const look = (bytes: Buffer): Protocol | null => recognise(bytes, bytes.length)
  readUntil(wire, { look, onFound: (protocol, bytes) => result.onRecognised(protocol, bytes), onGone: (error) => result.onGone(error) })
}

export interface Sought<T> {
  /** In all that was read; null if that takes more of it. */
  look(bytes: Buffer): T | null
  /** As `onRecognised`. */
  onFound(found: T, bytes: Buffer): void
  onGone(error: string | null): void
}

/** Reads until something is found. `held`: what was read before, without it. */
export function readUntil<T>(wire: Wire, sought: Sought<T>, held: Buffer | null = null): void {
  wire.owner = new Search(wire, sought, held)
  wire.resume()
}

class Search<T> implements WireOwner {
  readonly #wire: Wire
  readonly #sought: Sought<T>
  #held: Buffer | null

  constructor(wire: Wire, sought: Sought<T>, held: Buffer | null) {
    this.#wire = wire
    this.#sought = sought
    this.#held = held
  }

  onBytes(bytes: Buffer, length: number): void {
    const fresh = bytes.subarray(0, length)
    const held = this.#held === null ? Buffer.from(fresh) : Buffer.concat([this.#held, fresh])
    this.#held = held
    const found = this.#sought.look(held)
    if (found === null) return
    this.#wire.pause()
    this.#wire.owner = nobody
    this.#sought.onFound(found, held)
  }

  onDrain(): void {}

  onEnd(): void {
    this.#wire.destroy()
  }

  onClose(error: string | null): void {
    this.#sought.onGone(error)
  }
}

function sharedWithPreface(bytes: Uint8Array, length: number): number {
  const most = Math.min(length, HTTP2_PREFACE.length)
  let shared = 0
  while (shared < most && bytes[shared] === HTTP2_PREFACE[shared]) shared++
  return shared
}

/** A method is a token; empty lines may come before it (RFC 9112 §2.2). */
function startsHttp1(byte: number): boolean {
  return byte === 13 || byte === 10 || /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte))
}
