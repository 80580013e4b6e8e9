/**
 * What CRYPTO frames carry, put together: pieces in any order, overlapping or twice (RFC 9000 §19.6). Bounded: no more bytes than a
 * hello may have, and no more holes than a client has a reason to leave.
 */
import { MAX_HELLO_BYTES } from './hello-message.ts'
import { QuicReader } from './quic-packet.ts'

export type CryptoFault = 'malformed' | 'too_large' | null

export class CryptoStream {
  bytes: Buffer = Buffer.alloc(0)
  /** From and to of each piece, ascending, none touching another. */
  #pieces: number[] = []

  /** How many bytes there are from the beginning on. */
  get ready(): number {
    return this.#pieces[0] === 0 ? this.#pieces[1]! : 0
  }

  /** All frames of an Initial packet, of the kinds that RFC 9000 §12.4 permits there. */
  readFrames(payload: Buffer): CryptoFault {
    // A packet without frames is an error (§12.4), as is a client that hangs up instead of greeting.
    if (payload.length === 0) return 'malformed'
    const reader = new QuicReader(payload)
    while (reader.hasMore) {
      const fault = this.#readFrame(reader)
      if (fault !== null) return fault
    }
    return reader.failed ? 'malformed' : null
  }

  #readFrame(reader: QuicReader): CryptoFault {
    const type = reader.byte()
    if (type === FRAME.padding || type === FRAME.ping) return null
    if (type === FRAME.ack || type === FRAME.ackEcn) return skipAck(reader, type)
    if (type !== FRAME.crypto) return 'malformed'
    const offset = reader.varint()
    const piece = reader.take(reader.varint())
    return reader.failed ? 'malformed' : this.write(offset, piece)
  }

  write(offset: number, piece: Buffer): CryptoFault {
    const end = offset + piece.length
    if (end > MAX_HELLO_BYTES) return 'too_large'
    if (piece.length === 0) return null
    this.#grow(end)
    let [from, to] = [offset, end]
    const apart: number[] = []
    for (let i = 0; i < this.#pieces.length; i += 2) {
      const [start, stop] = [this.#pieces[i]!, this.#pieces[i + 1]!]
      if (stop < offset || start > end) {
        apart.push(start, stop)
        continue
      }
      if (!this.#agrees(offset, piece, { start, stop })) return 'malformed'
      from = Math.min(from, start)
      to = Math.max(to, stop)
    }
    piece.copy(this.bytes, offset)
    const place = apart.findIndex((at) => at > from)
    apart.splice(place < 0 ? apart.length : place, 0, from, to)
    this.#pieces = apart
    return apart.length > 2 * MAX_PIECES ? 'too_large' : null
  }

  /** Two readers could take another one of two texts each. */
  #agrees(offset: number, piece: Buffer, { start, stop }: { start: number; stop: number }): boolean {
    const [from, to] = [Math.max(start, offset), Math.min(stop, offset + piece.length)]
    return from >= to || this.bytes.compare(piece, from - offset, to - offset, from, to) === 0
  }

  #grow(end: number): void {
    if (end <= this.bytes.length) return
    const larger = Buffer.alloc(Math.min(MAX_HELLO_BYTES, Math.max(2048, end * 2)))
    this.bytes.copy(larger)
    this.bytes = larger
  }
}

const MAX_PIECES = 256
const FRAME = { padding: 0, ping: 1, ack: 2, ackEcn: 3, crypto: 6 }

/** RFC 9000 §19.3. */
function skipAck(reader: QuicReader, type: number): CryptoFault {
  reader.varint()
  reader.varint()
  const ranges = reader.varint()
  reader.varint()
  for (let i = 0; i < ranges && !reader.failed; i++) {
    reader.varint()
    reader.varint()
  }
  for (let i = 0; i < 3 && type === FRAME.ackEcn; i++) reader.varint()
  return reader.failed ? 'malformed' : null
}
