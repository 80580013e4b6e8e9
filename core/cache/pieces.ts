/**
 * Parts of one body, in their order, none over another. All are of the same representation, so what is kept of it never changes and never
 * becomes less; who was given some of them may go on with those.
 */
import { BodySource } from './body-source.ts'

/** Bytes [from, to) of the whole, those of `body` from its first on. */
export interface Piece {
  readonly from: number
  readonly to: number
  readonly body: BodySource
}

/** Of one body; those that meet are one up to so many bytes. */
export const MOST_PIECES = 4096
const JOINED_BYTES = 131_072
/** What one takes beside its bytes. */
const OVERHEAD_BYTES = 512

export class Pieces {
  /** Of the whole. */
  readonly length: number
  /** Of what is here. */
  bytes = 0
  /** Somebody makes one body of them. */
  isBeingJoined = false
  #pieces: Piece[] = []

  constructor(length: number) {
    this.length = length
  }

  get size(): number {
    return this.bytes + this.#pieces.length * OVERHEAD_BYTES
  }

  get count(): number {
    return this.#pieces.length
  }

  get isWhole(): boolean {
    return this.bytes === this.length
  }

  covers(from: number, to: number): boolean {
    let at = from
    for (let i = this.#firstBehind(from); at < to; i++) {
      const piece = this.#pieces[i]
      if (piece === undefined || piece.from > at) return false
      at = piece.to
    }
    return true
  }

  /** Those that have bytes of [from, to). */
  between(from: number, to: number): Piece[] {
    const found: Piece[] = []
    for (let i = this.#firstBehind(from); i < this.#pieces.length && this.#pieces[i]!.from < to; i++) found.push(this.#pieces[i]!)
    return found
  }

  get all(): readonly Piece[] {
    return this.#pieces
  }

  /** A body that is complete, of the bytes from there on. Returns those that are no part of it any more. */
  add(from: number, body: BodySource): BodySource[] {
    const to = from + body.filled
    const first = this.#firstBehind(from)
    let behind = first
    while (behind < this.#pieces.length && this.#pieces[behind]!.from < to) behind++
    const over = this.#pieces.slice(first, behind)
    // The outermost may reach beyond it, and stay.
    const before = over.length > 0 && over[0]!.from < from ? over.shift()! : null
    const after = over.length > 0 && over.at(-1)!.to > to ? over.pop()! : null
    const start = before === null ? from : Math.min(before.to, to)
    const end = after === null ? to : Math.max(after.from, start)
    const added =
      start < end ? [{ from: start, to: end, body: start === from && end === to ? body : copyOf([{ from, to, body }], start, end) }] : []
    this.#pieces.splice(first + (before === null ? 0 : 1), over.length, ...added)
    for (const piece of over) this.bytes -= piece.to - piece.from
    this.bytes += added.length === 0 ? 0 : end - start
    const left = over.map((piece) => piece.body)
    if (added.length === 0) return left
    const at = first + (before === null ? 0 : 1)
    return [...left, ...this.#join(at), ...(at === 0 ? [] : this.#join(at - 1))]
  }

  /** The one at that place with the next, if they meet and are short. */
  #join(at: number): BodySource[] {
    const one = this.#pieces[at]!
    const next = this.#pieces[at + 1]
    if (next === undefined || one.to !== next.from || next.to - one.from > JOINED_BYTES) return []
    const joined = { from: one.from, to: next.to, body: copyOf([one, next], one.from, next.to) }
    this.#pieces.splice(at, 2, joined)
    return [one.body, next.body]
  }

  /** The first that goes beyond that place. */
  #firstBehind(place: number): number {
    let low = 0
    let high = this.#pieces.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#pieces[middle]!.to > place) high = middle
      else low = middle + 1
    }
    return low
  }
}

function copyOf(pieces: readonly Piece[], from: number, to: number): BodySource {
  const copy = new BodySource(to - from)
  for (const piece of pieces) copy.push(piece.body.bytes, Math.max(0, from - piece.from), Math.min(piece.to, to) - piece.from)
  copy.complete()
  return copy
}
