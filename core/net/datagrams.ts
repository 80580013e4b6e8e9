/**
 * A bound UDP socket that many clients speak to: each datagram with who sent it, and replies that leave from the address it was sent to.
 * By system calls where they are to be had (kernel-datagrams.ts), else by Node's own sockets, which choose that address themselves.
 */
import { createSocket, type Socket } from 'node:dgram'
import type { UdpHandle } from './bindings.ts'
import { getKernel } from './kernel.ts'
import { KernelDatagrams } from './kernel-datagrams.ts'

/** Somebody who sent a datagram. It may be kept. */
export interface Sender {
  /** The same for the same client at the same address of ours. */
  readonly key: string
  readonly address: string
  readonly port: number
}

export interface DatagramOwner {
  /** The bytes are valid inside the call only. `key`: of the sender. */
  onDatagram(bytes: Buffer, length: number, key: string): void
  /** Nothing more is read: it is destroyed as soon as nobody has to be answered. */
  onStopped(): void
}

export interface DatagramSocket {
  owner: DatagramOwner
  /** Called once, when it reads no more. */
  closed: (() => void) | null
  /** Of the datagram that is being told. */
  sender(): Sender
  /** False: it was not taken, and is lost. `to`: a sender of this socket. */
  send(to: Sender, bytes: Buffer, length: number): boolean
  /** Stops reading, for good. */
  close(): void
  destroy(): void
}

/** `bound`: the handle of a socket, or a socket, that nobody reads yet. */
export function datagramsOf(bound: UdpHandle | Socket): DatagramSocket {
  if (!('recvStart' in bound)) return new SocketDatagrams(bound as Socket)
  const handle = bound as UdpHandle
  const kernel = getKernel()
  if (kernel !== null && handle.fd >= 0) return new KernelDatagrams(handle, kernel)
  const name: { address?: string; port?: number } = {}
  handle.getsockname(name)
  const socket = createSocket({ type: name.address?.includes(':') === true ? 'udp6' : 'udp4' })
  // A handle that is bound already: what node:cluster gives to its workers.
  ;(socket as unknown as { bind(handle: UdpHandle): void }).bind(handle)
  return new SocketDatagrams(socket)
}

/** Until somebody takes it: what comes is lost. */
export const noDatagramOwner: DatagramOwner = { onDatagram() {}, onStopped() {} }

class SocketDatagrams implements DatagramSocket {
  owner: DatagramOwner = noDatagramOwner
  closed: (() => void) | null = null
  readonly #socket: Socket
  #sender: Sender = { key: '', address: '', port: 0 }
  #isStopped = false
  #isClosed = false

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (bytes, { address, port }) => {
      if (this.#isStopped) return
      const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
      this.#sender = { key: `${address} ${port}`, address: plain, port }
      this.owner.onDatagram(bytes, bytes.length, this.#sender.key)
    })
    // Of what was sent to somebody who is gone: nobody's business.
    socket.on('error', () => {})
    socket.once('close', () => this.close())
  }

  sender(): Sender {
    return this.#sender
  }

  send({ key, port }: Sender, bytes: Buffer, length: number): boolean {
    if (this.#isClosed) return false
    const address = key.slice(0, key.indexOf(' '))
    // It may leave later, and the caller's bytes are read into again.
    this.#socket.send(Buffer.from(bytes.subarray(0, length)), port, address, () => {})
    return true
  }

  close(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.closed?.()
    this.owner.onStopped()
  }

  destroy(): void {
    if (!this.#isStopped) this.closed?.()
    this.#isStopped = true
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket.close()
  }
}
