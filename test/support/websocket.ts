/**
 * The other end of a WebSocket for tests, written apart from the product's codec: makes frames, well formed or not, reads them one by
 * one, and compresses by a stream of `node:zlib` that lives as long as the connection.
 */
import { once } from 'node:events'
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw, type ZlibOptions } from 'node:zlib'

export interface FrameParts {
  readonly opcode?: number
  readonly fin?: boolean
  /** 4 is RSV1. */
  readonly reserved?: number
  /** Null: not masked. */
  readonly key?: readonly [number, number, number, number] | null
  /** How many bytes say the length: 0, 2 or 8. Default: as few as possible. */
  readonly lengthBytes?: 0 | 2 | 8
  /** What the head tells instead of the real length. */
  readonly length?: number
}

export const CLIENT_KEY = [0x11, 0xe2, 0x03, 0xf4] as const

export function frame(payload: Uint8Array | string, parts: FrameParts = {}): Buffer {
  const bytes = Buffer.from(typeof payload === 'string' ? Buffer.from(payload) : payload)
  const { opcode = 1, fin = true, reserved = 0, key = null, length = bytes.length } = parts
  const lengthBytes = parts.lengthBytes ?? (length < 126 ? 0 : length < 65536 ? 2 : 8)
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode]
  const masked = key === null ? 0 : 0x80
  if (lengthBytes === 0) head.push(masked | length)
  else {
    head.push(masked | (lengthBytes === 2 ? 126 : 127))
    for (let shift = lengthBytes - 1; shift >= 0; shift--) head.push(Number((BigInt(length) >> BigInt(8 * shift)) & 0xffn))
  }
  if (key !== null) for (let i = 0; i < bytes.length; i++) bytes[i] = bytes[i]! ^ key[i % 4]!
  return Buffer.concat([Buffer.from(head), Buffer.from(key ?? []), bytes])
}

/** As a client sends it. */
export function masked(payload: Uint8Array | string, parts: FrameParts = {}): Buffer {
  return frame(payload, { key: CLIENT_KEY, ...parts })
}

export interface ReadFrame {
  readonly opcode: number
  readonly fin: boolean
  readonly reserved: number
  readonly masked: boolean
  readonly payload: Buffer
}

/** Every whole frame, and what is left of the bytes. */
export function readFrames(bytes: Buffer): { readonly frames: ReadFrame[]; readonly rest: Buffer } {
  const frames: ReadFrame[] = []
  let at = 0
  for (;;) {
    const short = bytes[at + 1]! & 0x7f
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
    const isMasked = bytes[at + 1]! >= 0x80
    const start = at + 2 + lengthBytes + (isMasked ? 4 : 0)
    if (at + 2 > bytes.length || start > bytes.length) break
    const length = lengthBytes === 8 ? Number(bytes.readBigUInt64BE(at + 2)) : lengthBytes === 2 ? bytes.readUInt16BE(at + 2) : short
    if (start + length > bytes.length) break
    const payload = Buffer.from(bytes.subarray(start, start + length))
    if (isMasked) for (let i = 0; i < length; i++) payload[i] = payload[i]! ^ bytes[start - 4 + (i % 4)]!
    frames.push({ opcode: bytes[at]! & 15, fin: bytes[at]! >= 0x80, reserved: (bytes[at]! >> 4) & 7, masked: isMasked, payload })
    at = start + length
  }
  return { frames, rest: bytes.subarray(at) }
}

/** One direction of permessage-deflate with context takeover: two streams that go on from message to message. */
export class StreamDeflate implements Disposable {
  readonly #deflate: DeflateRaw
  readonly #inflate: InflateRaw

  constructor(options: ZlibOptions = {}) {
    this.#deflate = createDeflateRaw(options)
    this.#inflate = createInflateRaw(options)
  }

  async deflate(message: Uint8Array | string): Promise<Buffer> {
    const all = await through(this.#deflate, message)
    return all.subarray(0, -4)
  }

  inflate(payload: Uint8Array): Promise<Buffer> {
    return through(this.#inflate, Buffer.concat([payload, Buffer.from([0, 0, 255, 255])]))
  }

  [Symbol.dispose](): void {
    this.#deflate.close()
    this.#inflate.close()
  }
}

async function through(stream: DeflateRaw | InflateRaw, bytes: Uint8Array | string): Promise<Buffer> {
  const parts: Buffer[] = []
  const onData = (part: Buffer) => void parts.push(part)
  stream.on('data', onData)
  const failed = new AbortController()
  await Promise.race([
    new Promise<void>((resolve) => {
      stream.write(bytes)
      stream.flush(constants.Z_SYNC_FLUSH, () => resolve())
    }),
    once(stream, 'error', { signal: failed.signal }).then(
      ([error]) => Promise.reject(error),
      () => {},
    ),
  ])
  failed.abort()
  stream.off('data', onData)
  return Buffer.concat(parts)
}
