/**
 * A body out of a cache on its way to one client, as fast as that one takes it: kept whole, or still coming, from another exchange or from
 * this one's own endpoint. In the last case the endpoint is read for the cache, and no slow client holds that up.
 */
import type { StoredAnswer } from '../cache/answers.ts'
import type { BodyReader, BodySource } from '../cache/body-source.ts'
import type { Inflow } from '../cache/cache-side.ts'
import type { Detour } from './detour.ts'

/** Whose answer it is. */
export interface StoredTaker {
  sendStored(bytes: Buffer, from: number, to: number): boolean
  /** The same of latin1; false: it is broken off. */
  sendStoredText(text: string): boolean
  flushStored(): boolean
  /** All has been written, and the endpoint, if one was asked, has said all. */
  endStored(): void
  /** The rest will not come. */
  breakStored(): void
  takeMoreResponse(): void
}

/** Written at a time: a client that is slow has to take one such piece in `sendIdle`. */
export const PIECE_BYTES = 131_072
/** The same of one that has taken the piece before at once. */
const LARGE_PIECE_BYTES = 524_288

export class StoredBody implements Detour, BodyReader {
  readonly isLent = false
  readonly #taker: StoredTaker
  readonly #source: BodySource
  /** Where the endpoint's body goes to; null: it is not kept. */
  #inflow: Inflow | null
  /** What of the endpoint's body was too much to keep, and waits for the client. Reading stops while there is any. */
  #late: Buffer[] | null = null
  #isOverfull = false
  #at: number
  #pieceBytes = PIECE_BYTES
  /** -1: to its end. */
  readonly #to: number
  /** The endpoint that was asked has said all. */
  #isHeard: boolean
  #isStarted = false
  /** The client gets none of it. */
  #isSilent = false
  #isBlocked = false
  /** It went without waiting for what it had written. */
  #hasLeft = false
  #isDone = false
  #isClosed = false

  /** `inflow`: where what comes is to go; `isHeard`: nothing comes. */
  constructor(taker: StoredTaker, { body, madeOf, from, to }: StoredAnswer, inflow: Inflow | null, isHeard: boolean) {
    this.#taker = taker
    this.#source = body
    this.#inflow = inflow
    this.#at = from
    this.#to = to
    this.#isHeard = isHeard
    body.hold()
    // What comes out of a coder comes later than what goes in.
    if (inflow === null || body !== madeOf) body.join(this)
  }

  /** The head is written. */
  start(isSilent: boolean): void {
    this.#isStarted = true
    this.#isSilent = isSilent
    if (this.#source.state === 'broken') this.#taker.breakStored()
    else this.#go()
  }

  // ── from the endpoint ────────────────────────────────────────────────────────────────────────────────────────────

  push(bytes: Buffer, from: number, to: number): void {
    if (this.#inflow === null ? this.#isOverfull : !this.#inflow.push(bytes, from, to)) this.#passBy(Buffer.from(bytes.subarray(from, to)))
  }

  pushText(text: string): void {
    if (this.#inflow === null ? this.#isOverfull : !this.#inflow.pushText(text)) this.#passBy(Buffer.from(text, 'latin1'))
  }

  #passBy(bytes: Buffer): void {
    this.#isOverfull = true
    this.#inflow = null
    if (this.#isSilent) return
    this.#late ??= []
    this.#late.push(bytes)
  }

  readEnd(last: boolean): boolean {
    this.#isHeard = last
    if (last) this.#inflow?.complete()
    else this.#inflow?.advance()
    this.#go()
    return this.flows
  }

  get flows(): boolean {
    return this.#late === null || this.#late.length === 0
  }

  get isShared(): boolean {
    return !this.#isHeard && this.#inflow?.isShared === true
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  onMore(): void {
    this.#go()
  }

  onBroken(): void {
    if (this.#isStarted && !this.#isDone) this.#taker.breakStored()
  }

  drained(): void {
    this.#isBlocked = false
    const flowed = this.flows
    this.#go()
    if (!flowed && this.flows && !this.#isDone) this.#taker.takeMoreResponse()
  }

  leave(): void {
    this.#hasLeft ||= this.#isBlocked
    this.#isSilent = true
    this.#isBlocked = false
  }

  close(): void {
    this.#isDone = true
    if (!this.#isClosed) this.#source.release(this.#isBlocked || this.#hasLeft)
    this.#isClosed = true
    this.#source.leave(this)
    this.#inflow?.break()
    this.#inflow = null
  }

  #go(): void {
    if (!this.#isStarted || this.#isDone || this.#isBlocked) return
    if (!this.#isSilent && !this.#send()) return
    if (this.#isHeard && (this.#isSilent || this.#hasSentAll)) {
      this.#isDone = true
      this.#taker.endStored()
    } else this.#isBlocked = !this.#taker.flushStored()
  }

  /** False: the client has to take some of it first. */
  #send(): boolean {
    const { text } = this.#source
    if (text !== null && this.#at < text.length) {
      const [from, to] = [this.#at, this.#to < 0 ? text.length : this.#to]
      this.#at = to
      if (from < to && !this.#taker.sendStoredText(text.slice(from, to))) return this.#block()
    }
    for (;;) {
      const { filled } = this.#source
      const end = this.#to < 0 ? filled : Math.min(this.#to, filled)
      if (this.#at >= end) break
      const upTo = Math.min(end, this.#at + this.#pieceBytes)
      const from = this.#at
      this.#at = upTo
      if (!this.#taker.sendStored(this.#source.bytes, from, upTo)) return this.#block()
      this.#pieceBytes = LARGE_PIECE_BYTES
    }
    while (!this.flows) {
      const piece = this.#late!.shift()!
      if (!this.#taker.sendStored(piece, 0, piece.length)) return this.#block()
    }
    return true
  }

  #block(): false {
    this.#isBlocked = true
    this.#pieceBytes = PIECE_BYTES
    this.#source.wasLent = true
    return false
  }

  get #hasSentAll(): boolean {
    if (this.#to >= 0) return this.#at === this.#to
    const isWhole = this.#isOverfull || this.#source.state === 'complete'
    return isWhole && this.#at === this.#source.filled && this.flows
  }
}
