/**
 * A wire over a `net.Socket`: TLS, and plain sockets where bare handles cannot be used. Written bytes are copied, so nothing
 * stays lent.
 */
import type { Socket } from 'node:net'
import type { Wire, WireOwner } from './wire.ts'

const nobody: WireOwner = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} }

export class SocketWire implements Wire {
  owner: WireOwner = nobody
  /** Each read has a buffer of its own. */
  readonly lends = true
  closed = false
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #socket: Socket
  #error: string | null = null
  #started = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    socket.pause()
    socket.on('drain', () => this.owner.onDrain())
    socket.on('end', () => this.owner.onEnd())
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message
    })
    socket.on('close', () => this.#closed())
  }

  get congested(): boolean {
    return this.#socket.writableNeedDrain
  }

  writeText(text: string): boolean {
    return this.closed || this.#socket.destroyed || this.#socket.write(text, 'latin1')
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (this.closed || this.#socket.destroyed) return true
    const copy = Buffer.allocUnsafe(text.length + to - from)
    copy.latin1Write(text, 0)
    bytes.copy(copy, text.length, from, to)
    return this.#socket.write(copy)
  }

  resume(): void {
    if (!this.#started) {
      this.#started = true
      this.#socket.on('data', (bytes: Buffer) => this.owner.onBytes(bytes, bytes.length))
    }
    this.#socket.resume()
  }

  pause(): void {
    this.#socket.pause()
  }

  expectBulk(): void {}

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#closed()
  }

  reset(): void {
    if (typeof this.#socket.resetAndDestroy === 'function' && !('encrypted' in this.#socket)) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
    this.#closed()
  }

  #closed(): void {
    if (this.closed) return
    this.closed = true
    this.owner.onClose(this.#error)
  }
}
