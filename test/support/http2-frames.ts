/** An HTTP/2 client that sends whatever frames it is told to, right or wrong (RFC 9113 §4, §6; RFC 7541). */
import { once } from 'node:events'
import * as net from 'node:net'
import * as tls from 'node:tls'
import { HpackDecoder } from '../../core/net/http2/hpack-decoder.ts'
import { Waiting, within } from './deadline.ts'
import { decodeWith, literal } from './hpack.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export interface ReceivedHead {
  readonly status: number
  readonly fields: Readonly<Record<string, string>>
}

export const frameType = {
  ...{ data: 0, headers: 1, priority: 2, reset: 3, settings: 4, push: 5, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9 },
} as const
export const END_STREAM = 0x1
export const END_HEADERS = 0x4
const ACK = 0x1
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** `options` null: without TLS. */
export async function connectFrames(port: number, options: tls.ConnectionOptions | null, settings = ''): Promise<FrameClient> {
  const where = { port, host: '127.0.0.1' }
  const socket = options === null ? net.connect(where) : tls.connect({ ...where, ALPNProtocols: ['h2'], ...options })
  await within(once(socket, options === null ? 'connect' : 'secureConnect'), 'no connection')
  return new FrameClient(socket, settings)
}

export class FrameClient {
  readonly frames: Frame[] = []
  closed = false
  readonly #socket: net.Socket
  readonly #decoder = new HpackDecoder()
  readonly #heads = new Map<number, ReceivedHead[]>()
  readonly #waiting = new Waiting()
  #pending: Buffer = Buffer.alloc(0)

  /** `settings`: what it says first. */
  constructor(socket: net.Socket, settings: string) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#waiting.poke()
    })
    socket.write(PREFACE)
    this.send(frameType.settings, 0, 0, settings)
  }

  /** Reads nothing until `resume`. */
  pause(): this {
    this.#socket.pause()
    return this
  }

  resume(): this {
    this.#socket.resume()
    return this
  }

  write(bytes: Uint8Array): this {
    this.#socket.write(bytes)
    return this
  }

  send(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): this {
    return this.write(frameOf(type, flags, stream, payload))
  }

  /** Names and values by turns; all in one frame. */
  headers(stream: number, fields: readonly string[], flags = 0): this {
    return this.write(headersOf(stream, fields, flags))
  }

  /** What the stream was answered with; interim heads count. */
  head(stream: number, number = 1): Promise<ReceivedHead> {
    return this.#waiting.until(
      () => this.#heads.get(stream)?.[number - 1],
      () => `no head ${number} of ${stream}; ${this.#told()}`,
    )
  }

  /** The body of a stream that has ended. */
  async body(stream: number): Promise<string> {
    await this.end(stream)
    const own = this.frames.filter((frame) => frame.stream === stream && frame.type === frameType.data)
    return Buffer.concat(own.map(({ payload }) => payload)).latin1Slice()
  }

  /** How the stream ended: its last frame with END_STREAM, or its reset, or the end of the connection. */
  async end(stream: number): Promise<'complete' | 'reset' | 'closed'> {
    return this.#waiting.until(
      () => {
        const own = this.frames.filter((frame) => frame.stream === stream)
        if (own.some((frame) => frame.type <= frameType.headers && (frame.flags & END_STREAM) !== 0)) return 'complete'
        if (own.some((frame) => frame.type === frameType.reset)) return 'reset'
        return this.closed ? 'closed' : undefined
      },
      () => `stream ${stream} goes on; ${this.#told()}`,
    )
  }

  /** The error that it was reset with. */
  async reset(stream: number): Promise<number> {
    return (await this.frame((one) => one.type === frameType.reset && one.stream === stream)).payload.readUInt32BE(0)
  }

  frame(matches: (frame: Frame) => boolean): Promise<Frame> {
    return this.#waiting.until(
      () => this.frames.find(matches) ?? (this.closed ? { type: -1, flags: 0, stream: 0, payload: Buffer.alloc(8) } : undefined),
      () => `no such frame; ${this.#told()}`,
    )
  }

  /** The error and the words of a GOAWAY that is one, and the connection is closed. */
  async failed(): Promise<{ error: number; detail: string }> {
    const { payload } = await this.frame((one) => one.type === frameType.goaway)
    await this.#waiting.until(
      () => (this.closed ? true : undefined),
      () => `still open; ${this.#told()}`,
    )
    return { error: payload.readUInt32BE(4), detail: payload.latin1Slice(8) }
  }

  destroy(): void {
    this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.destroy()
  }

  #told(): string {
    const frames = this.frames.map(
      ({ type, stream, payload }) => `${type}/${stream}${type === frameType.goaway ? ` ${payload.latin1Slice(8)}` : ''}`,
    )
    return `frames: ${frames.join(' ')}${this.closed ? ', closed' : ''}`
  }

  #read(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes])
    for (;;) {
      if (this.#pending.length < 9) return
      const end = 9 + this.#pending.readUIntBE(0, 3)
      if (this.#pending.length < end) return
      const frame = {
        ...{ type: this.#pending[3]!, flags: this.#pending[4]!, stream: this.#pending.readUInt32BE(5) },
        payload: this.#pending.subarray(9, end),
      }
      this.#pending = this.#pending.subarray(end)
      this.frames.push(frame)
      if (frame.type === frameType.settings && frame.flags === 0) this.send(frameType.settings, ACK, 0)
      if (frame.type === frameType.headers) this.#readHead(frame)
      this.#waiting.poke()
    }
  }

  #readHead({ stream, payload }: Frame): void {
    const fields = decodeWith(this.#decoder, payload)
    if (fields === null) throw new Error('a field block that cannot be read')
    const all: Record<string, string> = {}
    for (let i = 0; i < fields.length; i += 2) all[fields[i]!] = fields[i + 1]!
    const { ':status': status, ...rest } = all
    const heads = this.#heads.get(stream) ?? []
    heads.push({ status: Number(status), fields: rest })
    this.#heads.set(stream, heads)
  }
}

export function frameOf(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

export function headersOf(stream: number, fields: readonly string[], flags = 0): Buffer {
  return frameOf(frameType.headers, END_HEADERS | flags, stream, blockOf(fields))
}

/** Names and values by turns, none of them kept in a table. */
export function blockOf(fields: readonly string[]): Buffer {
  return Buffer.concat(Array.from({ length: fields.length / 2 }, (_, i) => literal(fields[2 * i]!, fields[2 * i + 1]!)))
}

/** Settings as they are sent: numbers and values by turns. */
export function settingsOf(...settings: readonly number[]): string {
  const body = Buffer.alloc((settings.length / 2) * 6)
  for (let i = 0; i < settings.length; i += 2) {
    body.writeUInt16BE(settings[i]!, i * 3)
    body.writeUInt32BE(settings[i + 1]!, i * 3 + 2)
  }
  return body.latin1Slice()
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
