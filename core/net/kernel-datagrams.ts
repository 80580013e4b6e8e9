/**
 * Datagrams by system calls on the descriptor of a bound UDP socket: recvmsg tells which address of ours a client spoke to, and sendmsg
 * answers from that one, which matters where a socket is bound to all of them. Linux alone (kernel.ts).
 */
import type { UdpHandle } from './bindings.ts'
import { type DatagramOwner, type DatagramSocket, noDatagramOwner, type Sender } from './datagrams.ts'
import { EPOLLIN, type Kernel, type Watched } from './kernel.ts'
import { readSockaddr, SOCKADDR_BYTES } from './sockaddr.ts'

/** Read in one turn of the event loop; what else is there is told in the next. */
const MOST_DATAGRAMS = 64
/** More than the largest payload of UDP. */
const MOST_BYTES = 65_536
/** Of a sockaddr, with what aligns what follows it. */
const NAME_SPACE = 32
const CONTROL_BYTES = 64
/** struct cmsghdr on 64 bits: length, level, type. */
const CMSG_BYTES = 16
const [SOL_IP, IP_PKTINFO] = [0, 8]
const [SOL_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO] = [41, 49, 50]

/** What all sockets of a process read into and send from: a call is over before the next begins. Bytes in it do not move. */
class Area {
  readonly bytes = Buffer.from(new ArrayBuffer(MOST_BYTES))
  /** Apart, so that one may be sent while another one is being looked at. */
  readonly sent = Buffer.from(new ArrayBuffer(MOST_BYTES))
  readonly name = Buffer.from(new ArrayBuffer(96), 0, SOCKADDR_BYTES)
  readonly control = Buffer.from(new ArrayBuffer(96), 0, CONTROL_BYTES)
  /** struct msghdr on 64 bits: name, its length, vector, its length, control, its length, flags. */
  readonly message = new BigUint64Array(new ArrayBuffer(96), 0, 7)
  readonly vector = new BigUint64Array(new ArrayBuffer(96), 0, 2)
  readonly namePointer: bigint
  readonly controlPointer: bigint
  readonly messagePointer: bigint
  readonly bytesPointer: bigint
  readonly sentPointer: bigint

  constructor(kernel: Kernel) {
    const pointerTo = (array: BigUint64Array): bigint => kernel.pointerTo(new Uint8Array(array.buffer))
    this.namePointer = kernel.pointerTo(this.name)
    this.controlPointer = kernel.pointerTo(this.control)
    this.messagePointer = pointerTo(this.message)
    this.message[2] = pointerTo(this.vector)
    this.message[3] = 1n
    this.bytesPointer = kernel.pointerTo(this.bytes)
    this.sentPointer = kernel.pointerTo(this.sent)
  }
}

let area: Area | null = null

interface KernelSender extends Sender {
  /** Keeps alive what the pointers point to. */
  readonly memory: Buffer
  readonly name: bigint
  readonly nameLength: bigint
  readonly control: bigint
  readonly controlLength: bigint
}

export class KernelDatagrams implements DatagramSocket, Watched {
  owner: DatagramOwner = noDatagramOwner
  closed: (() => void) | null = null
  readonly #handle: UdpHandle
  readonly #kernel: Kernel
  readonly #fd: number
  readonly #area: Area
  /** Of the datagram read last. */
  #nameLength = 0
  #controlLength = 0
  #isStopped = false
  #isClosed = false

  constructor(handle: UdpHandle, kernel: Kernel) {
    this.#handle = handle
    this.#kernel = kernel
    this.#fd = handle.fd
    area ??= new Area(kernel)
    this.#area = area
    // One of the two fits the socket; a socket of IPv6 tells of IPv4 as well.
    if (kernel.switchOn(this.#fd, SOL_IPV6, IPV6_RECVPKTINFO) !== 0) kernel.switchOn(this.#fd, SOL_IP, IP_PKTINFO)
    kernel.watch(this.#fd, EPOLLIN, this)
  }

  onReady(): void {
    const { message, messagePointer, vector, bytes, bytesPointer, name, control, namePointer, controlPointer } = this.#area
    for (let i = 0; i < MOST_DATAGRAMS && !this.#isStopped; i++) {
      message[0] = namePointer
      message[1] = BigInt(SOCKADDR_BYTES)
      message[4] = controlPointer
      message[5] = BigInt(CONTROL_BYTES)
      message[6] = 0n
      vector[0] = bytesPointer
      vector[1] = BigInt(MOST_BYTES)
      const length = this.#kernel.receive(this.#fd, messagePointer)
      if (length < 0) return
      this.#nameLength = Number(message[1]! & 0xffffffffn)
      // What pads it is not written by the kernel.
      this.#controlLength = message[5] === 0n ? 0 : control.readUInt32LE(0)
      this.owner.onDatagram(bytes, length, this.#key(name, control))
    }
  }

  sender(): KernelSender {
    const { name, control } = this.#area
    const nameLength = this.#nameLength
    const controlLength = this.#controlLength
    const memory = Buffer.from(new ArrayBuffer(NAME_SPACE + CONTROL_BYTES))
    name.copy(memory, 0, 0, nameLength)
    control.copy(memory, NAME_SPACE, 0, controlLength)
    if (controlLength > 0) forgetInterface(memory.subarray(NAME_SPACE))
    const pointer = this.#kernel.pointerTo(memory)
    const { address = '', port = 0 } = readSockaddr(name)
    return {
      ...{ key: this.#key(name, control), address, port, memory },
      ...{ name: pointer, nameLength: BigInt(nameLength), control: pointer + BigInt(NAME_SPACE), controlLength: BigInt(controlLength) },
    }
  }

  send(to: Sender, bytes: Buffer, length: number): boolean {
    if (this.#isClosed) return false
    const { name, nameLength, control, controlLength } = to as KernelSender
    const { message, messagePointer, vector, sent, sentPointer } = this.#area
    bytes.copy(sent, 0, 0, length)
    message[0] = name
    message[1] = nameLength
    message[4] = control
    message[5] = controlLength
    message[6] = 0n
    vector[0] = sentPointer
    vector[1] = BigInt(length)
    return this.#kernel.send(this.#fd, messagePointer) === 0
  }

  close(): void {
    if (this.#isStopped) return
    this.#stop()
    this.owner.onStopped()
  }

  destroy(): void {
    this.#stop()
    if (this.#isClosed) return
    this.#isClosed = true
    this.#handle.close()
  }

  /** Nothing but the two addresses is in there: equal bytes are the same client at the same address of ours. */
  #key(name: Buffer, control: Buffer): string {
    return name.latin1Slice(2, this.#nameLength) + control.latin1Slice(CMSG_BYTES, Math.max(CMSG_BYTES, this.#controlLength))
  }

  /** Others may hold the same socket: it goes on for them. */
  #stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#kernel.unwatch(this.#fd)
    this.closed?.()
  }
}

/** A reply may leave by another interface than the datagram came in by, but for addresses that are of one link alone. */
function forgetInterface(control: Buffer): void {
  if (control.readInt32LE(8) === SOL_IP) return void control.writeInt32LE(0, CMSG_BYTES)
  const isOfOneLink = control[CMSG_BYTES] === 0xfe && (control[CMSG_BYTES + 1]! & 0xc0) === 0x80
  if (control.readInt32LE(12) === IPV6_PKTINFO && !isOfOneLink) control.writeInt32LE(0, CMSG_BYTES + 16)
}
