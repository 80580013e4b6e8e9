/** zlib by its documented functions alone: each message is a call of its own, and the window comes along as the dictionary of the next. */
import { constants, deflateRawSync, type InflateRaw, inflateRawSync } from 'node:zlib'
import type { Deflater, InflateFault, Inflater } from './deflate.ts'
import type { DeflateSide } from './extensions.ts'
import { LEVEL, MAX_FINAL_BLOCKS, TAIL } from './zlib-handle.ts'

const NOTHING = Buffer.alloc(0)

/** The last bytes that went through, as far back as a message may refer. */
class Window {
  readonly #size: number
  #bytes: Buffer = NOTHING

  constructor({ windowBits, takesOver }: DeflateSide) {
    this.#size = takesOver ? 2 ** windowBits : 0
  }

  get dictionary(): { dictionary?: Buffer } {
    return this.#bytes.length === 0 ? {} : { dictionary: this.#bytes }
  }

  add(bytes: Uint8Array): void {
    const all = Buffer.concat([this.#bytes, bytes.subarray(Math.max(0, bytes.length - this.#size))])
    this.#bytes = Buffer.from(all.subarray(Math.max(0, all.length - this.#size)))
  }

  clear(): void {
    this.#bytes = NOTHING
  }
}

export class DictionaryInflater implements Inflater {
  readonly #side: DeflateSide
  readonly #maxBytes: number
  readonly #window: Window
  sawFinalBlock = false

  constructor(side: DeflateSide, maxBytes: number) {
    this.#side = side
    this.#maxBytes = maxBytes
    this.#window = new Window(side)
  }

  inflate(payload: Buffer): Buffer | InflateFault {
    this.sawFinalBlock = false
    const parts: Buffer[] = []
    let left = this.#maxBytes
    let input = Buffer.concat([payload, TAIL])
    for (let streams = 0; input.length > 0; streams++) {
      if (streams > MAX_FINAL_BLOCKS) return 'malformed'
      this.sawFinalBlock = streams > 0
      const read = this.#inflate(input, left)
      if (typeof read === 'string') return read
      parts.push(read.bytes)
      left -= read.bytes.length
      if (left < 0) return 'tooLarge'
      input = input.subarray(read.count)
      if (input.length > 0) this.#window.clear()
    }
    const message = Buffer.concat(parts)
    if (this.sawFinalBlock) this.#window.clear()
    else this.#window.add(message)
    return message
  }

  close(): void {}

  #inflate(input: Buffer, left: number): { readonly bytes: Buffer; readonly count: number } | InflateFault {
    try {
      const read = inflateRawSync(input, {
        ...this.#window.dictionary,
        ...{ windowBits: this.#side.windowBits, finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: Math.max(1, left), info: true },
        // The types do not know what `info` makes of the result.
      }) as unknown as { readonly buffer: Buffer; readonly engine: InflateRaw }
      return { bytes: read.buffer, count: read.engine.bytesWritten }
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'tooLarge' : 'malformed'
    }
  }
}

export class DictionaryDeflater implements Deflater {
  readonly #side: DeflateSide
  readonly #window: Window

  constructor(side: DeflateSide) {
    this.#side = side
    this.#window = new Window(side)
  }

  deflate(message: Uint8Array): Buffer {
    const { windowBits } = this.#side
    const all = deflateRawSync(message, { ...this.#window.dictionary, windowBits, level: LEVEL, finishFlush: constants.Z_SYNC_FLUSH })
    this.#window.add(message)
    return all.subarray(0, all.length - TAIL.length)
  }

  close(): void {}
}
