/**
 * What a client sent and nobody used yet, as bytes and as text. Usually one read that is used up inside its own callback, so it
 * stays in the buffer it was read into; only what is left over is copied.
 */
import { CR, LF } from '../net/http1/octets.ts'

const NOTHING = Buffer.alloc(0)
/** Most heads end here. */
const FIRST_LOOK = 4096

export class Received {
  /** The first bytes as text, up to `textLength`. */
  text = ''
  textLength = 0
  bytes: Buffer = NOTHING
  /** Used up to here. */
  at = 0
  /** There is nothing from here on. */
  length = 0
  /** A line ended since the last look, which sets it back: before, a head cannot be complete. */
  mayEndHead = false

  get size(): number {
    return this.length - this.at
  }

  /** Adds bytes [0, length). Until `keep`, they may stay where they are. */
  add(bytes: Buffer, length: number): void {
    if (this.size === 0) {
      this.#take(bytes, length)
      this.mayEndHead = true
      return
    }
    this.mayEndHead ||= bytes.subarray(0, length).includes(LF)
    const all = Buffer.concat([this.bytes.subarray(this.at, this.length), bytes.subarray(0, length)])
    this.#take(all, all.length)
  }

  /** The buffer that was read into will be used again. */
  keep(volatile: Buffer): void {
    if (this.size === 0) return this.clear()
    if (this.bytes.buffer !== volatile.buffer) return
    const own = Buffer.from(this.bytes.subarray(this.at, this.length))
    this.#take(own, own.length)
  }

  /** All of it as text. */
  makeText(): void {
    this.text = this.bytes.latin1Slice(0, this.length)
    this.textLength = this.length
  }

  #take(bytes: Buffer, length: number): void {
    this.bytes = bytes
    this.at = 0
    this.length = length
    this.textLength = Math.min(length, FIRST_LOOK)
    this.text = bytes.latin1Slice(0, this.textLength)
  }

  /** RFC 9112 §2.2: empty lines before a request line are ignored; more than a few are not. */
  skipEmptyLines(): void {
    for (let lines = 0; lines < 4 && this.size >= 2 && this.bytes[this.at] === CR && this.bytes[this.at + 1] === LF; lines++) this.at += 2
    // Half of one may still become an empty line: that is not for the parser to judge.
    if (this.size === 1 && this.bytes[this.at] === CR) this.mayEndHead = false
  }

  takeText(): string {
    const text = this.bytes.latin1Slice(this.at, this.length)
    this.clear()
    return text
  }

  clear(): void {
    this.text = ''
    this.textLength = 0
    this.bytes = NOTHING
    this.at = 0
    this.length = 0
  }
}
