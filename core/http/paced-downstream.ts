/**
 * In front of a client whose bodies go no faster than throttles let them. The response is held up as by a client that reads slowly, the request as
 * by an endpoint that does: what waits is one read, and no deadline runs for it.
 */

import type { Wire } from '../net/wire.ts'
import { PacedPieces } from '../policy/paced-pieces.ts'
import { PacedWire } from '../policy/paced-wire.ts'
import { type Paces, type Throttle, type Throttled, waitForOne } from '../policy/throttle.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Downstream, TunnelLooks } from './downstream.ts'
import type { GrantedTunnel } from './interception.ts'
import type { TunnelEnded } from './tunnel-end.ts'

/** The exchange. */
export interface PacedOwner {
  /** The client has sent all of the request's body. */
  readonly bodyDone: boolean
  /** What waited has gone to the client. */
  onPaced(): void
}

export class PacedDownstream implements Downstream, Throttled {
  /** The client. */
  readonly to: Downstream
  /** The exchange ends once all has gone. */
  isEnding = false
  readonly #owner: PacedOwner
  readonly #request: Throttle[] = []
  readonly #response: Throttle[] = []
  readonly #pieces: PacedPieces
  /** What ends the response, once all that waits has gone. */
  #trailers: string | null = null
  /** The body is to be read on, when that is allowed. */
  #wantsBody = false
  /** Whoever takes the body will say when it wants more. */
  #isTaken = false
  #waitsFor: Throttle | null = null

  constructor(to: Downstream, owner: PacedOwner) {
    this.to = to
    this.#owner = owner
    this.#pieces = new PacedPieces({
      throttles: this.#response,
      write: (text, bytes, from, end) => this.to.sendBody(text, bytes, from, end),
      flush: () => this.to.flush(),
      emptied: () => this.#emptied(),
    })
  }

  /** `came`: bytes of the request's body that are here already. */
  add({ request, response }: Paces, came: number): void {
    if (response !== null) this.#response.push(response)
    if (request === null) return
    this.#request.push(request)
    request.spend(came)
  }

  /** Nobody waits any more. */
  close(): void {
    this.#pieces.close()
    this.#waitsFor?.leave(this)
    this.#waitsFor = null
    this.#wantsBody = false
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Some of the response is still to go to the client, which was told to `finish` it. */
  get holds(): boolean {
    return this.#pieces.waits
  }
  get congested(): boolean {
    return this.#pieces.holds || this.to.congested
  }

  sendBody(prefix: string, bytes: Buffer, from: number, to: number): boolean {
    return this.#pieces.push(prefix, bytes, from, to)
  }
  sendText(text: string): void {
    this.#pieces.push(text, NOTHING, 0, 0)
  }
  endBody(trailers: string): void {
    if (this.#pieces.waits) this.#trailers = trailers
    else this.to.endBody(trailers)
  }
  flush(): boolean {
    if (!this.to.flush()) this.#pieces.block()
    return !this.#pieces.holds
  }
  /** The client took what was written. */
  drained(): void {
    this.#pieces.drained()
  }

  #emptied(): void {
    if (this.#trailers !== null) {
      this.to.endBody(this.#trailers)
      this.#trailers = null
      this.to.flush()
    }
    this.#owner.onPaced()
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** So much of the request's body has come, and was passed on; `flowing`: more may come. Returns whether it may. */
  took(bytes: number, flowing: boolean): boolean {
    for (const throttle of this.#request) throttle.spend(bytes)
    if (!flowing) this.#isTaken = true
    if (this.#isTaken) this.#stopWaiting()
    else if (!this.#mayRead) this.#readLater()
    return flowing && !this.#wantsBody
  }
  pauseBody(): void {
    this.to.pauseBody()
  }
  resumeBody(): void {
    this.#isTaken = false
    if (this.#mayRead) this.#readOn()
    else this.#readLater()
  }
  bodyTaken(): void {
    this.#isTaken = false
    this.#stopWaiting()
    this.to.bodyTaken()
  }

  onTurn(most: number, by: Throttle): void {
    this.#waitsFor = null
    if (!this.#wantsBody || most === 0) return
    if (this.#request.every((throttle) => throttle === by || throttle.free > 0)) return this.#readOn()
    this.#waitsFor = waitForOne(this.#request, this, by)
  }

  get #mayRead(): boolean {
    return this.#request.every(({ free }) => free > 0)
  }
  #readLater(): void {
    this.#wantsBody = true
    this.#waitsFor ??= waitForOne(this.#request, this, null)
  }
  #readOn(): void {
    this.#stopWaiting()
    if (this.#owner.bodyDone) this.to.bodyTaken()
    else this.to.resumeBody()
  }
  #stopWaiting(): void {
    this.#wantsBody = false
    this.#waitsFor?.leave(this)
    this.#waitsFor = null
  }

  // ── as it is ─────────────────────────────────────────────────────────────────────────────────────────────────────

  get memo() {
    return this.to.memo
  }
  get protocol() {
    return this.to.protocol
  }
  get scheme() {
    return this.to.scheme
  }
  get peer() {
    return this.to.peer
  }
  get privates() {
    return this.to.privates
  }
  get hasPrivates() {
    return this.to.hasPrivates
  }
  get certificateLines() {
    return this.to.certificateLines
  }
  get passesFraming() {
    return this.to.passesFraming
  }
  get inside() {
    return this.to.inside
  }
  get original() {
    return this.to.original
  }
  isMisdirected(host: string): boolean {
    return this.to.isMisdirected(host)
  }
  sendInformational(...args: Parameters<Downstream['sendInformational']>): void {
    this.to.sendInformational(...args)
    if (this.to.congested) this.#pieces.block()
  }
  sendHead(...args: Parameters<Downstream['sendHead']>): void {
    this.to.sendHead(...args)
  }
  finished(): void {
    this.to.finished()
  }
  abort(): void {
    this.to.abort()
  }
  becomeTunnel(
    head: Parameters<Downstream['becomeTunnel']>[0],
    upstream: UpstreamConnection,
    rest: Buffer,
    ended: TunnelEnded,
    looks: TunnelLooks | null,
  ): void {
    upstream.wire = new PacedWire(upstream.wire, { read: this.#response, write: this.#request })
    this.to.becomeTunnel(head, upstream, rest, ended, looks)
  }
  /** Requests inside have throttles of their own. */
  grantTunnel(head: Parameters<Downstream['grantTunnel']>[0], tunnel: GrantedTunnel): void {
    const paced = (endpoint: Wire): Wire => new PacedWire(endpoint, { read: this.#response, write: this.#request })
    this.to.grantTunnel(head, { ...tunnel, paced })
  }
}

const NOTHING = Buffer.alloc(0)
