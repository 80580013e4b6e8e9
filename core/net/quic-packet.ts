/**
 * Initial packets of a QUIC client, versions 1 and 2 (RFC 9000 §17.2.2, RFC 9001 §5, RFC 9369 §3): found in a datagram, and opened with
 * the keys that everybody can derive from their Destination Connection ID.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'

/** Numbers of variable length (RFC 9000 §16). After the first thing that is not there it stands still and reads zeros. */
export class QuicReader {
  at: number
  failed = false
  readonly #bytes: Buffer
  readonly #end: number

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.at = at
    this.#end = end
  }

  get hasMore(): boolean {
    return !this.failed && this.at < this.#end
  }

  skip(count: number): boolean {
    if (this.at + count > this.#end) this.failed = true
    if (!this.failed) this.at += count
    return !this.failed
  }

  byte(): number {
    return this.skip(1) ? this.#bytes[this.at - 1]! : 0
  }

  /** What does not fit a safe integer is larger than anything that it could be the length of, and stays so. */
  varint(): number {
    const first = this.byte()
    let value = first & 63
    for (let left = (1 << (first >> 6)) - 1; left > 0; left--) value = value * 256 + this.byte()
    return this.failed ? 0 : value
  }

  /** The next bytes, not a copy. */
  take(count: number): Buffer {
    return this.skip(count) ? this.#bytes.subarray(this.at - count, this.at) : NOTHING
  }
}

export interface LongPacket {
  readonly version: number
  readonly isInitial: boolean
  readonly at: number
  readonly connectionId: Buffer
  readonly numberAt: number
  readonly end: number
}

/** RFC 8999 §5.1: what packets of all versions have. Null for a packet with a short header, or for less than a long one. */
export function versionAt(datagram: Buffer): number | null {
  return datagram.length >= 5 && datagram[0]! >= 0x80 ? datagram.readUInt32BE(1) : null
}

/** The Source Connection ID of the first packet, of whatever version (RFC 8999 §5.1); null if it has a short header or ends before. */
export function sourceIdOf(datagram: Buffer): Buffer | null {
  if (versionAt(datagram) === null) return null
  const reader = new QuicReader(datagram, 5)
  reader.take(reader.byte())
  const id = reader.take(reader.byte())
  return reader.failed ? null : id
}

export function isKnownVersion(version: number): boolean {
  return VERSIONS.has(version)
}

/** The packet that begins there; null if it is none that says how long it is, or says it wrongly. */
export function readLongPacket(datagram: Buffer, at: number): LongPacket | null {
  const version = versionAt(datagram.subarray(at))
  const parameters = version === null ? undefined : VERSIONS.get(version)
  if (version === null || parameters === undefined) return null
  // Its second bit may be anything (RFC 9287); what the packet is worth is told by its tag.
  const type = (datagram[at]! >> 4) & 3
  if (type === parameters.retryType) return null
  const isInitial = type === parameters.initialType
  const reader = new QuicReader(datagram, at + 5)
  const connectionId = reader.take(reader.byte())
  const sourceId = reader.take(reader.byte())
  const token = isInitial ? reader.take(reader.varint()) : NOTHING
  const length = reader.varint()
  const numberAt = reader.at
  if (!reader.skip(length) || connectionId.length > MAX_ID_BYTES || sourceId.length > MAX_ID_BYTES) return null
  // Only a server may choose a short one, and who was answered has a token (RFC 9000 §7.2).
  if (isInitial && token.length === 0 && connectionId.length < MIN_FIRST_ID_BYTES) return null
  return { version, isInitial, at, connectionId, numberAt, end: reader.at }
}

export class InitialKeys {
  readonly version: number
  readonly connectionId: Buffer
  readonly #key: Buffer
  readonly #iv: Buffer
  readonly #headerKey: Buffer

  /** Of the packet's version, which is a known one. */
  constructor({ version, connectionId }: LongPacket) {
    const { salt, label } = VERSIONS.get(version)!
    const secret = expand(hmac(salt, connectionId), 'client in', 32)
    this.version = version
    this.connectionId = Buffer.from(connectionId)
    this.#key = expand(secret, `${label} key`, 16)
    this.#iv = expand(secret, `${label} iv`, 12)
    this.#headerKey = expand(secret, `${label} hp`, 16)
  }

  fits({ version, connectionId }: LongPacket): boolean {
    return version === this.version && connectionId.equals(this.connectionId)
  }

  /** The frames; null if somebody else wrote it; `malformed` if the client did, and wrongly. */
  open(datagram: Buffer, { at, numberAt, end }: LongPacket): Buffer | null | 'malformed' {
    const sampleAt = numberAt + 4
    if (sampleAt + TAG_BYTES > end) return null
    const mask = createCipheriv('aes-128-ecb', this.#headerKey, null).update(datagram.subarray(sampleAt, sampleAt + 16))
    const first = datagram[at]! ^ (mask[0]! & 15)
    const numberBytes = (first & 3) + 1
    const header = Buffer.from(datagram.subarray(at, numberAt + numberBytes))
    header[0] = first
    const nonce = Buffer.from(this.#iv)
    // Nothing was acknowledged yet: the number is all there (RFC 9000 §17.1).
    for (let i = 0; i < numberBytes; i++) {
      header[numberAt - at + i]! ^= mask[1 + i]!
      nonce[12 - numberBytes + i]! ^= header[numberAt - at + i]!
    }
    const frames = this.#decrypt(datagram.subarray(numberAt + numberBytes, end), header, nonce)
    const hasReserved = (first & 0x0c) !== 0
    return frames !== null && hasReserved ? 'malformed' : frames
  }

  #decrypt(sealed: Buffer, header: Buffer, nonce: Buffer): Buffer | null {
    if (sealed.length < TAG_BYTES) return null
    const decipher = createDecipheriv('aes-128-gcm', this.#key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(header)
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
    const opened = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES))
    try {
      decipher.final()
      return opened
    } catch {
      return null
    }
  }
}

const NOTHING = Buffer.alloc(0)
const MAX_ID_BYTES = 20
const MIN_FIRST_ID_BYTES = 8
const TAG_BYTES = 16

interface VersionParameters {
  readonly salt: Buffer
  readonly label: string
  readonly initialType: number
  readonly retryType: number
}

const VERSIONS: ReadonlyMap<number, VersionParameters> = new Map([
  [1, { salt: Buffer.from('38762cf7f55934b34d179ae6a4c80cadccbb7f0a', 'hex'), label: 'quic', initialType: 0, retryType: 3 }],
  [0x6b3343cf, { salt: Buffer.from('0dede3def700a6db819381be6e269dcbf9bd2ed9', 'hex'), label: 'quicv2', initialType: 1, retryType: 0 }],
])

/** HKDF-Expand-Label of RFC 8446 §7.1, for what one block of SHA-256 covers. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = `tls13 ${label}`
  return hmac(secret, Buffer.from(`\0${String.fromCharCode(length, name.length)}${name}\0\x01`, 'latin1')).subarray(0, length)
}

function hmac(key: Buffer, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes).digest()
}
