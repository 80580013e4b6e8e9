/**
 * Wires that join two ends inside this process: nothing is opened. What is written to one end is read from the other a turn of the
 * event loop later, in pieces no larger than a socket's, and an end that does not read makes the other wait.
 */
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import type { AcceptedWire, WireOwner } from '../net/wire.ts'

/** One read, and as much as may lie unread before the writer has to wait. */
const PIECE_BYTES = 65536

const nobody: WireOwner = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} }

/** All wires of one simulation. */
export class MemoryNetwork {
  #due = 0
  #nextPort = 40_000

  /** Nothing is on its way. */
  get isQuiet(): boolean {
    return this.#due === 0
  }

  /** Two ends. `near` belongs to the proxy, and sees `address` at the other end. */
  connect(address: string): { readonly near: MemoryWire; readonly far: MemoryWire } {
    const port = this.#nextPort++
    const near = new MemoryWire(this, address, port)
    const far = new MemoryWire(this, '127.0.0.1', port)
    near.join(far)
    far.join(near)
    return { near, far }
  }

  /** In another turn of the event loop, as what comes by a socket. */
  later(step: () => void): void {
    this.#due++
    setImmediate(() => {
      this.#due--
      step()
    })
  }
}

export class MemoryWire implements AcceptedWire {
  owner: WireOwner = nobody
  /** Each read has a buffer of its own. */
  readonly lends = true
  closed = false
  congested = false
  readonly descriptor = -1
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #network: MemoryNetwork
  #other: MemoryWire = this
  /** Written by the other end, not read yet. */
  #unread: Buffer[] = []
  #unreadBytes = 0
  #isReading = false
  #isDue = false
  #hasEnded = false
  /** The other end sends nothing more: to be told, or told. */
  #end: 'open' | 'due' | 'told' = 'open'

  constructor(network: MemoryNetwork, remoteAddress: string, remotePort: number) {
    this.#network = network
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
  }

  join(other: MemoryWire): void {
    this.#other = other
  }

  facts(): ProxyFacts {
    return { source: { ip: this.remoteAddress, port: this.remotePort }, destination: null, tls: null }
  }

  writeText(text: string): boolean {
    return this.#write(Buffer.from(text, 'latin1'))
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    const copy = Buffer.allocUnsafe(text.length + to - from)
    copy.latin1Write(text, 0)
    bytes.copy(copy, text.length, from, to)
    return this.#write(copy)
  }

  resume(): void {
    this.#isReading = true
    this.#schedule()
  }

  pause(): void {
    this.#isReading = false
  }

  detach(): never {
    throw new Error('TLS is not spoken in a simulation')
  }

  detachHandle(): null {
    return null
  }

  expectBulk(): void {}

  leaveBuffer(): void {}

  end(): void {
    if (this.closed || this.#hasEnded) return
    this.#hasEnded = true
    this.#other.#expectEnd()
  }

  finish(): void {
    if (this.congested) this.end()
    else this.destroy()
  }

  /** As with a socket, the other end learns of a reset if this one leaves something unread. */
  destroy(): void {
    if (this.closed) return
    if (this.#unreadBytes > 0) return this.reset()
    this.end()
    this.#close(null)
  }

  reset(): void {
    if (this.closed) return
    const other = this.#other
    this.#network.later(() => other.#close('ECONNRESET'))
    this.#close(null)
  }

  #write(bytes: Buffer): boolean {
    if (this.closed || this.#hasEnded || bytes.length === 0) return true
    const other = this.#other
    if (other.closed) {
      this.#network.later(() => this.#close('ECONNRESET'))
      return true
    }
    other.#unread.push(bytes)
    other.#unreadBytes += bytes.length
    other.#schedule()
    if (other.#unreadBytes > PIECE_BYTES) this.congested = true
    return !this.congested
  }

  #expectEnd(): void {
    if (this.#end === 'open') this.#end = 'due'
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isDue || !this.#isReading || this.closed) return
    if (this.#unreadBytes === 0 && this.#end !== 'due') return
    this.#isDue = true
    this.#network.later(() => {
      this.#isDue = false
      this.#deliver()
    })
  }

  #deliver(): void {
    if (this.closed || !this.#isReading) return
    if (this.#unreadBytes > 0) {
      const piece = this.#take()
      this.owner.onBytes(piece, piece.length)
      this.#other.#taken(this.#unreadBytes)
    } else if (this.#end === 'due') {
      this.#end = 'told'
      this.owner.onEnd()
    }
    this.#schedule()
  }

  #take(): Buffer {
    const first = this.#unread[0]!
    if (first.length > PIECE_BYTES) {
      this.#unread[0] = first.subarray(PIECE_BYTES)
      this.#unreadBytes -= PIECE_BYTES
      return first.subarray(0, PIECE_BYTES)
    }
    this.#unread.shift()
    this.#unreadBytes -= first.length
    return first
  }

  /** The other end has read all but `left` bytes. */
  #taken(left: number): void {
    if (left > 0 || !this.congested || this.closed) return
    this.congested = false
    this.owner.onDrain()
  }

  #close(error: string | null): void {
    if (this.closed) return
    this.closed = true
    this.#unread = []
    this.#unreadBytes = 0
    this.owner.onClose(error)
  }
}
