/**
 * Frames between a worker and its plugin host: a head of numbers, more numbers, a text. Both ends are this program; what a guest
 * wrote is data inside. Byte order is the machine's.
 */

/** type, seq, two numbers by type, count of bytes, count of ints, bytes of text, 1 if the text is UTF-16. Then ints, text, bytes. */
const HEAD_INTS = 8
const HEAD_BYTES = HEAD_INTS * 4
/** More in one frame is not ours. */
const MOST_BYTES = 64 << 20

// To the plugin host. a and b are given where they are used.
export const TO_START = 1 //   text: StartMessage
export const TO_DEFINE = 2 //  seq
export const TO_SET_UP = 3 //  seq, text: EngineUse
export const TO_RELOAD = 4 //  seq, a: use
export const TO_DROP = 5 //    a: use
export const TO_RUN = 6 //     a: calls, b: time limit in ms; ints, text and bytes of the calls
export const TO_GRANT = 7 //   a: number of the wish, b: 1 if it was done; text
export const TO_PROFILE = 8 //  seq, a: 1 it begins, 0 it ends; the result's text is the profile
export const TO_CLOCK = 9 //   text: ms

/** Of a profile: how often it is looked where the processor is. */
export const SAMPLE_MICROS = 100

// From it.
export const RESULT = 16 //    seq, a: 1 if it went well; text
export const ANSWERED = 17 //  a: calls answered so far of the oldest run; ints, text and bytes
export const FAILED = 18 //    a: index in the oldest run, b: why; text
export const SETTLED = 19 //   ints, text and bytes
export const OVERRAN = 20 //   a: call id, b: why; text
export const LOST = 21 //      b: why; text

export interface Frame {
  type: number
  seq: number
  a: number
  b: number
  ints: Int32Array
  count: number
  text: string
  bytes: Uint8Array
}

const noBytes = new Uint8Array(0)
const noInts = new Int32Array(0)

export interface FrameParts {
  readonly type: number
  readonly seq?: number
  readonly a?: number
  readonly b?: number
  readonly ints?: Int32Array
  /** Where in `ints` they begin. */
  readonly at?: number
  readonly count?: number
  readonly text?: string
  readonly bytes?: Uint8Array
}

export function writeFrame({
  type,
  seq = 0,
  a = 0,
  b = 0,
  ints = noInts,
  at = 0,
  count = 0,
  text = '',
  bytes = noBytes,
}: FrameParts): Buffer {
  const isWide = /[^\0-\xff]/.test(text)
  const textBytes = isWide ? text.length * 2 : text.length
  const bytesAt = HEAD_BYTES + count * 4 + textBytes
  const frame = Buffer.allocUnsafeSlow(bytesAt + bytes.length)
  const head = new Int32Array(frame.buffer, 0, HEAD_INTS + count)
  head[0] = type
  head[1] = seq
  head[2] = a
  head[3] = b
  head[4] = bytes.length
  head[5] = count
  head[6] = textBytes
  head[7] = isWide ? 1 : 0
  if (count > 0) head.set(ints.subarray(at, at + count), HEAD_INTS)
  if (textBytes > 0) frame.write(text, HEAD_BYTES + count * 4, isWide ? 'utf16le' : 'latin1')
  if (bytes.length > 0) frame.set(bytes, bytesAt)
  return frame
}

/** Takes bytes as they come; gives frames whole. The frame it gives is reused: it is valid inside the call only. */
export class FrameReader {
  /** Of a frame that is not whole yet: joined once, when it is. */
  #rest: Buffer[] = []
  #restBytes = 0
  /** So many bytes are wanted before it is worth another look. */
  #wanted = HEAD_BYTES
  readonly #frame: Frame = { type: 0, seq: 0, a: 0, b: 0, ints: new Int32Array(1024), count: 0, text: '', bytes: noBytes }
  readonly #visit: (frame: Frame) => void

  constructor(visit: (frame: Frame) => void) {
    this.#visit = visit
  }

  push(chunk: Buffer): void {
    this.#rest.push(chunk)
    this.#restBytes += chunk.length
    if (this.#restBytes < this.#wanted) return
    const bytes = this.#rest.length === 1 ? chunk : Buffer.concat(this.#rest)
    this.#rest = []
    this.#wanted = HEAD_BYTES
    let at = 0
    while (bytes.length - at >= HEAD_BYTES) {
      const count = bytes.readInt32LE(at + 20)
      const textBytes = bytes.readInt32LE(at + 24)
      const byteCount = bytes.readInt32LE(at + 16)
      const total = HEAD_BYTES + count * 4 + textBytes + byteCount
      if (count < 0 || textBytes < 0 || byteCount < 0 || total > MOST_BYTES) throw new RangeError('a frame has a size that cannot be')
      if (bytes.length - at < total) {
        this.#wanted = total
        break
      }
      this.#give(bytes, at, count, textBytes)
      at += total
    }
    this.#restBytes = bytes.length - at
    if (this.#restBytes > 0) this.#rest.push(at === 0 ? bytes : Buffer.from(bytes.subarray(at)))
  }

  #give(bytes: Buffer, at: number, count: number, textBytes: number): void {
    const frame = this.#frame
    frame.type = bytes.readInt32LE(at)
    frame.seq = bytes.readInt32LE(at + 4)
    frame.a = bytes.readInt32LE(at + 8)
    frame.b = bytes.readInt32LE(at + 12)
    frame.count = count
    if (count > frame.ints.length) frame.ints = new Int32Array(count)
    const intsAt = at + HEAD_BYTES
    if (count > 0) new Uint8Array(frame.ints.buffer, 0, count * 4).set(bytes.subarray(intsAt, intsAt + count * 4))
    const textAt = intsAt + count * 4
    const bytesAt = textAt + textBytes
    frame.bytes = bytes.subarray(bytesAt, bytesAt + bytes.readInt32LE(at + 16))
    frame.text = textBytes === 0 ? '' : bytes.toString(bytes.readInt32LE(at + 28) === 1 ? 'utf16le' : 'latin1', textAt, textAt + textBytes)
    this.#visit(frame)
  }
}
