/** An HTTP/2 client that sends whatever frames it is told to, right or wrong (RFC 9113 §4, §6; RFC 7541 without compression). */
import { once } from 'node:events'
import * as tls from 'node:tls'
import { Waiting, within } from './deadline.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7 } as const
export const END_STREAM = 0x1
const END_HEADERS = 0x4
const ACK = 0x1

export async function connectFrames(port: number, options: tls.ConnectionOptions): Promise<FrameClient> {
  const socket = tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...options })
  await within(once(socket, 'secureConnect'), 'no handshake')
  return new FrameClient(socket)
}

export class FrameClient {
  readonly frames: Frame[] = []
  closed = false
  readonly #socket: tls.TLSSocket
  readonly #waiting = new Waiting()
  #pending: Buffer = Buffer.alloc(0)

  constructor(socket: tls.TLSSocket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#waiting.poke()
    })
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    this.send(frameType.settings, 0, 0)
  }

  send(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): this {
    const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
    const head = Buffer.alloc(9)
    head.writeUIntBE(body.length, 0, 3)
    head[3] = type
    head[4] = flags
    head.writeUInt32BE(stream, 5)
    this.#socket.write(Buffer.concat([head, body]))
    return this
  }

  /** Names and values by turns; all in one frame. */
  headers(stream: number, fields: readonly string[], flags = 0): this {
    const parts: Buffer[] = []
    for (let i = 0; i < fields.length; i += 2) parts.push(Buffer.of(0), literal(fields[i]!), literal(fields[i + 1]!))
    return this.send(frameType.headers, END_HEADERS | flags, stream, Buffer.concat(parts))
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
      () => `stream ${stream} goes on; frames: ${this.frames.map((frame) => `${frame.type}/${frame.stream}`).join(' ')}`,
    )
  }

  destroy(): void {
    this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.destroy()
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
      this.#waiting.poke()
    }
  }
}

/** A string literal of HPACK (RFC 7541 §5.2), up to 16,510 bytes. */
function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const rest = bytes.length - 127
  const length = rest < 128 ? Buffer.of(127, rest) : Buffer.of(127, (rest & 127) | 128, rest >> 7)
  return Buffer.concat([length, bytes])
}
