/** Writes headers of the PROXY protocol, such as the reader of this folder and others take. What cannot be told is not told. */
import { formatIpv4, formatIpv6, mappedIpv4, parseIpv4, parseIpv6 } from './address.ts'
import { crc32c } from './crc32c.ts'
import type { SocketAddress } from './proxy-protocol.ts'
import { isLine, SSL_FLAG, TLV } from './proxy-protocol-tlvs.ts'

/** Null: nothing known of it. */
export interface ProxyFacts {
  readonly source: SocketAddress | null
  readonly destination: SocketAddress | null
  readonly tls: ProxyTls | null
  /** The name that a client asked for whose TLS is passed on unread. */
  readonly authority?: string | null
}

interface End {
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/** Of a socket; an end without an address is a unix socket's. */
export function factsOfEnds(remote: End, own: End, tls: ProxyTls | null = null): ProxyFacts {
  return { source: addressOf(remote), destination: addressOf(own), tls }
}

function addressOf({ address, port }: End): SocketAddress | null {
  return address === undefined || port === undefined ? null : { ip: address, port }
}

export interface ProxyTls {
  readonly serverName: string | null
  readonly alpn: string | null
  /** As OpenSSL calls it: `TLSv1.3`. */
  readonly version: string | null
  readonly cipher: string | null
  /** Of a client's certificate that was verified. */
  readonly commonName: string | null
}

export function writeProxyHeader(version: 1 | 2, { source, destination, tls, authority = null }: ProxyFacts): Buffer {
  const from = placed(source)
  const to = placed(destination)
  return version === 1
    ? writeText(from, to)
    : writeBinary(from, to, tls !== null ? writeTls(tls) : canTell(authority) ? [tlv(TLV.authority, Buffer.from(authority, 'latin1'))] : [])
}

interface Placed {
  /** A number: IPv4. */
  readonly ip: number | Uint16Array
  readonly port: number
}

function placed(address: SocketAddress | null): Placed | null {
  if (address === null) return null
  const { ip, port } = address
  const v4 = parseIpv4(ip)
  if (v4 >= 0) return { ip: v4, port }
  const words = new Uint16Array(8)
  if (!parseIpv6(ip, words)) return null
  const mapped = mappedIpv4(words)
  return { ip: mapped < 0 ? words : mapped, port }
}

function writeText(from: Placed | null, to: Placed | null): Buffer {
  // Version 1 has no line for a client of one family on an address of the other.
  if (from === null || to === null || typeof from.ip !== typeof to.ip) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
  const format = (ip: number | Uint16Array): string => (typeof ip === 'number' ? formatIpv4(ip) : formatIpv6(ip))
  const family = typeof from.ip === 'number' ? 'TCP4' : 'TCP6'
  return Buffer.from(`PROXY ${family} ${format(from.ip)} ${format(to.ip)} ${from.port} ${to.port}\r\n`, 'latin1')
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const PROXY = 0x21
const STREAM = { unspecified: 0x00, ipv4: 0x11, ipv6: 0x21 }
const CHECKSUM_BYTES = 7

function writeBinary(from: Placed | null, to: Placed | null, told: readonly Buffer[]): Buffer {
  const addresses = from === null || to === null ? [] : writeAddresses(from, to)
  const family = addresses.length === 0 ? STREAM.unspecified : addresses[0]!.length === 4 ? STREAM.ipv4 : STREAM.ipv6
  const parts = [...addresses, ...told]
  const size = parts.reduce((sum, part) => sum + part.length, 0) + CHECKSUM_BYTES
  const header = Buffer.concat([SIGNATURE, Buffer.from([PROXY, family, size >> 8, size & 255]), ...parts, tlv(TLV.crc32c, Buffer.alloc(4))])
  header.writeUInt32BE(crc32c(header), header.length - 4)
  return header
}

function writeAddresses(from: Placed, to: Placed): Buffer[] {
  const isV4 = typeof from.ip === 'number' && typeof to.ip === 'number'
  return [bytesOf(from.ip, isV4), bytesOf(to.ip, isV4), word(from.port), word(to.port)]
}

/** An IPv4 address beside an IPv6 address is mapped (RFC 4291 §2.5.5.2). */
function bytesOf(ip: number | Uint16Array, isV4: boolean): Buffer {
  if (typeof ip !== 'number') return Buffer.concat(Array.from(ip, word))
  const v4 = Buffer.concat([word(ip >>> 16), word(ip & 0xffff)])
  return isV4 ? v4 : Buffer.concat([Buffer.alloc(10), word(0xffff), v4])
}

function writeTls({ serverName, alpn, version, cipher, commonName }: ProxyTls): Buffer[] {
  const texts = (...pairs: [type: number, value: string | null][]): Buffer[] =>
    pairs.flatMap(([type, value]) => (canTell(value) ? [tlv(type, Buffer.from(value))] : []))
  const isVerified = canTell(commonName)
  const flags = SSL_FLAG.tls | (isVerified ? SSL_FLAG.certificateHere : 0)
  const ssl = [
    Buffer.from([flags, 0, 0, 0, isVerified ? 0 : 1]),
    ...texts([TLV.version, version], [TLV.commonName, commonName], [TLV.cipher, cipher]),
  ]
  const protocol = canTell(alpn) ? [tlv(TLV.alpn, Buffer.from(alpn, 'latin1'))] : []
  return [...protocol, ...texts([TLV.authority, serverName]), tlv(TLV.ssl, Buffer.concat(ssl))]
}

/** A name cut short would be another name. */
function canTell(value: string | null): value is string {
  return value !== null && value.length <= 256 && value.isWellFormed() && isLine(value)
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), word(value.length), value])
}

function word(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255])
}
