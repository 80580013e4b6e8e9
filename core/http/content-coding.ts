/**
 * Content codings (RFC 9110 §8.4.1) taken off a body on its way: no more is decoded than somebody takes, however much is packed into
 * a few bytes.
 */
import type { Transform } from 'node:stream'
import type * as zlib from 'node:zlib'
import { copyOf } from './body-store.ts'

export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd'

/** By a Content-Encoding: null: none; undefined: one that is not understood, or several. */
export function codingOf(field: string | null): Coding | null | undefined {
  const name = field?.toLowerCase() ?? ''
  switch (name) {
    case '':
    case 'identity':
      return null
    case 'x-gzip':
      return 'gzip'
    case 'gzip':
    case 'deflate':
    case 'br':
    case 'zstd':
      return name
  }
  return undefined
}

export interface DecoderOwner {
  decoded(bytes: Buffer): void
  decodedAll(): void
  /** It takes bytes again. */
  decoderHasRoom(): void
  decoderFailed(detail: string): void
}

export class Decoder {
  hasRoom = true
  readonly #coding: Coding
  readonly #owner: DecoderOwner
  /** Made for the first bytes: what is empty was not coded. */
  #stream: Transform | null = null

  constructor(coding: Coding, owner: DecoderOwner) {
    this.#coding = coding
    this.#owner = owner
  }

  feed(bytes: Buffer, isLent: boolean, last: boolean): void {
    if (bytes.length > 0) {
      this.#stream ??= this.#open(bytes[0]!)
      // It is decoded in a thread of its own, later.
      this.hasRoom = this.#stream.write(isLent ? copyOf(bytes) : bytes)
    }
    if (!last) return
    if (this.#stream === null) this.#owner.decodedAll()
    else this.#stream.end()
  }

  get hasBegun(): boolean {
    return this.#stream !== null
  }

  pause(): void {
    this.#stream?.pause()
  }

  resume(): void {
    this.#stream?.resume()
  }

  destroy(): void {
    this.#stream?.destroy()
  }

  #open(first: number): Transform {
    const stream = create(this.#coding, first)
    const owner = this.#owner
    stream.on('data', (bytes: Buffer) => {
      if (!stream.destroyed) owner.decoded(bytes)
    })
    stream.on('drain', () => {
      this.hasRoom = true
      owner.decoderHasRoom()
    })
    stream.on('end', () => owner.decodedAll())
    stream.on('error', (error) => owner.decoderFailed(error.message))
    return stream
  }
}

/** 8 MiB, the most that a sender may want as a content coding (RFC 9659); zlib's own limit is 128 MiB, to be had with ten bytes. */
const ZSTD_WINDOW_LOG = 23

function create(coding: Coding, first: number): Transform {
  const { constants, createGunzip, createInflate, createInflateRaw, createBrotliDecompress, createZstdDecompress } = loadZlib()
  switch (coding) {
    case 'gzip':
      return createGunzip()
    case 'deflate':
      // Some send it without the zlib format around it (RFC 9110 §8.4.1.2).
      return (first & 0x0f) === 8 ? createInflate() : createInflateRaw()
    case 'br':
      return createBrotliDecompress()
    case 'zstd':
      return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } })
  }
}

/** A worker that decodes nothing does not pay the memory for it. */
function loadZlib(): typeof zlib {
  return process.getBuiltinModule('node:zlib')
}
