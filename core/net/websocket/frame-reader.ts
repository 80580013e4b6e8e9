/**
 * Reads frames (RFC 6455 §5.2) from pieces of any size, as strict as the RFC lets a recipient be. Never throws: what is wrong is in
 * `fault`, and nothing is read after it.
 */
import { mask, OPCODE } from './frame.ts'
import type { Payload } from './payload.ts'

const NOTHING = Buffer.alloc(0)
const MAX_HEAD = 14
const MAX_CONTROL = 125

export interface FrameRules {
  /** A client's frames are masked, a server's are not (§5.1). */
  readonly masked: boolean
  /** permessage-deflate was agreed on: the first frame of a message may have RSV1 (RFC 7692 §6). */
  readonly deflate: boolean
}

export class FrameReader {
  readonly #rules: FrameRules
  /** Of the frame whose head was read. */
  opcode = 0
  fin = false
  compressed = false
  length = 0
  /** A head was read, and its payload not to the end. */
  isInside = false
  fault: string | null = null
  #left = 0
  #key = 0
  readonly #head = Buffer.alloc(MAX_HEAD)
  #headHave = 0
  #headNeed = 2
  #bytes: Buffer = NOTHING
  #at = 0
  #to = 0
  #isKept = true

  constructor(rules: FrameRules) {
    this.#rules = rules
  }

  get isControl(): boolean {
    return this.opcode >= OPCODE.close
  }

  /** Bytes [from, to) are to be read, after what is still unread; they may change once `keep` was called. */
  feed(bytes: Buffer, from: number, to: number): void {
    if (this.#at < this.#to) {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at, this.#to), bytes.subarray(from, to)])
      this.#at = 0
      this.#to = this.#bytes.length
      this.#isKept = true
      return
    }
    this.#bytes = bytes
    this.#at = from
    this.#to = to
    this.#isKept = false
  }

  /** The fed bytes are not needed any more: what is unread of them is copied. */
  keep(): void {
    if (this.#at >= this.#to) this.#bytes = NOTHING
    else if (!this.#isKept) this.#bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#to))
    else return
    this.#to = this.#bytes.length
    this.#at = 0
    this.#isKept = true
  }

  /** Forgets what is unread. */
  drop(): void {
    this.#bytes = NOTHING
    this.#at = this.#to = 0
    this.#isKept = true
  }

  /** Reads a head. False: it is not there yet, or `fault` says what is wrong with it. */
  readHead(): boolean {
    const head = this.#head
    while (this.#headHave < this.#headNeed) {
      if (this.#at === this.#to || this.fault !== null) return false
      head[this.#headHave++] = this.#bytes[this.#at++]!
      if (this.#headHave === 2) this.#readStart(head[0]!, head[1]!)
    }
    if (this.fault !== null) return false
    this.#readLength(head)
    this.#headHave = 0
    this.#headNeed = 2
    this.#left = this.length
    this.isInside = this.fault === null
    return this.isInside
  }

  /** Moves what is there of the payload, unmasked. True: that was all of it. */
  readPayload(into: Payload): boolean {
    const count = Math.min(this.#left, this.#to - this.#at)
    if (count > 0) {
      const start = into.length
      into.add(this.#bytes, this.#at, this.#at + count, this.fin ? this.#left - count : Number.POSITIVE_INFINITY)
      if (this.#rules.masked) mask(into.bytes, start, start + count, this.#key, this.length - this.#left)
      this.#at += count
      this.#left -= count
    }
    this.isInside = this.#left > 0
    return !this.isInside
  }

  #readStart(first: number, second: number): void {
    const { masked, deflate } = this.#rules
    const opcode = first & 0x0f
    const length = second & 0x7f
    this.opcode = opcode
    this.fin = first >= 0x80
    this.compressed = (first & 0x40) !== 0
    if ((first & 0x30) !== 0) this.fault = 'a reserved bit is set'
    else if (this.compressed && !(deflate && (opcode === OPCODE.text || opcode === OPCODE.binary))) this.fault = 'RSV1 is set'
    else if ((opcode > OPCODE.binary && opcode < OPCODE.close) || opcode > OPCODE.pong) this.fault = `the opcode ${opcode} is not known`
    else if (opcode >= OPCODE.close && !this.fin) this.fault = 'a control frame is fragmented'
    else if (opcode >= OPCODE.close && length > MAX_CONTROL) this.fault = 'a control frame is too long'
    else if (second >= 0x80 !== masked) this.fault = masked ? 'a frame of the client is not masked' : 'a frame of the server is masked'
    this.#headNeed = 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (masked ? 4 : 0)
  }

  #readLength(head: Buffer): void {
    const short = head[1]! & 0x7f
    if (short < 126) this.length = short
    else if (short === 126) {
      this.length = head.readUInt16BE(2)
      if (this.length < 126) this.fault = 'a length is not in its shortest form'
    } else {
      // Above 2^53 it is not exact, and far above every limit.
      this.length = head.readUInt32BE(2) * 0x1_0000_0000 + head.readUInt32BE(6)
      if (head[2]! >= 0x80) this.fault = 'a length has its highest bit set'
      else if (this.length < 65536) this.fault = 'a length is not in its shortest form'
    }
    if (this.#rules.masked) this.#key = head.readUInt32BE(this.#headNeed - 4)
  }
}
