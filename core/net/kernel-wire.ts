/**
 * A wire whose reads and writes are system calls of our own: one for each, or, where there is a ring (ring.ts), one for all that a turn
 * reads and writes. Bulk is read by itself again, into a buffer that is longer.
 */
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { BareSocket } from './bare-socket.ts'
import type { StreamHandle } from './bindings.ts'
import { type Descriptor, DescriptorWire } from './descriptor-wire.ts'
import { factsOfHandle, HandleWire } from './handle-wire.ts'
import { getKernel, type Kernel } from './kernel.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'
import type { Receiver, Ring, Sender } from './ring.ts'
import { RECEIVE_BYTES } from './ring-buffers.ts'
import type { AcceptedWire } from './wire.ts'

const TOGETHER_BYTES = 4096
/** A copy of so much costs less than a system call. */
const SOON_BYTES = 16384
const [ENOBUFS, ECANCELED] = [105, 125]
/** So many short reads one after the other, and the ring receives: a connection for one request is cheaper without, and so is bulk. */
const SHORT_READS = Number(process.env.SLUICE_RING_AFTER ?? 2)

/** The wire of a connected handle, by the best means there is. `ownBuffer`: for the side that sends bulk. */
export function wireOver(handle: StreamHandle, ownBuffer: boolean): AcceptedWire {
  const kernel = getKernel()
  return kernel === null ? new HandleWire(handle, ownBuffer) : new KernelWire(kernel, handle, ownBuffer)
}

export class KernelWire extends DescriptorWire implements AcceptedWire, Receiver, Sender {
  readonly #ring: Ring | null
  /** Nobody detaches it. */
  #mayReceive = false
  /** The ring receives what arrives. */
  #receives = false
  /** The number of its receive; -1: none is under way. */
  #receive = -1
  #isStopping = false
  #hasHungUp = false
  #shortReads = 0
  /** Received while nobody wanted to read. */
  #kept: Buffer[] = []
  /** What the last receive ended with, behind what is kept. */
  #last: number | null = null
  #isDue = false
  /** What is written leaves with what follows. */
  #holds = false
  /** What was written last does. */
  #holdsLast = false
  /** The number of a send whose end is not known yet; -1. */
  #send = -1

  constructor(kernel: Kernel, handle: StreamHandle | BareSocket, ownBuffer: boolean) {
    super({ kernel, handle, fd: handle.fd, mask: -1, peer: handle instanceof BareSocket ? handle.peer : null }, ownBuffer)
    this.#ring = kernel.ring
  }

  get descriptor(): number {
    return this.fd
  }

  facts(): ProxyFacts {
    return factsOfHandle(this.handle, this.peerName())
  }

  takeKept(): Buffer | null {
    if (this.#kept.length === 0) return null
    const bytes = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
    this.#kept = []
    return bytes
  }

  detach(unread: Uint8Array): Socket {
    return new HandleWire(this.detachHandle(), false).detach(unread)
  }

  detachHandle(): StreamHandle {
    const { kernel, handle, fd, mask } = this.giveUp()
    if (mask >= 0) kernel.unwatch(fd)
    return handle instanceof BareSocket ? handle.toHandle() : handle
  }

  /** Like detachHandle, to whoever has the kernel watch it as well. It may be watched, and is told to nobody now. */
  detachDescriptor(): Descriptor {
    return this.giveUp()
  }

  protected override giveUp(): Descriptor {
    if (this.#receives || this.#kept.length > 0) throw new Error('detached without being asked to expect it')
    this.#settle()
    return super.giveUp()
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  expectDetach(isExpected: boolean): void {
    this.#mayReceive = !isExpected && this.#ring !== null
    if (this.#mayReceive && SHORT_READS === 0 && !this.closed) this.#receiveByRing()
    if (this.#mayReceive || !this.#receives || this.closed) return
    this.#settle()
    this.#receives = false
    if (this.#receive >= 0) {
      this.#isStopping = true
      this.#ring!.stopNow(this.#receive)
    }
    if (this.isReading) this.#goOn()
  }

  override resume(): void {
    super.resume()
    if (this.isTold && this.isReading) this.#goOn()
  }

  protected override get isTold(): boolean {
    return this.#receives || this.#kept.length > 0 || this.#last !== null
  }

  protected override get watchesHangUps(): boolean {
    return this.#receives && !this.#hasHungUp
  }

  /** Of a reset the ring may say nothing, not even when it is asked again: what there is to read is read by itself. */
  protected override hungUp(): void {
    if (this.#hasHungUp) return
    this.#hasHungUp = true
    this.disarmReads()
    if (this.#receive >= 0) return this.#receiveBySelf()
    this.#receives = false
    if (this.isReading) this.#goOn()
  }

  /** @internal */
  onReceived(bytes: Buffer, length: number): boolean {
    if (!this.isReading || !this.#receives || this.#kept.length > 0) {
      this.#kept.push(Buffer.from(bytes.subarray(0, length)))
      this.#receiveBySelf()
      return false
    }
    this.isLeft = false
    this.owner.onBytes(bytes, length)
    if (length === RECEIVE_BYTES) this.#receiveBySelf()
    // Lent, it is free again when the wire is resumed.
    return this.lends && (this.isLeft || !this.isReading)
  }

  /** @internal */
  onStopped(result: number): void {
    this.#receive = -1
    if (this.#isStopping) {
      this.#isStopping = false
      this.#receives = false
    }
    if (result !== -ENOBUFS && result !== -ECANCELED) this.#last = result
    if (this.isReading) this.#goOn()
  }

  #receiveByRing(): void {
    if (this.#receives || this.#hasHungUp) return
    this.#receives = true
    this.#shortReads = 0
    this.disarmReads()
    if (this.isReading) this.#goOn()
  }

  #receiveBySelf(): void {
    if (this.#receive < 0 || this.#isStopping) return
    this.#isStopping = true
    this.#ring!.stop(this.#receive)
  }

  /** Reading: what is kept first, soon, but not from inside the call that asks for it. */
  #goOn(): void {
    if (this.#kept.length > 0 || this.#last !== null) {
      if (this.#isDue) return
      this.#isDue = true
      process.nextTick(() => {
        this.#isDue = false
        this.#tellKept()
      })
      return
    }
    this.arm()
    if (this.#receives && this.#receive < 0) this.#receive = this.kernel.receiveAll(this.fd, this)
  }

  #tellKept(): void {
    const bytes = this.isReading ? this.takeKept() : null
    if (bytes !== null) this.owner.onBytes(bytes, bytes.length)
    if (!this.isReading) return
    const last = this.#last
    if (this.#kept.length > 0 || last === null) return this.#goOn()
    if (last < 0) return this.close(this.nameOf(last), false)
    this.readEnd()
  }

  protected override receive(pointer: bigint, length: number): number {
    return this.kernel.read(this.fd, pointer, length)
  }

  protected override isDry(length: number, asked: number): boolean {
    if (length >= RECEIVE_BYTES) this.#shortReads = 0
    else if (this.#mayReceive && length > 0 && ++this.#shortReads >= SHORT_READS) this.#receiveByRing()
    return length < asked
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  override writeText(text: string): boolean {
    const at = this.#room(text.length)
    if (at < 0) return super.writeText(text)
    this.#ring!.out.latin1Write(text, at, text.length)
    this.#sendSoon(text.length)
    return true
  }

  override write(text: string, bytes: Buffer, from: number, to: number): boolean {
    const length = text.length + to - from
    const at = this.#room(length)
    if (at < 0) return super.write(text, bytes, from, to)
    const { out } = this.#ring!
    out.latin1Write(text, at, text.length)
    bytes.copy(out, at + text.length, from, to)
    this.#sendSoon(length)
    return true
  }

  writeLast(text: string): boolean {
    this.#holds = !this.#receives
    const flowing = this.writeText(text)
    this.#holdsLast = this.#holds
    this.#holds = false
    return flowing
  }

  /** Where so much can be put that leaves at the end of this turn; -1: it has to be written at once, or has to wait. */
  #room(length: number): number {
    if (this.#receives && length <= SOON_BYTES && this.kernel.isServing && this.mayWrite) {
      const at = this.#ring!.room(length)
      if (at >= 0 && (this.#send < 0 || this.#ring!.mayExtend(this.#send))) return at
    }
    this.#settle()
    return -1
  }

  #sendSoon(length: number): void {
    if (this.#send < 0) this.#send = this.kernel.sendSoon(this.fd, length, this)
    else this.#ring!.extend(this.#send, length)
  }

  /** @internal */
  onSent(result: number, bytes: Buffer, from: number, to: number): void {
    this.#send = -1
    if (result !== to - from && !this.closed) this.rest(result, bytes.subarray(from, to), to - from, false)
  }

  /** What was written leaves now. */
  #settle(): void {
    if (this.#send >= 0) this.#ring!.settle(this.#send)
  }

  override end(): void {
    this.#settle()
    super.end()
  }

  override finish(): void {
    this.#settle()
    // Closed with something unread, a socket forgets what it holds.
    if (this.#holdsLast && this.mayWrite) this.kernel.shutdown(this.fd)
    super.finish()
  }

  protected override close(error: string | null, abruptly: boolean): void {
    if (this.closed) return
    this.#settle()
    if (this.#receive >= 0) this.#ring!.forget(this.#receive)
    this.#receive = -1
    this.#kept = []
    super.close(error, abruptly)
  }

  protected override get togetherBytes(): number {
    return TOGETHER_BYTES
  }

  protected override transmit(pointer: bigint, length: number): number {
    return this.#holds ? this.kernel.writeHeld(this.fd, pointer, length) : this.kernel.write(this.fd, pointer, length)
  }

  protected override transmitTwo(first: bigint, firstLength: number, second: bigint, secondLength: number): number {
    return this.kernel.writeTwo(this.fd, first, firstLength, second, secondLength)
  }

  protected override sayEnd(): number {
    return this.kernel.shutdown(this.fd)
  }

  protected override nameOf(code: number): string {
    return getSystemErrorName(code)
  }
}
