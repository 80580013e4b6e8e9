/**
 * One HTTP/1 connection of a client: reads requests strictly and in order, one exchange at a time, and writes what the exchange
 * answers. What is malformed ends this connection alone, with a status, and none of it goes on.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { Downstream, HopMemo, TunnelLooks } from '../http/downstream.ts'
import { Exchange } from '../http/exchange.ts'
import type { GrantedTunnel, Inside } from '../http/interception.ts'
import type { Service } from '../http/service.ts'
import type { TunnelEnded } from '../http/tunnel-end.ts'
import type { NamedDestination } from '../net/destination.ts'
import { RequestHead, type ResponseHead } from '../net/http1/head.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Secured } from '../net/secured.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { PrivateConnections } from '../upstream/private-connections.ts'
import { factsOf, peerOf } from './announced.ts'
import type { Accepted, ConnectionHome } from './home.ts'
import { openTunnel } from './http1-tunnel.ts'
import { Http1Writing } from './http1-writing.ts'
import { Received } from './received.ts'
import { RequestBody } from './request-body.ts'
import { factsOfGranted } from './tunnel-facts.ts'

/** `closing`: everything is answered, what the client still sends is thrown away until it closes. */
type State = 'head' | 'exchange' | 'closing' | 'tunnel' | 'closed'

const LINGER_MS = 2000
const DRAIN_IDLE_MS = 1000
/** The request line that HTTP/2 begins with. */
const HTTP2_LINE = 'PRI * HTTP/2.0\r\n'

export class Http1Connection extends Http1Writing implements WireOwner, Downstream, Timed, Accepted {
  readonly protocol = 'HTTP/1.1'
  readonly scheme: 'http' | 'https'
  readonly peer: string
  readonly memo: HopMemo = { host: '', minor: 1, service: 0, lines: '' }
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  keptAt = -1
  passesFraming = true
  original: NamedDestination | null = null
  readonly #header: ProxyHeader | null
  #privates: PrivateConnections | null = null
  readonly #secured: Secured | null
  readonly #home: ConnectionHome
  readonly #deadlines: Deadlines
  /** What the exchange under way began with. Null between two: an idle connection would keep an old plan alive. */
  #began: Service | null = null
  #state: State = 'head'
  /** Received and not used yet: part of a head, or requests that wait their turn. */
  readonly #received = new Received()
  #exchange: Exchange | null = null
  #body: RequestBody | null = null
  #served = 0
  #ended = false
  #parsing = false
  /** No byte of the head awaited has come yet: its deadline starts with the first. */
  #headIsNew = true

  /** The client said that this request, which has no body, is its last: nothing more is to be read. */
  #isLast = false
  /** What was read last is still lent to the write of a request body. */
  #isLent = false
  /** `dueAt` is for what is written. */
  #awaitsTaken = false

  /** `header`: what came before it. `secured`: what TLS has found out, where this proxy speaks it. */
  constructor(
    wire: Wire,
    home: ConnectionHome,
    scheme: 'http' | 'https',
    header: ProxyHeader | null = null,
    secured: Secured | null = null,
  ) {
    super(wire)
    this.#secured = secured
    this.#home = home
    this.#deadlines = home.service.deadlines
    this.scheme = scheme
    this.peer = peerOf(wire.remoteAddress, header)
    this.#header = header
    wire.owner = this
    this.#deadlines.add(this)
    this.dueAt = this.#in(this.#service.listener.timeouts.requestHead)
    wire.expectDetach?.(false)
    wire.resume()
  }

  get privates(): PrivateConnections {
    this.#privates ??= new PrivateConnections(() => factsOf(this.wire.facts(), this.#header))
    return this.#privates
  }

  get hasPrivates(): boolean {
    return this.#privates !== null
  }

  get inside(): Inside | null {
    return this.#home.inside
  }

  get certificateLines(): string {
    return this.#secured === null ? '' : this.#secured.lines
  }

  isMisdirected(host: string): boolean {
    return this.#secured !== null && this.#home.isMisdirected(host, this.#secured.rule, null)
  }

  /** Between two requests: nothing is lost when it closes. */
  get idle(): boolean {
    return this.#state === 'head' && this.#received.size === 0
  }

  /** The listener drains: an idle client gets a moment for a request already on its way. */
  drain(): void {
    if (this.idle) this.dueAt = Math.min(this.dueAt, this.#in(DRAIN_IDLE_MS))
  }

  destroy(): void {
    this.wire.destroy()
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  onBytes(bytes: Buffer, length: number): void {
    switch (this.#state) {
      case 'head':
        this.#received.add(bytes, length)
        this.#readRequests()
        return this.#received.keep(bytes)
      case 'exchange':
        if (this.#body !== null) return this.#readBody(bytes, length)
        return this.#hold(bytes, 0, length)
    }
  }

  /** Pipelined requests wait; a client that sends many is not read until they are answered. */
  #hold(bytes: Buffer, from: number, to: number): void {
    this.#received.add(bytes.subarray(from, to), to - from)
    this.#received.keep(bytes)
    if (this.#received.size > this.#service.listener.limits.headBytes) this.wire.pause()
  }

  #readRequests(): void {
    this.#parsing = true
    // A client that does not take its answers gets no more of them made.
    while (this.#state === 'head' && this.#received.size > 0 && !this.wire.congested && this.#readRequest());
    this.#parsing = false
  }

  /** Unless more waits already than a head may be long: else each answer would let in another read, and what waits would grow. */
  #readOn(): void {
    if (this.#received.size <= this.#home.service.listener.limits.headBytes) this.wire.resume()
  }

  /** The requests that waited their turn. */
  #readHeld(): void {
    if (this.#received.size > 0) this.#readRequests()
    if (this.#ended && this.#state === 'head') this.#close()
  }

  /** The client sends nothing more, and nothing that it sent waits. */
  get #saidAll(): boolean {
    return this.#ended && this.#received.size === 0
  }

  /** Returns whether there may be another request to read. */
  #readRequest(): boolean {
    const service = this.#home.service
    const received = this.#received
    const { limits } = service.listener
    received.skipEmptyLines()
    const head = received.mayEndHead ? received.readHead(service.rules) : null
    if (typeof head === 'string') return this.#handOver(head, service) ? false : this.#refuse(head, received.unread)
    if (head === null) {
      received.mayEndHead = false
      if (received.size > limits.headBytes) return this.#refuse('head_too_large', received.unread)
      if (this.#headIsNew && received.size > 0) this.dueAt = this.#in(service.listener.timeouts.requestHead)
      this.#headIsNew = false
      return false
    }
    if (head.end - received.at > limits.headBytes) return this.#refuse('head_too_large')
    if (head.contentLength > limits.bodyBytes) return this.#refuse('body_too_large')
    received.at = head.end
    return this.#startExchange(head, service)
  }

  /** Whether these are the first bytes of HTTP/2 (RFC 9113 §3.4), for another to read: this connection is over then. */
  #handOver(wrong: ErrorCode, { listener }: Service): boolean {
    const received = this.#received
    if (wrong !== 'unsupported_version' || this.#served > 0 || this.scheme === 'https' || !listener.h2c) return false
    if (received.at > 0 || !received.text.startsWith(HTTP2_LINE)) return false
    const bytes = Buffer.from(received.bytes.subarray(0, received.length))
    received.clear()
    this.#state = 'closed'
    this.#deadlines.remove(this)
    this.#home.speaksHttp2(this, this.wire, this.#header, bytes)
    return true
  }

  #startExchange(head: RequestHead, service: Service): boolean {
    this.#began = service
    this.#served++
    this.http10 = head.minor === 0
    this.passesFraming = head.minor === 1
    this.keepAlive = head.keepAlive && this.#served < service.listener.limits.requestsPerConnection
    this.#isLast = !head.keepAlive && head.contentLength === 0
    let firstBody = ''
    let firstBytes: Buffer | null = null
    if (head.contentLength !== 0) {
      const body = new RequestBody(head, service.listener.limits.bodyBytes)
      const received = this.#received
      const end = body.readFirst(received.bytes, received.at, received.length, this.wire.lends)
      if (end < 0) return this.#refuse(body.wrong)
      received.at = end
      firstBody = body.text
      firstBytes = body.bytes
      // The rest of it cannot come any more.
      if (!body.done && this.#ended) {
        this.#close()
        return false
      }
      this.#body = body.done ? null : body
    }
    this.#state = 'exchange'
    this.dueAt = this.#ended ? this.#in(service.listener.timeouts.halfClosed) : Number.POSITIVE_INFINITY
    if (this.#secured !== null) head.clientCertificate = this.#secured.certificate
    const exchange = new Exchange(service, this, head, service.nextSerial())
    this.#exchange = exchange
    // Until somebody takes the body, no more of it is read.
    if (this.#body !== null) this.wire.pause()
    exchange.begin(firstBody, firstBytes, this.#body === null)
    return true
  }

  #readBody(bytes: Buffer, length: number): void {
    const body = this.#body!
    const exchange = this.#exchange!
    const end = body.read(bytes, 0, length)
    if (end < 0) {
      this.#body = null
      this.keepAlive = false
      return exchange.rejectBody(body.wrong, null)
    }
    this.dueAt = this.#in(this.#service.listener.timeouts.requestBodyIdle)
    let flowing = true
    for (let i = 0; i < body.ranges.length && this.#exchange === exchange; i += 2) {
      flowing = exchange.pushBody(i === 0 ? body.prefix : '', bytes, body.ranges[i]!, body.ranges[i + 1]!, this.wire.lends) && flowing
    }
    if (this.#exchange !== exchange) return
    if (body.done) {
      this.#body = null
      this.dueAt = Number.POSITIVE_INFINITY
      if (end < length) this.#hold(bytes, end, length)
      if (!flowing && this.wire.lends) this.#lend()
      exchange.endBody(body.text)
    } else if (!flowing) this.pauseBody()
  }

  /** The end of the body has not left yet: nothing is read into its buffer until it has, or until another buffer is needed. */
  #lend(): void {
    this.#isLent = true
    this.wire.pause()
  }

  bodyTaken(): void {
    if (!this.#isLent) return
    this.#isLent = false
    if (this.#state === 'exchange') this.#readOn()
  }

  pauseBody(): void {
    if (this.#body === null) return
    this.wire.pause()
    this.dueAt = Number.POSITIVE_INFINITY
  }

  resumeBody(): void {
    if (this.#body === null || this.#state !== 'exchange') return
    if (this.#body.isBulk) this.wire.expectBulk()
    this.dueAt = this.#in(this.#service.listener.timeouts.requestBodyIdle)
    this.wire.resume()
  }

  /** No other request of this client is to be answered. */
  protected get isOver(): boolean {
    return this.#exchange?.bodyDone === false || this.#home.draining || this.#saidAll
  }

  /** As `finished` does: nothing is to be read any more. */
  protected get closesNext(): boolean {
    return this.#isLast && !this.keepAlive && this.#body === null && this.#received.size === 0
  }

  /** What is written has to be taken by then. */
  protected awaitTaken(): void {
    this.#awaitsTaken = true
    this.dueAt = this.#in(this.#service.listener.timeouts.sendIdle)
  }

  // ── after an exchange ────────────────────────────────────────────────────────────────────────────────────────────

  finished(): void {
    const complete = this.#body === null
    if (this.#isLent) {
      this.#isLent = false
      this.wire.leaveBuffer()
    }
    this.#exchange = null
    this.#began = null
    this.#body = null
    if (!this.keepAlive || !complete || this.#saidAll) return this.#close()
    this.#state = 'head'
    this.#headIsNew = true
    const { timeouts } = this.#service.listener
    // While a response is still being written, the next request waits.
    if (this.wire.congested) {
      this.awaitTaken()
      return this.wire.pause()
    }
    this.dueAt = this.#in(this.#home.draining ? DRAIN_IDLE_MS : timeouts.keepAlive)
    this.#readOn()
    if (!this.#parsing) this.#readHeld()
  }

  abort(): void {
    this.#exchange = null
    this.wire.reset()
  }

  becomeTunnel(head: ResponseHead, upstream: UpstreamConnection, rest: Buffer, ended: TunnelEnded, looks: TunnelLooks | null): void {
    const early = this.#received.takeText()
    const { tunnelIdle: idleMs } = this.#service.listener.timeouts
    const deadlines = this.#deadlines
    this.#state = 'tunnel'
    this.#exchange = null
    this.#began = null
    deadlines.remove(this)
    this.#privates?.close()
    this.#home.becameTunnel()
    const upgrade = head.upgrade === null ? '' : `Connection: upgrade\r\nUpgrade: ${head.upgrade}\r\n`
    const text = `HTTP/1.1 ${head.status} ${head.reason}\r\n${head.lines()}${upgrade}\r\n`
    const left: TunnelEnded = (fromClient, fromEndpoint, why) => {
      upstream.left()
      ended(fromClient, fromEndpoint, why)
      this.#state = 'closed'
      this.#home.tunnelClosed(this)
    }
    openTunnel({ client: this.wire, upstream, looks }, { deadlines, idleMs, ended: left, text, early, rest, hasEnded: this.#ended })
  }

  grantTunnel(head: ResponseHead, tunnel: GrantedTunnel): void {
    const facts = factsOfGranted(this.#service.listener.name, tunnel)
    const early = Buffer.from(this.#received.takeText(), 'latin1')
    this.#state = 'closed'
    this.#exchange = null
    this.#began = null
    this.#deadlines.remove(this)
    this.#privates?.close()
    this.wire.writeText(`HTTP/1.1 ${head.status} ${head.reason}\r\n${head.lines()}\r\n`)
    const { destination, user, paced, meter } = tunnel
    this.#home.granted(this, {
      wire: this.wire,
      header: this.#header,
      facts,
      destination,
      user,
      paced,
      meter,
      early,
      hasEnded: this.#ended,
    })
  }

  /** Answers what never became an exchange, and closes. `text`: what came of its head, for whoever looks back. */
  #refuse(code: ErrorCode, text = ''): boolean {
    this.#received.clear()
    this.#isLast = false
    this.keepAlive = false
    this.http10 = false
    this.#state = 'exchange'
    this.dueAt = Number.POSITIVE_INFINITY
    const head = new RequestHead(text, text.length, '-', 1)
    head.path = ''
    const service = this.#home.service
    this.#began = service
    this.#exchange = new Exchange(service, this, head, service.nextSerial())
    this.#exchange.refuse(code, null)
    return false
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Also of writes that the wire took for gone: nobody has waited for those, and what else is waited for keeps its time. */
  onDrain(): void {
    const wasAwaited = this.#awaitsTaken
    this.#awaitsTaken = false
    if (this.#state === 'exchange') {
      if (wasAwaited) this.dueAt = Number.POSITIVE_INFINITY
      return this.#exchange?.onReceivable()
    }
    if (this.#state === 'closing') {
      if (this.#ended) return this.wire.destroy()
      this.dueAt = this.#in(LINGER_MS)
    }
    if (this.#state !== 'head' || !wasAwaited) return
    this.dueAt = this.#in(this.#home.draining ? DRAIN_IDLE_MS : this.#service.listener.timeouts.keepAlive)
    this.#readOn()
    this.#readHeld()
  }

  onEnd(): void {
    this.#ended = true
    // What is still on its way through TLS leaves before the close, and close_notify with it.
    if (this.#state === 'head') return this.#close()
    if (this.#state !== 'exchange') {
      // What is still being written leaves first; its own deadline ends that.
      if (!this.wire.congested) this.wire.destroy()
      return
    }
    if (this.#body !== null) {
      const exchange = this.#exchange!
      this.#exchange = null
      exchange.abandon('client_gone', 'closed inside its request body')
      return this.wire.destroy()
    }
    // It may only have closed its sending side: the response gets a moment to begin.
    if (this.#exchange?.replying === false) this.dueAt = this.#in(this.#service.listener.timeouts.halfClosed)
  }

  onClose(error: string | null): void {
    const exchange = this.#exchange
    this.#exchange = null
    exchange?.abandon('client_gone', error)
    this.#gone()
  }

  onDeadline(): void {
    if (this.#state === 'head' && this.#received.size > 0 && !this.wire.congested) {
      this.#refuse('request_timeout')
      return
    }
    if (this.#state === 'head' && this.wire.congested && !this.#awaitsTaken) return this.awaitTaken()
    const exchange = this.#exchange
    if (this.#state === 'exchange' && exchange !== null && this.#body !== null && !exchange.replying) {
      this.#body = null
      this.keepAlive = false
      return exchange.rejectBody('request_timeout', 'body idle')
    }
    if (this.#ended && exchange?.replying === true && !this.wire.congested) return
    this.wire.destroy()
  }

  /** Closes after everything written has left; what still arrives is discarded meanwhile, or a reset could destroy the answer. */
  #close(): void {
    this.#state = 'closing'
    const isLast = this.#isLast && this.#received.size === 0
    this.#received.clear()
    if (isLast) this.wire.finish()
    else this.wire.end()
    this.dueAt = this.#in(this.wire.congested ? this.#service.listener.timeouts.sendIdle : LINGER_MS)
    if (this.wire.closed) return
    if (this.#ended && !this.wire.congested) this.wire.destroy()
    else this.wire.resume()
  }

  #gone(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#began = null
    this.#deadlines.remove(this)
    this.#privates?.close()
    this.#home.connectionClosed(this)
  }

  /** Whose times and limits hold now. */
  get #service(): Service {
    return this.#began ?? this.#home.service
  }

  #in(ms: number): number {
    return this.#deadlines.in(ms)
  }
}
