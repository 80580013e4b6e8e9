/**
 * A wire on a socket's descriptor, told by the kernel (kernel.ts) when it may be read or written, with one reused buffer for either.
 * What a read and a write are its carriers say: a system call (kernel-wire.ts), or one of OpenSSL's (openssl-wire.ts). Whose the
 * descriptor is closes it: a bare socket, or a handle of libuv's that stays idle beneath.
 */
import { getSystemErrorName } from 'node:util'
import type { BareSocket } from './bare-socket.ts'
import type { StreamHandle } from './bindings.ts'
import { EAGAIN, EPOLLIN, EPOLLOUT, type Kernel, type Watched } from './kernel.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'
import type { Peer } from './sockaddr.ts'
import { nobody, type Wire, type WireOwner } from './wire.ts'

const SHARED_BYTES = 16384
const BULK_BYTES = 65536
/** Of one wire in one turn, while its buffer is filled each time. */
const MOST_READS = 16

interface Place {
  readonly buffer: Buffer
  readonly pointer: bigint
}

/** Only valid inside a read. */
let shared: Place | null = null
/** Of sides that send bulk, one after the other: it stays in the processor's caches. Null: somebody is reading, or has it for longer. */
let hot: Place | null = null
/** Text on its way out. */
const scratch = Buffer.allocUnsafeSlow(BULK_BYTES)
let scratchPointer = 0n
/** Not lent any more: fresh memory for each has V8 collect all of its heap again and again. */
const spares: Place[] = []
/** 4 MiB a worker. */
const MOST_SPARES = 64

function placeOf(kernel: Kernel, bytes: number): Place {
  const buffer = Buffer.allocUnsafeSlow(bytes)
  return { buffer, pointer: kernel.pointerTo(buffer) }
}

function takeHot(kernel: Kernel): Place {
  const place = hot ?? spares.pop() ?? placeOf(kernel, BULK_BYTES)
  hot = null
  return place
}

function putBack(place: Place): void {
  if (place === shared) return
  if (hot === null) hot = place
  else if (spares.length < MOST_SPARES) spares.push(place)
}

/** A socket that is watched, or not yet. */
export interface Descriptor {
  readonly kernel: Kernel
  readonly handle: StreamHandle | BareSocket
  readonly fd: number
  /** What the kernel is asked to tell; -1: it does not watch. */
  readonly mask: number
  /** Null: not asked yet. */
  readonly peer: Peer | null
}

export abstract class DescriptorWire implements Wire, Watched {
  owner: WireOwner = nobody
  lends: boolean
  closed = false
  congested = false
  protected readonly kernel: Kernel
  protected readonly handle: StreamHandle | BareSocket
  protected readonly fd: number
  /** What was read last is left to whoever has it. */
  protected isLeft = false
  /** What was read last is in it, and may be lent. */
  #lent: Place | null = null
  #mask: number
  #reading = false
  #ending = false
  /** It was to be said that no more comes, and could not yet. */
  #isEndDue = false
  /** A read has to write before it can go on. */
  #isStuck = false
  /** A write has to read first. */
  #waitsToRead = false
  /** Written, and not taken yet. */
  #pending: Buffer[] = []
  #failure: string | null = null
  #peer: Peer | null

  /** `ownBuffer`: for the side that sends bulk; it has the buffer while the wire is paused. */
  constructor({ kernel, handle, fd, mask, peer }: Descriptor, ownBuffer: boolean) {
    this.kernel = kernel
    this.handle = handle
    this.fd = fd
    this.lends = ownBuffer
    this.#mask = mask
    this.#peer = peer
    if (scratchPointer === 0n) scratchPointer = kernel.pointerTo(scratch)
    shared ??= placeOf(kernel, SHARED_BYTES)
  }

  abstract facts(): ProxyFacts
  /** Bytes read into `pointer`, up to `length`; 0 at the end; or a negative number that `nameOf` knows, EAGAIN if there are none yet. */
  protected abstract receive(pointer: bigint, length: number): number
  /** Bytes taken, or a negative number that `nameOf` knows: EAGAIN if none can be yet. */
  protected abstract transmit(pointer: bigint, length: number): number
  /** Both of them, the first ones first, as one write. */
  protected abstract transmitTwo(first: bigint, firstLength: number, second: bigint, secondLength: number): number
  /** After a read that gave so much of what was asked for: there is no more. */
  protected abstract isDry(length: number, asked: number): boolean
  /** Says that nothing more is sent: 0, or a negative number. */
  protected abstract sayEnd(): number
  protected abstract nameOf(code: number): string
  /** Up to here text and bytes are copied together; above it, bytes are lent. */
  protected abstract get togetherBytes(): number

  get remoteAddress(): string {
    return this.peerName().address ?? ''
  }

  get remotePort(): number {
    return this.peerName().port ?? 0
  }

  writeText(text: string): boolean {
    if (this.closed || this.#failure !== null) return true
    const { length } = text
    if (length > scratch.length || this.#pending.length > 0) return this.#send(Buffer.from(text, 'latin1'), true)
    scratch.latin1Write(text, 0, length)
    const sent = this.transmit(scratchPointer, length)
    if (sent === length) return true
    return this.rest(sent, scratch, length, false)
  }

  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (this.closed || this.#failure !== null) return true
    const head = text.length
    const length = head + to - from
    if (this.#pending.length === 0 && length <= this.togetherBytes) {
      scratch.latin1Write(text, 0, head)
      bytes.copy(scratch, head, from, to)
      const sent = this.transmit(scratchPointer, length)
      return sent === length || this.rest(sent, scratch, length, false)
    }
    const part = bytes.subarray(from, to)
    if (head === 0) return this.#send(part, true)
    if (this.#pending.length > 0 || head > scratch.length) {
      this.#send(Buffer.from(text, 'latin1'), true)
      return this.#send(part, true)
    }
    scratch.latin1Write(text, 0, head)
    const sent = this.transmitTwo(scratchPointer, head, this.kernel.pointerTo(part), part.length)
    if (sent === length) return true
    if (sent >= head) return this.rest(sent - head, part, part.length, true)
    // OpenSSL has to be given the same bytes again, together.
    return this.rest(sent, Buffer.concat([scratch.subarray(0, head), part]), length, true)
  }

  resume(): void {
    if (this.#reading || this.closed) return
    this.#reading = true
    this.arm()
  }

  /** The kernel is told only if it has something to tell meanwhile. */
  pause(): void {
    if (!this.#reading || this.closed) return
    this.#reading = false
    if (this.#failure !== null) this.#writeFailed(this.#failure)
  }

  expectBulk(): void {
    if (!this.closed) this.lends = true
  }

  leaveBuffer(): void {
    this.isLeft = true
    if (!this.closed) this.#lent = null
  }

  end(): void {
    if (this.#ending || this.closed) return
    this.#ending = true
    if (this.#pending.length === 0) this.#shutdown()
  }

  finish(): void {
    if (this.#pending.length > 0) this.end()
    else this.close(null, false)
  }

  destroy(): void {
    this.close(null, false)
  }

  reset(): void {
    this.close(null, true)
  }

  /** What arrives is told by another way than `onReady`. */
  protected get isTold(): boolean {
    return false
  }

  /** `hungUp` is to be said. */
  protected get watchesHangUps(): boolean {
    return false
  }

  /** Of what is told by another way: the connection is over both ways. */
  protected hungUp(): void {}

  /** @internal */
  onReady(mask: number): void {
    // Errors and hang-ups too are found by writing and by reading.
    if (mask !== EPOLLIN || this.#waitsToRead) {
      this.#waitsToRead = false
      if (this.#isStuck) this.#freeReads()
      if (this.#pending.length > 0) this.#flush()
      else if (this.#isEndDue) this.#shutdown()
    }
    if (mask === EPOLLOUT || this.closed) return
    if (this.isTold) return this.hungUp()
    if (this.#reading) this.readOn()
    else this.disarmReads()
  }

  /** Nothing waits to be written. */
  protected get mayWrite(): boolean {
    return this.#pending.length === 0 && !this.closed && this.#failure === null
  }

  protected get isReading(): boolean {
    return this.#reading && !this.closed
  }

  /** Of the socket, which is somebody else's from now on. `onClose` is not said. */
  protected giveUp(): Descriptor {
    this.pause()
    this.closed = true
    return { kernel: this.kernel, handle: this.handle, fd: this.fd, mask: this.#mask, peer: this.#peer }
  }

  /** What is to be read does not matter until something can be written: `receive` said EAGAIN for that. */
  protected stickReads(): void {
    this.#isStuck = true
    this.#mask = EPOLLOUT
    this.kernel.change(this.fd, EPOLLOUT)
  }

  /** The other way round: `transmit` said EAGAIN for want of something to read, and being told of room would not help. */
  protected stickWrites(): void {
    this.#waitsToRead = true
  }

  /** Something was read. */
  protected freeWrites(): void {
    if (!this.#waitsToRead || this.closed) return
    this.#waitsToRead = false
    this.arm()
  }

  #awaitRoom(): void {
    if (this.#waitsToRead && this.#mask >= 0) this.#keepArmed(EPOLLIN)
    else this.arm()
  }

  #freeReads(): void {
    this.#isStuck = false
    this.arm()
  }

  protected readOn(): void {
    for (let reads = 0; reads < MOST_READS; reads++) {
      const place = this.lends ? this.#takeBulk() : shared!
      const { buffer, pointer } = place
      const length = this.receive(pointer, buffer.length)
      if (length > 0) this.#tell(place, length)
      else putBack(place)
      if (length === 0) return this.readEnd()
      if (length < 0 && length !== -EAGAIN) return this.close(this.nameOf(length), false)
      if (!this.#reading || this.closed || this.isDry(length, buffer.length)) return
    }
  }

  /** It is read on, so what was lent is free. */
  #takeBulk(): Place {
    if (this.#lent !== null) putBack(this.#lent)
    this.#lent = null
    return takeHot(this.kernel)
  }

  #tell(place: Place, length: number): void {
    this.isLeft = false
    this.owner.onBytes(place.buffer, length)
    if (place === shared || this.isLeft) return
    if (this.#reading && !this.closed) putBack(place)
    else this.#lent = place
  }

  protected readEnd(): void {
    if (this.#failure !== null) return this.close(this.#failure, false)
    this.pause()
    this.owner.onEnd()
    if (!this.closed && !this.#reading) this.disarmReads()
  }

  /** Asks to be told of what is waited for; what need not be told any more is taken back when it is told. */
  protected arm(): void {
    const armed = this.#mask < 0 ? 0 : this.#mask
    const mask = armed | (this.#reading && !this.isTold ? EPOLLIN : 0) | (this.#isWriting ? EPOLLOUT : 0)
    if (mask === this.#mask || (mask === 0 && !this.watchesHangUps)) return
    if (this.#mask >= 0) this.kernel.change(this.fd, mask)
    else {
      const error = this.kernel.watch(this.fd, mask, this)
      if (error < 0) process.nextTick(() => this.close(getSystemErrorName(error), false))
    }
    this.#mask = mask
  }

  get #isWriting(): boolean {
    return this.#pending.length > 0 || this.#isEndDue || this.#isStuck
  }

  protected disarmReads(): void {
    this.#keepArmed(this.#waitsToRead ? EPOLLIN : this.#isWriting ? EPOLLOUT : 0)
  }

  #keepArmed(mask: number): void {
    // A hang-up is told of whatever is asked for: of a socket that nobody waits for, again and again.
    const kept = mask === 0 && !this.watchesHangUps ? -1 : mask
    if (this.#mask === kept || this.#mask < 0) return
    if (kept < 0) this.kernel.unwatch(this.fd)
    else this.kernel.change(this.fd, kept)
    this.#mask = kept
  }

  #send(bytes: Buffer, isKept: boolean): boolean {
    if (this.#pending.length > 0) {
      this.#pending.push(bytes)
      return false
    }
    const sent = this.transmit(this.kernel.pointerTo(bytes), bytes.length)
    return sent === bytes.length || this.rest(sent, bytes, bytes.length, isKept)
  }

  /** Not all of [0, length) was taken. `isKept`: the bytes stay as they are until they are. */
  protected rest(sent: number, bytes: Buffer, length: number, isKept: boolean): boolean {
    if (sent < 0 && sent !== -EAGAIN) {
      this.#writeFailed(this.nameOf(sent))
      return true
    }
    const left = bytes.subarray(Math.max(0, sent), length)
    this.#pending.push(isKept ? left : Buffer.from(left))
    this.congested = true
    this.#awaitRoom()
    return false
  }

  #flush(): void {
    const pending = this.#pending
    while (pending.length > 0) {
      const bytes = pending[0]!
      const sent = this.transmit(this.kernel.pointerTo(bytes), bytes.length)
      if (sent < 0 && sent !== -EAGAIN) {
        this.#pending = []
        // It stays writable: who would be told of that is told without end.
        this.#keepArmed(this.#mask & EPOLLIN)
        return this.#writeFailed(this.nameOf(sent))
      }
      if (sent < bytes.length) {
        pending[0] = bytes.subarray(Math.max(0, sent))
        return this.#awaitRoom()
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
    const result = this.sayEnd()
    const isDue = result === -EAGAIN
    if (isDue !== this.#isEndDue) {
      this.#isEndDue = isDue
      if (isDue) this.arm()
      else this.#keepArmed(this.#mask & EPOLLIN)
    }
    if (result < 0 && !isDue) process.nextTick(() => this.close('ENOTCONN', false))
  }

  /**
   * An endpoint may answer and close while it is still written to: reading, which tells the end as well, goes on to it. Without
   * reading, the wire closes, but never from inside the caller's call.
   */
  #writeFailed(error: string): void {
    this.#failure = error
    this.congested = true
    if (!this.#reading) process.nextTick(() => this.close(error, false))
  }

  protected close(error: string | null, abruptly: boolean): void {
    if (this.closed) return
    this.closed = true
    this.#pending = []
    if (this.#mask >= 0) this.kernel.forget(this.fd)
    this.#mask = -1
    const { handle } = this
    if (abruptly && handle.reset !== undefined) {
      if (handle.reset() !== 0) handle.close()
    } else handle.close()
    this.owner.onClose(error)
  }

  recycle(): void {
    if (!this.closed || this.#lent === null) return
    putBack(this.#lent)
    this.#lent = null
  }

  protected peerName(): Peer {
    if (this.#peer === null) {
      this.#peer = 'peer' in this.handle ? this.handle.peer : {}
      if ('getpeername' in this.handle) this.handle.getpeername?.(this.#peer)
    }
    return this.#peer
  }
}
