/** The request's way to an endpoint: chooses one, takes or dials a connection, and tries again where that is safe and the plan says so. */
import { monotonicMs } from '../clock.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { AdaptiveLimit, LimitedRequest } from '../upstream/adaptive-limit.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { Hedging } from '../upstream/hedging.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import type { Safeguards } from '../upstream/safeguards.ts'
import type { Acquirer, Upstream } from '../upstream/upstream.ts'
import { errorText } from './ask.ts'
import { isIdempotent } from './forward.ts'
import type { Hedge } from './hedge.ts'
import { pauseMs, repeatable } from './retry-rules.ts'
import { Sending } from './sending.ts'
import { TryClock, type TryClockOwner } from './try-clock.ts'

export abstract class Attempt extends Sending implements Acquirer, TryClockOwner, LimitedRequest {
  // ── for the exchange ─────────────────────────────────────────────────────────────────────────────────────────────

  /** The response's head has come, and the rest will not. */
  protected abstract breakOff(code: ErrorCode, detail: string | null): void
  /** CONNECT: the endpoint is there. */
  protected abstract beginTunnel(connection: UpstreamConnection): void
  /** A second try will be begun if the first one is late. */
  protected abstract armHedge(hedging: Hedging): void
  protected abstract dropHedge(hedge: Hedge): void
  /** The first try has come to nothing: whether the second is under way in its place. */
  protected abstract leavesToHedge(hedge: Hedge): boolean
  /** The first try is answered: whether that is left to the second, which may do better. */
  protected abstract isLeftToHedge(hedging: Hedging, status: number): boolean
  /** The first try has had its time; now it is the second one's. */
  protected abstract goOnWithHedge(code: ErrorCode): void

  /** The circuit breaker of its upstream lets it pass: it is about to be sent, for in a half-open circuit all others are refused until it has ended. */
  private isAdmitted(safeguards: Safeguards): boolean {
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

  /** The first try is under way. */
  protected get isTrying(): boolean {
    return this.connection !== null || this.cancelDial !== null
  }

  protected attempt(): void {
    const { safeguards } = this.target!
    if (safeguards === null) return this.beginTrying()
    if (safeguards.breaker !== null && !this.isAdmitted(safeguards)) return
    const { limit } = safeguards
    if (limit === null || this.isLetIn(limit)) this.beginTrying()
  }

  /** False: it waits for `letIn` or `late`, or has failed. */
  private isLetIn(limit: AdaptiveLimit): boolean {
    if (this.connects || limit.enter()) {
      this.place = this.connects ? null : limit
      return true
    }
    this.waited = true
    this.cancelDial = limit.wait(this)
    if (this.cancelDial === null) this.fail('concurrency_limit', null)
    return false
  }

  letIn(): void {
    this.cancelDial = null
    this.place = this.target!.safeguards!.limit
    this.beginTrying()
  }

  late(): void {
    this.cancelDial = null
    this.fail('concurrency_limit', 'it has waited for as long as it may')
  }

  /** `ms`: until it was answered; NaN: it failed; null: that says nothing of the upstream. */
  protected leavePlace(place: AdaptiveLimit, ms: number | null): void {
    this.place = null
    place.leave(ms)
  }

  private beginTrying(): void {
    const upstream = this.target!
    const endpoint = (this.downstream.hasPrivates ? this.boundTo(upstream) : null) ?? this.choose(upstream)
    if (endpoint === null) return
    upstream.safeguards?.budget?.count(this.service.deadlines.now)
    this.tryOn(endpoint)
  }

  private tryOn(endpoint: Endpoint): void {
    const upstream = this.target!
    this.leaveEndpoint()
    if (this.hedge !== null) this.dropHedge(this.hedge)
    this.chosen = endpoint
    this.counting = endpoint
    if (upstream.stickiness !== null) this.moved = upstream.stickiness.whyMoved(this, endpoint)
    endpoint.inFlight++
    this.attempts++
    if (upstream.safeguards?.isTimed === true) this.clock(upstream).begin(upstream.plan.retries?.perTry ?? Number.POSITIVE_INFINITY)
    if (upstream.hedging !== null && this.attempts === 1) this.armHedge(upstream.hedging)
    const connection = this.connects ? null : this.take(endpoint)
    if (connection !== null) return this.send(connection)
    if (this.connects) this.sentAt = monotonicMs()
    this.dial()
  }

  /** One that is bound to this client comes first. */
  protected take(endpoint: Endpoint): UpstreamConnection | null {
    const bound = this.downstream.hasPrivates ? endpoint.pool.take(this.downstream.privates) : null
    return bound ?? this.target!.take(endpoint, this.privates())
  }

  /** Where the client has a connection of its own that its credentials count for; null: nowhere. */
  private boundTo({ plan, endpoints }: Upstream): Endpoint | null {
    if (plan.proxyProtocol !== null || this.connects) return null
    const { privates } = this.downstream
    return (
      endpoints.find(({ pool, health, plan: { drain } }) => privates.has(pool) && drain !== 'all' && health?.isAvailable !== false) ?? null
    )
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
  protected privates(): PrivateConnections | null {
    return this.target!.plan.proxyProtocol === null ? null : this.downstream.privates
  }

  /** Nothing more of this attempt is wanted: the endpoint sees the connection close. */
  protected giveUp(): void {
    this.tryClock?.stop()
    if (this.hedge !== null) this.dropHedge(this.hedge)
    this.cancelDial?.()
    this.cancelDial = null
    this.connection?.abort()
    this.connection = null
    this.supply?.abort()
    this.supply = null
    this.spooled = null
  }

  // ── connecting ───────────────────────────────────────────────────────────────────────────────────────────────────

  onConnected(connection: UpstreamConnection): void {
    this.cancelDial = null
    if (this.connects) this.beginTunnel(connection)
    else this.send(connection)
  }

  /** Not for a tunnel, nor in the place of one that was kept and turned out closed. */
  get takesKept(): boolean {
    return !this.connects && !this.staleRetried
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
    if (this.hedge !== null && this.leavesToHedge(this.hedge)) return
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
  protected repeatsAfter(code: ErrorCode): boolean {
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
    if (this.target!.hedging !== null && this.isLeftToHedge(this.target!.hedging, status)) return true
    if (this.repeatsInsteadOf(status)) return true
    if (this.place !== null) this.leavePlace(this.place, status >= 500 || status === 429 ? Number.NaN : monotonicMs() - this.sentAt)
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
  protected mayReplay(): boolean {
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
    if (what === 'try' && this.hedge?.isUnderWay === true && this.isTrying) return this.goOnWithHedge(code)
    this.giveUp()
    if (what === 'try') this.onFailed(code, 'the time for one try')
    else this.fail(code, 'the time for all tries')
  }
}
