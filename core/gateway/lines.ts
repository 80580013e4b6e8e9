/** Lines of a byte stream, ended by LF or CRLF, as latin1. What it holds is bounded by one line and one read, as long as whoever feeds it stops while there is a line. */

export const TOO_LONG = Symbol('a line that is too long')

const LF = 10
const CR = 13
const NOTHING = Buffer.alloc(0)

export class LineReader {
  readonly #maxBytes: number
  #held: Buffer = NOTHING

  /** `maxBytes`: of a line without its end. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Copies them. */
  push(bytes: Buffer, length: number): void {
    this.#held = Buffer.concat([this.#held, bytes.subarray(0, length)])
  }

  /** Null: there is no whole line yet. */
  next(): string | typeof TOO_LONG | null {
    const end = this.#held.indexOf(LF)
    const isLong = (end < 0 ? this.#held.length : end) > this.#maxBytes + 1
    if (isLong) return TOO_LONG
    if (end < 0) return null
    const stop = end > 0 && this.#held[end - 1] === CR ? end - 1 : end
    if (stop > this.#maxBytes) return TOO_LONG
    const line = this.#held.latin1Slice(0, stop)
    this.#held = end + 1 === this.#held.length ? NOTHING : this.#held.subarray(end + 1)
    return line
  }
}
