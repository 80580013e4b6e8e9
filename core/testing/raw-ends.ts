/** Both far ends of a TCP connection through a simulation: the client that opened it, and the endpoint that it leads to. */
import type { WireOwner } from '../net/wire.ts'
import type { MemoryWire } from './memory-wire.ts'
import type { RawAnswer } from './messages.ts'

export class RawClient implements WireOwner {
  readonly received: Buffer[] = []
  /** The proxy has broken it off. */
  isReset = false
  readonly #wire: MemoryWire

  constructor(wire: MemoryWire) {
    this.#wire = wire
    wire.owner = this
    wire.resume()
  }

  get isClosed(): boolean {
    return this.#wire.closed
  }

  send(bytes: Buffer): void {
    this.#wire.write('', bytes, 0, bytes.length)
  }

  /** It sends no more. */
  end(): void {
    this.#wire.end()
  }

  destroy(): void {
    this.#wire.destroy()
  }

  onBytes(bytes: Buffer, length: number): void {
    this.received.push(Buffer.from(bytes.subarray(0, length)))
  }
  onDrain(): void {}
  onEnd(): void {}
  onClose(error: string | null): void {
    this.isReset = error !== null
  }
}

export interface RawEndpointHome {
  /** `data`: empty when it opens. */
  answerRaw(data: Uint8Array): Promise<RawAnswer>
}

export class RawEndpoint implements WireOwner {
  readonly #wire: MemoryWire
  readonly #home: RawEndpointHome
  /** Each piece is answered before the next one is asked about. */
  #answered: Promise<void>

  constructor(wire: MemoryWire, home: RawEndpointHome) {
    this.#wire = wire
    this.#home = home
    wire.owner = this
    this.#answered = this.#ask(new Uint8Array())
    wire.resume()
  }

  onBytes(bytes: Buffer, length: number): void {
    const data = new Uint8Array(bytes.subarray(0, length))
    this.#answered = this.#answered.then(() => this.#ask(data))
  }
  onDrain(): void {}
  onEnd(): void {
    this.#answered = this.#answered.then(() => this.#wire.end())
  }
  onClose(): void {}

  async #ask(data: Uint8Array): Promise<void> {
    if (this.#wire.closed) return
    const answer = await this.#home.answerRaw(data)
    if (this.#wire.closed) return
    if (answer.kind === 'reset') return this.#wire.reset()
    const bytes = Buffer.from(answer.bytes)
    this.#wire.write('', bytes, 0, bytes.length)
  }
}
