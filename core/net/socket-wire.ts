/**
 * A wire over a `net.Socket`: TLS, and plain sockets where bare handles cannot be used. Written bytes are copied, so nothing
 * stays lent; what was written before `end` arrives, close_notify included, unless the wire is destroyed.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { factsOfEnds, type ProxyFacts, type ProxyTls } from './proxy-protocol-writer.ts'
import { type AcceptedWire, nobody, type WireOwner } from './wire.ts'

export class SocketWire implements AcceptedWire {
  owner: WireOwner = nobody
  /** Each read has a buffer of its own. */
  readonly lends = true
  closed = false
  /** From a write that returned false, or from `end`, until everything has left. */
  congested = false
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #socket: Socket
  #error: string | null = null
  #started = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    // Else Node ends the socket, and refuses writes, as soon as the other side says that it sends no more.
    socket.allowHalfOpen = true
    socket.pause()
    socket.on('drain', this.#onDrain)
    socket.on('finish', this.#onDrain)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
  }

  get descriptor(): number {
    return (this.#socket as Socket & { readonly _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1
  }

  facts(): ProxyFacts {
    return factsOfSocket(this.#socket)
  }

  writeText(text: string): boolean {
    return this.closed || this.#socket.destroyed || this.#written(this.#socket.write(text, 'latin1'))
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (this.closed || this.#socket.destroyed) return true
    const copy = Buffer.allocUnsafe(text.length + to - from)
    copy.latin1Write(text, 0)
    bytes.copy(copy, text.length, from, to)
    return this.#written(this.#socket.write(copy))
  }

  resume(): void {
    if (!this.#started) {
      this.#started = true
      this.#socket.on('data', this.#onData)
    }
    this.#socket.resume()
  }

  pause(): void {
    this.#socket.pause()
  }

  expectBulk(): void {}

  leaveBuffer(): void {}

  end(): void {
    if (this.closed || this.#socket.writableEnded) return
    this.congested = true
    this.#socket.end()
  }

  finish(): void {
    this.end()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#closed()
  }

  reset(): void {
    const socket = this.#socket
    // While a FIN is on its way resetAndDestroy fails, and leaves the socket open for ever.
    const sendsFin = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
    // Unix sockets have no RST, and resetAndDestroy throws for them; TLS tells by the missing close_notify.
    if (this.remoteAddress !== '' && !('encrypted' in socket) && !sendsFin) socket.resetAndDestroy()
    else socket.destroy()
    this.#closed()
  }

  detach(unread: Uint8Array): Socket {
    const socket = this.#socket
    this.closed = true
    socket.pause()
    socket.off('drain', this.#onDrain).off('finish', this.#onDrain).off('end', this.#onEnd).off('data', this.#onData)
    socket.off('error', this.#onError).off('close', this.#onClose)
    if (unread.length > 0) socket.unshift(Buffer.from(unread))
    return socket
  }

  detachHandle(): null {
    return null
  }

  #written(flowing: boolean): boolean {
    if (!flowing) this.congested = true
    return flowing
  }

  readonly #onData = (bytes: Buffer): void => this.owner.onBytes(bytes, bytes.length)

  /** Node says no `drain` once the socket is ending: `finish` comes instead. */
  readonly #onDrain = (): void => {
    if (!this.congested || this.closed) return
    this.congested = false
    this.owner.onDrain()
  }

  readonly #onEnd = (): void => {
    if (!this.closed) this.owner.onEnd()
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#error = error.code ?? error.message
    // A record that TLS cannot read is told, and leaves the socket open.
    this.#socket.destroy()
  }

  readonly #onClose = (): void => this.#closed()

  #closed(): void {
    if (this.closed) return
    this.closed = true
    this.owner.onClose(this.#error)
  }
}

export function factsOfSocket(socket: Socket | TLSSocket): ProxyFacts {
  const remote = { address: socket.remoteAddress, port: socket.remotePort }
  return factsOfEnds(remote, { address: socket.localAddress, port: socket.localPort }, 'encrypted' in socket ? factsOfTls(socket) : null)
}

/** Nothing is asked of a client's certificate: there is none. */
function factsOfTls(socket: TLSSocket): ProxyTls {
  // The name is there on the server's side; @types/node knows it of no side.
  const { servername } = socket as { servername?: string | false | null }
  const { alpnProtocol } = socket
  return {
    serverName: typeof servername === 'string' && servername !== '' ? servername : null,
    alpn: typeof alpnProtocol === 'string' ? alpnProtocol : null,
    version: socket.getProtocol(),
    cipher: socket.getCipher()?.name ?? null,
    commonName: null,
  }
}
