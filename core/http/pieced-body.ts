/** A body out of a cache that is kept in several pieces, on its way to one client, as fast as that one takes it. */
import type { StoredAnswer } from '../cache/answers.ts'
import type { Piece } from '../cache/pieces.ts'
import type { Detour } from './detour.ts'
import { PIECE_BYTES, type StoredTaker } from './stored-body.ts'

export class PiecedBody implements Detour {
  readonly isLent = false
  readonly flows = true
  readonly isShared = false
  readonly #taker: StoredTaker
  readonly #pieces: readonly Piece[]
  /** In the whole. */
  #at: number
  readonly #to: number
  #index = 0
  /** The endpoint that was asked has said all. */
  #isHeard: boolean
  #isStarted = false
  #isBlocked = false
  #isDone = false
  #isClosed = false

  constructor(taker: StoredTaker, { from, to }: StoredAnswer, pieces: readonly Piece[], isHeard: boolean) {
    this.#taker = taker
    this.#pieces = pieces
    this.#at = from
    this.#to = to
    this.#isHeard = isHeard
    for (const { body } of pieces) body.hold()
  }

  /** The head is written. */
  start(isSilent: boolean): void {
    this.#isStarted = true
    if (isSilent) this.leave()
    this.#go()
  }

  /** None of what the endpoint still sends is wanted. */
  push(): void {}
  pushText(): void {}

  readEnd(last: boolean): boolean {
    this.#isHeard = last
    this.#go()
    return true
  }

  drained(): void {
    this.#isBlocked = false
    this.#go()
  }

  leave(): void {
    this.#at = this.#to
    this.#isBlocked = false
  }

  close(): void {
    this.#isDone = true
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { body } of this.#pieces) body.release()
  }

  #go(): void {
    if (!this.#isStarted || this.#isDone || this.#isBlocked) return
    while (this.#at < this.#to) {
      const piece = this.#pieces[this.#index]!
      const from = this.#at
      const upTo = Math.min(this.#to, piece.to, from + PIECE_BYTES)
      this.#at = upTo
      if (upTo === piece.to) this.#index++
      this.#isBlocked = !this.#taker.sendStored(piece.body.bytes, from - piece.from, upTo - piece.from)
      if (this.#isBlocked) return
    }
    if (this.#isHeard) {
      this.#isDone = true
      this.#taker.endStored()
    } else this.#isBlocked = !this.#taker.flushStored()
  }
}
