/**
 * zlib by the handle behind a stream of `node:zlib`: the only way to keep a compression context from one call to the next without
 * the thread pool, at a few µs a message. This is the only file that touches `_handle`; `canUseZlibHandles` tells whether it is
 * what is known here.
 */
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib'
import type { Deflater, InflateFault, Inflater } from './deflate.ts'
import type { DeflateSide } from './extensions.ts'

/** What the handle has in Node 26 (src/node_zlib.cc). */
interface ZlibHandle {
  onerror: (message: string, errno: number, code: string) => void
  writeSync(flush: number, input: Uint8Array, inFrom: number, inLength: number, out: Uint8Array, outFrom: number, outLength: number): void
  reset(): void
}
interface ZlibStream {
  readonly _handle: ZlibHandle | null
  /** After a write: how much room is left in the output, how much of the input is unread. */
  readonly _writeState: Uint32Array
  close(): void
}

/** Removed from the end of what is sent, added to the end of what is read (RFC 7692 §7.2.1 and §7.2.2). */
export const TAIL = Buffer.from([0, 0, 0xff, 0xff])
/** A message may have that many final blocks; each costs a start of its own. */
export const MAX_FINAL_BLOCKS = 16
/** Messages go through once on their way: little is won by a smaller copy that took three times as long. */
export const LEVEL = constants.Z_BEST_SPEED
const CHUNK = 65536
/** The stream has a buffer of its own, which nobody uses: the smallest there is. */
const CHUNK_OF_STREAM = constants.Z_MIN_CHUNK

/** Written to and copied from inside one call. */
const out = Buffer.allocUnsafeSlow(CHUNK)

class Context {
  readonly #stream: ZlibStream
  readonly #handle: ZlibHandle
  failed = false
  /** Bytes that the last `run` wrote to `out`, and bytes that it left unread. */
  wrote = 0
  unread = 0

  constructor(stream: object) {
    this.#stream = stream as ZlibStream
    this.#handle = this.#stream._handle!
    this.#handle.onerror = () => {
      this.failed = true
    }
  }

  run(input: Uint8Array, from: number): void {
    this.#handle.writeSync(constants.Z_SYNC_FLUSH, input, from, input.length - from, out, 0, CHUNK)
    this.wrote = CHUNK - this.#stream._writeState[0]!
    this.unread = this.#stream._writeState[1]!
  }

  reset(): void {
    this.#handle.reset()
  }

  close(): void {
    this.#stream.close()
  }
}

export class HandleInflater implements Inflater {
  readonly #context: Context
  readonly #takesOver: boolean
  readonly #maxBytes: number
  #finalBlocks = 0
  #parts: Buffer[] = []
  #size = 0

  constructor({ windowBits, takesOver }: DeflateSide, maxBytes: number) {
    this.#context = new Context(createInflateRaw({ windowBits, chunkSize: CHUNK_OF_STREAM }))
    this.#takesOver = takesOver
    this.#maxBytes = maxBytes
  }

  get sawFinalBlock(): boolean {
    return this.#finalBlocks > 0
  }

  inflate(payload: Buffer): Buffer | InflateFault {
    this.#finalBlocks = 0
    const fault = this.#read(payload) ?? this.#read(TAIL)
    const parts = this.#parts
    this.#parts = []
    this.#size = 0
    if (fault !== null) return fault
    if (!this.#takesOver || this.#finalBlocks > 0) this.#context.reset()
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  close(): void {
    this.#context.close()
  }

  #read(input: Buffer): InflateFault | null {
    const context = this.#context
    for (let from = 0; ; from = input.length - context.unread) {
      context.run(input, from)
      if (context.failed) return 'malformed'
      this.#size += context.wrote
      if (this.#size > this.#maxBytes) return 'tooLarge'
      if (context.wrote > 0) this.#parts.push(Buffer.from(out.subarray(0, context.wrote)))
      if (context.wrote === CHUNK) continue
      if (context.unread === 0) return null
      if (++this.#finalBlocks > MAX_FINAL_BLOCKS) return 'malformed'
      context.reset()
    }
  }
}

export class HandleDeflater implements Deflater {
  readonly #context: Context
  readonly #takesOver: boolean

  constructor({ windowBits, takesOver }: DeflateSide) {
    this.#context = new Context(createDeflateRaw({ windowBits, level: LEVEL, chunkSize: CHUNK_OF_STREAM }))
    this.#takesOver = takesOver
  }

  deflate(message: Uint8Array): Buffer {
    const context = this.#context
    const parts: Buffer[] = []
    let from = 0
    do {
      context.run(message, from)
      parts.push(Buffer.from(out.subarray(0, context.wrote)))
      from = message.length - context.unread
    } while (context.wrote === CHUNK)
    if (!this.#takesOver) context.reset()
    const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    return all.subarray(0, all.length - TAIL.length)
  }

  close(): void {
    this.#context.close()
  }
}

export const canUseZlibHandles = process.env.SLUICE_NO_HANDLES !== '1' && works()

function works(): boolean {
  try {
    const side = { windowBits: 15, takesOver: true }
    const [deflater, inflater] = [new HandleDeflater(side), new HandleInflater(side, 8)]
    const came = [1, 2].map(() => inflater.inflate(deflater.deflate(Buffer.from('x'))).toString())
    deflater.close()
    inflater.close()
    return came.join('') === 'xx'
  } catch {
    return false
  }
}
