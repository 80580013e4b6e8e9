/** A stream of HTTP/2 as a wire, for what relays bytes: a WebSocket over HTTP/2 (RFC 8441) is the tunnel that it is over HTTP/1. */
import type { Deadlines } from '../deadlines.ts'
import type { RelayedMessages } from '../http/message-hooks.ts'
import { cutFor, type TunnelEnded } from '../http/tunnel-end.ts'
import { ERROR } from '../net/http2/frame.ts'
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import { nobody, type Wire, type WireOwner } from '../net/wire.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Http2Stream } from './http2-stream.ts'
import type { StreamRelay } from './http2-stream-home.ts'
import { MessageRelay } from './message-relay.ts'
import { Tunnel } from './tunnel.ts'

export interface StreamTunnelOptions {
  /** Came with the endpoint's answer. */
  readonly rest: Buffer
  /** Called once, when both sides are closed. */
  readonly ended: TunnelEnded
  readonly messages: RelayedMessages | null
  readonly deadlines: Deadlines
  readonly idleMs: number
}

export function relayStream(stream: Http2Stream, upstream: UpstreamConnection, options: StreamTunnelOptions): void {
  const { rest, messages, deadlines, idleMs } = options
  const wire = new StreamWire(stream)
  const ended: TunnelEnded = (fromClient, fromEndpoint, why) => {
    upstream.left()
    options.ended(fromClient, fromEndpoint, why)
  }
  if (messages !== null) {
    new MessageRelay({ client: wire, upstream: upstream.wire }, { deadlines, idleMs, ended, messages, early: NOTHING, rest })
    return
  }
  if (rest.length > 0) wire.write('', rest, 0, rest.length)
  new Tunnel(
    { left: wire, right: upstream.wire },
    {
      deadlines,
      idleMs,
      meter: null,
      ended: (fromClient, fromEndpoint, cut) => ended(fromClient, fromEndpoint + rest.length, cutFor(cut)),
    },
  )
}

const NOTHING = Buffer.alloc(0)

class StreamWire implements Wire, StreamRelay {
  owner: WireOwner = nobody
  /** Each read is a buffer of its own. */
  readonly lends = true
  closed = false
  congested = false
  readonly #stream: Http2Stream

  constructor(stream: Http2Stream) {
    this.#stream = stream
    stream.relayTo(this)
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress
  }

  get remotePort(): number {
    return this.#stream.remotePort
  }

  facts(): ProxyFacts {
    return this.#stream.facts()
  }

  writeText(text: string): boolean {
    return this.#wrote(this.closed || this.#stream.sendBody(text, NOTHING, 0, 0))
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    return this.#wrote(this.closed || this.#stream.sendBody(text, bytes, from, to))
  }

  #wrote(isFlowing: boolean): boolean {
    if (!isFlowing) this.congested = true
    return isFlowing
  }

  resume(): void {
    if (!this.closed) this.#stream.resumeBody()
  }

  pause(): void {
    if (!this.closed) this.#stream.pauseBody()
  }

  expectBulk(): void {}

  leaveBuffer(): void {}

  end(): void {
    if (!this.closed) this.#stream.endRelay()
  }

  finish(): void {
    this.end()
  }

  destroy(): void {
    this.#end(null, ERROR.none)
  }

  reset(): void {
    this.#end(null, ERROR.connect)
  }

  #end(error: string | null, code: number): void {
    if (this.closed) return
    this.closed = true
    this.#stream.closeRelay(code)
    this.owner.onClose(error)
  }

  // ── of the stream ────────────────────────────────────────────────────────────────────────────────────────────────

  onBytes(bytes: Buffer): void {
    this.owner.onBytes(bytes, bytes.length)
  }

  onEnd(): void {
    this.owner.onEnd()
  }

  onDrain(): void {
    if (!this.congested) return
    this.congested = false
    this.owner.onDrain()
  }

  onGone(error: string | null): void {
    if (this.closed) return
    this.closed = true
    this.owner.onClose(error)
  }
}
