/**
 * A wire on a socket's descriptor: reads and writes are system calls of our own (kernel.ts), with one reused buffer for either. The
 * libuv handle that came with the socket stays idle beneath, and closes it.
 */

import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { StreamHandle } from './bindings.ts'
import { factsOfHandle, HandleWire } from './handle-wire.ts'
import { EAGAIN, EPOLLIN, EPOLLOUT, getKernel, type Kernel, type Watched } from './kernel.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'
import { type AcceptedWire, nobody, type WireOwner } from './wire.ts'

const SHARED_BYTES = 16384
const BULK_BYTES = 65536
/** Up to here text and bytes are copied together; above it, bytes are lent. */
const TOGETHER_BYTES = 4096
/** Of one wire in one turn, while its buffer is filled each time. */
const MOST_READS = 16

/** Only valid inside a read. */
const sharedBuffer = Buffer.allocUnsafeSlow(SHARED_BYTES)
/** Text on its way into the kernel. */
const scratch = Buffer.allocUnsafeSlow(BULK_BYTES)
let [sharedPointer, scratchPointer] = [0n, 0n]

/** The wire of a connected handle, by the best means there is. `ownBuffer`: for the side that sends bulk. */
export function wireOver(handle: StreamHandle, ownBuffer: boolean): AcceptedWire {
  const kernel = getKernel()
  return kernel === null ? new HandleWire(handle, ownBuffer) : new KernelWire(kernel, handle, ownBuffer)
}

export class KernelWire implements AcceptedWire, Watched {
  owner: WireOwner = nobody
  lends: boolean
  closed = false
  congested = false
  readonly #kernel: Kernel
  readonly #handle: StreamHandle
  readonly #fd: number
  #buffer: Buffer
  #pointer: bigint
  /** What the kernel is asked to tell; -1: it does not watch. */
  #mask = -1
  #reading = false
  #ending = false
  /** Written, and not taken yet. */
  #pending: Buffer[] = []
  #failure: string | null = null
  #peer: { address?: string; port?: number } | null = null

  /** `ownBuffer`: for the side that sends bulk; 64 KiB of address space, touched as far as reads reach. */
  constructor(kernel: Kernel, handle: StreamHandle, ownBuffer: boolean) {
    this.#kernel = kernel
    this.#handle = handle
    this.#fd = handle.fd
    this.lends = ownBuffer
    if (scratchPointer === 0n) {
      sharedPointer = kernel.pointerTo(sharedBuffer)
      scratchPointer = kernel.pointerTo(scratch)
    }
    this.#buffer = ownBuffer ? Buffer.allocUnsafeSlow(BULK_BYTES) : sharedBuffer
    this.#pointer = ownBuffer ? kernel.pointerTo(this.#buffer) : sharedPointer
  }

  get descriptor(): number {
    return this.#fd
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
    const { length } = text
    if (length > scratch.length || this.#pending.length > 0) return this.#send(Buffer.from(text, 'latin1'), true)
    scratch.latin1Write(text, 0, length)
    const sent = this.#kernel.write(this.#fd, scratchPointer, length)
    if (sent === length) return true
    return this.#rest(sent, scratch, length, false)
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (this.closed || this.#failure !== null) return true
    const head = text.length
    const length = head + to - from
    if (this.#pending.length === 0 && length <= TOGETHER_BYTES) {
      scratch.latin1Write(text, 0, head)
      bytes.copy(scratch, head, from, to)
      const sent = this.#kernel.write(this.#fd, scratchPointer, length)
      return sent === length || this.#rest(sent, scratch, length, false)
    }
    const part = bytes.subarray(from, to)
    if (head === 0) return this.#send(part, true)
    if (this.#pending.length > 0 || head > scratch.length) {
      this.#send(Buffer.from(text, 'latin1'), true)
      return this.#send(part, true)
    }
    scratch.latin1Write(text, 0, head)
    const sent = this.#kernel.writeTwo(this.#fd, scratchPointer, head, this.#kernel.pointerTo(part), part.length)
    if (sent === length) return true
    if (sent >= head) return this.#rest(sent - head, part, part.length, true)
    this.#rest(sent, scratch, head, false)
    return this.#failure !== null || this.#send(part, true)
  }

  resume(): void {
    if (this.#reading || this.closed) return
    this.#reading = true
    this.#arm()
  }

  /** The kernel is told only if it has something to tell meanwhile. */
  pause(): void {
    if (!this.#reading || this.closed) return
    this.#reading = false
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
    this.#pointer = this.#kernel.pointerTo(this.#buffer)
  }

  end(): void {
    if (this.#ending || this.closed) return
    this.#ending = true
    if (this.#pending.length === 0) this.#shutdown()
  }

  finish(): void {
    if (this.#pending.length > 0) this.end()
    else this.#close(null, false)
  }

  destroy(): void {
    this.#close(null, false)
  }

  reset(): void {
    this.#close(null, true)
  }

  detach(unread: Uint8Array): Socket {
    return new HandleWire(this.detachHandle(), false).detach(unread)
  }

  detachHandle(): StreamHandle {
    this.pause()
    this.closed = true
    if (this.#mask >= 0) this.#kernel.unwatch(this.#fd)
    return this.#handle
  }

  /** @internal */
  onReady(mask: number): void {
    // Errors and hang-ups too are found by writing and by reading.
    if (mask !== EPOLLIN && this.#pending.length > 0) this.#flush()
    if (mask === EPOLLOUT || this.closed) return
    if (this.#reading) this.#read()
    else this.#disarmReads()
  }

  #read(): void {
    for (let reads = 0; reads < MOST_READS; reads++) {
      const buffer = this.#buffer
      const length = this.#kernel.read(this.#fd, this.#pointer, buffer.length)
      if (length > 0) this.owner.onBytes(buffer, length)
      else if (length === 0) return this.#readEnd()
      else if (length !== -EAGAIN) return this.#close(errnoName(length), false)
      if (length < buffer.length || !this.#reading || this.closed) return
    }
  }

  #readEnd(): void {
    if (this.#failure !== null) return this.#close(this.#failure, false)
    this.pause()
    this.owner.onEnd()
    if (!this.closed && !this.#reading) this.#disarmReads()
  }

  /** Asks to be told of what is waited for; what need not be told any more is taken back when it is told. */
  #arm(): void {
    const armed = this.#mask < 0 ? 0 : this.#mask
    const mask = armed | (this.#reading ? EPOLLIN : 0) | (this.#pending.length > 0 ? EPOLLOUT : 0)
    if (mask === this.#mask) return
    if (this.#mask >= 0) this.#kernel.change(this.#fd, mask)
    else {
      const error = this.#kernel.watch(this.#fd, mask, this)
      if (error < 0) process.nextTick(() => this.#close(errnoName(error), false))
    }
    this.#mask = mask
  }

  #disarmReads(): void {
    this.#keepArmed(this.#pending.length > 0 ? EPOLLOUT : 0)
  }

  #keepArmed(mask: number): void {
    if (this.#mask === mask || this.#mask < 0) return
    if (mask === 0) this.#kernel.unwatch(this.#fd)
    else this.#kernel.change(this.#fd, mask)
    // A hang-up is told of whatever is asked for: of a socket that nobody waits for, again and again.
    this.#mask = mask === 0 ? -1 : mask
  }

  #send(bytes: Buffer, isKept: boolean): boolean {
    if (this.#pending.length > 0) {
      this.#pending.push(bytes)
      return false
    }
    const sent = this.#kernel.write(this.#fd, this.#kernel.pointerTo(bytes), bytes.length)
    return sent === bytes.length || this.#rest(sent, bytes, bytes.length, isKept)
  }

  /** Not all of [0, length) was taken. `isKept`: the bytes stay as they are until they are. */
  #rest(sent: number, bytes: Buffer, length: number, isKept: boolean): boolean {
    if (sent < 0 && sent !== -EAGAIN) {
      this.#writeFailed(errnoName(sent))
      return true
    }
    const left = bytes.subarray(Math.max(0, sent), length)
    this.#pending.push(isKept ? left : Buffer.from(left))
    this.congested = true
    this.#arm()
    return false
  }

  #flush(): void {
    const pending = this.#pending
    while (pending.length > 0) {
      const bytes = pending[0]!
      const sent = this.#kernel.write(this.#fd, this.#kernel.pointerTo(bytes), bytes.length)
      if (sent < 0 && sent !== -EAGAIN) {
        this.#pending = []
        // It stays writable: who would be told of that is told without end.
        this.#keepArmed(this.#mask & EPOLLIN)
        return this.#writeFailed(errnoName(sent))
      }
      if (sent < bytes.length) {
        pending[0] = bytes.subarray(Math.max(0, sent))
        return
      }
      pending.shift()
    }
    if (this.#failure !== null) return
    this.#keepArmed(this.#mask & EPOLLIN)
    if (this.#ending) this.#shutdown()
    this.congested = false
    this.owner.onDrain()
  }

  #shutdown(): void {
    if (this.#kernel.shutdown(this.#fd) < 0) process.nextTick(() => this.#close('ENOTCONN', false))
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
    this.#pending = []
    if (this.#mask >= 0) this.#kernel.forget(this.#fd)
    this.#mask = -1
    const handle = this.#handle
    if (abruptly && handle.reset !== undefined) {
      if (handle.reset() !== 0) handle.close()
    } else handle.close()
    this.owner.onClose(error)
  }

  #peerName(): { address?: string; port?: number } {
    if (this.#peer === null) {
      this.#peer = {}
      this.#handle.getpeername?.(this.#peer)
    }
    return this.#peer
  }
}

function errnoName(code: number): string {
  return getSystemErrorName(code)
}
