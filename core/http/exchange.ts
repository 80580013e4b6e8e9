/**
 * One request and its response, from the head we read to the last byte we write. A synchronous state machine: it waits only where
 * a hook, a dial or a peer really makes it wait.
 *
 *   begin:  may it come in, and go where it names (entering.ts, on the forward side) → ask the listener's hooks → match the route → ask the route's hooks → answer (answering.ts), or
 *           choose an endpoint, connect, send, try again (attempt.ts, sending.ts; hooks of the body: request-filter.ts)
 *           → response head → ask hooks in reverse → reply (responding.ts; hooks of the body: response-filter.ts) → tell
 */

import type { Caching } from '../cache/cache-side.ts'
import { type ErrorCode, ProxyError } from '../errors.ts'
import { type Hook, PENDING, type Verdict } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { normalisePath } from '../net/path.ts'
import type { MirrorPlan, RoutePlan } from '../plan/plan.ts'
import { RequestFacts } from '../request-view.ts'
import { expand } from '../route/template.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { Absent } from './absent.ts'
import { ask, errorText } from './ask.ts'
import { requestHooks } from './body-hooks.ts'
import { Entering } from './entering.ts'
import { type Forwarding, hideClient, refusalOf } from './forwarding.ts'
import { makeRedirect, makeReply } from './reply.ts'

export class Exchange extends Entering {
  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** `firstBody`, or many `firstBytes` to keep: what of the body came with the head, framed for HTTP/1.1; `bodyDone`: there is no more. */
  begin(firstBody: string, firstBytes: Buffer | null, bodyDone: boolean): void {
    this.firstBody = firstBody
    this.firstBytes = firstBytes
    this.sendsNoMore = bodyDone
    this.bytesIn = firstBody.length + (firstBytes === null ? 0 : firstBytes.length)
    if (this.downstream.isMisdirected(this.request.host)) this.fail('misdirected_request', null)
    else if (this.service.forward !== null) this.enter(this.service.forward)
    else this.askRequest()
  }

  /** Ends an exchange that never became one: the head could not be read. */
  refuse(code: ErrorCode, detail: string | null): void {
    this.sendsNoMore = false
    this.fail(code, detail)
  }

  protected askRequest(): void {
    const { hooks } = this.service.listener
    while (this.listenerAsked < hooks.length) {
      if (!this.ask(hooks[this.listenerAsked++]!)) return
    }
    if (this.match === null && !this.matchRoute()) return
    const { route } = this.match!
    while (this.routeAsked < route.hooks.length) {
      if (!this.ask(route.hooks[this.routeAsked++]!)) return
    }
    if (this.request.upgrade === null) this.dispatch(route)
    else this.beginUpgrade()
  }

  /** Beside this one, from where it is: the hooks that were asked have no part in it. */
  fetchBeside(request: RequestHead, caching: Caching): void {
    const { service, match, listenerAsked, routeAsked } = this
    const beside = new Exchange(service, new Absent(this.downstream), request, service.nextSerial())
    beside.isBeside = true
    beside.caching = caching
    beside.match = match
    beside.stage = 'routeHooks'
    beside.listenerAsked = listenerAsked
    beside.routeAsked = routeAsked
    // The cache itself is asked about the answer.
    beside.outside = listenerAsked + routeAsked - 1
    beside.askRequest()
  }

  /** Returns whether to go on at once. */
  private ask(hook: Hook): boolean {
    if (hook.onRequest === null) return true
    this.asking = hook
    const answer = ask(hook.onRequest, this)
    this.isAsking = answer === PENDING
    if (answer === PENDING) return false
    if (answer === null) return true
    this.decide(answer)
    return false
  }

  private decide(verdict: Verdict): void {
    if (verdict.kind === 'stored') return this.answerStored(verdict)
    this.decidedBy = this.asking?.name ?? null
    if (verdict.kind === 'fail') return this.refuseBy(verdict)
    if (verdict.kind === 'cut') return this.breakOff(verdict.code, null)
    if (verdict.kind === 'respond') {
      this.reason = verdict.code ?? null
      return this.answer(() => makeReply(verdict.status, verdict.body, verdict.headers))
    }
    if (verdict.kind !== 'routeTo') return this.fail('hook_failed', `an answer of the wrong kind: ${verdict.kind}`)
    const upstream = this.service.upstreamNamed(verdict.upstream)
    if (upstream === null) return this.fail('unknown_upstream', verdict.upstream)
    if (!this.normalise()) return
    if (this.request.upgrade === null) return this.sendTo(upstream)
    this.target = upstream
    this.beginUpgrade()
  }

  /** All that were asked about the request are asked once more, in the same order. */
  private beginUpgrade(): void {
    this.stage = 'upgradeHooks'
    this.toAsk = this.asked()
      .filter((hook) => hook.onUpgrade !== null)
      .reverse()
    this.askUpgrade(this.toAsk.length > 0)
  }

  private askUpgrade(mayHaveChanged: boolean): void {
    for (let hook = this.toAsk!.pop(); hook !== undefined; hook = this.toAsk!.pop()) {
      this.asking = hook
      const answer = ask(hook.onUpgrade!, this)
      this.isAsking = answer === PENDING
      if (answer === PENDING) return
      if (answer !== null) return this.decideUpgrade(answer)
    }
    if (mayHaveChanged && !this.normalise()) return
    if (this.target !== null) this.sendTo(this.target)
    else this.dispatch(this.match!.route)
  }

  private decideUpgrade(verdict: Verdict): void {
    this.target = null
    if (verdict.kind !== 'routeTo') return this.decide(verdict)
    this.decidedBy = this.asking!.name
    this.fail('hook_failed', 'an answer of the wrong kind: routeTo')
  }

  private matchRoute(): boolean {
    this.stage = 'routeHooks'
    if (this.listenerAsked > 0 && !this.normalise()) return false
    try {
      this.match = this.service.listener.routes.match(new RequestFacts(this.request, this.ip))
    } catch (error) {
      this.fail(error instanceof ProxyError ? error.code : 'hook_failed', errorText(error))
      return false
    }
    if (this.match === null) {
      this.fail('no_route', null)
      return false
    }
    const { logHooks } = this.service
    // By the request that the route was matched with, whatever becomes of its path.
    if (logHooks !== null) this.routeLogHooks = logHooks.of(this.match.route, this.request)
    return true
  }

  /** A hook may have written any path, and any method. */
  private normalise(when = 'set by a hook'): boolean {
    if ((this.request.method === 'CONNECT') !== this.connects) {
      this.fail('unsupported_method', when)
      return false
    }
    // What a client of the forward side names is the origin's to read (RFC 9110 §7.7).
    if (this.service.forward !== null) return true
    const path = this.request.path === '*' ? '*' : normalisePath(this.request.path, this.service.listener)
    if (path === null) this.fail('bad_path', when)
    else this.request.path = path
    return path !== null
  }

  private dispatch(route: RoutePlan): void {
    if (this.routeAsked > 0 && !this.normalise()) return
    const { destination, mirror } = route
    switch (destination.kind) {
      case 'upstream':
        if (destination.rewrite !== null && !this.rewrite(destination.rewrite)) return
        if (mirror !== null) this.mirror(mirror)
        return this.sendTo(this.service.upstreamFor(destination.upstream))
      case 'split':
        if (destination.rewrite !== null && !this.rewrite(destination.rewrite)) return
        if (mirror !== null) this.mirror(mirror)
        return this.sendTo(this.service.partOf(destination, this))
      case 'files': {
        const { path, search } = this.request
        if (destination.rewrite !== null && !this.rewrite(destination.rewrite)) return
        return this.serve(destination, { path, search })
      }
      case 'named':
        return this.sendToNamed(this.service.forward!)
      case 'original':
        return this.sendToOriginal(this.service.places!)
      case 'respond':
        return this.answer(() => makeReply(destination.status, destination.body, destination.headers))
      case 'redirect':
        return this.answer(() => makeRedirect(destination.status, expand(destination.to, this.match!.params, this.request.search)))
    }
  }

  private mirror(plan: MirrorPlan): void {
    const { service, downstream, request, firstBody, firstBytes } = this
    if (request.upgrade !== null) return
    const body = { text: firstBytes === null ? firstBody : firstBytes.latin1Slice(), isAll: this.sendsNoMore }
    this.mirroring = service.mirrors.begin({ service, downstream, request }, plan, body)
  }

  private sendToNamed({ upstreamAsking, upstreamTo, interception }: Forwarding): void {
    const destination = this.request.destination!
    const { inside } = this.downstream
    if (inside !== null) {
      const isOther = destination !== inside.destination
      return this.sendTo(upstreamTo(destination, isOther ? inside.others!.originationTo(destination.host) : inside.origination))
    }
    if (this.connects && interception?.reads(destination.host, this.ip) === true) return this.grantTunnel(destination)
    this.sendTo(this.connects ? upstreamTo(destination, null) : upstreamAsking(destination))
  }

  private sendToOriginal(places: Forwarding): void {
    const { original } = this.downstream
    if (original === null) return this.fail('not_redirected', null)
    const refused = refusalOf(places, original, 'http', { ip: this.ip, user: null })
    if (refused === null) this.sendTo(places.upstreamTo(original, null))
    else this.fail(refused.code, refused.detail)
  }

  private rewrite(template: string): boolean {
    const target = expand(template, this.match!.params, this.request.search)
    const mark = target.indexOf('?')
    this.writtenPath = this.request.path
    this.request.path = mark < 0 ? target : target.slice(0, mark)
    this.request.search = mark < 0 ? '' : target.slice(mark)
    return this.normalise('after rewrite')
  }

  /** A hook that answered PENDING. */
  resume(verdict: Verdict | null): void {
    this.isAsking = false
    this.waited = true
    switch (this.stage) {
      case 'listenerHooks':
      case 'routeHooks':
        return verdict === null ? this.askRequest() : this.decide(verdict)
      case 'upgradeHooks':
        return verdict === null ? this.askUpgrade(true) : this.decideUpgrade(verdict)
      case 'errorHooks':
        return this.applyError(verdict) ? undefined : this.askError()
      case 'responseHooks':
        return this.applyResponse(verdict) ? this.askResponse() : undefined
    }
  }

  protected sendTo(upstream: Upstream): void {
    this.stage = 'upstream'
    this.target = upstream
    // Before its body is gathered; whether it passes is asked again when it is sent.
    if (upstream.safeguards?.isOpen === true) return this.fail('circuit_open', null)
    const { forward } = this.service
    if (forward !== null) hideClient(this.request, forward.plan.anonymity)
    else if (this.request.hasIdentity || this.service.listener.trust !== null || this.downstream.certificateLines !== '')
      this.applyIdentity()
    if (this.listenerAsked + this.routeAsked > 0 && !this.prepareBodies()) return
    const { buffer } = upstream.plan
    if (buffer === null || buffer.request === null || this.sendsNoMore || this.connects || this.request.upgrade !== null) this.attempt()
    else this.spoolRequest(upstream, buffer.request)
  }

  /** Returns whether the request may be sent now. */
  private prepareBodies(): boolean {
    const { request } = this
    const asked = this.asked()
    this.prepareResponse(asked)
    const hooks = request.contentLength === 0 ? [] : requestHooks(asked, request)
    return hooks.length === 0 || this.filterRequest(hooks)
  }
}
