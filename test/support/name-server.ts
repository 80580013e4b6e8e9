/** A name server of a few lines: whatever is asked for, it answers with what its zone says. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

export interface Zone {
  readonly a?: readonly string[]
  readonly aaaa?: readonly string[]
  /** By name. */
  readonly txt?: ReadonlyMap<string, readonly string[]>
  readonly ttl?: number
  /** Response code; 3 is NXDOMAIN, 2 SERVFAIL, 'silent' no answer. */
  readonly fails?: number | 'silent'
}

export class NameServer implements AsyncDisposable {
  zone: Zone = {}
  /** `name A`, `name AAAA`, `name TXT`. */
  readonly asked: string[] = []
  readonly #socket: Socket = createSocket('udp4')

  async start(): Promise<string> {
    this.#socket.on('message', (query, from) => {
      const reply = this.#answer(query)
      if (reply !== null) this.#socket.send(reply, from.port, from.address)
    })
    this.#socket.bind(0, '127.0.0.1')
    await once(this.#socket, 'listening')
    return `127.0.0.1:${this.#socket.address().port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()))
  }

  /** RFC 1035 §4. */
  #answer(query: Buffer): Buffer | null {
    const labels: string[] = []
    let at = 12
    for (; query[at]! > 0; at += query[at]! + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    const type = query.readUInt16BE(at + 1)
    const name = labels.join('.')
    this.asked.push(`${name} ${type === 1 ? 'A' : type === TXT ? 'TXT' : 'AAAA'}`)
    const { a = [], aaaa = [], txt, ttl = 60, fails } = this.zone
    if (fails === 'silent') return null
    const texts = (txt?.get(name) ?? []).map((text) => Buffer.from(`${String.fromCharCode(text.length)}${text}`, 'latin1'))
    const records =
      fails !== undefined
        ? []
        : type === TXT
          ? texts
          : type === 1
            ? a.map((ip) => Buffer.from(ip.split('.').map(Number)))
            : aaaa.map(packed)
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8180 | (fails ?? 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    const parts = records.map((data) => {
      const fixed = Buffer.alloc(12)
      fixed.writeUInt16BE(0xc00c, 0)
      fixed.writeUInt16BE(type, 2)
      fixed.writeUInt16BE(1, 4)
      fixed.writeUInt32BE(ttl, 6)
      fixed.writeUInt16BE(data.length, 10)
      return Buffer.concat([fixed, data])
    })
    return Buffer.concat([head, query.subarray(12, at + 5), ...parts])
  }
}

const TXT = 16

/** `::N` and `2001:db8::N` only. */
function packed(ip: string): Buffer {
  const bytes = Buffer.alloc(16)
  if (ip.startsWith('2001:db8::')) bytes.writeUInt32BE(0x20010db8)
  bytes[15] = Number.parseInt(ip.slice(ip.lastIndexOf(':') + 1), 16)
  return bytes
}
