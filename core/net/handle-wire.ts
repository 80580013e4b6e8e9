/**
 * A wire over a bare libuv stream handle: no Socket, no Readable or Writable between the kernel and the codec, one reused read
 * buffer.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { bindings, type HandleOwner, type RequestOwner, type StreamHandle, type WriteRequest } from './bindings.ts'
import { factsOfEnds, type ProxyFacts } from './proxy-protocol-writer.ts'
import type { Peer } from './sockaddr.ts'
import { type AcceptedWire, nobody, type WireOwner } from './wire.ts'

const UV_EOF = -4095
/** Up to here a copy as text is cheaper than a vector of text and bytes; above it, bytes are lent. */
const TEXT_LIMIT = 4096
const SHARED_BYTES = 16384
const BULK_BYTES = 65536

/** Read into by every wire that has no buffer of its own; only valid inside a read callback. */
const sharedBuffer = Buffer.allocUnsafeSlow(SHARED_BYTES)
let spare: WriteRequest | null = null

export class HandleWire implements AcceptedWire, HandleOwner, RequestOwner {
  owner: WireOwner = nobody
  lends: boolean
  closed = false
  congested = false
  #handle: StreamHandle
  #buffer: Buffer
  #pending = 0
  #reading = false
  #ending = false
  /** Why a write failed: nothing more can leave, but what the peer sent before may still be unread. */
  #failure: string | null = null
  #peer: Peer | null = null

  /** `ownBuffer`: for the side that sends bulk; 64 KiB of address space, touched as far as reads reach. */
  constructor(handle: StreamHandle, ownBuffer: boolean) {
    this.#handle = handle
    this.lends = ownBuffer
    this.#buffer = ownBuffer ? Buffer.allocUnsafeSlow(BULK_BYTES) : sharedBuffer
    handle.wire = this
    handle.useUserBuffer(this.#buffer)
    handle.onread = onRead
  }

  get descriptor(): number {
    return this.#handle.fd
  }

  get remoteAddress(): string {
    return this.#peerName().address ?? ''
  }

  get remotePort(): number {
    return this.#peerName().port ?? 0
  }

  facts(): ProxyFacts {
    return factsOfHandle(this.#handle, this.#peerName())
  }

  writeText(text: string): boolean {
    if (this.closed || this.#failure !== null) return true
    const request = takeRequest()
    return this.#written(request, this.#handle.writeLatin1String(request, text), null)
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (text.length + (to - from) <= TEXT_LIMIT) return this.writeText(text + bytes.latin1Slice(from, to))
    if (this.closed || this.#failure !== null) return true
    const request = takeRequest()
    const part = bytes.subarray(from, to)
    if (text === '') return this.#written(request, this.#handle.writeBuffer(request, part), part)
    return this.#written(request, this.#handle.writev(request, [text, 'latin1', part, 'buffer'], false), part)
  }

  resume(): void {
    if (this.#reading || this.closed) return
    this.#reading = true
    this.#handle.readStart()
  }

  pause(): void {
    if (!this.#reading || this.closed) return
    this.#reading = false
    this.#handle.readStop()
    if (this.#failure !== null) this.#writeFailed(this.#failure)
  }

  expectBulk(): void {
    if (this.lends || this.closed) return
    this.lends = true
    this.leaveBuffer()
  }

  leaveBuffer(): void {
    if (!this.lends || this.closed) return
    this.#buffer = Buffer.allocUnsafeSlow(BULK_BYTES)
    this.#handle.useUserBuffer(this.#buffer)
  }

  end(): void {
    if (this.#ending || this.closed) return
    this.#ending = true
    const request = new bindings!.ShutdownWrap()
    request.oncomplete = shutdownDone
    request.wire = this
    if (this.#handle.shutdown(request) !== 0) this.#close('ENOTCONN', false)
  }

  finish(): void {
    if (this.#pending > 0) this.end()
    else this.#close(null, false)
  }

  destroy(): void {
    this.#close(null, false)
  }

  reset(): void {
    this.#close(null, true)
  }

  /** Only for TLS on top, which reads the handle by itself: the socket's own reads would land in this wire's buffer. */
  detach(unread: Uint8Array): Socket {
    const handle = this.detachHandle()
    // `handle` and `manualStart` are what net.Server itself passes (lib/net.js); the types do not know them.
    const options = { handle, manualStart: true, allowHalfOpen: true } as unknown as SocketConstructorOpts
    const socket = new Socket(options)
    if (unread.length > 0) socket.unshift(Buffer.from(unread))
    return socket
  }

  detachHandle(): StreamHandle {
    this.pause()
    this.closed = true
    const handle = this.#handle
    handle.onread = ignoreRead
    handle.wire = undefined
    return handle
  }

  /** @internal One read, from the handle's callback. */
  received(length: number): void {
    if (length > 0) this.owner.onBytes(this.#buffer, length)
    else if (length === UV_EOF) {
      if (this.#failure !== null) return this.#close(this.#failure, false)
      this.pause()
      this.owner.onEnd()
    } else if (length < 0) this.#close(errnoName(length), false)
  }

  /** @internal A write that could not be finished at once is finished. */
  flushed(status: number): void {
    this.#pending--
    if (this.closed) return
    if (status !== 0) return this.#writeFailed(errnoName(status))
    if (this.#pending > 0 || this.#failure !== null) return
    this.congested = false
    this.owner.onDrain()
  }

  /** @internal */
  failed(status: number): void {
    this.#close(errnoName(status), false)
  }

  #written(request: WriteRequest, error: number, lent: Buffer | null): boolean {
    if (error !== 0) {
      spare = request
      this.#writeFailed(errnoName(error))
      return true
    }
    if (bindings!.state[bindings!.kAsync] === 0) {
      spare = request
      return true
    }
    request.oncomplete = writeDone
    request.wire = this
    request.bytes = lent
    this.#pending++
    this.congested = true
    return false
  }

  /**
   * An endpoint may answer and close while it is still written to: reading, which tells the end as well, goes on to it. Without
   * reading, the wire closes, but never from inside the caller's call.
   */
  #writeFailed(error: string): void {
    this.#failure = error
    this.congested = true
    if (!this.#reading) process.nextTick(() => this.#close(error, false))
  }

  #close(error: string | null, abruptly: boolean): void {
    if (this.closed) return
    this.closed = true
    const handle = this.#handle
    handle.onread = ignoreRead
    if (abruptly && handle.reset !== undefined) {
      if (handle.reset() !== 0) handle.close()
    } else handle.close()
    this.owner.onClose(error)
  }

  #peerName(): Peer {
    if (this.#peer === null) {
      this.#peer = {}
      this.#handle.getpeername?.(this.#peer)
    }
    return this.#peer
  }
}

/** Connects to an IP address. `done` gets a handle that does not read yet, or an errno name. Returns how to give up. */
export function connectHandle(ip: string, port: number, done: (handle: StreamHandle | null, error: string | null) => void): () => void {
  const { TCP, TCPConnectWrap, tcpSocket } = bindings!
  const handle = new TCP(tcpSocket)
  const request = new TCPConnectWrap()
  let over = false
  const finish = (status: number) => {
    if (over) return
    over = true
    if (status === 0) {
      handle.setNoDelay?.(true)
      return done(handle, null)
    }
    handle.close()
    done(null, errnoName(status))
  }
  request.oncomplete = finish
  const error = ip.includes(':') ? handle.connect6(request, ip, port) : handle.connect(request, ip, port)
  if (error !== 0) process.nextTick(finish, error)
  return () => {
    if (over) return
    over = true
    handle.close()
  }
}

export function factsOfHandle(handle: Pick<StreamHandle, 'getsockname'>, remote: Peer): ProxyFacts {
  const own: Peer = {}
  handle.getsockname?.(own)
  return factsOfEnds(remote, own)
}

function onRead(this: StreamHandle): void {
  this.wire!.received(bindings!.state[bindings!.kRead]!)
}

function ignoreRead(): void {}

function writeDone(this: WriteRequest, status: number): void {
  this.bytes = null
  this.wire!.flushed(status, this)
}

function shutdownDone(this: WriteRequest, status: number): void {
  if (status !== 0) this.wire!.failed(status)
}

/** A request that finished at once is untouched, so the next write takes it again. */
function takeRequest(): WriteRequest {
  const request = spare ?? new bindings!.WriteWrap()
  spare = null
  return request
}

function errnoName(code: number): string {
  return getSystemErrorName(code)
}
