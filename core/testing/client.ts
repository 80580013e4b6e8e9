/** The far end of a connection that a listener accepted: sends one request, reads its response, and closes. */
import type { WireOwner } from '../net/wire.ts'
import { chunked } from './endpoint.ts'
import type { MemoryWire } from './memory-wire.ts'
import { type Message, MessageReader } from './message-reader.ts'
import type { ClientRequest } from './messages.ts'

export class SimulatedClient implements WireOwner {
  /** Null: the connection ended before the response was complete. */
  readonly response: Promise<Message | null>
  readonly #wire: MemoryWire
  readonly #reader: MessageReader
  readonly #settle: (message: Message | null) => void

  constructor(wire: MemoryWire, request: ClientRequest) {
    const { promise, resolve } = Promise.withResolvers<Message | null>()
    this.response = promise
    this.#settle = resolve
    this.#reader = new MessageReader(request.method)
    this.#wire = wire
    wire.owner = this
    wire.resume()
    this.#send(request)
  }

  /** Goes away in the middle of whatever there is. */
  abort(): void {
    this.#wire.reset()
  }

  onBytes(bytes: Buffer, length: number): void {
    for (const message of this.#reader.read(bytes.subarray(0, length))) {
      this.#settle(message)
      return this.#wire.destroy()
    }
  }

  onDrain(): void {}

  onEnd(): void {
    this.#settle(this.#reader.readEnd())
    this.#wire.destroy()
  }

  onClose(): void {
    this.#settle(null)
  }

  #send({ method, target, http, fields, body }: ClientRequest): void {
    const isChunked = fields.some(([name]) => name.toLowerCase() === 'transfer-encoding')
    const sent = isChunked ? chunked(body) : body
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const bytes = Buffer.from(sent.buffer, sent.byteOffset, sent.byteLength)
    this.#wire.write(`${method} ${target} HTTP/${http}\r\n${lines}\r\n`, bytes, 0, bytes.length)
  }
}
