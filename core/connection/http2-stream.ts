/**
 * One stream of an HTTP/2 connection: reads a request's body, strictly, and writes what its exchange answers. What goes wrong ends this
 * stream alone, with an answer while there can be one and a reset after that. Until somebody takes a body no more of it is kept than the
 * window that the client was given.
 */
import type { Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { Downstream, HopMemo, TunnelLooks } from '../http/downstream.ts'
import { Exchange } from '../http/exchange.ts'
import type { GrantedTunnel, Inside } from '../http/interception.ts'
import type { Service } from '../http/service.ts'
import type { TunnelEnded } from '../http/tunnel-end.ts'
import { passableTrailers } from '../net/http1/chunked.ts'
import { RequestHead, type ResponseHead } from '../net/http1/head.ts'
import { ERROR } from '../net/http2/frame.ts'
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import { httpDate } from './http-date.ts'
import { ReceivingStream } from './http2-receiving.ts'
import type { StreamHome, StreamRelay } from './http2-stream-home.ts'
import { relayStream } from './http2-tunnel.ts'
import { acceptOf, newKey } from './websocket-key.ts'

/** What RFC 9113 §8.1.1 calls malformed; the rest is well-formed, and refused. */
const MALFORMED: ReadonlySet<ErrorCode> = new Set(['bad_request', 'bad_host', 'bad_framing', 'bad_body'])

export class Http2Stream extends ReceivingStream implements Downstream, Timed {
  readonly protocol = 'HTTP/2'
  /** HTTP/2 frames by itself. */
  readonly passesFraming = false
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  declare protected readonly home: StreamHome
  /** It carries a WebSocket. */
  isTunnel = false
  readonly #service: Service
  #exchange: Exchange | null = null
  #relay: StreamRelay | null = null
  #isClosed = false
  #isMalformed = false

  /** How the request's body goes on to the endpoint. */
  #framing: 'fixed' | 'chunked' = 'fixed'
  /** Bytes announced and not received yet, or that may still come. */
  #left = 0
  /** Bytes of the body so far. */
  #read = 0
  /** Ends the chunk before. */
  #chunkEnd = ''
  #trailers = ''

  /** The response has a body. */
  #writing = false
  #sendsTrailers = false
  /** The key that was made for an endpoint; `''`: no WebSocket was asked for. */
  #key = ''

  constructor(id: number, home: StreamHome, window: number, { service, ended }: { readonly service: Service; readonly ended: boolean }) {
    super(id, home, { window, ended })
    this.#service = service
    service.deadlines.add(this)
  }

  get peer(): string {
    return this.home.peer
  }
  get scheme(): 'http' | 'https' {
    return this.home.scheme
  }
  get memo(): HopMemo {
    return this.home.memo
  }
  get privates(): PrivateConnections {
    return this.home.privates
  }
  get hasPrivates(): boolean {
    return this.home.hasPrivates
  }
  get inside(): Inside | null {
    return this.home.inside
  }
  get certificateLines(): string {
    return this.home.secured === null ? '' : this.home.secured.lines
  }
  get original(): Downstream['original'] {
    return this.home.original
  }
  get remoteAddress(): string {
    return this.home.remoteAddress
  }
  get remotePort(): number {
    return this.home.remotePort
  }
  facts(): ProxyFacts {
    return this.home.facts()
  }
  /** There is no CONNECT but to WebSockets. */
  grantTunnel(_: ResponseHead, tunnel: GrantedTunnel): void {
    tunnel.ended(0, 0)
    this.abort()
  }
  isMisdirected(host: string): boolean {
    return this.home.isMisdirected(host)
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  begin(head: RequestHead | ErrorCode): void {
    if (typeof head === 'string') return this.#refuse(head)
    if (head.contentLength > this.#service.listener.limits.bodyBytes) return this.#refuse('body_too_large')
    if (this.home.secured !== null) head.clientCertificate = this.home.secured.certificate
    const exchange = new Exchange(this.#service, this, head, this.#service.nextSerial())
    this.#exchange = exchange
    if (head.upgrade !== null) this.#expectTunnel(head)
    else if (!this.hasEnded) this.#expectBody(head)
    exchange.begin('', null, this.hasEnded || head.upgrade !== null)
  }

  #refuse(wrong: ErrorCode): void {
    this.#isMalformed = MALFORMED.has(wrong)
    const head = new RequestHead('', 0, '-', 1)
    head.path = ''
    this.#exchange = new Exchange(this.#service, this, head, this.#service.nextSerial())
    this.#exchange.refuse(wrong, null)
  }

  #expectBody({ contentLength }: RequestHead): void {
    const chunked = contentLength === -1
    this.isReading = true
    this.#framing = chunked ? 'chunked' : 'fixed'
    this.#left = chunked ? this.#service.listener.limits.bodyBytes : contentLength
  }

  /** RFC 8441 §5: over HTTP/2 there is no key, and endpoints want one. */
  #expectTunnel(head: RequestHead): void {
    this.isReading = true
    this.#key = newKey()
    head.set('Sec-WebSocket-Key', this.#key)
  }

  /** Null: malformed. */
  onTrailers(lines: string | null): void {
    if (lines === null) {
      this.endReceiving()
      this.#rejectBody('bad_body')
    } else {
      this.#trailers = passableTrailers(lines)
      this.onLast()
    }
  }

  pauseBody(): void {
    if (!this.isReading) return
    this.pause()
    this.dueAt = Number.POSITIVE_INFINITY
  }

  /** What is kept is a buffer of its own. */
  bodyTaken(): void {}

  resumeBody(): void {
    if (!this.isReading) return
    if (this.#relay === null) this.dueAt = this.#in(this.#service.listener.timeouts.requestBodyIdle)
    this.resume()
  }

  protected take(bytes: Buffer, from: number, to: number, lent: boolean): void {
    if (this.#relay !== null) return this.#relay.onBytes(lent ? bytes : Buffer.from(bytes.subarray(from, to)))
    const exchange = this.#exchange
    if (exchange === null) return
    const isChunked = this.#framing === 'chunked'
    this.#left -= to - from
    this.#read += to - from
    if (this.#read > exchange.request.mostBody) return this.#rejectBody('body_too_large')
    if (this.#left < 0) return this.#rejectBody(isChunked ? 'body_too_large' : 'bad_framing')
    this.dueAt = this.#in(this.#service.listener.timeouts.requestBodyIdle)
    let prefix = ''
    if (isChunked) {
      prefix = `${this.#chunkEnd}${(to - from).toString(16)}\r\n`
      this.#chunkEnd = '\r\n'
    }
    if (!exchange.pushBody(prefix, bytes, from, to, lent)) this.pauseBody()
  }

  protected takeEnd(): void {
    if (this.#relay === null && this.#exchange === null) return
    const isChunked = this.#framing === 'chunked'
    if (this.#relay === null && !isChunked && this.#left > 0) return this.#rejectBody('bad_framing')
    this.isReading = false
    if (this.#relay !== null) return this.#relay.onEnd()
    this.dueAt = Number.POSITIVE_INFINITY
    this.#exchange!.endBody(isChunked ? `${this.#chunkEnd}0\r\n${this.#trailers}\r\n` : '')
  }

  #rejectBody(wrong: ErrorCode): void {
    this.stopReading()
    this.#isMalformed = MALFORMED.has(wrong)
    this.#exchange?.rejectBody(wrong, null)
    this.home.faulted()
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────────────────────────

  get congested(): boolean {
    return !this.isSendable
  }

  sendInformational(head: ResponseHead): void {
    // It stands for a change of protocols, which HTTP/2 has no need of (RFC 9113 §8.6).
    if (this.#isClosed || head.status === 101) return
    this.sendHeaders(this.home.encoder.encode(head.status, head.lines()), false, -1)
  }

  sendHead(head: ResponseHead, length: number, answersHead: boolean): void {
    if (this.#isClosed) return
    // A client would take what follows for its WebSocket (RFC 8441 §5).
    if (this.#key !== '' && head.status >= 200 && head.status < 300) return this.#reset(ERROR.connect)
    if (head.status === 204) head.delete('content-length')
    if (!head.hasDate) head.addLines(`Date: ${httpDate()}\r\n`)
    const bodyless = answersHead || head.status === 204 || head.status === 304 || length === 0
    this.#writing = !bodyless
    // Only where an HTTP/1.1 endpoint could send any.
    this.#sendsTrailers = this.#writing && length === -1
    this.sendHeaders(this.home.encoder.encode(head.status, head.lines()), bodyless, length < 0 ? -1 : length)
  }

  sendBody(prefix: string, bytes: Buffer, from: number, to: number): boolean {
    if (!this.#writing || this.#isClosed) return true
    if (prefix !== '') this.sendDataText(prefix)
    if (to > from) this.sendData(bytes, from, to)
    return this.flush()
  }

  sendText(text: string): void {
    if (this.#writing && !this.#isClosed && text !== '') this.sendDataText(text)
  }

  endBody(trailers: string): void {
    if (!this.#writing || this.#isClosed) return
    this.sendEnd(this.#sendsTrailers && trailers !== '' ? this.home.encoder.encode(0, trailers) : '')
  }

  flush(): boolean {
    if (this.isSendable || this.#isClosed) return true
    this.home.wait(this)
    this.dueAt = this.#in(this.#service.listener.timeouts.sendIdle)
    return false
  }

  finished(): void {
    this.#exchange = null
    this.stopReading()
    if (this.hasSentAll) this.#close()
    else this.dueAt = this.#in(this.#service.listener.timeouts.sendIdle)
  }

  abort(): void {
    this.#exchange = null
    this.#reset(ERROR.internal)
  }

  /** An endpoint has accepted a WebSocket, which goes on as the bytes of this stream (RFC 8441 §5). */
  becomeTunnel(head: ResponseHead, upstream: UpstreamConnection, rest: Buffer, ended: TunnelEnded, looks: TunnelLooks | null): void {
    this.#exchange = null
    if (head.get('sec-websocket-accept') !== acceptOf(this.#key)) {
      upstream.wire.destroy()
      upstream.left()
      this.#reset(ERROR.connect)
      return ended(0, 0, { reason: 'upgrade_failed', detail: 'with another Sec-WebSocket-Accept', decidedBy: null })
    }
    head.delete('sec-websocket-accept')
    this.sendHeaders(this.home.encoder.encode(200, head.lines()), false, -1)
    this.dueAt = Number.POSITIVE_INFINITY
    this.isTunnel = true
    this.home.becameTunnel()
    const { tunnelIdle: idleMs } = this.#service.listener.timeouts
    const messages = looks?.kind === 'messages' ? looks.messages : null
    relayStream(this, upstream, { rest, ended, messages, deadlines: this.#service.deadlines, idleMs })
  }

  // ── a tunnel's side ──────────────────────────────────────────────────────────────────────────────────────────────

  /** What comes and goes from now on is the relay's. */
  relayTo(relay: StreamRelay): void {
    this.#relay = relay
    this.#writing = true
  }

  /** Nothing more is sent. */
  endRelay(): void {
    if (!this.#isClosed) this.sendEnd('')
  }

  /** `error`: what the client is told if it has not all been said yet. */
  closeRelay(error: number): void {
    this.#relay = null
    this.#reset(this.hasSentAll || error !== ERROR.none ? error : ERROR.cancel)
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  protected drained(): void {
    if (this.#relay !== null) return this.#relay.onDrain()
    if (this.#exchange === null) return
    this.dueAt = Number.POSITIVE_INFINITY
    this.#exchange.onReceivable()
  }

  /** An exchange that is still there says by `finished` that it is over. */
  protected sentAll(): void {
    if (this.#exchange === null && (this.#relay === null || !this.isReading)) this.#close()
  }

  onDeadline(): void {
    const exchange = this.#exchange
    if (exchange !== null && this.isReading && !exchange.replying) {
      this.stopReading()
      return exchange.rejectBody('request_timeout', 'body idle')
    }
    this.#exchange = null
    exchange?.abandon('client_gone', 'it takes nothing')
    this.#reset(ERROR.cancel)
  }

  /** The client has reset it, or its connection is gone. */
  gone(code: ErrorCode, detail: string | null): void {
    const [exchange, relay] = [this.#exchange, this.#relay]
    this.#exchange = null
    this.#relay = null
    this.endReceiving()
    this.dropQueue()
    this.#leave()
    exchange?.abandon(code, detail)
    relay?.onGone(detail)
  }

  /** Instead of `begin`: there is only something to be told. */
  neverBegan(code: ErrorCode, detail: string): void {
    const head = new RequestHead('', 0, '-', 1)
    head.path = ''
    this.#exchange = new Exchange(this.#service, this, head, this.#service.nextSerial())
    this.gone(code, detail)
  }

  protected bothEnded(): void {
    if (this.#exchange === null) this.#leave()
  }

  /**
   * RFC 9113 §8.1: who has answered before the end of the request wants no more of it, and says so. §8.1.1: a malformed one is an error of its
   * stream, whatever it was answered.
   */
  #close(): void {
    if (!this.#isMalformed && this.hasEnded) return this.#leave()
    this.home.reset(this, this.#isMalformed ? ERROR.protocol : ERROR.none)
    this.#leave()
  }

  #reset(error: number): void {
    if (this.#isClosed) return
    if (!this.hasSentAll || !this.hasEnded) this.home.reset(this, error)
    this.dropQueue()
    this.#leave()
  }

  #leave(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.stopReading()
    this.#service.deadlines.remove(this)
    this.home.streamClosed(this)
    const relay = this.#relay
    this.#relay = null
    relay?.onGone(null)
  }

  #in(ms: number): number {
    return this.#service.deadlines.in(ms)
  }
}
