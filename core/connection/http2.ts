/**
 * One HTTP/2 connection of a client, over node:http2: each stream becomes an exchange, the same one that HTTP/1 has. Reached by ALPN
 * `h2` alone.
 *
 * Not done yet: limits of our own on floods (resets, SETTINGS, PING, CONTINUATION; node's and nghttp2's hold), CONNECT and
 * WebSocket (RFC 8441), priorities, h2c. A field whose value is malformed is dropped by nghttp2
 * before anybody sees it, where §8.2.1 would have the request refused.
 */
import type http2 from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { HopMemo } from '../http/downstream.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Secured } from '../net/secured.ts'
import { factsOfSocket } from '../net/socket-wire.ts'
import { PrivateConnections } from '../upstream/private-connections.ts'
import { factsOf, peerOf } from './announced.ts'
import type { Accepted, ConnectionHome } from './home.ts'
import { Http2Stream, type StreamHome } from './http2-stream.ts'

const MAX_STREAMS = 128
/** Of a request body that nobody has taken yet, a stream. */
const WINDOW_BYTES = 256 * 1024
/** For what a client sent before it read our GOAWAY. */
const NOTICE_MS = 1000
const CLOSE_MS = 2000
const LAST_STREAM = 2 ** 31 - 1
/** Flag of a HEADERS frame (RFC 9113 §6.2). */
const END_STREAM = 0x1
const NO_ERROR = 0

export class Http2Connection implements Accepted, Timed, StreamHome {
  readonly peer: string
  readonly privates: PrivateConnections
  readonly secured: Secured
  readonly memo: HopMemo = { host: '', minor: 1, service: 0, lines: '' }
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #session: http2.ServerHttp2Session
  readonly #home: ConnectionHome
  readonly #deadlines: Deadlines
  #served = 0
  #open = 0
  /** RFC 9113 §6.8: first it is announced that there will be an end, then new streams are refused. */
  #state: 'open' | 'announced' | 'closing' = 'open'

  /** Takes over a socket whose handshake is just done, in the same turn. `header`: what came before it. */
  constructor(socket: TLSSocket, home: ConnectionHome, secured: Secured, header: ProxyHeader | null = null) {
    this.secured = secured
    this.#home = home
    const { deadlines, listener } = home.service
    this.#deadlines = deadlines
    this.peer = peerOf(socket.remoteAddress ?? '', header)
    this.privates = new PrivateConnections(() => factsOf(factsOfSocket(socket), header))
    // Half of a connection is of no use here: when the client ends its side, all of it ends.
    socket.allowHalfOpen = false
    this.#session = loadHttp2().performServerHandshake(socket, {
      settings: {
        ...{ maxConcurrentStreams: MAX_STREAMS, initialWindowSize: WINDOW_BYTES, enablePush: false },
        maxHeaderListSize: listener.limits.headBytes,
      },
      maxHeaderListPairs: listener.limits.fields + 4,
      // Of several values for a field that has one, the endpoint's first is as good as a broken response.
      strictSingleValueFields: false,
    })
    this.#session.on('stream', (stream, _fields, flags, raw) => this.#onStream(stream, flags, raw))
    // What is wrong with a connection ends it; its streams are told by their own `close`.
    this.#session.on('error', () => {})
    this.#session.on('close', () => this.#closed())
    deadlines.add(this)
    this.dueAt = this.#in(listener.timeouts.requestHead)
  }

  drain(): void {
    this.#announceEnd()
  }

  isMisdirected(host: string): boolean {
    return this.#home.isMisdirected(host, this.secured.rule)
  }

  destroy(): void {
    this.#session.destroy()
  }

  /** Nothing was asked for too long, or the end was announced long enough ago. */
  onDeadline(): void {
    if (this.#state === 'open') this.#announceEnd()
    else if (this.#state === 'announced') this.#refuseMore()
    else this.destroy()
  }

  streamClosed(): void {
    this.#open--
    if (this.#open > 0) return
    if (this.#state === 'open') this.dueAt = this.#in(this.#home.service.listener.timeouts.keepAlive)
    if (this.#state === 'closing') this.dueAt = this.#in(CLOSE_MS)
  }

  #onStream(stream: http2.ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    const service = this.#home.service
    this.#open++
    this.#served++
    // Streams have deadlines of their own.
    if (this.#state === 'open') this.dueAt = Number.POSITIVE_INFINITY
    new Http2Stream(stream, service, this).begin(raw, (flags & END_STREAM) !== 0)
    if (this.#served >= service.listener.limits.requestsPerConnection) this.#announceEnd()
  }

  #announceEnd(): void {
    if (this.#state !== 'open' || this.#session.destroyed) return
    this.#state = 'announced'
    this.dueAt = this.#in(NOTICE_MS)
    this.#session.goaway(NO_ERROR, LAST_STREAM)
  }

  /** The session ends by itself after its last stream. */
  #refuseMore(): void {
    this.#state = 'closing'
    if (this.#open === 0) this.dueAt = this.#in(CLOSE_MS)
    this.#session.close()
  }

  #closed(): void {
    this.#deadlines.remove(this)
    this.privates.close()
    this.#home.connectionClosed(this)
  }

  #in(ms: number): number {
    return this.#deadlines.in(ms)
  }
}

/** A worker that serves no HTTP/2 does not pay the memory for it. */
function loadHttp2(): typeof http2 {
  return process.getBuiltinModule('node:http2')
}
