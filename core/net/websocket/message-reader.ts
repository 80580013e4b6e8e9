/**
 * Puts messages together from frames: fragments gathered, inflated, text valid UTF-8, nothing larger than the limit; control frames
 * come in between as they came. Never throws: what cannot be read is an answer of its own, the last one.
 */
import { isUtf8 } from 'node:buffer'
import { CLOSE, closeFault } from './close.ts'
import type { Inflater } from './deflate.ts'
import { OPCODE } from './frame.ts'
import { FrameReader } from './frame-reader.ts'
import { Payload } from './payload.ts'

/** 1 MiB in fragments of 16 bytes; empty ones count as well, or a message would never have to end. */
const MAX_FRAMES = 65_536

export type Incoming =
  | IncomingMessage
  | { readonly kind: 'ping' | 'pong'; readonly bytes: Buffer }
  /** `bytes`: code and reason, valid, or empty. Nothing is read after it. */
  | { readonly kind: 'close'; readonly bytes: Buffer }
  /** Nothing is read after it. `code`: to close with. */
  | { readonly kind: 'malformed'; readonly code: number; readonly detail: string }

export interface IncomingMessage {
  readonly kind: 'message'
  readonly isText: boolean
  readonly bytes: Buffer
  /** The payload as it came, if that was compressed. */
  readonly deflated: Buffer | null
}

export interface MessageRules {
  /** See FrameRules. */
  readonly masked: boolean
  /** Of a message, inflated. */
  readonly maxMessageBytes: number
  /** Null: permessage-deflate was not agreed on. */
  readonly inflater: Inflater | null
}

export class MessageReader {
  readonly #frames: FrameReader
  readonly #inflater: Inflater | null
  readonly #maxBytes: number
  readonly #payload = new Payload()
  readonly #control = new Payload()
  /** Of the message under way; 0: none is. */
  #opcode = 0
  #isCompressed = false
  #frameCount = 0
  /** It said goodbye, or something that cannot be read. */
  isOver = false

  constructor({ masked, maxMessageBytes, inflater }: MessageRules) {
    this.#frames = new FrameReader({ masked, deflate: inflater !== null })
    this.#inflater = inflater
    this.#maxBytes = maxMessageBytes
  }

  /** Bytes [from, to) are to be read; they may change once `keep` was called. */
  feed(bytes: Buffer, from: number, to: number): void {
    if (!this.isOver) this.#frames.feed(bytes, from, to)
  }

  /** Copies what is unread of the fed bytes. */
  keep(): void {
    this.#frames.keep()
  }

  /** What comes next; null: it is not there yet, or nothing comes any more. */
  next(): Incoming | null {
    const frames = this.#frames
    while (!this.isOver) {
      if (!frames.isInside) {
        if (!frames.readHead()) return frames.fault === null ? null : this.#malformed(CLOSE.protocolError, frames.fault)
        const fault = frames.isControl ? null : this.#begin()
        if (fault !== null) return fault
      }
      if (!frames.readPayload(frames.isControl ? this.#control : this.#payload)) return null
      if (frames.isControl) return this.#takeControl()
      if (frames.fin) return this.#takeMessage()
    }
    return null
  }

  /** The head of a data frame was read. */
  #begin(): Incoming | null {
    const { opcode, compressed, length } = this.#frames
    if (opcode === OPCODE.continuation) {
      if (this.#opcode === 0) return this.#malformed(CLOSE.protocolError, 'a message begins with a continuation')
    } else {
      if (this.#opcode !== 0) return this.#malformed(CLOSE.protocolError, 'a message begins inside another one')
      this.#opcode = opcode
      this.#isCompressed = compressed
      this.#frameCount = 0
    }
    if (++this.#frameCount > MAX_FRAMES) return this.#malformed(CLOSE.tooBig, `a message has more than ${MAX_FRAMES} frames`)
    // What does not compress grows by a little: zlib's own bound.
    const limit = this.#isCompressed ? this.#maxBytes + (this.#maxBytes >> 3) + 64 : this.#maxBytes
    return this.#payload.length + length > limit ? this.#tooLarge() : null
  }

  #takeMessage(): Incoming {
    const payload = this.#payload.take()
    const isText = this.#opcode === OPCODE.text
    this.#opcode = 0
    let bytes = payload
    if (this.#isCompressed) {
      const inflated = this.#inflater!.inflate(payload)
      if (inflated === 'tooLarge') return this.#tooLarge()
      if (inflated === 'malformed') return this.#malformed(CLOSE.invalidData, 'a message cannot be inflated')
      bytes = inflated
    }
    if (isText && !isUtf8(bytes)) return this.#malformed(CLOSE.invalidData, 'a text is not UTF-8')
    return { kind: 'message', isText, bytes, deflated: this.#isCompressed ? payload : null }
  }

  #takeControl(): Incoming {
    const bytes = this.#control.take()
    const { opcode } = this.#frames
    if (opcode !== OPCODE.close) return { kind: opcode === OPCODE.ping ? 'ping' : 'pong', bytes }
    const code = closeFault(bytes)
    if (code !== null) return this.#malformed(code, 'a close frame is malformed')
    this.#end()
    return { kind: 'close', bytes }
  }

  #tooLarge(): Incoming {
    return this.#malformed(CLOSE.tooBig, `a message has more than ${this.#maxBytes} bytes`)
  }

  #malformed(code: number, detail: string): Incoming {
    this.#end()
    return { kind: 'malformed', code, detail }
  }

  #end(): void {
    this.isOver = true
    this.#payload.take()
    this.#frames.drop()
  }
}
