/**
 * Received bytes → frames (RFC 9113 §4, §6). DATA goes on as it comes, in pieces; everything else is told whole, field blocks with their
 * CONTINUATIONs. Sizes, flags and the places where a frame may stand are judged here; what it means for a stream is not. It keeps no more
 * than one frame and one field block.
 */
import { ERROR, FLAG, type FrameFault, HEAD_BYTES, MAX_FRAME_BYTES, TYPE, uint32At } from './frame.ts'

/** Calls come from inside `read`. Bytes are valid inside the call only. */
export interface FrameOwner {
  /** A DATA frame begins; `length`: what it takes of the window, and what of that is padding. */
  onData(stream: number, length: number, padding: number): void
  /** A piece of it; `ends`: the last one, of a frame that ends the stream. */
  onDataBytes(stream: number, bytes: Buffer, from: number, to: number, ends: boolean): void
  onHeaders(stream: number, ends: boolean, bytes: Buffer, from: number, to: number): void
  onReset(stream: number, error: number): void
  /** A multiple of six bytes, not an acknowledgement. */
  onSettings(bytes: Buffer, from: number, to: number): void
  onPing(bytes: Buffer, from: number): void
  onGoaway(): void
  onWindowUpdate(stream: number, bytes: number): void
  /** A frame that asks for nothing: PRIORITY, an acknowledgement, or one of a type nobody knows. */
  onIdleFrame(): void
  /** Wrong for this stream alone. */
  onStreamFault(stream: number, error: number): void
}

/** Enough for a block as long as any head may be; whoever sends one in more pieces makes work (CVE-2024-27316 and its like). */
const MOST_CONTINUATIONS = 32
/** The end of a DATA frame up to here is told together with the beginning of the next: clients fill records of TLS with frames that are nine bytes larger. */
const JOINED_BYTES = 1024

export class FrameReader {
  /** What came last wants nothing to follow. */
  stopped = false
  readonly #owner: FrameOwner
  readonly #maxBlockBytes: number
  /** The beginning of a frame that is not complete. */
  #held: Buffer | null = null
  #heldLength = 0
  /** Of the DATA frame that is being told. */
  #dataStream = 0
  #dataLeft = 0
  #dataEnds = false
  /** A field block that goes on. */
  #block: Buffer[] | null = null
  #blockBytes = 0
  #blockStream = 0
  #blockEnds = false
  #isFirst = true

  /** `maxBlockBytes`: of a field block as it is sent. */
  constructor(owner: FrameOwner, maxBlockBytes: number) {
    this.#owner = owner
    this.#maxBlockBytes = maxBlockBytes
  }

  /** It waits for the rest of something that must not take long. */
  get isWithin(): boolean {
    return this.#heldLength > 0 || this.#block !== null
  }

  /** Null: nothing is wrong so far. What is in `bytes` may be moved. */
  read(bytes: Buffer, from: number, to: number): FrameFault | null {
    let at = from
    while (at < to && !this.stopped) {
      if (this.#dataLeft > 0) {
        at = this.#readData(bytes, at, to)
        continue
      }
      if (this.#heldLength > 0) {
        at = this.#complete(bytes, at, to)
        if (!this.#isHeldWhole()) return this.#faultOfHeld()
        const held = this.#held!
        const length = this.#heldLength
        this.#held = null
        this.#heldLength = 0
        const fault = this.#frame(held, 0, length)
        if (fault !== null) return fault
        continue
      }
      const left = to - at
      if (left < HEAD_BYTES || (left < HEAD_BYTES + lengthAt(bytes, at) && !isPlainData(bytes, at))) {
        this.#hold(bytes, at, to)
        return this.#faultOfHeld()
      }
      const end = isPlainData(bytes, at) ? at + HEAD_BYTES : at + HEAD_BYTES + lengthAt(bytes, at)
      const fault = this.#frame(bytes, at, end)
      if (fault !== null) return fault
      at = end
    }
    return null
  }

  /** Tells a piece of DATA; returns where it ends. */
  #readData(bytes: Buffer, at: number, to: number): number {
    let from = at
    let end = Math.min(to, at + this.#dataLeft)
    this.#dataLeft -= end - at
    if (this.#dataLeft === 0 && end - at <= JOINED_BYTES && !this.#dataEnds && this.#goesOn(bytes, end, to)) {
      this.#data(this.#dataStream, bytes[end + 4]!, bytes, end, to)
      if (this.stopped) return to
      bytes.copyWithin(at + HEAD_BYTES, at, end)
      from = at + HEAD_BYTES
      const next = end + HEAD_BYTES
      end = Math.min(to, next + this.#dataLeft)
      this.#dataLeft -= end - next
    }
    this.#owner.onDataBytes(this.#dataStream, bytes, from, end, this.#dataLeft === 0 && this.#dataEnds)
    return end
  }

  /** At `at` is more data of the same stream. */
  #goesOn(bytes: Buffer, at: number, to: number): boolean {
    if (to - at <= HEAD_BYTES || !isPlainData(bytes, at) || streamAt(bytes, at) !== this.#dataStream) return false
    const length = lengthAt(bytes, at)
    return length > 0 && length <= MAX_FRAME_BYTES
  }

  // ── frames in pieces ─────────────────────────────────────────────────────────────────────────────────────────────

  #hold(bytes: Buffer, from: number, to: number): void {
    const whole = to - from < HEAD_BYTES ? HEAD_BYTES : HEAD_BYTES + lengthAt(bytes, from)
    this.#held = Buffer.allocUnsafe(Math.min(whole, HEAD_BYTES + MAX_FRAME_BYTES))
    this.#heldLength = Math.min(to - from, this.#held.length)
    bytes.copy(this.#held, 0, from, from + this.#heldLength)
  }

  /** Takes what the held frame lacks; returns where that ends. */
  #complete(bytes: Buffer, from: number, to: number): number {
    let at = from
    if (this.#heldLength < HEAD_BYTES) at = this.#append(bytes, at, to, HEAD_BYTES)
    const held = this.#held!
    if (this.#heldLength < HEAD_BYTES || isPlainData(held, 0)) return at
    const whole = HEAD_BYTES + Math.min(lengthAt(held, 0), MAX_FRAME_BYTES)
    if (held.length < whole) {
      this.#held = Buffer.allocUnsafe(whole)
      held.copy(this.#held, 0, 0, this.#heldLength)
    }
    return this.#append(bytes, at, to, whole)
  }

  #append(bytes: Buffer, from: number, to: number, whole: number): number {
    const end = Math.min(to, from + whole - this.#heldLength)
    bytes.copy(this.#held!, this.#heldLength, from, end)
    this.#heldLength += end - from
    return end
  }

  #isHeldWhole(): boolean {
    const length = this.#heldLength
    if (length < HEAD_BYTES) return false
    return isPlainData(this.#held!, 0) || length === HEAD_BYTES + lengthAt(this.#held!, 0)
  }

  /** What is wrong with a frame's head is wrong before the rest of it comes. */
  #faultOfHeld(): FrameFault | null {
    return this.#heldLength < HEAD_BYTES ? null : this.#faultOfHead(this.#held!, 0)
  }

  // ── whole frames ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** bytes[at, end): one frame; of DATA without padding its head alone. */
  #frame(bytes: Buffer, at: number, end: number): FrameFault | null {
    const fault = this.#faultOfHead(bytes, at)
    if (fault !== null) return fault
    this.#isFirst = false
    const type = bytes[at + 3]!
    const flags = bytes[at + 4]!
    const stream = streamAt(bytes, at)
    const body = at + HEAD_BYTES
    switch (type) {
      case TYPE.data:
        return this.#data(stream, flags, bytes, at, end)
      case TYPE.headers:
        return this.#headers(stream, flags, bytes, body, end)
      case TYPE.continuation:
        return this.#continue(flags, bytes, body, end)
      case TYPE.reset:
        this.#owner.onReset(stream, uint32At(bytes, body))
        return null
      case TYPE.settings:
        if ((flags & FLAG.ack) !== 0) this.#owner.onIdleFrame()
        else this.#owner.onSettings(bytes, body, end)
        return null
      case TYPE.ping:
        if ((flags & FLAG.ack) !== 0) this.#owner.onIdleFrame()
        else this.#owner.onPing(bytes, body)
        return null
      case TYPE.goaway:
        this.#owner.onGoaway()
        return null
      case TYPE.windowUpdate:
        this.#owner.onWindowUpdate(stream, uint32At(bytes, body) & 0x7fffffff)
        return null
      case TYPE.priority:
        if (end - body !== 5) this.#owner.onStreamFault(stream, ERROR.frameSize)
    }
    this.#owner.onIdleFrame()
    return null
  }

  #data(stream: number, flags: number, bytes: Buffer, at: number, end: number): FrameFault | null {
    const length = lengthAt(bytes, at)
    const ends = (flags & FLAG.endStream) !== 0
    const isPadded = (flags & FLAG.padded) !== 0
    const from = at + HEAD_BYTES + (isPadded ? 1 : 0)
    if (isPadded && (length === 0 || bytes[from - 1]! > length - 1)) return protocol('padding longer than its frame')
    this.#owner.onData(stream, length, isPadded ? 1 + bytes[from - 1]! : 0)
    if (isPadded) this.#owner.onDataBytes(stream, bytes, from, end - bytes[from - 1]!, ends)
    else if (length === 0) this.#owner.onDataBytes(stream, bytes, from, from, ends)
    else {
      this.#dataStream = stream
      this.#dataLeft = length
      this.#dataEnds = ends
    }
    return null
  }

  #headers(stream: number, flags: number, bytes: Buffer, at: number, end: number): FrameFault | null {
    let from = at
    let padding = 0
    if ((flags & FLAG.padded) !== 0) {
      if (from === end) return protocol('padding longer than its frame')
      padding = bytes[from++]!
    }
    // What RFC 7540 had here says nothing any more (§5.3.2).
    if ((flags & FLAG.priority) !== 0) from += 5
    if (from > end) return { error: ERROR.frameSize, detail: 'HEADERS too short' }
    if (padding > end - from) return protocol('padding longer than its frame')
    const ends = (flags & FLAG.endStream) !== 0
    if (end - padding - from > this.#maxBlockBytes) return calm('a field block too large')
    if ((flags & FLAG.endHeaders) !== 0) {
      this.#owner.onHeaders(stream, ends, bytes, from, end - padding)
      return null
    }
    this.#block = [Buffer.from(bytes.subarray(from, end - padding))]
    this.#blockBytes = end - padding - from
    this.#blockStream = stream
    this.#blockEnds = ends
    return null
  }

  #continue(flags: number, bytes: Buffer, from: number, to: number): FrameFault | null {
    const block = this.#block!
    this.#blockBytes += to - from
    if (this.#blockBytes > this.#maxBlockBytes) return calm('a field block too large')
    if (block.length > MOST_CONTINUATIONS) return calm('a field block in too many pieces')
    block.push(Buffer.from(bytes.subarray(from, to)))
    if ((flags & FLAG.endHeaders) === 0) return null
    this.#block = null
    const whole = Buffer.concat(block)
    this.#owner.onHeaders(this.#blockStream, this.#blockEnds, whole, 0, whole.length)
    return null
  }

  /** Of the nine bytes at `at`: where such a frame may stand, and how long it is. */
  #faultOfHead(bytes: Buffer, at: number): FrameFault | null {
    const length = lengthAt(bytes, at)
    const type = bytes[at + 3]!
    const stream = streamAt(bytes, at)
    if (this.#isFirst && (type !== TYPE.settings || (bytes[at + 4]! & FLAG.ack) !== 0)) return protocol('no SETTINGS first')
    if (length > MAX_FRAME_BYTES) return { error: ERROR.frameSize, detail: `a frame of ${length} bytes` }
    if (this.#block !== null ? type !== TYPE.continuation || stream !== this.#blockStream : type === TYPE.continuation)
      return protocol('CONTINUATION out of place')
    switch (type) {
      case TYPE.data:
      case TYPE.headers:
      case TYPE.priority:
        return stream === 0 ? protocol('a frame of a stream on none') : null
      case TYPE.reset:
        if (length !== 4) return { error: ERROR.frameSize, detail: 'RST_STREAM' }
        return stream === 0 ? protocol('a frame of a stream on none') : null
      case TYPE.settings: {
        const isRight = (bytes[at + 4]! & FLAG.ack) !== 0 ? length === 0 : length % 6 === 0
        if (!isRight) return { error: ERROR.frameSize, detail: 'SETTINGS' }
        return stream === 0 ? null : protocol('SETTINGS on a stream')
      }
      case TYPE.ping:
        if (length !== 8) return { error: ERROR.frameSize, detail: 'PING' }
        return stream === 0 ? null : protocol('PING on a stream')
      case TYPE.goaway:
        if (length < 8) return { error: ERROR.frameSize, detail: 'GOAWAY' }
        return stream === 0 ? null : protocol('GOAWAY on a stream')
      case TYPE.windowUpdate:
        return length === 4 ? null : { error: ERROR.frameSize, detail: 'WINDOW_UPDATE' }
      // Only servers push (§8.4).
      case TYPE.pushPromise:
        return protocol('PUSH_PROMISE')
    }
    return null
  }
}

function isPlainData(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 3] === TYPE.data && (bytes[at + 4]! & FLAG.padded) === 0
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
}

function streamAt(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at + 5) & 0x7fffffff
}

function protocol(detail: string): FrameFault {
  return { error: ERROR.protocol, detail }
}

function calm(detail: string): FrameFault {
  return { error: ERROR.enhanceYourCalm, detail }
}
