/**
 * One request and its response, from the head we read to the last byte we write. A synchronous state machine: it waits only where
 * a hook, a dial or a peer really makes it wait.
 *
 *   begin:  ask the listener's hooks → match the route → ask the route's hooks → answer, or
 *           choose an endpoint, connect, send, try again → response head → ask hooks in reverse → reply → tell
 */

import { monotonicMs, toEpochMs } from '../clock.ts'
import { type ErrorCode, errorTable, ProxyError, type RetryRule } from '../errors.ts'
import type { EndedExchange } from '../events.ts'
import { type Answer, type CallPart, type Hook, type HookCall, PENDING, type Verdict } from '../hooks.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import { normalisePath } from '../net/path.ts'
import type { RoutePlan } from '../plan/plan.ts'
import type { RouteMatch } from '../route/table.ts'
import { expand } from '../route/template.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint, Upstream } from '../upstream/upstream.ts'
import type { Downstream } from './downstream.ts'
import { isIdempotent, requestText } from './forward.ts'
import { clientAddress, dropIdentity, extendIdentity, type Hop, hopLines } from './identity.ts'
import { type MessageHooks, messageHooks } from './message-hooks.ts'
import { makeErrorReply, makeRedirect, makeReply, type Reply } from './reply.ts'
import { RequestFacts } from './request-view.ts'
import type { Service } from './service.ts'
import { tunnelEnd } from './tunnel-end.ts'

/** Where the exchange is: what a hook's late answer goes on with. */
type Stage = 'listenerHooks' | 'routeHooks' | 'upstream' | 'responseHooks' | 'replying' | 'ended'

export class Exchange implements HookCall, EndedExchange {
  readonly request: RequestHead
  response: ResponseHead | null = null
  readonly part: CallPart | null = null
  readonly ip: string
  status = 0
  reason: ErrorCode | null = null
  detail: string | null = null
  decidedBy: string | null = null
  bytesIn = 0
  bytesOut = 0
  durationMs = 0
  upstreamMs = Number.NaN
  attempts = 0
  tunnel = false

  readonly #service: Service
  readonly #downstream: Downstream
  readonly #serial: number
  readonly #started: number
  #stage: Stage = 'listenerHooks'
  #match: RouteMatch | null = null
  /** Of the matched route. */
  #logHooks: readonly Hook[] | null = null
  /** How many hooks of the listener and of the route were asked: their response hooks run, in reverse. */
  #listenerAsked = 0
  #routeAsked = 0
  #asking: Hook | null = null
  /** A hook owes an answer. */
  #isAsking = false

  #upstream: Upstream | null = null
  #endpoint: Endpoint | null = null
  #tried: Endpoint[] | null = null
  #connection: UpstreamConnection | null = null
  #giveUpDial: (() => void) | null = null
  /** Of a WebSocket that hooks have a say in. */
  #messages: MessageHooks | null = null
  #staleRetried = false
  #sentAt: number
  /** Something came between the request's head and its sending. */
  #waited = false
  /** When the response's head came; 0 once that read is over. */
  #answeredAt = 0

  /** What of the request body came with its head, framed for HTTP/1.1. */
  #firstBody = ''
  /** The same, after it: much of it, as bytes of its own. */
  #firstBytes: Buffer | null = null
  #bodyDone = true
  /** More of the body went out than `#firstBody`: it cannot be sent again. */
  #bodyStreamed = false

  /** The client asked with HEAD, whatever a hook has made of it. */
  readonly #askedHead: boolean
  /** What the endpoint sends as a body is not for the client: HEAD, 204, 304. */
  #isBodyless = false
  /** Bytes of the response body as `onHead` told them. */
  #length = 0
  #localBody: string | null = null
  /** The response's body while its hooks are asked. */
  #held: string[] | null = null
  #complete = false
  #trailers = ''

  constructor(service: Service, downstream: Downstream, request: RequestHead, serial: number) {
    this.#service = service
    this.#downstream = downstream
    this.#serial = serial
    this.request = request
    this.#askedHead = request.method === 'HEAD'
    this.ip = clientAddress(request, downstream.peer, service.listener.trust)
    this.#started = monotonicMs()
    this.#sentAt = this.#started
    service.tally.open++
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** `firstBody`, or many `firstBytes` to keep: what of the body came with the head, framed for HTTP/1.1; `bodyDone`: there is no more. */
  begin(firstBody: string, firstBytes: Buffer | null, bodyDone: boolean): void {
    this.#firstBody = firstBody
    this.#firstBytes = firstBytes
    this.#bodyDone = bodyDone
    this.bytesIn = firstBody.length + (firstBytes === null ? 0 : firstBytes.length)
    this.#askRequest()
  }

  /** Ends an exchange that never became one: the head could not be read. */
  refuse(code: ErrorCode, detail: string | null): void {
    this.#bodyDone = false
    this.#fail(code, detail)
  }

  #askRequest(): void {
    const { hooks } = this.#service.listener
    while (this.#listenerAsked < hooks.length) {
      if (!this.#ask(hooks[this.#listenerAsked++]!)) return
    }
    if (this.#match === null && !this.#matchRoute()) return
    const { route } = this.#match!
    while (this.#routeAsked < route.hooks.length) {
      if (!this.#ask(route.hooks[this.#routeAsked++]!)) return
    }
    this.#dispatch(route)
  }

  /** Returns whether to go on at once. */
  #ask(hook: Hook): boolean {
    if (hook.onRequest === null) return true
    this.#asking = hook
    const answer = attempt(hook.onRequest, this)
    this.#isAsking = answer === PENDING
    if (answer === PENDING) return false
    if (answer === null) return true
    this.#decide(answer)
    return false
  }

  #decide(verdict: Verdict): void {
    this.decidedBy = this.#asking?.name ?? null
    if (verdict.kind === 'fail') return this.#fail(verdict.error.code, verdict.error.message)
    if (verdict.kind === 'respond') return this.#answer(() => makeReply(verdict.status, verdict.body, verdict.headers))
    if (verdict.kind !== 'routeTo') return this.#fail('hook_failed', `an answer of the wrong kind: ${verdict.kind}`)
    const upstream = this.#service.upstreamNamed(verdict.upstream)
    if (upstream === null) return this.#fail('unknown_upstream', verdict.upstream)
    if (this.#normalise()) this.#sendTo(upstream)
  }

  #matchRoute(): boolean {
    this.#stage = 'routeHooks'
    if (this.#listenerAsked > 0 && !this.#normalise()) return false
    try {
      this.#match = this.#service.listener.routes.match(new RequestFacts(this.request, this.ip))
    } catch (error) {
      this.#fail(error instanceof ProxyError ? error.code : 'hook_failed', errorText(error))
      return false
    }
    if (this.#match === null) {
      this.#fail('no_route', null)
      return false
    }
    const { logHooks } = this.#service
    // By the request that the route was matched with, whatever becomes of its path.
    if (logHooks !== null) this.#logHooks = logHooks.of(this.#match.route, this.request)
    return true
  }

  /** A hook may have written any path, and any method. */
  #normalise(when = 'set by a hook'): boolean {
    if (this.request.method === 'CONNECT') {
      this.#fail('unsupported_method', when)
      return false
    }
    const path = this.request.path === '*' ? '*' : normalisePath(this.request.path, this.#service.listener)
    if (path === null) this.#fail('bad_path', when)
    else this.request.path = path
    return path !== null
  }

  #dispatch(route: RoutePlan): void {
    if (this.#routeAsked > 0 && !this.#normalise()) return
    const { destination } = route
    switch (destination.kind) {
      case 'upstream':
        if (destination.rewrite !== null && !this.#rewrite(destination.rewrite)) return
        return this.#sendTo(this.#service.upstreamFor(destination.upstream))
      case 'split':
        if (destination.rewrite !== null && !this.#rewrite(destination.rewrite)) return
        return this.#sendTo(this.#service.nextOf(destination))
      case 'respond':
        return this.#answer(() => makeReply(destination.status, destination.body, destination.headers))
      case 'redirect':
        return this.#answer(() => makeRedirect(destination.status, expand(destination.to, this.#match!.params, this.request.search)))
    }
  }

  #rewrite(template: string): boolean {
    const target = expand(template, this.#match!.params, this.request.search)
    const mark = target.indexOf('?')
    this.request.path = mark < 0 ? target : target.slice(0, mark)
    this.request.search = mark < 0 ? '' : target.slice(mark)
    return this.#normalise('after rewrite')
  }

  /** A hook that answered PENDING. */
  resume(verdict: Verdict | null): void {
    this.#isAsking = false
    this.#waited = true
    switch (this.#stage) {
      case 'listenerHooks':
      case 'routeHooks':
        return verdict === null ? this.#askRequest() : this.#decide(verdict)
      case 'responseHooks':
        return this.#applyResponse(verdict) ? this.#askResponse() : undefined
    }
  }

  // ── the attempt ──────────────────────────────────────────────────────────────────────────────────────────────────

  #sendTo(upstream: Upstream): void {
    this.#stage = 'upstream'
    this.#upstream = upstream
    if (this.request.hasIdentity || this.#service.listener.trust !== null) this.#applyIdentity()
    this.#attempt(false)
  }

  #applyIdentity(): void {
    const { trust } = this.#service.listener
    if (trust?.has(this.#downstream.peer)) extendIdentity(this.request, this.#hop())
    else dropIdentity(this.request)
  }

  /** `fresh`: on a connection of its own, for the one before was stale. */
  #attempt(fresh: boolean): void {
    const upstream = this.#upstream!
    if (!fresh) {
      const endpoint = upstream.choose(this.#tried)
      if (endpoint === null) return this.#fail('no_endpoint', null)
      this.#endpoint = endpoint
      this.attempts++
      const connection = endpoint.pool.take()
      if (connection !== null) return this.#send(connection)
    }
    this.#waited = true
    this.#giveUpDial = upstream.dial(this.#endpoint!, this)
  }

  onConnected(connection: UpstreamConnection): void {
    this.#giveUpDial = null
    this.#send(connection)
  }

  onDialFailed(code: ErrorCode, detail: string | null): void {
    this.#giveUpDial = null
    this.onFailed(code, detail)
  }

  #send(connection: UpstreamConnection): void {
    const upstream = this.#upstream!.plan
    this.#connection = connection
    if (this.#waited) this.#sentAt = monotonicMs()
    connection.idleMs = upstream.timeouts.idle
    connection.start(this)
    if (this.request.upgrade !== null) this.#messages = messageHooks(this.request, this.ip, this.#askedHooks())
    const text = requestText(this.request, upstream, this.#endpoint!.plan.address, this.#hopText())
    const first = this.#firstBytes
    const flowing = first === null ? connection.wire.writeText(text + this.#firstBody) : connection.wire.write(text, first, 0, first.length)
    if (this.#bodyDone) this.#requestSent()
    else if (flowing) this.#downstream.resumeBody()
    else connection.dueAt = connection.deadlines.in(connection.idleMs)
  }

  #askedHooks(): Hook[] {
    return [...this.#service.listener.hooks.slice(0, this.#listenerAsked), ...(this.#match?.route.hooks.slice(0, this.#routeAsked) ?? [])]
  }

  #hop(): Hop {
    const { via, forwarded } = this.#service.listener
    const { peer, scheme, protocol } = this.#downstream
    const version = protocol === 'HTTP/2' ? '2.0' : this.request.minor === 0 ? '1.0' : '1.1'
    return { peer, scheme, host: this.request.host, version, via, forwarded }
  }

  /** And the empty line that ends the head. */
  #hopText(): string {
    if (this.#service.listener.trust?.has(this.#downstream.peer)) return '\r\n'
    const { memo } = this.#downstream
    const { host, minor } = this.request
    if (memo.host !== host || memo.minor !== minor || memo.service !== this.#service.number) {
      memo.host = host
      memo.minor = minor
      memo.service = this.#service.number
      memo.lines = `${hopLines(this.#hop())}\r\n`
    }
    return memo.lines
  }

  #requestSent(): void {
    const connection = this.#connection!
    connection.requestSent = true
    if (this.response === null) connection.dueAt = connection.deadlines.in(this.#upstream!.plan.timeouts.response)
  }

  /** More of the request body, framed for HTTP/1.1. False: wait for `resumeBody`, and leave the bytes untouched until then. */
  pushBody(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean {
    const connection = this.#connection
    this.bytesIn += prefix.length + to - from
    if (connection === null) {
      // Not connected yet: there is no more than one read of it, for reading stops until there is somebody to take it.
      const more = prefix + bytes.latin1Slice(from, to)
      if (this.#firstBytes === null) this.#firstBody += more
      else this.#firstBytes = Buffer.concat([this.#firstBytes, Buffer.from(more, 'latin1')])
      return false
    }
    this.#bodyStreamed = true
    const flowing = lent ? connection.wire.write(prefix, bytes, from, to) : connection.wire.writeText(prefix + bytes.latin1Slice(from, to))
    if (!flowing) connection.dueAt = connection.deadlines.in(connection.idleMs)
    return flowing
  }

  /** The request body is complete; `text`: the end of its framing. */
  endBody(text: string): void {
    this.#bodyDone = true
    this.bytesIn += text.length
    if (this.#connection === null) {
      this.#firstBody += text
      return
    }
    if (text !== '') this.#connection.wire.writeText(text)
    this.#requestSent()
  }

  onSendable(): void {
    if (this.#bodyDone) return this.#downstream.bodyTaken()
    this.#connection!.dueAt = Number.POSITIVE_INFINITY
    this.#downstream.resumeBody()
  }

  onFailed(code: ErrorCode, detail: string | null): void {
    const connection = this.#connection
    this.#connection = null
    if (this.response !== null) return this.#breakOff(code, detail)
    if (this.#mayRetry(errorTable[code].retry, connection)) return
    this.#fail(code, detail)
  }

  /** Starts another attempt if this failure allows it. */
  #mayRetry(rule: RetryRule, connection: UpstreamConnection | null): boolean {
    if (this.#bodyStreamed || rule === 'never' || this.#stage !== 'upstream') return false
    if (rule === 'if-reused') {
      if (connection?.reused !== true || this.#staleRetried || !this.#bodyDone || !isIdempotent(this.request.method)) return false
      this.#staleRetried = true
      this.#attempt(true)
      return true
    }
    if (this.attempts >= this.#upstream!.plan.attempts) return false
    this.#tried = [...(this.#tried ?? []), this.#endpoint!]
    this.#attempt(false)
    return true
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────────────────────────

  get answersHead(): boolean {
    return this.request.method === 'HEAD'
  }

  get keepsFraming(): boolean {
    return this.#downstream.passesFraming
  }

  onInformational(head: ResponseHead): void {
    if (this.request.minor === 0) return
    // A client that would wait for so many bytes never saw a body after an interim response (RFC 9110 §8.6).
    head.delete('content-length')
    this.#downstream.sendInformational(head)
    if (this.#downstream.congested) this.#connection?.pause()
  }

  onHead(head: ResponseHead, length: number): void {
    this.#answeredAt = monotonicMs()
    this.upstreamMs = this.#answeredAt - this.#sentAt
    this.response = head
    this.#length = length
    this.#stage = 'responseHooks'
    this.#askResponse()
  }

  onBody(prefix: string, bytes: Buffer, from: number, to: number): void {
    if (this.#isBodyless) return
    this.bytesOut += prefix.length + to - from
    if (this.#held !== null) this.#held.push(prefix + bytes.latin1Slice(from, to))
    else if (!this.#downstream.sendBody(prefix, bytes, from, to)) this.#connection?.pause()
  }

  onBodyText(text: string): void {
    if (this.#isBodyless) return
    this.bytesOut += text.length
    if (this.#held !== null) this.#held.push(text)
    else this.#downstream.sendText(text)
  }

  onBodyEnd(trailers: string): void {
    this.#connection = null
    this.#complete = true
    this.#trailers = trailers
    if (this.#held === null) this.#downstream.endBody(trailers)
  }

  onReadEnd(): void {
    if (this.#held !== null) {
      this.#answeredAt = 0
      if (!this.#complete) this.#connection?.pause()
      return
    }
    if (this.#stage !== 'replying') return
    const flowing = this.#downstream.flush()
    if (this.#complete) return this.#end()
    this.#answeredAt = 0
    if (!flowing) this.#connection?.pause()
  }

  /** The client took what was written. */
  onReceivable(): void {
    if (this.#held === null && !this.#complete) this.#connection?.resume()
  }

  onUpgraded(head: ResponseHead, connection: UpstreamConnection, rest: Buffer): void {
    this.#connection = null
    if (this.request.upgrade === null || head.upgrade?.toLowerCase() !== this.request.upgrade.toLowerCase()) {
      connection.wire.destroy()
      return this.#fail('upgrade_failed', null)
    }
    const messages = this.#messages?.accepted(head) ?? null
    if (this.#messages !== null && messages === null) {
      connection.wire.destroy()
      return this.#fail('upgrade_failed', 'with an extension that the hooks of its messages cannot read')
    }
    this.upstreamMs = monotonicMs() - this.#sentAt
    this.response = head
    this.status = 101
    this.tunnel = true
    this.#stage = 'ended'
    // It may outlive this plan and many more: what is told of it in the end holds none.
    this.#downstream.becomeTunnel(head, connection, rest, tunnelEnd(this, this.#started, this.#service.observer), messages)
    this.#service.tally.leave()
  }

  #askResponse(): void {
    const route = this.#match?.route.hooks
    while (this.#routeAsked + this.#listenerAsked > 0) {
      const hook = this.#routeAsked > 0 ? route![--this.#routeAsked]! : this.#service.listener.hooks[--this.#listenerAsked]!
      if (hook.onResponse === null) continue
      this.#asking = hook
      const answer = attempt(hook.onResponse, this)
      this.#isAsking = answer === PENDING
      if (answer === PENDING) {
        this.#held ??= []
        return
      }
      if (!this.#applyResponse(answer)) return
    }
    this.#reply()
  }

  /** Returns whether the other hooks are still to be asked. */
  #applyResponse(verdict: Verdict | null): boolean {
    if (verdict === null) return true
    this.decidedBy = this.#asking?.name ?? null
    if (verdict.kind === 'respond') this.#replace(() => makeReply(verdict.status, verdict.body, verdict.headers))
    else if (verdict.kind === 'fail') this.#replace(() => this.#errorReply(verdict.error.code, verdict.error.message))
    return true
  }

  /** The response is another one: what the endpoint still sends is not wanted. */
  #replace(make: () => Reply): void {
    this.#connection?.abort()
    this.#connection = null
    this.#held = null
    this.#setLocal(make)
  }

  #reply(): void {
    const response = this.response!
    this.#stage = 'replying'
    this.status = response.status
    this.#isBodyless = this.#askedHead || response.status === 204 || response.status === 304
    // A hook has made this of an answer that had no body, whatever length it told.
    if (!this.#isBodyless && this.#length === 0 && response.contentLength !== 0) response.set('Content-Length', '0')
    this.#downstream.sendHead(response, this.#length, this.#askedHead)
    if (this.#localBody !== null) return this.#replyLocal(this.#localBody)
    const held = this.#held
    if (held === null) return
    this.#held = null
    if (this.#isBodyless) this.bytesOut = 0
    else for (const text of held) this.#downstream.sendBody(text, EMPTY, 0, 0)
    if (this.#complete) this.#downstream.endBody(this.#trailers)
    const flowing = this.#downstream.flush()
    if (this.#complete) this.#end()
    else if (flowing) this.#connection?.resume()
  }

  #replyLocal(body: string): void {
    if (!this.#isBodyless) {
      this.bytesOut = body.length
      this.#downstream.sendText(body)
    }
    this.#complete = true
    this.#downstream.endBody('')
    this.#downstream.flush()
    this.#end()
  }

  // ── answers of the proxy's own, and ends ─────────────────────────────────────────────────────────────────────────

  #answer(make: () => Reply): void {
    this.#stage = 'responseHooks'
    this.#setLocal(make)
    this.#askResponse()
  }

  #fail(code: ErrorCode, detail: string | null): void {
    if (this.#stage === 'ended') return
    this.#answer(() => this.#errorReply(code, detail))
  }

  #errorReply(code: ErrorCode, detail: string | null): Reply {
    this.reason = code
    this.detail = detail
    return makeErrorReply(code, this.request, this.id, this.#service.listener.via ?? 'proxy')
  }

  #setLocal(make: () => Reply): void {
    let reply: Reply
    try {
      reply = make()
    } catch (error) {
      reply = this.#errorReply('hook_failed', errorText(error))
    }
    this.response = reply.head
    this.#length = reply.body.length
    this.#localBody = reply.body
  }

  /** The head is sent and the rest will not come. */
  #breakOff(code: ErrorCode, detail: string | null): void {
    if (this.#stage === 'responseHooks') {
      // Nothing was sent yet: the client still gets a clean error.
      this.reason = code
      this.#replace(() => this.#errorReply(code, detail))
      return
    }
    this.reason = code
    this.detail = detail
    this.#downstream.abort()
    this.#tell()
  }

  /** The client went away, or its request body could not be read on. */
  abandon(code: ErrorCode, detail: string | null): void {
    if (this.#stage === 'ended') return
    this.#giveUpDial?.()
    this.#giveUpDial = null
    this.#connection?.abort()
    this.#connection = null
    this.reason = code
    this.detail = detail
    this.#tell()
  }

  /** The request body is malformed or late: answered while that is still possible. */
  rejectBody(code: ErrorCode, detail: string | null): void {
    if (this.#stage === 'replying') {
      this.#downstream.abort()
      return this.abandon(code, detail)
    }
    this.#giveUpDial?.()
    this.#giveUpDial = null
    this.#connection?.abort()
    this.#connection = null
    this.#held = null
    this.#bodyDone = false
    // The answer of a hook that was being asked would be taken for that of the next one asked: no other is.
    if (this.#isAsking) this.#listenerAsked = this.#routeAsked = 0
    this.#fail(code, detail)
  }

  #end(): void {
    this.#tell()
    this.#downstream.finished()
  }

  #tell(): void {
    this.#stage = 'ended'
    // What ended inside the read that brought its head ended then.
    this.durationMs = (this.#answeredAt > 0 ? this.#answeredAt : monotonicMs()) - this.#started
    this.#service.observer.exchangeEnded(this)
    this.#service.tally.leave()
  }

  // ── what is told of it ───────────────────────────────────────────────────────────────────────────────────────────

  get startedAt(): number {
    return toEpochMs(this.#started)
  }
  /** The connection that asked. */
  get downstream(): Downstream {
    return this.#downstream
  }
  get ended(): boolean {
    return this.#stage === 'ended'
  }
  /** Whether the response has begun: too late for another. */
  get replying(): boolean {
    return this.#stage === 'replying'
  }
  get bodyDone(): boolean {
    return this.#bodyDone
  }
  get listener(): string {
    return this.#service.listener.name
  }
  get route(): string | null {
    return this.#match?.route.id ?? null
  }
  get upstream(): string | null {
    return this.#upstream?.plan.name ?? null
  }
  get endpoint(): string | null {
    return this.#endpoint?.plan.address ?? null
  }
  get id(): string {
    return this.#service.requestId(this.#serial)
  }
  get serial(): number {
    return this.#serial
  }
  get generation(): number {
    return this.#service.generation
  }
  get scheme(): 'http' | 'https' {
    return this.#downstream.scheme
  }
  get received(): string {
    return this.request.received
  }
  get protocol(): EndedExchange['protocol'] {
    return this.request.minor === 0 ? 'HTTP/1.0' : this.#downstream.protocol
  }
  get method(): string {
    return this.request.method
  }
  get host(): string {
    return this.request.host
  }
  get path(): string {
    return this.request.path
  }
  get search(): string {
    return this.request.search
  }
  get userAgent(): string | null {
    return this.request.userAgent
  }
  get referer(): string | null {
    return this.request.referer
  }
  get peer(): string {
    return this.#downstream.peer
  }
  get logHooks(): readonly Hook[] | null {
    const { logHooks } = this.#service
    if (logHooks === null || this.#match !== null) return this.#logHooks
    return logHooks.of(null, this.request)
  }
}

const EMPTY = Buffer.alloc(0)

/** A hook of the user's that throws is an error of this exchange alone. */
function attempt(hook: (call: HookCall) => Answer, call: HookCall): Answer {
  try {
    return hook(call)
  } catch (error) {
    return { kind: 'fail', error: error instanceof ProxyError ? error : new ProxyError('hook_failed', errorText(error), error) }
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
