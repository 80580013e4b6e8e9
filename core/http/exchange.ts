/**
 * One request and its response, from the head we read to the last byte we write. A synchronous state machine: it waits only where
 * a hook, a dial or a peer really makes it wait.
 *
 *   begin:  ask the listener's hooks → match the route → ask the route's hooks → answer, or
 *           choose an endpoint, connect, send, try again (attempt.ts; hooks of the body: request-filter.ts)
 *           → response head → ask hooks in reverse → reply (hooks of its body: response-filter.ts) → tell
 */

import { monotonicMs } from '../clock.ts'
import { type ErrorCode, errorTable, ProxyError } from '../errors.ts'
import { type CallPart, type Hook, type HookCall, PENDING, type Verdict } from '../hooks.ts'
import { type RequestHead, ResponseHead } from '../net/http1/head.ts'
import { normalisePath } from '../net/path.ts'
import type { RoutePlan } from '../plan/plan.ts'
import { expand } from '../route/template.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { ask, errorText } from './ask.ts'
import { Attempt } from './attempt.ts'
import { askForPlain, loosenResponse, mediaType, requestHooks, responseHooks, wantsType } from './body-hooks.ts'
import { type Coding, codingOf } from './content-coding.ts'
import type { Downstream } from './downstream.ts'
import { makeErrorReply, makeRedirect, makeReply, type Reply } from './reply.ts'
import { RequestFilter } from './request-filter.ts'
import { RequestFacts } from './request-view.ts'
import { ResponseFilter, type ResponseTaker } from './response-filter.ts'
import type { Service } from './service.ts'
import { tunnelEnd } from './tunnel-end.ts'

export class Exchange extends Attempt implements HookCall, ResponseTaker {
  part: CallPart | null = null
  /** How many hooks of the listener and of the route were asked: their response hooks run, in reverse. */
  #listenerAsked = 0
  #routeAsked = 0
  #asking: Hook | null = null
  /** A hook owes an answer. */
  #isAsking = false
  /** Hooks still to be asked about an upgrade or an error, the next one last. */
  #toAsk: Hook[] | null = null

  /** When the response's head came; 0 once that read is over. */
  #answeredAt = 0
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

  /** Hooks that want the response's body if it is of their types, the first to be asked first; and all that were asked. */
  #bodyHooks: readonly Hook[] | null = null
  #askedAll: readonly Hook[] | null = null
  #responseFilter: ResponseFilter | null = null
  /** The endpoint's framing was taken off. */
  #isUnframed = false
  /** Which connection the response came by. */
  #source: UpstreamConnection | null = null

  constructor(service: Service, downstream: Downstream, request: RequestHead, serial: number) {
    super(service, downstream, request, serial)
    this.#askedHead = request.method === 'HEAD'
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** `firstBody`, or many `firstBytes` to keep: what of the body came with the head, framed for HTTP/1.1; `bodyDone`: there is no more. */
  begin(firstBody: string, firstBytes: Buffer | null, bodyDone: boolean): void {
    this.firstBody = firstBody
    this.firstBytes = firstBytes
    this.sendsNoMore = bodyDone
    this.bytesIn = firstBody.length + (firstBytes === null ? 0 : firstBytes.length)
    this.#askRequest()
  }

  /** Ends an exchange that never became one: the head could not be read. */
  refuse(code: ErrorCode, detail: string | null): void {
    this.sendsNoMore = false
    this.fail(code, detail)
  }

  #askRequest(): void {
    const { hooks } = this.service.listener
    while (this.#listenerAsked < hooks.length) {
      if (!this.#ask(hooks[this.#listenerAsked++]!)) return
    }
    if (this.match === null && !this.#matchRoute()) return
    const { route } = this.match!
    while (this.#routeAsked < route.hooks.length) {
      if (!this.#ask(route.hooks[this.#routeAsked++]!)) return
    }
    if (this.request.upgrade === null) this.#dispatch(route)
    else this.#beginUpgrade()
  }

  /** Returns whether to go on at once. */
  #ask(hook: Hook): boolean {
    if (hook.onRequest === null) return true
    this.#asking = hook
    const answer = ask(hook.onRequest, this)
    this.#isAsking = answer === PENDING
    if (answer === PENDING) return false
    if (answer === null) return true
    this.#decide(answer)
    return false
  }

  #decide(verdict: Verdict): void {
    this.decidedBy = this.#asking?.name ?? null
    if (verdict.kind === 'fail') return this.fail(verdict.error.code, verdict.error.message)
    if (verdict.kind === 'respond') return this.#answer(() => makeReply(verdict.status, verdict.body, verdict.headers))
    if (verdict.kind !== 'routeTo') return this.fail('hook_failed', `an answer of the wrong kind: ${verdict.kind}`)
    const upstream = this.service.upstreamNamed(verdict.upstream)
    if (upstream === null) return this.fail('unknown_upstream', verdict.upstream)
    if (!this.#normalise()) return
    if (this.request.upgrade === null) return this.#sendTo(upstream)
    this.target = upstream
    this.#beginUpgrade()
  }

  /** All that were asked about the request are asked once more, in the same order. */
  #beginUpgrade(): void {
    this.stage = 'upgradeHooks'
    this.#toAsk = this.#asked()
      .filter((hook) => hook.onUpgrade !== null)
      .reverse()
    this.#askUpgrade(this.#toAsk.length > 0)
  }

  #askUpgrade(mayHaveChanged: boolean): void {
    for (let hook = this.#toAsk!.pop(); hook !== undefined; hook = this.#toAsk!.pop()) {
      this.#asking = hook
      const answer = ask(hook.onUpgrade!, this)
      this.#isAsking = answer === PENDING
      if (answer === PENDING) return
      if (answer !== null) return this.#decideUpgrade(answer)
    }
    if (mayHaveChanged && !this.#normalise()) return
    if (this.target !== null) this.#sendTo(this.target)
    else this.#dispatch(this.match!.route)
  }

  #decideUpgrade(verdict: Verdict): void {
    this.target = null
    if (verdict.kind === 'routeTo') return this.fail('hook_failed', 'an answer of the wrong kind: routeTo')
    this.#decide(verdict)
  }

  /** The hooks asked so far whose response hooks are to be asked, in order. */
  #asked(): Hook[] {
    if (this.#listenerAsked + this.#routeAsked === 0) return []
    return [...this.service.listener.hooks.slice(0, this.#listenerAsked), ...(this.match?.route.hooks.slice(0, this.#routeAsked) ?? [])]
  }

  #matchRoute(): boolean {
    this.stage = 'routeHooks'
    if (this.#listenerAsked > 0 && !this.#normalise()) return false
    try {
      this.match = this.service.listener.routes.match(new RequestFacts(this.request, this.ip))
    } catch (error) {
      this.fail(error instanceof ProxyError ? error.code : 'hook_failed', errorText(error))
      return false
    }
    if (this.match === null) this.fail('no_route', null)
    return this.match !== null
  }

  /** A hook may have written any path, and any method. */
  #normalise(when = 'set by a hook'): boolean {
    if (this.request.method === 'CONNECT') {
      this.fail('unsupported_method', when)
      return false
    }
    const path = this.request.path === '*' ? '*' : normalisePath(this.request.path, this.service.listener)
    if (path === null) this.fail('bad_path', when)
    else this.request.path = path
    return path !== null
  }

  #dispatch(route: RoutePlan): void {
    if (this.#routeAsked > 0 && !this.#normalise()) return
    const { destination } = route
    switch (destination.kind) {
      case 'upstream':
        if (destination.rewrite !== null && !this.#rewrite(destination.rewrite)) return
        return this.#sendTo(this.service.upstreamFor(destination.upstream))
      case 'split':
        if (destination.rewrite !== null && !this.#rewrite(destination.rewrite)) return
        return this.#sendTo(this.service.nextOf(destination))
      case 'respond':
        return this.#answer(() => makeReply(destination.status, destination.body, destination.headers))
      case 'redirect':
        return this.#answer(() => makeRedirect(destination.status, expand(destination.to, this.match!.params, this.request.search)))
    }
  }

  #rewrite(template: string): boolean {
    const target = expand(template, this.match!.params, this.request.search)
    const mark = target.indexOf('?')
    this.request.path = mark < 0 ? target : target.slice(0, mark)
    this.request.search = mark < 0 ? '' : target.slice(mark)
    return this.#normalise('after rewrite')
  }

  /** A hook that answered PENDING. */
  resume(verdict: Verdict | null): void {
    this.#isAsking = false
    this.waited = true
    switch (this.stage) {
      case 'listenerHooks':
      case 'routeHooks':
        return verdict === null ? this.#askRequest() : this.#decide(verdict)
      case 'upgradeHooks':
        return verdict === null ? this.#askUpgrade(true) : this.#decideUpgrade(verdict)
      case 'errorHooks':
        return this.#applyError(verdict) ? undefined : this.#askError()
      case 'responseHooks':
        return this.#applyResponse(verdict) ? this.#askResponse() : undefined
    }
  }

  #sendTo(upstream: Upstream): void {
    this.stage = 'upstream'
    this.target = upstream
    this.applyIdentity()
    if (this.#listenerAsked + this.#routeAsked === 0 || this.#prepareBodies()) this.attempt(false)
  }

  /** Returns whether the request may be sent now. */
  #prepareBodies(): boolean {
    const { request } = this
    const asked = this.#asked()
    this.#bodyHooks = responseHooks(asked, request)
    if (this.#bodyHooks !== null) {
      this.#askedAll = asked
      askForPlain(request)
    }
    const hooks = request.contentLength === 0 ? [] : requestHooks(asked, request)
    return hooks.length === 0 || this.#filterRequest(hooks)
  }

  #filterRequest(hooks: readonly Hook[]): boolean {
    const { request, firstBody, firstBytes, sendsNoMore } = this
    const field = request.get('content-encoding')
    const coding = codingOf(field)
    if (coding === undefined) {
      this.fail('unsupported_content_coding', field)
      return false
    }
    const filter = new RequestFilter(this, hooks, coding)
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

  /** A hook has ended the request's body, or it cannot be decoded. */
  stopBody(verdict: Verdict, by: Hook | null): void {
    if (this.stage === 'ended') return
    this.decidedBy = by?.name ?? this.decidedBy
    const [code, detail] = bodyFailure(verdict, 'request_denied')
    if (this.stage === 'replying') {
      this.downstream.abort()
      return this.abandon(code, detail)
    }
    this.#interrupt()
    if (verdict.kind === 'respond') this.#answer(() => makeReply(verdict.status, verdict.body, verdict.headers))
    else this.fail(code, detail)
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────────────────────────

  get answersHead(): boolean {
    return this.request.method === 'HEAD'
  }

  get keepsFraming(): boolean {
    return this.downstream.passesFraming && !this.#isUnframed
  }

  onInformational(head: ResponseHead): void {
    if (this.request.minor === 0) return
    // A client that would wait for so many bytes never saw a body after an interim response (RFC 9110 §8.6).
    head.delete('content-length')
    this.downstream.sendInformational(head)
    if (this.downstream.congested) this.connection?.pause()
  }

  onHead(head: ResponseHead, length: number): void {
    this.#answeredAt = monotonicMs()
    this.upstreamMs = this.#answeredAt - this.sentAt
    this.response = head
    this.#length = length
    this.stage = 'responseHooks'
    this.#askResponse()
    // Whether its hooks want it may not be known yet: so may be the type.
    this.#isUnframed = this.#bodyHooks !== null && (this.#responseFilter !== null || this.stage === 'responseHooks')
  }

  onBody(prefix: string, bytes: Buffer, from: number, to: number): void {
    if (this.#isBodyless) return
    if (this.#responseFilter !== null) return this.#responseFilter.push(bytes, from, to)
    this.bytesOut += prefix.length + to - from
    if (this.#held !== null) this.#held.push(prefix + bytes.latin1Slice(from, to))
    else if (!this.downstream.sendBody(prefix, bytes, from, to)) this.connection?.pause()
  }

  onBodyText(text: string): void {
    if (this.#isBodyless) return
    if (this.#responseFilter !== null) return this.#responseFilter.push(Buffer.from(text, 'latin1'), 0, text.length)
    this.bytesOut += text.length
    if (this.#held !== null) this.#held.push(text)
    else this.downstream.sendText(text)
  }

  onBodyEnd(trailers: string): void {
    this.#source = this.#held === null ? this.connection : null
    this.connection = null
    this.#complete = true
    this.#trailers = trailers
    if (this.#held === null && this.#responseFilter === null) this.downstream.endBody(trailers)
  }

  onReadEnd(): void {
    if (this.#responseFilter !== null) return this.#filterRead(this.#responseFilter)
    if (this.#held !== null) {
      this.#answeredAt = 0
      if (!this.#complete) this.connection?.pause()
      return
    }
    if (this.stage !== 'replying') return
    const flowing = this.downstream.flush()
    if (this.#complete) return this.#end()
    this.#answeredAt = 0
    if (!flowing) this.connection?.pause()
  }

  /** The client took what was written. */
  onReceivable(): void {
    if (this.#responseFilter !== null) this.#responseFilter.drained()
    else if (this.#held === null && !this.#complete) this.connection?.resume()
  }

  onUpgraded(head: ResponseHead, connection: UpstreamConnection, rest: Buffer): void {
    this.connection = null
    if (this.request.upgrade === null || head.upgrade?.toLowerCase() !== this.request.upgrade.toLowerCase()) {
      connection.wire.destroy()
      return this.fail('upgrade_failed', null)
    }
    this.upstreamMs = monotonicMs() - this.sentAt
    this.response = head
    this.status = 101
    this.tunnel = true
    this.stage = 'ended'
    // It may outlive this plan and many more: what is told of it in the end holds none.
    this.downstream.becomeTunnel(head, connection, rest, tunnelEnd(this, this.started, this.service.observer))
    this.service.tally.leave()
  }

  #askResponse(): void {
    const route = this.match?.route.hooks
    while (this.#routeAsked + this.#listenerAsked > 0) {
      const hook = this.#routeAsked > 0 ? route![--this.#routeAsked]! : this.service.listener.hooks[--this.#listenerAsked]!
      if (hook.onResponse === null) continue
      this.#asking = hook
      const answer = ask(hook.onResponse, this)
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
    else if (verdict.kind === 'fail') {
      this.#dropResponse()
      this.fail(verdict.error.code, verdict.error.message)
      return false
    }
    return true
  }

  /** The response is another one: what the endpoint still sends is not wanted. */
  #replace(make: () => Reply): void {
    this.#dropResponse()
    this.#setLocal(make)
  }

  /** What the endpoint said, and may still say, is not wanted. */
  #dropResponse(): void {
    this.giveUp()
    this.#held = null
    this.#responseFilter?.close()
    this.#responseFilter = null
  }

  /** The client itself has put an end to it, in the midst of whatever was asked. */
  #interrupt(): void {
    this.#dropResponse()
    // The answer of a hook that is being asked would be taken for that of the next one asked: no other is.
    if (this.#isAsking) this.#listenerAsked = this.#routeAsked = 0
  }

  #reply(): void {
    const response = this.response!
    if (this.#bodyHooks !== null && this.#localBody === null && this.#filterResponse(response, this.#bodyHooks)) return
    this.stage = 'replying'
    this.status = response.status
    this.#isBodyless = this.#askedHead || response.status === 204 || response.status === 304
    // A hook has made this of an answer that had no body, whatever length it told.
    if (!this.#isBodyless && this.#length === 0 && response.contentLength !== 0) response.set('Content-Length', '0')
    this.downstream.sendHead(response, this.#isUnframed && this.#length === -1 ? this.#unknown : this.#length, this.#askedHead)
    if (this.#localBody !== null) return this.#replyLocal(this.#localBody)
    const held = this.#held
    if (held === null) return
    this.#held = null
    if (this.#isBodyless) this.bytesOut = 0
    else for (const text of held) this.downstream.sendBody(text, EMPTY, 0, 0)
    if (this.#complete) this.downstream.endBody(this.#trailers)
    const flowing = this.downstream.flush()
    if (this.#complete) this.#end()
    else if (flowing) this.connection?.resume()
  }

  // ── hooks of its body ────────────────────────────────────────────────────────────────────────────────────────────

  /** Returns whether the head waits for the body, or for an error in its place. */
  #filterResponse(response: ResponseHead, mayWant: readonly Hook[]): boolean {
    const { status } = response
    const type = mediaType(response)
    // A 304 that tells no type may stand for any.
    const hooks = mayWant.filter(({ onResponseBody }) => wantsType(onResponseBody!, type) || (status === 304 && type === ''))
    const isPart = status === 206 && (hooks.length > 0 || type === 'multipart/byteranges')
    if ((hooks.length === 0 && !isPart) || status === 204) return false
    if (this.#askedHead || status === 304) {
      loosenResponse(response)
      return false
    }
    const field = response.get('content-encoding')
    const coding = codingOf(field)
    if (isPart) this.#failLate('response_malformed', 'a part that was not asked for')
    else if (coding === undefined) this.#failLate('response_content_coding', field)
    else this.#startFilter(response, hooks, { type, coding })
    return true
  }

  #startFilter(response: ResponseHead, hooks: readonly Hook[], { type, coding }: { type: string; coding: Coding | null }): void {
    const { request, ip } = this
    this.stage = 'filtering'
    loosenResponse(response)
    const body = { kind: 'responseBody', request, response, ip, type, coding, length: this.#length } as const
    const filter = new ResponseFilter(this, hooks, body)
    this.#responseFilter = filter
    const held = this.#held
    if (held === null) return
    this.#held = null
    this.bytesOut = 0
    for (const text of held) filter.push(Buffer.from(text, 'latin1'), 0, text.length)
    this.#filterRead(filter)
    if (!this.#complete && filter.flows) this.connection?.resume()
  }

  #filterRead(filter: ResponseFilter): void {
    const flowing = filter.readEnd(this.#complete, this.#trailers)
    if (this.#complete) {
      // Another exchange may have that connection by now.
      if (filter.isLent) this.#source?.wire.leaveBuffer()
      return
    }
    this.#answeredAt = 0
    if (!flowing) this.connection?.pause()
  }

  sendFilteredHead(head: ResponseHead, length: number): void {
    this.stage = 'replying'
    this.status = head.status
    this.downstream.sendHead(head, length < 0 ? this.#unknown : length, false)
  }

  sendFiltered(bytes: Buffer): boolean {
    this.bytesOut += bytes.length
    return this.downstream.sendBody('', bytes, 0, bytes.length)
  }

  flushFiltered(): boolean {
    return this.downstream.flush()
  }

  endFiltered(trailers: string): void {
    this.downstream.endBody(trailers)
    this.downstream.flush()
    this.#end()
  }

  takeMoreResponse(): void {
    if (!this.#complete) this.connection?.resume()
  }

  stopResponse(verdict: Verdict, by: Hook | null): void {
    this.decidedBy = by?.name ?? this.decidedBy
    const [code, detail] = bodyFailure(verdict, 'response_denied')
    this.breakOff(code, detail)
  }

  /** After its hooks were asked about a head that was not sent. */
  #failLate(code: ErrorCode, detail: string | null): void {
    this.#dropResponse()
    this.#failTo(code, detail, this.#askedAll!)
  }

  /** What a body of no known length is for a client whose framing is ours. */
  get #unknown(): -1 | -2 {
    return this.downstream.passesFraming ? -2 : -1
  }

  // ── answers of the proxy's own, and ends ─────────────────────────────────────────────────────────────────────────

  #replyLocal(body: string): void {
    if (!this.#isBodyless) {
      this.bytesOut = body.length
      this.downstream.sendText(body)
    }
    this.#complete = true
    this.downstream.endBody('')
    this.downstream.flush()
    this.#end()
  }

  #answer(make: () => Reply): void {
    this.stage = 'responseHooks'
    this.requestFilter?.close()
    this.#setLocal(make)
    this.#askResponse()
  }

  protected fail(code: ErrorCode, detail: string | null): void {
    if (this.stage !== 'ended') this.#failTo(code, detail, this.#asked())
  }

  /** `asked`: hooks that may put something else in the place of the error. */
  #failTo(code: ErrorCode, detail: string | null, asked: readonly Hook[]): void {
    this.reason = code
    this.detail = detail
    this.part = null
    this.requestFilter?.close()
    this.#toAsk = asked.filter((hook) => hook.onError !== null)
    if (this.#toAsk.length === 0) return this.#answer(() => this.#errorReply(code, detail))
    this.stage = 'errorHooks'
    this.part = { kind: 'error', code, status: errorTable[code].status, detail: detail ?? errorTable[code].text }
    this.#askError()
  }

  #askError(): void {
    for (let hook = this.#toAsk!.pop(); hook !== undefined; hook = this.#toAsk!.pop()) {
      this.#asking = hook
      const answer = ask(hook.onError!, this)
      this.#isAsking = answer === PENDING
      if (answer === PENDING || this.#applyError(answer)) return
    }
    this.part = null
    this.#answer(() => this.#errorReply(this.reason!, this.detail))
  }

  /** Returns whether the error is answered. A hook that fails changes nothing: the first error is the one to be told. */
  #applyError(verdict: Verdict | null): boolean {
    if (verdict?.kind !== 'respond') return false
    let reply: Reply
    try {
      reply = makeReply(verdict.status, verdict.body, verdict.headers)
    } catch {
      return false
    }
    this.decidedBy = this.#asking!.name
    this.part = null
    this.#answer(() => reply)
    return true
  }

  #errorReply(code: ErrorCode, detail: string | null): Reply {
    this.reason = code
    this.detail = detail
    return makeErrorReply(code, this.request, this.id, this.service.listener.via ?? 'proxy')
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
  protected breakOff(code: ErrorCode, detail: string | null): void {
    if (this.stage === 'responseHooks') {
      // Nothing was sent yet: the client still gets a clean error.
      this.reason = code
      this.#replace(() => this.#errorReply(code, detail))
      return
    }
    if (this.stage === 'filtering') return this.#failLate(code, detail)
    this.reason = code
    this.detail = detail
    this.connection?.abort()
    this.connection = null
    this.downstream.abort()
    this.#tell()
  }

  /** The client went away, or its request body could not be read on. */
  abandon(code: ErrorCode, detail: string | null): void {
    if (this.stage === 'ended') return
    this.giveUp()
    this.reason = code
    this.detail = detail
    this.#tell()
  }

  /** The request body is malformed or late: answered while that is still possible. */
  rejectBody(code: ErrorCode, detail: string | null): void {
    if (this.stage === 'replying') {
      this.downstream.abort()
      return this.abandon(code, detail)
    }
    this.#interrupt()
    this.sendsNoMore = false
    this.fail(code, detail)
  }

  #end(): void {
    this.#tell()
    this.downstream.finished()
  }

  #tell(): void {
    this.stage = 'ended'
    this.requestFilter?.close()
    this.#responseFilter?.close()
    // What ended inside the read that brought its head ended then.
    this.durationMs = (this.#answeredAt > 0 ? this.#answeredAt : monotonicMs()) - this.started
    this.service.observer.exchangeEnded(this)
    this.service.tally.leave()
  }
}

const EMPTY = Buffer.alloc(0)

/** Of a body that was ended by this verdict. */
function bodyFailure(verdict: Verdict, denied: ErrorCode): readonly [ErrorCode, string | null] {
  if (verdict.kind === 'fail') return [verdict.error.code, verdict.error.message]
  if (verdict.kind === 'deny') return [denied, null]
  if (verdict.kind === 'respond' && denied === 'request_denied') return [denied, 'answered when the response had begun']
  return ['hook_failed', `an answer of the wrong kind: ${verdict.kind}`]
}
