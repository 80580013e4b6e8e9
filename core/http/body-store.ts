/** What waits for a hook: small reads joined to pieces, or all of a body. Every byte that is not its own is copied once. */

/** The largest piece a hook is asked about. */
export const PIECE_BYTES = 65536
/** From here on what belongs to nobody else is kept as it is rather than copied to its neighbours. */
const AS_IT_IS_BYTES = 16384

export interface BodyStore {
  readonly bytes: number
  /** `isLent`: the bytes will be overwritten. */
  add(bytes: Buffer, isLent: boolean): void
  /** The next to ask about; null if nothing waits. */
  take(): Buffer | null
}

/** Pieces of up to 64 KiB. */
export class Pieces implements BodyStore {
  bytes = 0
  #list: Buffer[] = []
  /** Being filled. Memory that is not written to is not touched. */
  #last: Buffer | null = null
  #used = 0

  add(bytes: Buffer, isLent: boolean): void {
    this.bytes += bytes.length
    if (!isLent && bytes.length >= AS_IT_IS_BYTES) {
      this.#close()
      this.#list.push(bytes)
      return
    }
    for (let at = 0; at < bytes.length; ) {
      this.#last ??= Buffer.allocUnsafeSlow(PIECE_BYTES)
      const count = bytes.copy(this.#last, this.#used, at)
      this.#used += count
      at += count
      if (this.#used === PIECE_BYTES) this.#close()
    }
  }

  take(): Buffer | null {
    if (this.#list.length === 0) this.#close()
    const first = this.#list[0]
    if (first === undefined) return null
    const piece = first.length > PIECE_BYTES ? first.subarray(0, PIECE_BYTES) : first
    if (piece === first) this.#list.shift()
    else this.#list[0] = first.subarray(PIECE_BYTES)
    this.bytes -= piece.length
    return piece
  }

  #close(): void {
    if (this.#last === null) return
    this.#list.push(this.#last.subarray(0, this.#used))
    this.#last = null
    this.#used = 0
  }
}

/** All of it as one. */
export class Whole implements BodyStore {
  bytes = 0
  #all: Buffer

  /** `expected`: how many there will be, as far as anybody has said. */
  constructor(expected: number) {
    this.#all = Buffer.allocUnsafeSlow(expected)
  }

  add(bytes: Buffer): void {
    const length = this.bytes + bytes.length
    if (length > this.#all.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#all.length))
      this.#all.copy(larger, 0, 0, this.bytes)
      this.#all = larger
    }
    bytes.copy(this.#all, this.bytes)
    this.bytes = length
  }

  take(): Buffer | null {
    const all = this.#all.subarray(0, this.bytes)
    this.#all = all.subarray(0, 0)
    this.bytes = 0
    return all.length === 0 ? null : all
  }
}

/** What hooks made, until all of it is there: most often one answer of one hook, which is kept as it is. */
export class Together {
  bytes = 0
  #parts: Buffer[] = []
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  /** False: it is more than there may be. */
  add(bytes: Buffer, isLent: boolean): boolean {
    this.bytes += bytes.length
    if (this.bytes > this.#most) return false
    this.#parts.push(isLent ? copyOf(bytes) : bytes)
    return true
  }

  take(): Buffer | null {
    const parts = this.#parts
    this.#parts = []
    this.bytes = 0
    return parts.length > 1 ? Buffer.concat(parts) : (parts[0] ?? null)
  }
}

/** Four times as fast as Buffer.from, which looks at what it is given first. */
export function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
