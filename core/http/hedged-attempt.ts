/** An attempt that is late gets a second one beside it, on another endpoint; the first to be answered well is the exchange's, and the other ends. */
import { monotonicMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { Hedging } from '../upstream/hedging.ts'
import { Attempt } from './attempt.ts'
import { isIdempotent } from './forward.ts'
import { Hedge, type HedgeOwner } from './hedge.ts'

export abstract class HedgedAttempt extends Attempt implements HedgeOwner {
  /** A request that may be sent twice, whose body is here. */
  protected armHedge(hedging: Hedging): void {
    if (!this.sendsNoMore || this.bodyStreamed || this.connects || this.request.upgrade !== null) return
    const { delayMs } = hedging
    if (isIdempotent(this.request.method) && !Number.isNaN(delayMs)) this.hedge = new Hedge(this, hedging, delayMs)
  }

  protected dropHedge(hedge: Hedge): void {
    this.hedge = null
    if (hedge.isUnderWay) this.service.observer.hedged(this.target!.plan.name, 'lost')
    hedge.cancel()
  }

  endpointForHedge(): Endpoint | null {
    const { target, chosen } = this
    if (this.stage !== 'upstream' || this.response !== null || !this.isTrying) return null
    let endpoint: Endpoint | null
    try {
      endpoint = target!.choose([chosen!], this)
    } catch {
      return null
    }
    if (endpoint === null || endpoint === chosen || !this.mayReplay()) return null
    this.attempts++
    return endpoint
  }

  connectHedge(endpoint: Endpoint, hedge: Hedge): void {
    const kept = this.take(endpoint)
    if (kept !== null) hedge.onConnected(kept)
    else hedge.dialling(this.target!.dial(endpoint, hedge, this.privates()))
  }

  sendHedge(endpoint: Endpoint, connection: UpstreamConnection): void {
    const { idle, response } = this.target!.plan.timeouts
    const { firstBytes: first } = this
    connection.idleMs = idle
    connection.requestSent = true
    connection.dueAt = connection.deadlines.in(response)
    if (this.request.bindsConnection) this.bind(connection)
    const text = this.headText(endpoint) + this.firstBody
    if (first === null) connection.wire.writeText(text)
    else connection.wire.write(text, first, 0, first.length)
  }

  takesHedge(status: number): boolean {
    return status < 500 || !this.isTrying
  }

  hedgeWon(endpoint: Endpoint, connection: UpstreamConnection, sentAt: number): void {
    const { target } = this
    this.hedge = null
    // It would have taken longer than that.
    if (this.isTrying) target!.hedging!.observe(monotonicMs() - this.sentAt)
    this.service.observer.hedged(target!.plan.name, 'won')
    this.giveUp()
    this.leaveEndpoint()
    this.chosen = endpoint
    this.counting = endpoint
    this.connection = connection
    this.sentAt = sentAt
  }

  hedgeFailed(endpoint: Endpoint, code: ErrorCode | null, status: number): void {
    const { safeguards, plan } = this.target!
    this.hedge = null
    this.service.observer.hedged(plan.name, 'failed')
    if (code === null) safeguards!.answered(endpoint, status, 0)
    else safeguards!.failed(endpoint, code)
    if (this.isTrying) return
    this.chosen = endpoint
    const why = code ?? 'upstream_closed'
    if (!this.repeatsAfter(why)) this.fail(why, null)
  }

  protected leavesToHedge(hedge: Hedge): boolean {
    if (!hedge.isUnderWay) {
      this.dropHedge(hedge)
      return false
    }
    this.leaveEndpoint()
    this.tried = [...(this.tried ?? []), this.chosen!]
    this.chosen = hedge.endpoint
    return true
  }

  protected isLeftToHedge(hedging: Hedging, status: number): boolean {
    const { hedge, connection } = this
    if (status < 500) hedging.observe(monotonicMs() - this.sentAt)
    if (hedge === null) return false
    if (status < 500 || !hedge.isUnderWay) {
      this.dropHedge(hedge)
      return false
    }
    connection!.discard()
    this.connection = null
    return this.leavesToHedge(hedge)
  }

  protected goOnWithHedge(code: ErrorCode): void {
    this.cancelDial?.()
    this.cancelDial = null
    this.connection?.abort()
    this.connection = null
    this.onFailed(code, 'the time for one try')
    this.tryClock!.begin(this.target!.plan.retries?.perTry ?? Number.POSITIVE_INFINITY)
  }
}
