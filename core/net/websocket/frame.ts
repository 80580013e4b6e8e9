/** The frame of RFC 6455 §5: its opcodes, its mask, and writing it. Frames leave in the order they were added, many of them as one write. */

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const NOTHING = Buffer.alloc(0)
const FIN = 0x80
const RSV1 = 0x40
const MASKED = 0x80
/** From here on four bytes at a time are cheaper, with what it costs to look at the memory as words. */
const WORDS_FROM = 96

const keyBytes = new Uint8Array(4)
const keyWord = new Int32Array(keyBytes.buffer)

/** Masks or unmasks bytes [from, to) in place. `key`: its first byte is the highest; `phase`: which byte of the payload the first one is. */
export function mask(bytes: Uint8Array, from: number, to: number, key: number, phase: number): void {
  let at = from
  // A shift counts modulo 32: −8 × n is the n-th byte from the top.
  let turn = 24 - (phase & 3) * 8
  if (to - from >= WORDS_FROM) {
    for (; ((bytes.byteOffset + at) & 3) !== 0; turn = turn === 0 ? 24 : turn - 8) bytes[at] = bytes[at++]! ^ (key >>> turn)
    for (let i = 0; i < 4; i++, turn = turn === 0 ? 24 : turn - 8) keyBytes[i] = key >>> turn
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (to - at) >> 2)
    const word = keyWord[0]!
    let i = 0
    // Eight a turn take two thirds of the time that one a turn takes.
    for (const end = words.length - 7; i < end; i += 8) {
      words[i] = words[i]! ^ word
      words[i + 1] = words[i + 1]! ^ word
      words[i + 2] = words[i + 2]! ^ word
      words[i + 3] = words[i + 3]! ^ word
      words[i + 4] = words[i + 4]! ^ word
      words[i + 5] = words[i + 5]! ^ word
      words[i + 6] = words[i + 6]! ^ word
      words[i + 7] = words[i + 7]! ^ word
    }
    for (; i < words.length; i++) words[i] = words[i]! ^ word
    at += words.length * 4
  }
  for (; at < to; turn = turn === 0 ? 24 : turn - 8) bytes[at] = bytes[at++]! ^ (key >>> turn)
}

export class FrameWriter {
  readonly #nextKey: (() => number) | null
  #bytes: Buffer = NOTHING
  /** Bytes that wait to be taken. */
  size = 0

  /** `nextKey`: 32 bits that nobody can foresee, for each frame (RFC 6455 §5.3); null: frames of a server, which are not masked. */
  constructor(nextKey: (() => number) | null) {
    this.#nextKey = nextKey
  }

  /** A whole message or a control frame. `compressed`: RFC 7692 §6. */
  add(opcode: number, payload: Uint8Array, compressed = false): void {
    const { length } = payload
    const lengthBytes = length < 126 ? 0 : length < 65536 ? 2 : 8
    const from = this.#reserve(2 + lengthBytes + (this.#nextKey === null ? 0 : 4) + length)
    const bytes = this.#bytes
    const masked = this.#nextKey === null ? 0 : MASKED
    bytes[from] = FIN | (compressed ? RSV1 : 0) | opcode
    bytes[from + 1] = masked | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127)
    let at = from + 2
    if (lengthBytes === 2) at = bytes.writeUInt16BE(length, at)
    else if (lengthBytes === 8)
      at = bytes.writeUInt32BE(length % 0x1_0000_0000, bytes.writeUInt32BE(Math.floor(length / 0x1_0000_0000), at))
    if (this.#nextKey === null) return void bytes.set(payload, at)
    const key = this.#nextKey() >>> 0
    at = bytes.writeUInt32BE(key, at)
    bytes.set(payload, at)
    mask(bytes, at, at + length, key, 0)
  }

  /** All that was added, in memory of its own. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.size)
    this.#bytes = NOTHING
    this.size = 0
    return taken
  }

  #reserve(count: number): number {
    const from = this.size
    this.size += count
    if (this.size > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(from === 0 ? count : Math.max(this.size, this.#bytes.length * 2, 1024))
      this.#bytes.copy(grown, 0, 0, from)
      this.#bytes = grown
    }
    return from
  }
}
