/** One body on its way into a content coding: piece by piece in threads of libuv's, each piece whole enough for the other side to read it. */
import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import type { ContentEncoding } from '../dsl/message-policies.ts'

const { constants } = zlib
/** Low levels: what is made anew for each client is made quickly. The windows bound what one body takes to 512 KiB and what its coder adds. */
const GZIP = { level: 5 }
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 19 } }
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_windowLog]: 19 } }

export type Encoded = (error: Error | null, bytes: Buffer) => void

type Flushing = Transform & { flush(kind: number, done: () => void): void }

const EMPTY = Buffer.alloc(0)

/** All of a body, at once. */
export function encodeWhole(coding: ContentEncoding, bytes: Uint8Array, done: Encoded): void {
  const told = (error: Error | null, made: Buffer): void => done(error, error === null ? made : EMPTY)
  if (coding === 'gzip') zlib.gzip(bytes, GZIP, told)
  else if (coding === 'br') zlib.brotliCompress(bytes, BROTLI, told)
  else zlib.zstdCompress(bytes, ZSTD, told)
}

export class BodyEncoder {
  readonly #stream: Flushing
  readonly #flush: number
  #made: Buffer[] = []
  #done: Encoded | null = null

  constructor(coding: ContentEncoding) {
    const [stream, flush] = openStream(coding)
    this.#stream = stream
    this.#flush = flush
    stream.on('data', (bytes: Buffer) => this.#made.push(bytes))
    stream.on('end', () => this.#tell(null))
    stream.on('error', (error) => this.#tell(error))
  }

  /** One piece at a time; `done` gets all that has come of it. */
  encode(bytes: Uint8Array, last: boolean, done: Encoded): void {
    this.#done = done
    if (last) this.#stream.end(bytes)
    else {
      this.#stream.write(bytes)
      this.#stream.flush(this.#flush, () => this.#tell(null))
    }
  }

  /** Nobody waits for it any more. */
  destroy(): void {
    this.#done = null
    this.#stream.destroy()
  }

  #tell(error: Error | null): void {
    const done = this.#done
    const made = this.#made
    this.#done = null
    this.#made = []
    done?.(error, made.length === 1 ? made[0]! : Buffer.concat(made))
  }
}

function openStream(coding: ContentEncoding): readonly [stream: Flushing, flush: number] {
  if (coding === 'gzip') return [zlib.createGzip(GZIP) as unknown as Flushing, constants.Z_SYNC_FLUSH]
  if (coding === 'br') return [zlib.createBrotliCompress(BROTLI) as unknown as Flushing, constants.BROTLI_OPERATION_FLUSH]
  return [zlib.createZstdCompress(ZSTD) as unknown as Flushing, constants.ZSTD_e_flush]
}
