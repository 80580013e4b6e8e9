/**
 * The name a client asks for (SNI, RFC 6066 §3), read from its ClientHello before TLS itself has begun. Reads nothing else, and
 * judges nothing: what is malformed is left for TLS to refuse.
 */

/** `servername` in lower case; null: it names none, or this is no ClientHello. */
export interface ClientHello {
  readonly servername: string | null
}

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
/** More than any client sends; what has not ended by then is for TLS to refuse. */
const MOST_BYTES = 64 * 1024
const NAMELESS: ClientHello = { servername: null }

/** What the bytes received so far say; null if the hello goes on. It may be cut into records anywhere (RFC 8446 §5.1). */
export function readClientHello(bytes: Buffer): ClientHello | null {
  if (bytes.length > MOST_BYTES) return NAMELESS
  const fragments: Buffer[] = []
  let size = 0
  for (let at = 0; at + 5 <= bytes.length; ) {
    if (bytes[at] !== HANDSHAKE_RECORD) return NAMELESS
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    if (end === at + 5) return NAMELESS
    const fragment = bytes.subarray(at + 5, end)
    fragments.push(fragment)
    size += fragment.length
    at = end
    if (size < 4) continue
    const message = Buffer.concat(fragments)
    if (message[0] !== CLIENT_HELLO) return NAMELESS
    const whole = 4 + message.readUIntBE(1, 3)
    if (whole > MOST_BYTES) return NAMELESS
    if (size >= whole) return { servername: readServerName(new Reader(message.subarray(4, whole))) }
  }
  return null
}

function readServerName(hello: Reader): string | null {
  // Version and random; session id, cipher suites, compression methods.
  hello.skip(34)
  hello.vector(1)
  hello.vector(2)
  hello.vector(1)
  const extensions = hello.vector(2)
  while (extensions.left > 0) {
    const type = extensions.number(2)
    const body = extensions.vector(2)
    if (type !== SERVER_NAME) continue
    const names = body.vector(2)
    return names.number(1) === HOST_NAME ? names.vector(2).text().toLowerCase() || null : null
  }
  return null
}

/** Reads as far as there is anything; behind the end there are zeros and empty vectors. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  skip(count: number): void {
    this.#at = Math.min(this.#at + count, this.#bytes.length)
  }

  number(size: number): number {
    const value = this.left < size ? 0 : this.#bytes.readUIntBE(this.#at, size)
    this.skip(size)
    return value
  }

  /** What a length of `size` bytes says is next. */
  vector(size: number): Reader {
    const length = this.number(size)
    const from = this.#at
    this.skip(length)
    return new Reader(this.#bytes.subarray(from, this.#at))
  }

  text(): string {
    return this.#bytes.latin1Slice(this.#at)
  }
}
