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
  wire.owner = new Peek(wire, result)
  wire.resume()
}

class Peek implements WireOwner {
  readonly #wire: Wire
  readonly #result: PeekResult
  #held: Buffer | null = null

  constructor(wire: Wire, result: PeekResult) {
    this.#wire = wire
    this.#result = result
  }

  onBytes(bytes: Buffer, length: number): void {
    const fresh = bytes.subarray(0, length)
    const held = this.#held === null ? Buffer.from(fresh) : Buffer.concat([this.#held, fresh])
    this.#held = held
    const protocol = recognise(held, held.length)
    if (protocol === null) return
    this.#wire.pause()
    this.#wire.owner = nobody
    this.#result.onRecognised(protocol, held)
  }

  onDrain(): void {}

  onEnd(): void {
    this.#wire.destroy()
  }

  onClose(error: string | null): void {
    this.#result.onGone(error)
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
