/** Both ends of UDP: clients with an address of their own, and endpoints that remember what came and from where. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { Waiting } from './deadline.ts'

export interface Datagram {
  readonly bytes: Buffer
  readonly address: string
  readonly port: number
}

export class UdpEnd implements Disposable {
  readonly received: Datagram[] = []
  readonly socket: Socket
  readonly #waiting = new Waiting()
  #isClosed = false

  constructor(socket: Socket, answer?: (datagram: Datagram) => Iterable<Buffer | string>) {
    this.socket = socket
    socket.on('message', (bytes, { address, port }) => {
      const datagram = { bytes, address, port }
      this.received.push(datagram)
      for (const reply of answer?.(datagram) ?? []) socket.send(reply, port, address)
      this.#waiting.poke()
    })
    // Somebody who is gone may answer by ICMP.
    socket.on('error', () => {})
  }

  get port(): number {
    return this.socket.address().port
  }
  /** `127.0.0.1:3053` */
  get address(): string {
    return `127.0.0.1:${this.port}`
  }
  get texts(): string[] {
    return this.received.map(({ bytes }) => bytes.toString('latin1'))
  }

  send(bytes: Buffer | string, port: number, address = '127.0.0.1'): this {
    this.socket.send(bytes, port, address)
    return this
  }

  /** The datagram that came as that number, counted from 1. */
  datagram(number = 1, ms?: number): Promise<Datagram> {
    return this.#waiting.until(
      () => this.received[number - 1],
      () => `no datagram ${number}; there came ${JSON.stringify(this.texts)}`,
      ms,
    )
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.socket.close()
  }
  [Symbol.dispose](): void {
    this.close()
  }
}

export async function udpEnd(answer?: (datagram: Datagram) => Iterable<Buffer | string>, address = '127.0.0.1'): Promise<UdpEnd> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.bind(0, address)
  await once(socket, 'listening')
  return new UdpEnd(socket, answer)
}

/** A query for a name's address (RFC 1035 §4). */
export function dnsQuery(id: number, name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')])
  return Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1])
}

/** Answers each query with that address, and nothing else. */
export function dnsResponder(ip: string): Promise<UdpEnd> {
  return udpEnd(({ bytes }) => [dnsAnswer(bytes, ip)])
}

function dnsAnswer(query: Buffer, ip: string): Buffer {
  const head = Buffer.from(query)
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(1, 6)
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...ip.split('.').map(Number)])])
}
