/**
 * A request's second try beside its first: armed when that begins, begun when it is late, on another endpoint. If it is answered first, it passes
 * on to the exchange what its connection says; else its connection closes, and nobody hears of it.
 */
import { monotonicMs } from '../clock.ts'
import type { Timed } from '../deadlines.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import type { ResponseSink, UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { Hedging } from '../upstream/hedging.ts'
import type { Acquirer } from '../upstream/upstream.ts'

/** The exchange. */
export interface HedgeOwner extends ResponseSink {
  /** Another endpoint that may be asked too; null: there is none, or it is too late for that. */
  endpointForHedge(): Endpoint | null
  /** `onConnected` follows, or `dialling`. */
  connectHedge(endpoint: Endpoint, hedge: Hedge): void
  /** Sends the request once more. */
  sendHedge(endpoint: Endpoint, connection: UpstreamConnection): void
  /** Whether an answer of this status is taken while the first try is under way. */
  takesHedge(status: number): boolean
  /** The hedge is the exchange's only try from now on: `onHead` follows. */
  hedgeWon(endpoint: Endpoint, connection: UpstreamConnection, sentAt: number): void
  /** It came to nothing. `status`: it was answered, but not well. */
  hedgeFailed(endpoint: Endpoint, code: ErrorCode | null, status: number): void
}

export class Hedge implements Timed, Acquirer, ResponseSink {
  dueAt: number
  slot = -1
  /** Where another one waits for room, there is none for this. */
  readonly takesKept = true
  readonly #owner: HedgeOwner
  readonly #hedging: Hedging
  #endpoint: Endpoint | null = null
  #connection: UpstreamConnection | null = null
  #cancelDial: (() => void) | null = null
  #sentAt = 0
  #state: 'armed' | 'under way' | 'won' | 'over' = 'armed'

  constructor(owner: HedgeOwner, hedging: Hedging, ms: number) {
    this.#owner = owner
    this.#hedging = hedging
    this.dueAt = hedging.clock.read() + ms
    hedging.clock.add(this)
  }

  get isUnderWay(): boolean {
    return this.#state === 'under way'
  }

  /** While it is under way. */
  get endpoint(): Endpoint {
    return this.#endpoint!
  }

  /** The first try was answered, or nobody waits for an answer any more. */
  cancel(): void {
    this.#hedging.clock.remove(this)
    if (this.#state === 'under way') {
      this.#cancelDial?.()
      this.#connection?.abort()
      this.#leave()
    }
    this.#state = 'over'
  }

  onDeadline(): void {
    this.#hedging.clock.remove(this)
    const endpoint = this.#owner.endpointForHedge()
    if (endpoint === null) {
      this.#state = 'over'
      return
    }
    this.#endpoint = endpoint
    this.#state = 'under way'
    endpoint.inFlight++
    this.#owner.connectHedge(endpoint, this)
  }

  #leave(): void {
    this.#endpoint!.inFlight--
    this.#cancelDial = null
    this.#connection = null
  }

  #fail(code: ErrorCode | null, status: number): void {
    if (this.#state !== 'under way') return
    this.#leave()
    this.#state = 'over'
    this.#owner.hedgeFailed(this.#endpoint!, code, status)
  }

  // ── connecting ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** `cancel`: gives up what `connectHedge` has begun. */
  dialling(cancel: (() => void) | null): void {
    if (this.#state === 'under way') this.#cancelDial = cancel
    else cancel?.()
  }
  onConnected(connection: UpstreamConnection): void {
    this.#cancelDial = null
    this.#connection = connection
    this.#sentAt = monotonicMs()
    connection.start(this)
    this.#owner.sendHedge(this.#endpoint!, connection)
  }
  onDialFailed(code: ErrorCode): void {
    this.#cancelDial = null
    this.#fail(code, 0)
  }
  onWaiting(isWaiting: boolean): void {
    if (isWaiting) this.#fail('connection_limit', 0)
  }

  // ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────

  get answersHead(): boolean {
    return this.#owner.answersHead
  }
  get keepsFraming(): boolean {
    return this.#owner.keepsFraming
  }
  onInformational(head: ResponseHead): void {
    if (this.#state === 'won') this.#owner.onInformational(head)
  }
  onHead(head: ResponseHead, length: number): void {
    if (!this.#owner.takesHedge(head.status)) {
      this.#connection!.discard()
      return this.#fail(null, head.status)
    }
    this.#state = 'won'
    this.#owner.hedgeWon(this.#endpoint!, this.#connection!, this.#sentAt)
    this.#owner.onHead(head, length)
  }
  onBody(prefix: string, bytes: Buffer, from: number, to: number): void {
    this.#owner.onBody(prefix, bytes, from, to)
  }
  onBodyText(text: string): void {
    this.#owner.onBodyText(text)
  }
  onBodyEnd(trailers: string): void {
    this.#owner.onBodyEnd(trailers)
  }
  onReadEnd(): void {
    if (this.#state === 'won') this.#owner.onReadEnd()
  }
  /** Nobody asked for another protocol. */
  onUpgraded(_head: ResponseHead, connection: UpstreamConnection): void {
    connection.wire.destroy()
    this.#fail('upgrade_failed', 0)
  }
  onSendable(): void {
    if (this.#state === 'won') this.#owner.onSendable()
  }
  onFailed(code: ErrorCode, detail: string | null): void {
    if (this.#state === 'won') this.#owner.onFailed(code, detail)
    else this.#fail(code, errorTable[code].status)
  }
}
