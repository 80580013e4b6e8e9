/** The payload of a message as it comes, in one piece of memory: twice what has arrived at the most, whatever was announced. */

const NOTHING = Buffer.alloc(0)

export class Payload {
  bytes: Buffer = NOTHING
  length = 0

  /** Adds a copy of bytes [from, to). `more`: how much follows at the most, so that no memory is taken that is never used. */
  add(bytes: Uint8Array, from: number, to: number, more: number): void {
    const length = this.length + to - from
    if (length > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(length + more, length * 2))
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    this.bytes.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), this.length)
    this.length = length
  }

  /** What was gathered; the next one begins empty. */
  take(): Buffer {
    const taken = this.bytes.length === this.length ? this.bytes : this.bytes.subarray(0, this.length)
    this.bytes = NOTHING
    this.length = 0
    return taken
  }
}
