/** What a header of the PROXY protocol's version 2 tells beside addresses (§2.2 of its specification): types, lengths and values. */
import { crc32c } from './crc32c.ts'

/** Null: not told. */
export interface ProxyTlvs {
  /** One character a byte. */
  readonly alpn: string | null
  /** The server name that the client gave. */
  readonly authority: string | null
  /** Up to 128 bytes, by which both proxies know the connection. */
  readonly uniqueId: Buffer | null
  readonly netns: string | null
  /** Null also where the client did not speak TLS. */
  readonly ssl: ProxySsl | null
}

export interface ProxySsl {
  /** As OpenSSL calls it: `TLSv1.3`. */
  readonly version: string | null
  readonly cipher: string | null
  /** Of the client's certificate. */
  readonly commonName: string | null
  readonly signatureAlgorithm: string | null
  readonly keyAlgorithm: string | null
  /** The client showed a certificate, and it was a good one. */
  readonly verified: boolean
}

export const TLV = {
  ...{ alpn: 0x01, authority: 0x02, crc32c: 0x03, noop: 0x04, uniqueId: 0x05, ssl: 0x20, netns: 0x30 },
  ...{ version: 0x21, commonName: 0x22, cipher: 0x23, signatureAlgorithm: 0x24, keyAlgorithm: 0x25 },
} as const

export const SSL_FLAG = { tls: 0x01, certificateHere: 0x02, certificateOfSession: 0x04 } as const

export const noTlvs: ProxyTlvs = Object.freeze({ alpn: null, authority: null, uniqueId: null, netns: null, ssl: null })

/** Bytes [from, to) of a header that ends there; null if they are malformed, or their checksum is another. */
export function readTlvs(bytes: Uint8Array, from: number, to: number): ProxyTlvs | null {
  if (from === to) return noTlvs
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, to)
  const values = split(header, from)
  if (values === null || !isIntact(header, values.get(TLV.crc32c))) return null
  const uniqueId = values.get(TLV.uniqueId)
  if (uniqueId !== undefined && uniqueId.length > 128) return null
  const authority = text(values, TLV.authority)
  const netns = text(values, TLV.netns)
  const ssl = readSsl(values.get(TLV.ssl))
  if (authority === undefined || netns === undefined || ssl === undefined) return null
  const alpn = values.get(TLV.alpn)?.latin1Slice() ?? null
  // What is told outlives the buffer that it was read into.
  return { alpn, authority, uniqueId: uniqueId === undefined ? null : Buffer.from(uniqueId), netns, ssl }
}

/** Each type once, but for padding. */
function split(bytes: Buffer, from: number): Map<number, Buffer> | null {
  const values = new Map<number, Buffer>()
  let at = from
  while (at + 3 <= bytes.length) {
    const type = bytes[at]!
    const end = at + 3 + bytes.readUInt16BE(at + 1)
    if (end > bytes.length || (values.has(type) && type !== TLV.noop)) return null
    values.set(type, bytes.subarray(at + 3, end))
    at = end
  }
  return at === bytes.length ? values : null
}

/** The sum is of the whole header, with zeros in its own place. */
function isIntact(header: Buffer, told: Buffer | undefined): boolean {
  if (told === undefined) return true
  if (told.length !== 4) return false
  const zeroed = Buffer.from(header)
  zeroed.fill(0, told.byteOffset - header.byteOffset, told.byteOffset - header.byteOffset + 4)
  return crc32c(zeroed) === told.readUInt32BE()
}

/** Undefined: malformed. */
function readSsl(value: Buffer | undefined): ProxySsl | null | undefined {
  if (value === undefined) return null
  const values = value.length < 5 ? null : split(value, 5)
  if (values === null) return undefined
  const version = text(values, TLV.version)
  const cipher = text(values, TLV.cipher)
  const commonName = text(values, TLV.commonName)
  const signatureAlgorithm = text(values, TLV.signatureAlgorithm)
  const keyAlgorithm = text(values, TLV.keyAlgorithm)
  if (version === undefined || cipher === undefined || commonName === undefined) return undefined
  if (signatureAlgorithm === undefined || keyAlgorithm === undefined) return undefined
  const flags = value[0]!
  if ((flags & SSL_FLAG.tls) === 0) return null
  // Without a certificate there is nothing wrong with it either.
  const hasCertificate = (flags & (SSL_FLAG.certificateHere | SSL_FLAG.certificateOfSession)) !== 0
  const verified = hasCertificate && value.readUInt32BE(1) === 0
  return { version, cipher, commonName, signatureAlgorithm, keyAlgorithm, verified }
}

/** Undefined: no text that could stand in one line. */
function text(values: ReadonlyMap<number, Buffer>, type: number): string | null | undefined {
  const value = values.get(type)
  if (value === undefined) return null
  try {
    const decoded = utf8.decode(value)
    return isLine(decoded) ? decoded : undefined
  } catch {
    return undefined
  }
}

export function isLine(value: string): boolean {
  return !/[\0-\x1f\x7f-\x9f]/.test(value)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
