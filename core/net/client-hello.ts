/**
 * The first message of a TLS client (RFC 8446 §4.1.2), read and not answered: which server it asks for. Pure; the bytes stay as they
 * are, for whoever they are meant for.
 */

export interface ClientHello {
  /** In lower case; null: the client names none. */
  readonly serverName: string | null
  /** What the client offers to speak, the preferred first. */
  readonly alpn: readonly string[]
  readonly versions: readonly number[]
  /** The name is the public one of an encrypted hello (RFC 9849). */
  readonly isEch: boolean
}

/** Of a whole hello: those with post-quantum keys have 2 KB, a long ticket some more. */
const MOST_BYTES = 65_536
/** RFC 8446 §5.1. */
const MOST_RECORD = 16_384

/** Of what bytes [0, length) begin with. Null: it takes more of them. */
export function readClientHello(bytes: Uint8Array, length: number): ClientHello | null | 'malformed' | 'too_large' {
  const message = joinRecords(bytes, length)
  if (message === 'malformed') return message
  if (message.length < 4) return null
  if (message[0] !== 1) return 'malformed'
  const size = (message[1]! << 16) | (message[2]! << 8) | message[3]!
  if (size > MOST_BYTES) return 'too_large'
  if (message.length < 4 + size) return null
  try {
    return readBody(new Reader(message.subarray(4, 4 + size)))
  } catch (error) {
    if (error instanceof RangeError) return 'malformed'
    throw error
  }
}

/** What the records hold of the handshake, as far as it has come. */
function joinRecords(bytes: Uint8Array, length: number): Uint8Array | 'malformed' {
  const parts: Uint8Array[] = []
  for (let at = 0; at < length; ) {
    if (bytes[at] !== 22 || (at + 1 < length && bytes[at + 1] !== 3)) return 'malformed'
    if (at + 5 > length) break
    const size = (bytes[at + 3]! << 8) | bytes[at + 4]!
    if (size === 0 || size > MOST_RECORD) return 'malformed'
    parts.push(bytes.subarray(at + 5, Math.min(length, at + 5 + size)))
    const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    // What follows the hello in further records is not looked at.
    if (all.length >= 4 && all.length >= 4 + ((all[1]! << 16) | (all[2]! << 8) | all[3]!)) return all
    at += 5 + size
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

function readBody(body: Reader): ClientHello {
  const version = body.number(2)
  body.take(32)
  body.vector(1)
  body.vector(2)
  body.vector(1)
  let serverName: string | null = null
  const alpn: string[] = []
  const versions: number[] = []
  let isEch = false
  const extensions = body.isAtEnd ? body : body.vector(2)
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const data = extensions.vector(2)
    if (type === 0) serverName = readServerName(data)
    else if (type === 16) {
      const names = data.vector(2)
      while (!names.isAtEnd) alpn.push(names.vector(1).text())
    } else if (type === 43) {
      const list = data.vector(1)
      while (!list.isAtEnd) versions.push(list.number(2))
    } else if (type === 0xfe0d) isEch = true
  }
  return { serverName, alpn, versions: versions.length === 0 ? [version] : versions, isEch }
}

/** RFC 6066 §3: one name of the type host_name, in ASCII. */
function readServerName(data: Reader): string | null {
  const list = data.vector(2)
  while (!list.isAtEnd) {
    const type = list.number(1)
    const name = list.vector(2).text()
    if (type !== 0) continue
    if (!/^[\x21-\x7e]{1,255}$/.test(name)) throw new RangeError('no host name')
    return name.toLowerCase()
  }
  return null
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  number(size: number): number {
    return this.take(size).reduce((value, byte) => value * 256 + byte, 0)
  }

  vector(lengthSize: number): Reader {
    return new Reader(this.take(this.number(lengthSize)))
  }

  take(size: number): Uint8Array {
    if (this.#at + size > this.#bytes.length) throw new RangeError('a vector is longer than what holds it')
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }

  text(): string {
    return Buffer.from(this.#bytes).latin1Slice()
  }
}
