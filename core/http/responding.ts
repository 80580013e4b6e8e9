/**
 * The response's way back: its head past the hooks that were asked about the request, in reverse, then its body, as it comes or by
 * the hooks that want it. What the client has not taken stops the reading of the endpoint.
 */
import type { StoredAnswer } from '../cache/answers.ts'
import { monotonicMs } from '../clock.ts'
import { type Hook, PENDING, type Verdict } from '../hooks.ts'
import { asksForConnection } from '../net/connection-credentials.ts'
import type { NamedDestination } from '../net/destination.ts'
import { dropSetCookie } from '../net/http1/cookie.ts'
import { ResponseHead } from '../net/http1/head.ts'
import { loosenResponse } from '../net/http1/loosen.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Stickiness } from '../upstream/stickiness.ts'
import { bodyFailure } from './answering.ts'
import { ask } from './ask.ts'
import { askForPlain, isEncoder, mediaType, responseHooks, wantsType } from './body-hooks.ts'
import { type Coding, codingOf } from './content-coding.ts'
import type { Detour } from './detour.ts'
import type { TunnelLooks } from './downstream.ts'
import { Passing } from './passing.ts'
import { makeReply } from './reply.ts'
import { ResponseFilter, type ResponseTaker } from './response-filter.ts'
import { tunnelEnd } from './tunnel-end.ts'

/** By status. */
const CHALLENGES = { 401: 'www-authenticate', 407: 'proxy-authenticate' } as const

export abstract class Responding extends Passing implements ResponseTaker {
  /** What a cache says takes the response's place. */
  protected abstract useStored(answer: StoredAnswer): void

  get answersHead(): boolean {
    return this.request.method === 'HEAD'
  }

  get keepsFraming(): boolean {
    return this.downstream.passesFraming && !this.isUnframed
  }

  onInformational(head: ResponseHead): void {
    if (this.request.minor === 0) return
    // A client that would wait for so many bytes never saw a body after an interim response (RFC 9110 §8.6).
    head.delete('content-length')
    this.downstream.sendInformational(head)
    if (this.downstream.congested) this.connection?.pause()
  }

  onHead(head: ResponseHead, length: number): void {
    const { safeguards, timesAnswers } = this.target!
    if (timesAnswers) this.timeAnswer(head.status < 500)
    if (safeguards !== null && this.answered(safeguards, head.status)) return
    this.tryClock?.stop()
    this.answeredAt = monotonicMs()
    this.upstreamMs = this.answeredAt - this.sentAt
    if (this.request.upgrade !== null && this.isTakenForUpgrade(head)) return
    if (this.service.forward !== null && !this.isForClient(head)) return
    if ((head.status === 401 || head.status === 407) && asksForConnection(head.get(CHALLENGES[head.status]))) this.bind(this.connection!)
    this.response = head
    this.length = length
    this.stage = 'responseHooks'
    this.isUnframed = false
    const { buffer } = this.target!.plan
    if (buffer !== null && buffer.response !== null && length !== 0 && !this.answersHead) this.spoolAnswer(buffer.response)
    this.askResponse()
    // Whether its hooks want it may not be known yet: so may be the type.
    this.isUnframed ||= this.detour !== null || (this.bodyHooks !== null && this.stage === 'responseHooks')
  }

  /** Over HTTP/2 success grants the upgrade (RFC 8441 §5), which only a 101 does for an endpoint. */
  private isTakenForUpgrade({ status }: ResponseHead): boolean {
    if (this.downstream.protocol !== 'HTTP/2' || status >= 300) return false
    this.giveUp()
    this.fail('upgrade_failed', `answered with ${status}`)
    return true
  }

  /** Of the forward side. */
  private isForClient(head: ResponseHead): boolean {
    // RFC 7838: ways to the server that this proxy would not see.
    if (this.downstream.inside !== null) head.delete('alt-svc')
    if (head.status !== 407) return true
    // Of a parent, or of an origin that would have the client's password for this proxy (RFC 9110 §11.7.1: it is for the next proxy alone).
    this.giveUp()
    this.fail('parent_refused', 'it answered 407: it wants another name and password')
    return false
  }

  onUpgraded(head: ResponseHead, connection: UpstreamConnection, rest: Buffer): void {
    this.tryClock?.stop()
    this.target!.safeguards?.answered(this.chosen!, head.status, monotonicMs() - this.sentAt)
    if (this.ticket !== 0) this.settle(null)
    this.connection = null
    if (this.request.upgrade === null || head.upgrade?.toLowerCase() !== this.request.upgrade.toLowerCase()) {
      connection.wire.destroy()
      return this.fail('upgrade_failed', null)
    }
    const messages = this.messages?.accepted(head) ?? null
    if (this.messages !== null && messages === null) {
      connection.wire.destroy()
      return this.fail('upgrade_failed', 'with an extension that the hooks of its messages cannot read')
    }
    this.becomeTunnel(head, connection, rest, messages === null ? null : { kind: 'messages', messages })
  }

  protected beginTunnel(connection: UpstreamConnection): void {
    connection.takeWire()
    const blocks = this.service.forward?.blocks ?? null
    const { meter } = this
    const looks: TunnelLooks | null = blocks === null && meter === null ? null : { kind: 'forward', blocks, meter }
    this.becomeTunnel(new ResponseHead('', 0, 200, 'Connection established', 1), connection, EMPTY, looks)
  }

  /** What is said in it may be for this proxy: nobody is dialled before that is known. */
  protected grantTunnel(destination: NamedDestination): void {
    const head = new ResponseHead('', 0, 200, 'Connection established', 1)
    this.response = head
    this.status = 200
    this.tunnel = true
    this.stage = 'ended'
    const { started, service, request, id, serial, generation, ip, meter } = this
    const ended = tunnelEnd(this, { started, meter, observer: service.observer, endpoint: null, endings: request.takeEndings() })
    this.downstream.grantTunnel(head, { destination, user: request.user, id, serial, generation, ip, meter, paced: null, ended })
    service.tally.leave()
  }

  private becomeTunnel(head: ResponseHead, connection: UpstreamConnection, rest: Buffer, looks: TunnelLooks | null): void {
    this.upstreamMs = monotonicMs() - this.sentAt
    this.response = head
    if (this.place !== null) this.leavePlace(this.place, this.upstreamMs)
    if (this.target!.stickiness !== null) this.stick(head, this.target!.stickiness)
    this.status = this.downstream.protocol === 'HTTP/2' ? 200 : head.status
    this.tunnel = true
    this.stage = 'ended'
    // It may outlive this plan and many more: what is told of it in the end holds none.
    const { started, counting, service, request, meter } = this
    const beginning = { started, meter, observer: service.observer, endpoint: counting, endings: request.takeEndings() }
    this.counting = null
    this.downstream.becomeTunnel(head, connection, rest, tunnelEnd(this, beginning), looks)
    this.service.tally.leave()
  }

  protected askResponse(): void {
    const route = this.match?.route.hooks
    while (this.routeAsked + this.listenerAsked > this.outside) {
      const hook = this.routeAsked > 0 ? route![--this.routeAsked]! : this.service.listener.hooks[--this.listenerAsked]!
      if (hook.onResponse === null) continue
      this.asking = hook
      const answer = ask(hook.onResponse, this)
      this.isAsking = answer === PENDING
      if (answer === PENDING) {
        this.held ??= []
        return
      }
      if (!this.applyResponse(answer)) return
    }
    this.reply()
  }

  /** Returns whether the other hooks are still to be asked. */
  protected applyResponse(verdict: Verdict | null): boolean {
    if (verdict === null) return true
    if (verdict.kind === 'stored') {
      this.useStored(verdict)
      return true
    }
    this.decidedBy = this.asking?.name ?? null
    if (verdict.kind === 'respond') this.replace(() => makeReply(verdict.status, verdict.body, verdict.headers))
    else if (verdict.kind === 'fail') {
      this.dropResponse()
      this.refuseBy(verdict)
      return false
    }
    return true
  }

  private reply(): void {
    const response = this.response!
    if (this.target !== null && this.target.stickiness !== null && this.localBody === null) this.stick(response, this.target.stickiness)
    if (this.bodyHooks !== null && this.localBody === null && this.stored === null && this.filterResponse(response, this.bodyHooks)) return
    this.stage = 'replying'
    this.status = response.status
    this.isBodyless = this.askedHead || response.status === 204 || response.status === 304
    // A hook has made this of an answer that had no body, whatever length it told.
    if (!this.isBodyless && this.length === 0 && response.contentLength !== 0) response.set('Content-Length', '0')
    // What is counted are bytes of the body, and no framing.
    if (response.mostBody !== Number.POSITIVE_INFINITY && this.length === -1 && this.isFresh) this.isUnframed = true
    this.downstream.sendHead(response, this.isUnframed && this.length === -1 ? this.unknown : this.length, this.askedHead)
    if (this.stored !== null) return this.stored.start(this.isBodyless)
    if (this.localBody !== null) return this.replyLocal(this.localBody)
    const held = this.held
    if (held === null) return
    this.held = null
    if (this.isBodyless) this.bytesOut = 0
    else for (const text of held) this.downstream.sendBody(text, EMPTY, 0, 0)
    if (this.complete) this.downstream.endBody(this.trailers)
    const flowing = this.downstream.flush()
    if (this.complete) this.end()
    else if (flowing) this.feed?.resume()
  }

  /** After the hooks: no copy of the answer that one of them keeps has the cookie of one client. */
  private stick(response: ResponseHead, stickiness: Stickiness): void {
    dropSetCookie(response, stickiness.cookie)
    const cookie = stickiness.setCookie(this, this.chosen!, this.downstream.scheme === 'https')
    if (cookie !== null) response.append('Set-Cookie', cookie)
  }

  private replyLocal(body: string): void {
    if (!this.isBodyless) {
      this.bytesOut = body.length
      this.downstream.sendText(body)
    }
    this.complete = true
    this.downstream.endBody('')
    this.downstream.flush()
    this.end()
  }

  /** An endpoint's, straight from there, of which nothing has come yet. */
  private get isFresh(): boolean {
    return this.localBody === null && this.stored === null && this.held === null
  }

  // ── hooks of its body ────────────────────────────────────────────────────────────────────────────────────────────

  /** Before anybody is asked for it: what is needed of it depends on its hooks. */
  protected prepareResponse(asked: readonly Hook[]): void {
    const { request } = this
    this.bodyHooks = responseHooks(asked, request)
    if (this.bodyHooks === null) return
    this.askedAll = asked
    if (this.bodyHooks.every(({ onResponseBody }) => isEncoder(onResponseBody!))) return
    this.acceptEncoding = request.get('accept-encoding')
    askForPlain(request)
  }

  /** Returns whether the head waits for the body, or for an error in its place. */
  private filterResponse(response: ResponseHead, mayWant: readonly Hook[]): boolean {
    const { status } = response
    const type = mediaType(response)
    const encoder = mayWant.find(({ onResponseBody }) => isEncoder(onResponseBody!)) ?? null
    const changing = encoder === null ? mayWant : mayWant.filter(({ onResponseBody }) => !isEncoder(onResponseBody!))
    // A 304 that tells no type may stand for any.
    const hooks = changing.filter(({ onResponseBody }) => wantsType(onResponseBody!, type) || (status === 304 && type === ''))
    const isPart = status === 206 && changing.length > 0 && (hooks.length > 0 || type === 'multipart/byteranges')
    const encoding = encoder === null ? null : this.chooseEncoding(encoder, response)
    if ((hooks.length === 0 && !isPart && encoding === null) || status === 204) return false
    if (this.askedHead || status === 304) {
      loosenResponse(response)
      if (encoding !== null && status !== 304) response.set('Content-Encoding', encoding)
      return false
    }
    if (encoding !== null) hooks.push(encoder!)
    const field = response.get('content-encoding')
    const coding = codingOf(field)
    if (isPart) this.failLate('response_malformed', 'a part that was not asked for')
    else if (coding === undefined) this.failLate('response_content_coding', field)
    else this.startFilter(response, hooks, { type, coding, encoding })
    return true
  }

  private chooseEncoding(encoder: Hook, response: ResponseHead): string | null {
    const length = this.askedHead ? response.contentLength : this.length
    const accepts = this.acceptEncoding ?? this.request.get('accept-encoding')
    return encoder.onResponseBody!.encode!(this, { length, accepts })
  }

  private startFilter(response: ResponseHead, hooks: readonly Hook[], { type, coding, encoding }: Filtering): void {
    const { request, ip } = this
    this.stage = 'filtering'
    loosenResponse(response)
    if (encoding !== null) response.set('Content-Encoding', encoding)
    const body = { kind: 'responseBody', request, response, ip, type, coding, length: this.length, maxBytes: Infinity } as const
    const filter = new ResponseFilter(this, hooks, body)
    this.detour = filter
    const held = this.held
    if (held === null) return
    this.held = null
    this.bytesOut = 0
    for (const text of held) filter.pushText(text)
    this.filterRead(filter)
    if (!this.complete && filter.flows) this.feed?.resume()
  }

  protected filterRead(filter: Detour): void {
    const flowing = filter.readEnd(this.complete, this.trailers)
    this.answeredAt = 0
    if (this.complete) {
      // Another exchange may have that connection by now.
      if (filter.isLent) this.source?.wire.leaveBuffer()
      return
    }
    if (!flowing) this.feed?.pause()
  }

  sendFilteredHead(head: ResponseHead, length: number): void {
    this.stage = 'replying'
    this.status = head.status
    this.downstream.sendHead(head, length < 0 ? this.unknown : length, false)
  }

  sendFiltered(bytes: Buffer): boolean {
    this.bytesOut += bytes.length
    if (this.bytesOut > this.response!.mostBody) {
      this.overrun()
      return false
    }
    return this.downstream.sendBody('', bytes, 0, bytes.length)
  }

  flushFiltered(): boolean {
    return this.downstream.flush()
  }

  endFiltered(trailers: string): void {
    // Broken off by its last piece: more than may go on.
    if (this.stage === 'ended') return
    this.downstream.endBody(trailers)
    this.downstream.flush()
    this.end()
  }

  takeMoreResponse(): void {
    if (!this.complete) this.feed?.resume()
  }

  stopResponse(verdict: Verdict, by: Hook | null): void {
    this.decidedBy = by?.name ?? this.decidedBy
    const [code, detail] = bodyFailure(verdict, 'response_denied')
    this.breakOff(code, detail)
  }

  /** What a body of no known length is for a client whose framing is ours. */
  private get unknown(): -1 | -2 {
    return this.downstream.passesFraming ? -2 : -1
  }
}

interface Filtering {
  readonly type: string
  /** It has this one. */
  readonly coding: Coding | null
  /** It gets this one. */
  readonly encoding: string | null
}

const EMPTY = Buffer.alloc(0)
