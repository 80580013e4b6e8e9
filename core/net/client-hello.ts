/**
 * The ClientHello out of the first bytes of a connection: over any number of reads and of TLS records (RFC 8446 §5.1). The first answer
 * that is not null stays the same whatever follows. A hello that one record holds is read where it lies.
 */
import { type HelloAnswer, MAX_HELLO_BYTES, MESSAGE_HEADER_BYTES, messageBytes, readHelloMessage } from './hello-message.ts'

export type { ClientHello, HelloAnswer } from './hello-message.ts'
export { MAX_HELLO_BYTES } from './hello-message.ts'

/** What bytes [0, length) say; null if that takes more of them, which is never more than MAX_HELLO_BYTES. */
export function readClientHello(bytes: Uint8Array, length: number): HelloAnswer {
  if (isWrongRecord(bytes, 0, length)) return 'malformed'
  if (length < RECORD_HEADER_BYTES) return null
  const end = recordEnd(bytes, 0)
  if (end < BODY + MESSAGE_HEADER_BYTES) return readSplit(bytes, length)
  if (length < BODY + MESSAGE_HEADER_BYTES) return readHelloMessage(bytes, BODY, length)
  const messageEnd = BODY + messageBytes(bytes, BODY)
  if (messageEnd > end) return readSplit(bytes, length)
  // A hello ends where a record does, for its keys may change then.
  return messageEnd < end ? 'malformed' : readHelloMessage(bytes, BODY, length)
}

const RECORD_HEADER_BYTES = 5
/** Of the first record. */
const BODY = RECORD_HEADER_BYTES
const HANDSHAKE = 22
const MAX_RECORD_BYTES = 16_384

/** Alerts and data cannot come before or inside of a hello; an SSL 2.0 hello does not begin like a record; handshake records hold something. */
function isWrongRecord(bytes: Uint8Array, at: number, length: number): boolean {
  if (at < length && bytes[at] !== HANDSHAKE) return true
  // What the minor version says is to be ignored.
  if (at + 1 < length && bytes[at + 1] !== 3) return true
  if (at + RECORD_HEADER_BYTES > length) return false
  const size = recordEnd(bytes, at) - at - RECORD_HEADER_BYTES
  return size === 0 || size > MAX_RECORD_BYTES
}

function recordEnd(bytes: Uint8Array, at: number): number {
  return at + RECORD_HEADER_BYTES + ((bytes[at + 3]! << 8) | bytes[at + 4]!)
}

/** Copies what records hold of the message into one piece, as far as they are there. */
function readSplit(bytes: Uint8Array, length: number): HelloAnswer {
  const message = Buffer.allocUnsafe(Math.min(length, MAX_HELLO_BYTES))
  const copy = (from: number, to: number): void => {
    if (from >= to) return
    message.set(bytes.subarray(from, to), size)
    size += to - from
  }
  let size = 0
  let announced = 0
  for (let at = 0; at < length; ) {
    if (isWrongRecord(bytes, at, length)) return readHelloMessage(message, 0, size) ?? 'malformed'
    const body = at + RECORD_HEADER_BYTES
    if (body > length) break
    const end = recordEnd(bytes, at)
    const there = Math.min(end, length)
    announced += end - body
    const header = Math.min(there, body + Math.max(0, MESSAGE_HEADER_BYTES - size))
    copy(body, header)
    const fault = size < MESSAGE_HEADER_BYTES ? null : faultOf(messageBytes(message, 0), announced, end)
    if (fault !== null) return readHelloMessage(message, 0, size) ?? fault
    copy(header, there)
    if (size >= MESSAGE_HEADER_BYTES && size === messageBytes(message, 0)) break
    at = end
  }
  return readHelloMessage(message, 0, size)
}

/** `announced`: by the records so far, the last of which ends at `end`. */
function faultOf(messageSize: number, announced: number, end: number): 'malformed' | 'too_large' | null {
  if (announced > messageSize) return 'malformed'
  const missing = messageSize - announced
  const last = end + missing + RECORD_HEADER_BYTES * Math.ceil(missing / MAX_RECORD_BYTES)
  return last > MAX_HELLO_BYTES ? 'too_large' : null
}
