/**
 * A wire over Node's handle of a TLS connection that is past its handshake: reads and writes go to the handle, with one reused read
 * buffer. Beneath is a bare handle (bare-tls.ts), or a socket, which stays for its errors and its end. Where handles cannot be used,
 * socket-wire.ts serves instead.
 */
import type { TLSSocket } from 'node:tls'
import { getSystemErrorName } from 'node:util'
import { bindings, canUseHandles, type HandleOwner, type RequestOwner, type StreamHandle, type WriteRequest } from './bindings.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'
import { factsOfSocket, SocketWire } from './socket-wire.ts'
import { nobody, type Wire, type WireOwner } from './wire.ts'

const UV_EOF = -4095
/** One record of TLS at the most (RFC 8446 §5.1); only valid inside a read. */
const sharedBuffer = Buffer.allocUnsafeSlow(16384)
/** Above it the wire is congested: TLS encrypts what is written at once, and keeps what the peer has not taken. */
const HIGH_WATER = 65536

type Secured = TLSSocket & { _handle: (StreamHandle & { reading: boolean }) | null }

/** The wire of a socket whose handshake has just been done: to be called before anything else is read. */
export function wireOverTls(socket: TLSSocket): Wire {
  const handle = (socket as Secured)._handle
  if (!canUseHandles || handle === null) return new SocketWire(socket)
  const held: Buffer[] = []
  for (let bytes = socket.read(); bytes !== null; bytes = socket.read()) held.push(bytes)
  const { remoteAddress = '', remotePort = 0 } = socket
  const wire = new TlsWire(handle, { remoteAddress, remotePort, facts: () => factsOfSocket(socket), close: () => socket.destroy() }, held)
  handle.reading = false
  socket.allowHalfOpen = true
  socket.on('error', (error: NodeJS.ErrnoException) => wire.lost(error.code ?? error.message))
  socket.on('close', () => wire.lost(null))
  return wire
}

export function wireOfSecured(secured: TLSSocket | Wire): Wire {
  return 'encrypted' in secured ? wireOverTls(secured) : secured
}

/** What a TLS wire is on. */
export interface TlsBelow {
  readonly remoteAddress: string
  readonly remotePort: number
  facts(): ProxyFacts
  close(): void
}

export class TlsWire implements Wire, HandleOwner, RequestOwner {
  owner: WireOwner = nobody
  /** What was decrypted together is told together, whoever pauses: the buffer is used again at once, and what is lent is a copy. */
  lends = false
  closed = false
  congested = false
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #below: TlsBelow
  readonly #handle: StreamHandle
  #reading = false
  #ending = false
  #isWriting = false
  #last: SizedRequest | null = null
  /** Written while TLS was not done with the write before. */
  #queue: Buffer[] = []
  #hasEnded = false
  #error: string | null = null
  #unsent = 0
  /** Decrypted while it was paused. */
  #held: Buffer[]

  constructor(handle: StreamHandle, below: TlsBelow, held: Buffer[]) {
    this.#below = below
    this.#handle = handle
    this.#held = held
    this.remoteAddress = below.remoteAddress
    this.remotePort = below.remotePort
    handle.wire = this
    handle.useUserBuffer(sharedBuffer)
    handle.onread = onRead
    handle.readStop()
  }

  facts(): ProxyFacts {
    return this.#below.facts()
  }

  writeText(text: string): boolean {
    if (this.closed || this.#ending) return true
    this.#unsent += text.length
    if (this.#isWriting) this.#queue.push(Buffer.from(text, 'latin1'))
    else this.#started(this.#handle.writeLatin1String(this.#request(text.length), text))
    return this.#isFlowing()
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    const length = text.length + to - from
    if (length <= sharedBuffer.length) return this.writeText(text + bytes.latin1Slice(from, to))
    if (this.closed || this.#ending) return true
    this.#unsent += length
    const part = bytes.subarray(from, to)
    if (this.#isWriting) this.#queue.push(Buffer.from(text, 'latin1'), Buffer.from(part))
    // What TLS cannot encrypt at once it copies.
    else if (text === '') this.#started(this.#handle.writeBuffer(this.#request(length), part))
    else this.#started(this.#handle.writev(this.#request(length), [text, 'latin1', part, 'buffer'], false))
    return this.#isFlowing()
  }

  resume(): void {
    if (this.#reading || this.closed) return
    this.#reading = true
    this.#handle.readStart()
    if (this.#held.length > 0 || this.#hasEnded) process.nextTick(() => this.#tellHeld())
  }

  pause(): void {
    if (!this.#reading || this.closed) return
    this.#reading = false
    this.#handle.readStop()
  }

  expectBulk(): void {
    this.lends = true
  }

  leaveBuffer(): void {}

  end(): void {
    if (this.closed || this.#ending) return
    this.#ending = true
    this.congested = true
    if (!this.#isWriting) this.#shutDown()
  }

  finish(): void {
    this.end()
  }

  destroy(): void {
    this.#below.close()
    this.#closed()
  }

  /** @internal What it is on is gone, or has read a record that is none. */
  lost(error: string | null): void {
    this.#error ??= error
    this.destroy()
  }

  /** TLS tells by the missing close_notify. */
  reset(): void {
    this.destroy()
  }

  /** @internal */
  received(length: number): void {
    if (this.closed) return
    if (length > 0) {
      const isDue = this.#reading && this.#held.length === 0
      if (isDue && !this.lends) return this.owner.onBytes(sharedBuffer, length)
      const copy = Buffer.from(sharedBuffer.subarray(0, length))
      if (isDue) this.owner.onBytes(copy, length)
      else this.#held.push(copy)
    } else if (length === UV_EOF) {
      this.#hasEnded = true
      if (this.#reading && this.#held.length === 0) this.#end()
    } else if (length < 0) {
      this.#error ??= getSystemErrorName(length)
      this.destroy()
    }
  }

  /** @internal */
  flushed(status: number, request: WriteRequest): void {
    this.#isWriting = false
    this.#unsent -= (request as SizedRequest).length
    if (status !== 0) return this.failed(status)
    if (this.closed) return
    if (this.#queue.length > 0) {
      const bytes = this.#queue.length === 1 ? this.#queue[0]! : Buffer.concat(this.#queue)
      this.#queue = []
      this.#started(this.#handle.writeBuffer(this.#request(bytes.length), bytes))
    } else if (this.#ending) this.#shutDown()
    else if (this.congested) this.#drained()
  }

  /** @internal */
  failed(status: number): void {
    if (this.closed) return
    this.#error ??= getSystemErrorName(status)
    this.destroy()
  }

  /** @internal What was written has left, and close_notify behind it. */
  wasShutDown(): void {
    if (!this.closed) this.#drained()
  }

  #drained(): void {
    this.congested = false
    this.owner.onDrain()
  }

  #request(length: number): SizedRequest {
    const request = new bindings!.WriteWrap() as SizedRequest
    request.oncomplete = writeDone
    request.wire = this
    request.length = length
    this.#last = request
    return request
  }

  /** TLS takes one write at a time. */
  #started(error: number): void {
    if (error !== 0) process.nextTick(() => this.failed(error))
    else if (bindings!.state[bindings!.kAsync] !== 0) this.#isWriting = true
    else this.#unsent -= this.#last!.length
  }

  #isFlowing(): boolean {
    if (this.#unsent > HIGH_WATER) this.congested = true
    return !this.congested
  }

  #shutDown(): void {
    const request = new bindings!.ShutdownWrap()
    request.oncomplete = shutdownDone
    request.wire = this
    if (this.#handle.shutdown(request) !== 0) this.destroy()
  }

  #tellHeld(): void {
    while (this.#reading && !this.closed) {
      const bytes = this.#held.shift()
      if (bytes === undefined) break
      this.owner.onBytes(bytes, bytes.length)
    }
    if (this.#reading && !this.closed && this.#held.length === 0 && this.#hasEnded) this.#end()
  }

  #end(): void {
    this.pause()
    this.owner.onEnd()
  }

  #closed(): void {
    if (this.closed) return
    this.closed = true
    this.#held = []
    this.owner.onClose(this.#error)
  }
}

interface SizedRequest extends WriteRequest {
  length: number
}

function onRead(this: StreamHandle): void {
  this.wire!.received(bindings!.state[bindings!.kRead]!)
}

function writeDone(this: WriteRequest, status: number): void {
  this.wire!.flushed(status, this)
}

function shutdownDone(this: WriteRequest, status: number): void {
  const wire = this.wire as TlsWire
  if (status !== 0) wire.failed(status)
  else wire.wasShutDown()
}
