/**
 * Bytes on their way through throttles, in order. What has to wait stays in the buffer that it came in, which is lent for as long: whoever sends it
 * stops then, so no more waits than one read.
 */
import { type Throttle, type Throttled, type Turn, takeOfAll, waitForOne } from './throttle.ts'

export interface PacedPiecesOptions {
  readonly throttles: readonly Throttle[]
  /** False: no more until `drained`, and the bytes stay as they are until then. */
  write(text: string, bytes: Buffer, from: number, to: number): boolean
  /** Some has been written, and nothing more is for now. Returns as `write` does. */
  flush(): boolean
  /** All has been written, and more may come. */
  emptied(): void
}

interface Piece {
  readonly bytes: Buffer
  from: number
  readonly to: number
}

const NOTHING = Buffer.alloc(0)

export class PacedPieces implements Throttled {
  readonly #options: PacedPiecesOptions
  #held: Piece[] = []
  /** What was written has not been taken. */
  #isBlocked = false
  /** Somebody was told to stop. */
  #owes = false
  #waitsFor: Throttle | null = null
  #isClosed = false

  constructor(options: PacedPiecesOptions) {
    this.#options = options
  }

  /** Some of it waits for its turn. */
  get waits(): boolean {
    return this.#held.length > 0
  }

  /** The same, or something was written and is not taken yet. */
  get holds(): boolean {
    return this.#held.length > 0 || this.#isBlocked
  }

  /** False: no more until `emptied`, and the bytes stay as they are until then. */
  push(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (this.#isClosed) return true
    const length = text.length + to - from
    if (!this.holds) {
      const may = takeOfAll(this.#options.throttles, length, null)
      if (may === length) return this.#wrote(this.#options.write(text, bytes, from, to))
      if (may > text.length) {
        this.#wrote(this.#options.write(text, bytes, from, from + may - text.length))
        return this.#hold(bytes, from + may - text.length, to)
      }
      if (may > 0) {
        this.#wrote(this.#options.write(text.slice(0, may), NOTHING, 0, 0))
        text = text.slice(may)
      }
    }
    if (text !== '') this.#held.push({ bytes: Buffer.from(text, 'latin1'), from: 0, to: text.length })
    return this.#hold(bytes, from, to)
  }

  /** What was written has been taken. */
  drained(): void {
    this.#isBlocked = false
    this.#go(null)
  }

  /** Nothing is taken until `drained`. */
  block(): void {
    this.#isBlocked = true
    this.#owes = true
    this.#leave()
  }

  onTurn(most: number, by: Throttle): void {
    this.#waitsFor = null
    this.#go({ most, by })
  }

  #go(turn: Turn | null): void {
    let left = turn
    while (this.#held.length > 0 && !this.#isBlocked) {
      const piece = this.#held[0]!
      const may = left?.most === 0 ? 0 : takeOfAll(this.#options.throttles, piece.to - piece.from, left)
      if (may === 0) break
      if (left !== null) left = { most: left.most - may, by: left.by }
      const { from } = piece
      piece.from += may
      if (piece.from === piece.to) this.#held.shift()
      this.#wrote(this.#options.write('', piece.bytes, from, from + may))
    }
    if (!this.#isBlocked && !this.#isClosed) this.#wrote(this.#options.flush())
    if (this.#isBlocked || this.#isClosed) return
    if (this.#held.length > 0) this.#await(left !== null && left.most > 0 ? left.by : null)
    else this.#tell()
  }

  /** What waits goes nowhere. */
  close(): void {
    this.#isClosed = true
    this.#held = []
    this.#leave()
  }

  #hold(bytes: Buffer, from: number, to: number): false {
    if (to > from) this.#held.push({ bytes, from, to })
    this.#owes = true
    if (!this.#isBlocked) this.#await(null)
    return false
  }

  #wrote(flows: boolean): boolean {
    if (!flows) {
      this.#isBlocked = true
      this.#owes = true
    }
    return flows
  }

  #tell(): void {
    if (!this.#owes) return
    this.#owes = false
    this.#options.emptied()
  }

  #await(had: Throttle | null): void {
    this.#waitsFor ??= waitForOne(this.#options.throttles, this, had)
  }

  #leave(): void {
    this.#waitsFor?.leave(this)
    this.#waitsFor = null
  }
}
