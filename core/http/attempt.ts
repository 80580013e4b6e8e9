/**
 * The request's way to an endpoint: chooses one, takes or dials a connection, sends, and tries again where that is safe. What of the
 * body has come is kept as long as it can still be sent again, and no more of it than one read, or 64 KiB where retries may need it.
 */
import { monotonicMs } from '../clock.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { Hook, Verdict } from '../hooks.ts'
import { ResponseHead } from '../net/http1/head.ts'
import type { ResponseSink, UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import type { Safeguards } from '../upstream/safeguards.ts'
import type { Acquirer, Upstream } from '../upstream/upstream.ts'
import { errorText } from './ask.ts'
import { codingOf } from './content-coding.ts'
import { ExchangeFacts } from './exchange-facts.ts'
import { isIdempotent, requestText } from './forward.ts'
import { forwardLines } from './forwarding.ts'
import { dropIdentity, extendIdentity, type Hop, hopLines } from './identity.ts'
import { messageHooks } from './message-hooks.ts'
import { RequestFilter } from './request-filter.ts'
import { KEPT_BODY_BYTES, pauseMs, repeatable } from './retry-rules.ts'
import { TryClock, type TryClockOwner } from './try-clock.ts'

export abstract class Attempt extends ExchangeFacts implements Acquirer, ResponseSink, TryClockOwner {
  // ── for the exchange ─────────────────────────────────────────────────────────────────────────────────────────────

  protected abstract fail(code: ErrorCode, detail: string | null): void
  /** The response's head has come, and the rest will not. */
  protected abstract breakOff(code: ErrorCode, detail: string | null): void
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
  /** CONNECT: the endpoint is there. */
  protected abstract beginTunnel(connection: UpstreamConnection): void
  abstract stopBody(verdict: Verdict, by: Hook | null): void

  /** Who the client is, as the endpoint is told. */
  protected applyIdentity(): void {
    const { trust } = this.service.listener
    if (trust?.has(this.downstream.peer)) extendIdentity(this.request, this.hop())
    else dropIdentity(this.request)
  }

  /** Whether the circuit breaker of its upstream lets it pass. */
  protected isAdmitted(safeguards: Safeguards): boolean {
    if (safeguards.breaker === null) return true
    this.ticket = safeguards.admit()
    if (this.ticket === 0) this.fail('circuit_open', null)
    return this.ticket !== 0
  }

  /** `failure`: why it was not served; null: it was. */
  protected settle(failure: ErrorCode | 'status' | null): void {
    const { ticket } = this
    this.ticket = 0
    this.target!.safeguards!.settle(ticket, failure)
  }

  protected attempt(): void {
    const upstream = this.target!
    const endpoint = this.choose(upstream)
    if (endpoint === null) return
    upstream.safeguards?.budget?.count(this.service.deadlines.now)
    this.tryOn(endpoint)
  }

  private tryOn(endpoint: Endpoint): void {
    const upstream = this.target!
    this.leaveEndpoint()
    this.chosen = endpoint
    this.counting = endpoint
    if (upstream.stickiness !== null) this.moved = upstream.stickiness.whyMoved(this, endpoint)
    endpoint.inFlight++
    this.attempts++
    if (upstream.safeguards?.isTimed === true) this.clock(upstream).begin(upstream.plan.retries?.perTry ?? Number.POSITIVE_INFINITY)
    const connection = this.connects ? null : upstream.take(endpoint, this.privates())
    if (connection !== null) return this.send(connection)
    if (this.connects) this.sentAt = monotonicMs()
    this.dial()
  }

  private dial(): void {
    this.waited = true
    this.cancelDial = this.target!.dial(this.chosen!, this, this.privates())
  }

  private clock({ plan }: Upstream): TryClock {
    this.tryClock ??= new TryClock(this, this.service.deadlines, plan.timeouts.total)
    return this.tryClock
  }

  /** Null: there is none, and the exchange has failed. */
  private choose(upstream: Upstream): Endpoint | null {
    try {
      const endpoint = upstream.choose(null, this)
      if (endpoint === null) this.fail('no_endpoint', null)
      return endpoint
    } catch (error) {
      this.fail('hook_failed', errorText(error))
      return null
    }
  }

  /** Nothing of this exchange is under way there any more. */
  protected leaveEndpoint(): void {
    if (this.counting !== null) this.counting.inFlight--
    this.counting = null
  }

  /** Whose connection to the endpoint it must be; null: anybody's. */
  private privates(): PrivateConnections | null {
    return this.target!.plan.proxyProtocol === null ? null : this.downstream.privates
  }

  /** Nothing more of this attempt is wanted: the endpoint sees the connection close. */
  protected giveUp(): void {
    this.tryClock?.stop()
    this.cancelDial?.()
    this.cancelDial = null
    this.connection?.abort()
    this.connection = null
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  onConnected(connection: UpstreamConnection): void {
    this.cancelDial = null
    if (this.connects) this.beginTunnel(connection)
    else this.send(connection)
  }

  onWaiting(isWaiting: boolean): void {
    const perTry = this.target!.plan.retries?.perTry ?? Number.POSITIVE_INFINITY
    // It is not the endpoint that takes its time.
    this.tryClock?.begin(isWaiting ? Number.POSITIVE_INFINITY : perTry)
  }

  onDialFailed(code: ErrorCode, detail: string | null): void {
    this.cancelDial = null
    this.onFailed(code, detail)
  }

  private send(connection: UpstreamConnection): void {
    const upstream = this.target!.plan
    this.connection = connection
    if (this.waited) this.sentAt = monotonicMs()
    connection.idleMs = upstream.timeouts.idle
    connection.start(this)
    if (this.request.upgrade !== null) this.messages = messageHooks(this.request, this.ip, this.asked())
    const text = requestText(this.request, upstream, this.chosen!.plan.address, this.hopText())
    if (!this.sendsNoMore) this.beforeMore()
    const first = this.firstBytes
    const flowing = first === null ? connection.wire.writeText(text + this.firstBody) : connection.wire.write(text, first, 0, first.length)
    if (this.sendsNoMore) this.requestSent()
    else if (flowing) this.askForMore()
    else connection.dueAt = connection.deadlines.in(connection.idleMs)
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
    if (this.requestFilter === null) this.downstream.resumeBody()
    else this.requestFilter.drained()
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
    if (this.sendsNoMore && this.requestFilter === null) return this.downstream.bodyTaken()
    if (!this.sendsNoMore) this.connection!.dueAt = Number.POSITIVE_INFINITY
    this.askForMore()
  }

  // ── the request body ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether the client has sent all of it. */
  get bodyDone(): boolean {
    return this.requestFilter === null ? this.sendsNoMore : this.requestFilter.sourceDone
  }

  /** More of the request body, framed for HTTP/1.1. False: wait for `resumeBody`, and leave the bytes untouched until then. */
  pushBody(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean {
    this.bytesIn += prefix.length + to - from
    if (this.requestFilter !== null) return this.requestFilter.push(prefix, bytes, from, to, lent)
    return this.forwardBody(prefix, bytes, from, to, lent)
  }

  /** The request body is complete; `text`: the end of its framing. */
  endBody(text: string): void {
    this.bytesIn += text.length
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

  /** A hook has made up its mind about all of the body: now the request is sent. */
  sendWhole(body: Buffer | null): void {
    this.firstBytes = body
    this.sendsNoMore = true
    this.attempt()
  }

  /** The client may go on sending. */
  takeMore(): void {
    if (this.bodyDone) this.downstream.bodyTaken()
    else this.downstream.resumeBody()
  }

  // ── trying again ─────────────────────────────────────────────────────────────────────────────────────────────────

  onFailed(code: ErrorCode, detail: string | null): void {
    const connection = this.connection
    this.connection = null
    if (this.response !== null) {
      this.noteFailure(code)
      return this.breakOff(code, detail)
    }
    if (this.isStale(code, connection)) {
      this.staleRetried = true
      return this.dial()
    }
    this.noteFailure(code)
    if (!this.repeatsAfter(code)) this.fail(code, detail)
  }

  private noteFailure(code: ErrorCode): void {
    const { safeguards, timesAnswers } = this.target!
    safeguards?.failed(this.chosen!, code)
    // 503: it was not asked at all.
    if (timesAnswers && errorTable[code].status !== 503) this.timeAnswer(false)
  }

  /** For a balancer that goes by how long answers take. */
  protected timeAnswer(isGood: boolean): void {
    const now = monotonicMs()
    if (isGood) this.chosen!.time.observe(now - this.sentAt, now)
    else this.chosen!.failed(now - this.sentAt, now)
  }

  /** A kept connection that was closed while nobody used it is replaced once, whatever the plan says of retries. */
  private isStale(code: ErrorCode, connection: UpstreamConnection | null): boolean {
    if (errorTable[code].retry !== 'if-reused' || connection?.reused !== true || this.staleRetried) return false
    return !this.bodyStreamed && this.sendsNoMore && this.stage === 'upstream' && isIdempotent(this.request.method)
  }

  /** Begins another try if this failure allows it. */
  private repeatsAfter(code: ErrorCode): boolean {
    const retries = this.target!.plan.retries
    if (retries === null || this.stage !== 'upstream') return false
    const how = repeatable(code, retries)
    const endpoint = how === null ? null : this.nextEndpoint()
    if (endpoint === null || (how === 'replay' && !this.mayReplay())) return false
    this.tryNext(endpoint)
    return true
  }

  /** An endpoint has answered, and somebody wants to know. Returns whether another try has begun in place of the answer. */
  protected answered(safeguards: Safeguards, status: number): boolean {
    if (status >= 500) safeguards.answered(this.chosen!, status, 0)
    if (this.repeatsInsteadOf(status)) return true
    this.isGood = status < 500
    if (this.ticket !== 0) this.settle(status < 500 ? null : 'status')
    this.firstBody = ''
    return false
  }

  /** Begins another try in place of this answer, which nobody gets to see, if its status asks for it. */
  private repeatsInsteadOf(status: number): boolean {
    const retries = this.target!.plan.retries
    if (retries === null || !retries.statuses.includes(status)) return false
    const endpoint = this.nextEndpoint()
    if (endpoint === null || !this.mayReplay()) return false
    this.connection!.discard()
    this.connection = null
    this.tryNext(endpoint)
    return true
  }

  /** For another try, one that has not failed this request if there is any; null: there is no other try. */
  private nextEndpoint(): Endpoint | null {
    const upstream = this.target!
    if (this.attempts >= upstream.plan.retries!.attempts || this.bodyStreamed) return null
    this.tried = [...(this.tried ?? []), this.chosen!]
    try {
      return upstream.choose(this.tried, this)
    } catch {
      // The config's own function fails: what failed before is the one to be told.
      return null
    }
  }

  /** The endpoint may have done already what it was asked for. */
  private mayReplay(): boolean {
    if (!isIdempotent(this.request.method)) return false
    const { plan, safeguards } = this.target!
    if (safeguards!.budget!.take(this.service.deadlines.now)) return true
    this.service.observer.retryRefused(plan.name)
    return false
  }

  private tryNext(endpoint: Endpoint): void {
    if (!this.tried!.includes(endpoint)) return this.tryOn(endpoint)
    this.chosen = endpoint
    this.waited = true
    this.clock(this.target!).pause(pauseMs(this.attempts, Math.random()))
  }

  onPauseOver(): void {
    this.tryOn(this.chosen!)
  }

  onTimeUp(what: 'try' | 'all'): void {
    const code = this.cancelDial === null ? 'response_timeout' : 'connect_timeout'
    this.giveUp()
    if (what === 'try') this.onFailed(code, 'the time for one try')
    else this.fail(code, 'the time for all tries')
  }
}

/** The way on of what came in: to be had by those that hold the body of a request. */
export type BodyTaker = Pick<Attempt, 'forwardBody' | 'forwardEnd' | 'sendWhole' | 'takeMore' | 'stopBody' | 'request' | 'ip'>
