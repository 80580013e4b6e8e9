/**
 * An endpoint's answer on its way through a spool: read as fast as the endpoint says it, so that it is free for others, and passed on as fast as the client takes
 * it. Nothing is held back that the client would take.
 */
import type { BodySupply } from './body-supply.ts'
import { Spool, type SpoolOptions, type SpoolOwner } from './spool.ts'

export interface AnswerTaker {
  passBody(prefix: string, bytes: Buffer, from: number, to: number): void
  passEnd(trailers: string): void
  passReadEnd(): void
  onSupplyFailed(detail: string): void
  /** Of the connection to the endpoint, if it is still there. */
  pauseEndpoint(): void
  resumeEndpoint(): void
}

export class SpooledAnswer implements BodySupply, SpoolOwner {
  readonly #taker: AnswerTaker
  readonly #spool: Spool
  #trailers = ''
  /** The endpoint has said all. */
  #isHeard = false
  #isHeldUp = false
  #isPaused = false
  #isPassing = false
  #isOver = false

  constructor(taker: AnswerTaker, options: SpoolOptions) {
    this.#taker = taker
    this.#spool = new Spool(options, this)
  }

  // ── from the endpoint ────────────────────────────────────────────────────────────────────────────────────────────

  push(bytes: Buffer, from: number, to: number): void {
    this.#spool.append(bytes, from, to)
  }

  pushText(text: string): void {
    this.#spool.append(Buffer.from(text, 'latin1'))
  }

  end(trailers: string): void {
    this.#isHeard = true
    this.#trailers = trailers
  }

  readEnd(): void {
    this.#pass()
    if (this.#isOver || this.#isHeard || this.#spool.hasRoom) return
    this.#isHeldUp = true
    this.#taker.pauseEndpoint()
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#pass()
  }

  abort(): void {
    this.#isOver = true
    this.#spool.close()
  }

  onMore(): void {
    this.#pass()
  }

  onBroken(detail: string): void {
    if (!this.#isOver) this.#taker.onSupplyFailed(detail)
  }

  #pass(): void {
    if (this.#isPassing || this.#isOver) return
    this.#isPassing = true
    let isAny = false
    while (!this.#isPaused && !this.#isOver) {
      const piece = this.#spool.take()
      if (piece === null) break
      isAny = true
      this.#taker.passBody('', piece, 0, piece.length)
    }
    this.#isPassing = false
    if (this.#isOver) return
    if (this.#isHeard && this.#spool.isEmpty) return this.#finish()
    if (isAny) this.#taker.passReadEnd()
    if (!this.#isHeldUp || this.#isOver || !this.#spool.hasRoom) return
    this.#isHeldUp = false
    this.#taker.resumeEndpoint()
  }

  #finish(): void {
    this.abort()
    this.#taker.passEnd(this.#trailers)
    this.#taker.passReadEnd()
  }
}
