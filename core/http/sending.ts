/**
 * What is sent to an endpoint: the request's head and its body. What of the body has come is kept as long as it can still be sent again,
 * and no more of it than one read, or 64 KiB where retries may need it.
 */
import { monotonicMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { Hook, Verdict } from '../hooks.ts'
import { ResponseHead } from '../net/http1/head.ts'
import type { BufferBounds } from '../plan/upstream-plan.ts'
import type { ResponseSink, UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { codingOf } from './content-coding.ts'
import { ExchangeFacts } from './exchange-facts.ts'
import { isIdempotent, requestText } from './forward.ts'
import { askParent, forwardLines } from './forwarding.ts'
import { dropIdentity, extendIdentity, type Hop, hopLines } from './identity.ts'
import { messageHooks } from './message-hooks.ts'
import { RequestFilter } from './request-filter.ts'
import { KEPT_BODY_BYTES } from './retry-rules.ts'
import { SpooledRequest, type SpooledTaker } from './spooled-request.ts'

export abstract class Sending extends ExchangeFacts implements ResponseSink, SpooledTaker {
  // ── for the exchange ─────────────────────────────────────────────────────────────────────────────────────────────

  protected abstract attempt(): void
  abstract rejectBody(code: ErrorCode, detail: string | null): void
  protected abstract fail(code: ErrorCode, detail: string | null): void
  /** The hooks asked so far, in order. */
  protected abstract asked(): Hook[]
  abstract readonly answersHead: boolean
  abstract readonly keepsFraming: boolean
  abstract onInformational(head: ResponseHead): void
  abstract onHead(head: ResponseHead, length: number): void
  abstract onBody(prefix: string, bytes: Buffer, from: number, to: number): void
  abstract onBodyText(text: string): void
  abstract onBodyEnd(trailers: string): void
  abstract onReadEnd(): void
  abstract onUpgraded(head: ResponseHead, connection: UpstreamConnection, rest: Buffer): void
  abstract onFailed(code: ErrorCode, detail: string | null): void
  abstract stopBody(verdict: Verdict, by: Hook | null): void

  /** Who the client is, as the endpoint is told. */
  protected applyIdentity(): void {
    const { trust } = this.service.listener
    if (trust?.has(this.downstream.peer)) extendIdentity(this.request, this.hop())
    else dropIdentity(this.request)
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  protected send(connection: UpstreamConnection): void {
    const upstream = this.target!.plan
    this.connection = connection
    if (this.waited) this.sentAt = monotonicMs()
    connection.idleMs = upstream.timeouts.idle
    connection.start(this)
    if (this.request.upgrade !== null) this.messages = messageHooks(this.request, this.ip, this.asked())
    if (this.request.bindsConnection) this.bind(connection)
    const text = this.headText(this.chosen!)
    if (!this.sendsNoMore) this.beforeMore()
    const first = this.firstBytes
    const flowing = first === null ? connection.wire.writeText(text + this.firstBody) : connection.wire.write(text, first, 0, first.length)
    if (this.sendsNoMore) this.requestSent()
    else if (flowing) this.askForMore()
    else connection.dueAt = connection.deadlines.in(connection.idleMs)
  }

  /** It speaks for one user from now on. It serves this client's connection alone; that of a proxy, which may be many users', not even that. */
  protected bind(connection: UpstreamConnection): void {
    if (this.service.listener.trust?.has(this.downstream.peer)) connection.isForOnce = true
    else connection.privates ??= this.downstream.privates
  }

  /** What an endpoint gets. */
  protected headText({ plan }: Endpoint): string {
    // Which parent was asked is known only now.
    const lines = this.service.forward === null ? '' : askParent(this.request, this.connection!.asksWhole)
    return requestText(this.request, this.target!.plan, plan.address, lines + this.hopText())
  }

  /** More of the body is to come from the client. */
  private beforeMore(): void {
    // It is not the endpoint that takes its time.
    this.tryClock?.begin(Number.POSITIVE_INFINITY)
    // Lent bytes are others when the next ones come.
    if (this.firstBytes === null || !this.keepsBody()) return
    this.firstBody = this.firstBytes.latin1Slice()
    this.firstBytes = null
  }

  private askForMore(): void {
    if (this.spooledRequest !== null) this.spooledRequest.resume()
    else this.takeMoreBody()
  }

  takeMoreBody(): void {
    if (this.requestFilter !== null) this.requestFilter.drained()
    else if (this.bodyDone) this.downstream.bodyTaken()
    else this.downstream.resumeBody()
  }

  private hop(): Hop {
    const { via, forwarded } = this.service.listener
    const { peer, scheme, protocol } = this.downstream
    const version = protocol === 'HTTP/2' ? '2.0' : this.request.minor === 0 ? '1.0' : '1.1'
    return { peer, scheme, host: this.request.host, version, via, forwarded }
  }

  /** And the empty line that ends the head. */
  private hopText(): string {
    const { memo, certificateLines } = this.downstream
    if (this.service.listener.trust?.has(this.downstream.peer)) return `${certificateLines}\r\n`
    const { host, minor } = this.request
    if (memo.host !== host || memo.minor !== minor || memo.service !== this.service.number) {
      memo.host = host
      memo.minor = minor
      memo.service = this.service.number
      const { forward } = this.service
      const lines = forward === null ? hopLines(this.hop()) : forwardLines(this.hop(), forward.plan.anonymity)
      memo.lines = `${lines}${certificateLines}\r\n`
    }
    return memo.lines
  }

  private requestSent(): void {
    const connection = this.connection!
    connection.requestSent = true
    if (this.response === null) connection.dueAt = connection.deadlines.in(this.target!.plan.timeouts.response)
  }

  onSendable(): void {
    if (this.sendsNoMore && this.requestFilter === null && this.spooledRequest === null) return this.downstream.bodyTaken()
    if (!this.sendsNoMore) this.connection!.dueAt = Number.POSITIVE_INFINITY
    this.askForMore()
  }

  // ── the request body ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether the client has sent all of it. */
  get bodyDone(): boolean {
    if (this.requestFilter !== null) return this.requestFilter.sourceDone
    return this.spooledRequest === null ? this.sendsNoMore : this.spooledRequest.sourceDone
  }

  /** More of the request body, framed for HTTP/1.1. False: wait for `resumeBody`, and leave the bytes untouched until then. */
  pushBody(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean {
    this.bytesIn += prefix.length + to - from
    if (this.mirroring !== null) this.mirroring.push(prefix, bytes, from, to)
    const { requestFilter, paced } = this
    const flowing =
      requestFilter === null ? this.forwardBody(prefix, bytes, from, to, lent) : requestFilter.push(prefix, bytes, from, to, lent)
    return paced === null ? flowing : paced.took(prefix.length + to - from, flowing)
  }

  /** The request body is complete; `text`: the end of its framing. */
  endBody(text: string): void {
    this.bytesIn += text.length
    if (this.mirroring !== null) this.mirroring.end(text)
    if (this.requestFilter !== null) return this.requestFilter.end(text)
    this.forwardEnd(text)
  }

  /** Returns whether the request may be sent now. */
  protected filterRequest(hooks: readonly Hook[]): boolean {
    const { request, firstBody, firstBytes, sendsNoMore } = this
    const field = request.get('content-encoding')
    const coding = codingOf(field)
    if (coding === undefined) {
      this.fail('unsupported_content_coding', field)
      return false
    }
    const [first] = hooks
    const { mode, maxBytes } = first!.onRequestBody!
    if (mode === 'buffer' && coding === null && request.contentLength > maxBytes) {
      this.decidedBy = first!.name
      this.fail('body_too_large', `more than the ${maxBytes} bytes that a hook takes`)
      return false
    }
    const filter = new RequestFilter(this, hooks, { coding, maxBytes: this.service.listener.limits.bodyBytes })
    this.requestFilter = filter
    this.firstBody = ''
    this.firstBytes = null
    this.sendsNoMore = false
    this.waited = true
    const nothingCame = firstBody === '' && firstBytes === null
    // No endpoint is there yet to say so.
    if (filter.gathers && request.expectsContinue && nothingCame)
      this.downstream.sendInformational(new ResponseHead('', 0, 100, 'Continue', 1))
    filter.begin(firstBody, firstBytes, sendsNoMore)
    return this.stage === 'upstream' && !filter.gathers
  }

  /** To the endpoint, or to what waits for one. */
  forwardBody(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean {
    if (this.spooledRequest !== null) return this.spooledRequest.push(prefix, bytes, from, to)
    return this.writeBody(prefix, bytes, from, to, lent)
  }

  writeBody(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean {
    const connection = this.connection
    if (connection === null) {
      // Not connected yet: there is no more than one read of it, for reading stops until there is somebody to take it.
      const more = prefix + bytes.latin1Slice(from, to)
      if (this.firstBytes === null) this.firstBody += more
      else this.firstBytes = Buffer.concat([this.firstBytes, Buffer.from(more, 'latin1')])
      return false
    }
    this.keep(prefix, bytes, from, to)
    const flowing = lent ? connection.wire.write(prefix, bytes, from, to) : connection.wire.writeText(prefix + bytes.latin1Slice(from, to))
    if (!flowing) connection.dueAt = connection.deadlines.in(connection.idleMs)
    return flowing
  }

  forwardEnd(text: string): void {
    if (this.spooledRequest === null) this.writeEnd(text)
    else this.spooledRequest.end(text)
  }

  writeEnd(text: string): void {
    this.sendsNoMore = true
    if (this.connection === null) {
      this.firstBody += text
      return
    }
    if (!this.bodyStreamed) this.firstBody += text
    if (text !== '') this.connection.wire.writeText(text)
    if (this.response === null) this.tryClock?.begin(this.target!.plan.retries?.perTry ?? Number.POSITIVE_INFINITY)
    this.requestSent()
  }

  /** What goes out is kept for another try, if there may be one. */
  private keep(prefix: string, bytes: Buffer, from: number, to: number): void {
    if (this.bodyStreamed) return
    if (this.keepsBody() && this.firstBody.length + prefix.length + to - from <= KEPT_BODY_BYTES) {
      this.firstBody += prefix + bytes.latin1Slice(from, to)
      return
    }
    this.bodyStreamed = true
    this.firstBody = ''
    this.firstBytes = null
  }

  private keepsBody(): boolean {
    const retries = this.target!.plan.retries
    if (retries === null || this.response !== null || !isIdempotent(this.request.method)) return false
    return retries.onReset || retries.onTimeout || retries.statuses.length > 0
  }

  // ── gathered before an endpoint is asked ─────────────────────────────────────────────────────────────────────────

  protected spoolRequest(upstream: Upstream, { memoryBytes }: BufferBounds): void {
    const { request, firstBody, firstBytes } = this
    const spooled = new SpooledRequest(this, { memoryBytes, room: upstream.diskRoom! })
    this.spooledRequest = spooled
    this.firstBody = ''
    this.firstBytes = null
    this.waited = true
    // No endpoint is there yet to say so.
    if (request.expectsContinue && firstBody === '' && firstBytes === null)
      this.downstream.sendInformational(new ResponseHead('', 0, 100, 'Continue', 1))
    request.delete('expect')
    const first = firstBytes ?? Buffer.from(firstBody, 'latin1')
    if (spooled.push('', first, 0, first.length)) this.takeMoreBody()
  }

  get takesBody(): boolean {
    return this.connection !== null
  }

  sendSpooled(): void {
    this.attempt()
  }

  onSpoolBroken(detail: string): void {
    this.rejectBody('file_failed', detail)
  }

  /** A hook has made up its mind about all of the body, or it was gathered: now the request is sent. */
  sendWhole(body: Buffer | null): void {
    this.spooledRequest = null
    this.firstBytes = body
    this.sendsNoMore = true
    this.attempt()
  }

  /** The client may go on sending. */
  takeMore(): void {
    if (this.bodyDone) this.downstream.bodyTaken()
    else this.downstream.resumeBody()
  }
}

/** The way on of what came in: to be had by those that hold the body of a request. */
export type BodyTaker = Pick<Sending, 'forwardBody' | 'forwardEnd' | 'sendWhole' | 'takeMore' | 'stopBody' | 'request' | 'ip'>
