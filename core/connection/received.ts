/**
 * What a client sent and nobody used yet, as bytes and as text. Usually one read that is used up inside its own callback, so it
 * stays in the buffer it was read into; only what is left over is copied.
 */
import type { ErrorCode } from '../errors.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { CR, LF } from '../net/http1/octets.ts'
import { type RequestRules, readRequestHead } from '../net/http1/request.ts'

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

  /** Looks into the first bytes, and only if no head ends there into all of them: a body need not become text. Null: it is not complete yet. */
  readHead(rules: RequestRules): RequestHead | ErrorCode | null {
    if (this.at < this.textLength) {
      const head = readRequestHead(this.text, this.bytes, this.at, this.textLength, rules)
      if (head !== null || this.textLength === this.length) return head
    }
    this.#makeText()
    return readRequestHead(this.text, this.bytes, this.at, this.length, rules)
  }

  /** The beginning of what is not used yet: part of a head, at the most. */
  get unread(): string {
    const end = this.text.indexOf('\r\n\r\n', this.at)
    return this.text.slice(this.at, end < 0 ? this.textLength : end + 4)
  }

  #makeText(): void {
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
