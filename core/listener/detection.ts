/**
 * One connection to a TCP listener until it is known what its client speaks: reads the first message of TLS as it comes, alters
 * nothing and answers nothing. What is no TLS is known by its first bytes; a client that says nothing is told from others by a deadline.
 */

import type { ConnectionHooks } from '../connection/connection-hooks.ts'
import type { Accepted } from '../connection/home.ts'
import type { TunnelFacts } from '../connection/tunnel-facts.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import { readClientHello } from '../net/client-hello.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { AcceptedWire, WireOwner } from '../net/wire.ts'
import type { Greeting } from '../route/tcp-table.ts'

export interface Detected {
  readonly wire: AcceptedWire
  readonly facts: TunnelFacts
  readonly hooks: ConnectionHooks | null
  /** What came before all that is told here; null: nothing did. */
  readonly header: ProxyHeader | null
  readonly greeting: Greeting
  /** All that was read. */
  readonly early: Buffer
  /** The client sends no more. */
  readonly hasEnded: boolean
}

export interface DetectionHome {
  /** The wire is paused, and the home's. */
  detected(detection: Detection, detected: Detected): void
  connectionClosed(detection: Detection): void
}

export interface DetectionOptions {
  readonly facts: TunnelFacts
  readonly hooks: ConnectionHooks | null
  readonly header: ProxyHeader | null
  readonly deadlines: Deadlines
  readonly limitMs: number
}

/** Most hellos, post-quantum keys and all. */
const FIRST_BYTES = 2048

export class Detection implements Accepted, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly #wire: AcceptedWire
  readonly #home: DetectionHome
  readonly #facts: TunnelFacts
  readonly #hooks: ConnectionHooks | null
  readonly #header: ProxyHeader | null
  readonly #deadlines: Deadlines
  #held = Buffer.alloc(0)
  #length = 0
  #isLate = false

  constructor(wire: AcceptedWire, home: DetectionHome, { facts, hooks, header, deadlines, limitMs }: DetectionOptions) {
    this.#wire = wire
    this.#home = home
    this.#facts = facts
    this.#hooks = hooks
    this.#header = header
    this.#deadlines = deadlines
    this.dueAt = deadlines.in(limitMs)
    deadlines.add(this)
    wire.owner = this
    wire.resume()
  }

  /** It may still become something that drains. */
  drain(): void {}

  destroy(): void {
    this.#wire.destroy()
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#hold(bytes, length)
    if (!looksLikeTls(this.#held, this.#length)) return this.#done('none', false)
    const hello = readClientHello(this.#held, this.#length)
    if (hello === 'malformed') return this.#fail('bad_hello', null)
    if (hello === 'too_large') return this.#fail('hello_too_large', null)
    if (hello !== null) this.#done({ ...hello, serverName: normalName(hello.serverName) }, false)
  }

  onDrain(): void {}

  onEnd(): void {
    if (this.#length === 0) this.#done('none', true)
    else this.#fail('client_gone', 'closed inside its TLS hello')
  }

  onDeadline(): void {
    if (!this.#isLate) {
      // What came while this process was busy is read first.
      this.#isLate = true
      this.dueAt = this.#deadlines.in(0)
      return
    }
    // Half a hello is TLS, and the name it asks for may stand in the other half.
    if (this.#length === 0) this.#done('none', false)
    else this.#fail('hello_timeout', null)
  }

  onClose(error: string | null): void {
    this.#deadlines.remove(this)
    this.#facts.end('client_gone', error)
    this.#hooks?.close()
    this.#home.connectionClosed(this)
  }

  #done(greeting: Greeting, hasEnded: boolean): void {
    const { wire, facts } = { wire: this.#wire, facts: this.#facts }
    this.#deadlines.remove(this)
    wire.pause()
    if (greeting !== 'none') {
      // What else is known of it says more.
      if (facts.protocol === 'TCP') facts.protocol = 'TLS'
      facts.sni = greeting.serverName
    }
    const early = this.#held.subarray(0, this.#length)
    this.#home.detected(this, { wire, facts, hooks: this.#hooks, header: this.#header, greeting, early, hasEnded })
  }

  #fail(code: ErrorCode, detail: string | null): void {
    this.#facts.bytesIn = this.#length
    this.#facts.end(code, detail)
    this.#wire.reset()
  }

  /** A hello may come byte by byte. */
  #hold(bytes: Buffer, length: number): void {
    const size = this.#length + length
    if (size > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(size, this.#held.length * 2, FIRST_BYTES))
      this.#held.copy(larger, 0, 0, this.#length)
      this.#held = larger
    }
    bytes.copy(this.#held, this.#length, 0, length)
    this.#length = size
  }
}

/** RFC 8446 §5.1: a record of the type handshake, of whatever version 3. */
function looksLikeTls(bytes: Buffer, length: number): boolean {
  return bytes[0] === 22 && (length < 2 || bytes[1] === 3)
}

/** Names are the same in any case; `example.com.` asks for the same server (RFC 6066 §3 leaves the dot out). */
function normalName(name: string | null): string | null {
  return name === null ? null : name.toLowerCase().replace(/\.$/, '')
}
