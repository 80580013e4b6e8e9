/**
 * The door of a forward listener: who asks, whether the request was here before, and whether it may go where it wants. Asked before any
 * hook, so that none can be made to work for somebody who may not come in.
 */
import { ProxyError } from '../errors.ts'
import { PAC_TYPE, writePac } from '../forward/pac.ts'
import { formatDestination, makeDestination, parseDestination } from '../net/destination.ts'
import { BUSY, credentialsIn, type Identified, whyUnchecked } from '../policy/passwords.ts'
import type { UserLimits } from '../policy/user-limits.ts'
import { type Forwarding, hasPassed, proxyAuthorization, refusalInside, refusalOf } from './forwarding.ts'
import type { Inside } from './interception.ts'
import { makeReply } from './reply.ts'
import { ServingExchange } from './serving.ts'

export abstract class Entering extends ServingExchange {
  protected abstract askRequest(): void

  protected enter(forward: Forwarding): void {
    this.connects = this.request.method === 'CONNECT'
    const refused = forward.plan.access.refuseClient(this.ip)
    if (refused !== null) return this.fail(refused.code, refused.detail)
    if (this.downstream.inside !== null) return this.enterInside(forward, this.downstream.inside)
    if (this.request.destination === null) {
      if (this.service.places === null) return this.answerPac(forward)
      if (!this.nameDestination()) return
    }
    if (forward.passwords === null) return this.admit(forward)
    const field = proxyAuthorization(this.request)
    const credentials = field === null ? null : credentialsIn(field)
    const found = credentials === null ? null : forward.passwords.check(credentials, this.ip)
    if (!(found instanceof Promise)) return this.identified(forward, found)
    found.then(
      (user) => this.identified(forward, user),
      (error: unknown) => {
        const { code, detail } = whyUnchecked(error)
        if (this.stage === 'listenerHooks') this.fail(code, detail)
      },
    )
  }

  /** By a tunnel that was granted, perhaps by rules that were others then. */
  private enterInside(forward: Forwarding, inside: Inside): void {
    const { destination, name, user } = inside
    const { request } = this
    const { passwords } = forward
    if (passwords !== null && (user === null || !passwords.mayBe(user))) return this.fail('client_refused', 'its user is none any more')
    request.user = user
    if (request.host === '') {
      // HTTP/1.0: it means the place that it came to.
      request.host = formatDestination({ ...destination, host: name })
      request.set('Host', request.host)
    }
    const host = parseDestination(request.host, destination.port)?.host
    if (host !== name) {
      // Another host would slip past what was asked about this one, unless it is asked about and reached by itself.
      const isOther = host !== undefined && inside.others?.has(host) === true && forward.interception?.reads(host, this.ip) === true
      if (!isOther) return this.fail('misdirected_request', `it came to ${name}`)
      request.destination = makeDestination(host, destination.port)!
      return this.admit(forward)
    }
    request.destination = destination
    const refused = refusalInside(forward, destination, name, { ip: this.ip, user })
    if (refused !== null) this.fail(refused.code, refused.detail)
    else this.admit(forward)
  }

  /** Of a client that knows of no proxy: the host that it asks for, at the port that it wanted to go to. False: it is refused. */
  private nameDestination(): boolean {
    const { request, downstream } = this
    const { original } = downstream
    const named = original === null ? null : parseDestination(request.host, original.port)
    if (original === null) this.fail('not_redirected', null)
    else if (named === null) this.fail('bad_host', null)
    else request.destination = { ...named, port: original.port }
    return named !== null
  }

  private identified(forward: Forwarding, user: Identified): void {
    // Over meanwhile: the client is gone.
    if (this.stage !== 'listenerHooks') return
    if (user === BUSY) return this.fail('policy_busy', 'too many passwords are being checked')
    if (user === null) return this.fail('proxy_auth_required', null)
    this.request.user = user
    this.admit(forward)
  }

  /** Browsers ask for it before they know of a proxy, and show no password. */
  private answerPac({ plan: { pac } }: Forwarding): void {
    const proxy = pac?.proxy ?? parseDestination(this.request.host, 80)
    if (pac === null || proxy === null) return this.fail('no_destination', null)
    if (this.request.method !== 'GET' && this.request.method !== 'HEAD') return this.fail('unsupported_method', null)
    // No page may run it as a script of its own, and so ask it about hosts.
    const headers = { 'Content-Type': PAC_TYPE, 'Cache-Control': 'max-age=300', Vary: 'Host', 'X-Content-Type-Options': 'nosniff' }
    this.answer(() => makeReply(200, writePac(proxy, pac), headers))
  }

  private admit(forward: Forwarding): void {
    const { via } = this.service.listener
    if (via !== null && hasPassed(this.request, via)) return this.fail('loop_detected', null)
    const { destination, user } = this.request
    const isTunnel = this.connects || this.downstream.inside !== null
    const refused = refusalOf(forward, destination!, isTunnel ? 'tunnel' : 'http', { ip: this.ip, user })
    if (refused !== null) this.fail(refused.code, refused.detail)
    else if ((forward.limits === null || this.isWithin(forward.limits)) && this.mayGoOn()) this.askRequest()
  }

  /** From now on it counts for its user, and goes no faster than that may. */
  private isWithin(limits: UserLimits): boolean {
    const { request, ip } = this
    const { user } = request
    const meter = limits.meter(user, ip)
    const spent = meter?.refusal() ?? null
    if (spent !== null) {
      const fields = { 'Retry-After': String(meter!.secondsLeft) }
      this.refuseBy({ kind: 'fail', error: new ProxyError(spent.code, spent.detail ?? undefined), fields })
      return false
    }
    this.meter = meter
    const paces = limits.paces(user, ip, (ending) => request.whenEnded(ending))
    if (paces !== null) this.pace(paces)
    return true
  }

  /** Not if it is the last one that was meant: of the two methods that count proxies (RFC 9110 §7.6.2). */
  private mayGoOn(): boolean {
    const { request } = this
    if (request.method !== 'OPTIONS' && request.method !== 'TRACE') return true
    const written = request.get('max-forwards')
    if (written === null || !/^\d{1,9}$/.test(written)) return true
    if (Number(written) > 0) {
      request.set('Max-Forwards', String(Number(written) - 1))
      return true
    }
    if (request.method === 'TRACE') this.fail('unsupported_method', 'TRACE is not answered here')
    else this.answer(() => makeReply(204, '', {}))
    return false
  }
}
