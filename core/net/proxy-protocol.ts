/**
 * The PROXY protocol, versions 1 and 2 (proxy-protocol.txt of HAProxy): what the proxy in front of us says of a connection, before its
 * first byte. Strict, and never read in part: whoever is trusted to send it, sends it right.
 */
import { formatIpv4, formatIpv6, mappedIpv4, parseIpv4, parseIpv6 } from './address.ts'
import { noTlvs, type ProxyTlvs, readTlvs } from './proxy-protocol-tlvs.ts'

export type { ProxySsl, ProxyTlvs } from './proxy-protocol-tlvs.ts'
export { writeProxyHeader } from './proxy-protocol-writer.ts'

export interface SocketAddress {
  /** As RFC 5952 writes it; an IPv4-mapped address is the IPv4 address it holds. */
  readonly ip: string
  readonly port: number
}

export interface ProxyHeader {
  /** Where the connection's own bytes begin. */
  readonly end: number
  /** Told nothing (LOCAL, UNKNOWN, UNSPEC): the addresses are those of the socket. */
  readonly isLocal: boolean
  /** UDP, or datagrams of a unix socket. */
  readonly isDatagram: boolean
  /** Null where it is local, and for unix sockets. */
  readonly source: SocketAddress | null
  readonly destination: SocketAddress | null
  readonly tlvs: ProxyTlvs
}

export const MAX_HEADER_BYTES = 4096

/** What bytes [0, length) begin with; null: more bytes are needed, which are never more than MAX_HEADER_BYTES. */
export function readProxyHeader(bytes: Uint8Array, length: number): ProxyHeader | null | 'malformed' {
  if (length === 0) return null
  const isText = bytes[0] === V1_START[0]
  const start = isText ? V1_START : V2_SIGNATURE
  for (let i = Math.min(length, start.length) - 1; i >= 0; i--) if (bytes[i] !== start[i]) return 'malformed'
  if (length < start.length) return null
  return isText ? readText(bytes, length) : readBinary(bytes, length)
}

const V1_START = Buffer.from('PROXY ', 'latin1')
const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** With its CRLF, as the specification gives it. */
const V1_MAX_BYTES = 107
const CR = 13
const LF = 10

function readText(bytes: Uint8Array, length: number): ProxyHeader | null | 'malformed' {
  let end = V1_START.length
  while (end < length && end < V1_MAX_BYTES && isPrintable(bytes[end]!)) end++
  if (end > V1_MAX_BYTES - 2) return 'malformed'
  if (end === length) return null
  if (bytes[end] !== CR) return 'malformed'
  if (end + 1 === length) return null
  if (bytes[end + 1] !== LF) return 'malformed'
  return readLine(Buffer.prototype.latin1Slice.call(bytes, V1_START.length, end), end + 2)
}

function readLine(line: string, end: number): ProxyHeader | 'malformed' {
  if (line === 'UNKNOWN' || line.startsWith('UNKNOWN ')) return local(end, noTlvs)
  const [family, from, to, fromPort, toPort, ...rest] = line.split(' ')
  if ((family !== 'TCP4' && family !== 'TCP6') || rest.length > 0) return 'malformed'
  const source = addressOf(family, from, fromPort)
  const destination = addressOf(family, to, toPort)
  if (source === null || destination === null) return 'malformed'
  return { end, isLocal: false, isDatagram: false, source, destination, tlvs: noTlvs }
}

function addressOf(family: 'TCP4' | 'TCP6', ip = '', port = ''): SocketAddress | null {
  if (!/^(0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65_535) return null
  if (family === 'TCP4') return parseIpv4(ip) < 0 ? null : { ip, port: Number(port) }
  // A zone means something on one machine only.
  return parseIpv6(ip, words) && !ip.includes('%') ? { ip: plainIpv6(words), port: Number(port) } : null
}

const V2_HEADER_BYTES = 16
/** Bytes of the two addresses and their ports: unspecified, IPv4, IPv6, unix. */
const ADDRESS_BYTES = [0, 12, 36, 216]

function readBinary(bytes: Uint8Array, length: number): ProxyHeader | null | 'malformed' {
  const command = length > 12 ? bytes[12]! : 0x20
  if (command !== 0x20 && command !== 0x21) return 'malformed'
  const isLocal = command === 0x20
  if (length > 13 && !isLocal && !isTransport(bytes[13]!)) return 'malformed'
  if (length < V2_HEADER_BYTES) return null
  const family = bytes[13]! >> 4
  const end = V2_HEADER_BYTES + ((bytes[14]! << 8) | bytes[15]!)
  // Whatever stands in a local one is not to be looked at.
  const tlvsAt = V2_HEADER_BYTES + (isLocal ? 0 : ADDRESS_BYTES[family]!)
  if (end > MAX_HEADER_BYTES || tlvsAt > end) return 'malformed'
  if (length < end) return null
  if (isLocal) return local(end, noTlvs)
  const tlvs = readTlvs(bytes, tlvsAt, end)
  if (tlvs === null) return 'malformed'
  if (family === 0) return local(end, tlvs)
  const isDatagram = (bytes[13]! & 15) === 2
  return { end, isLocal: false, isDatagram, ...addressesOf(family, bytes), tlvs }
}

/** Families 0 to 3 over streams or datagrams; over nothing told only where the family is not either. */
function isTransport(byte: number): boolean {
  const transport = byte & 15
  return byte >> 4 <= 3 && transport <= 2 && (transport > 0 || byte === 0)
}

function addressesOf(family: number, bytes: Uint8Array): Pick<ProxyHeader, 'source' | 'destination'> {
  const word = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
  if (family === 1) {
    const address = (at: number, portAt: number): SocketAddress => ({
      ip: formatIpv4((word(at) << 16) | word(at + 2)),
      port: word(portAt),
    })
    return { source: address(16, 24), destination: address(20, 26) }
  }
  if (family === 2) {
    const address = (at: number, portAt: number): SocketAddress => {
      for (let i = 0; i < 8; i++) words[i] = word(at + i * 2)
      return { ip: plainIpv6(words), port: word(portAt) }
    }
    return { source: address(16, 48), destination: address(32, 50) }
  }
  return { source: null, destination: null }
}

function local(end: number, tlvs: ProxyTlvs): ProxyHeader {
  return { end, isLocal: true, isDatagram: false, source: null, destination: null, tlvs }
}

const words = new Uint16Array(8)

function plainIpv6(address: Uint16Array): string {
  const mapped = mappedIpv4(address)
  return mapped < 0 ? formatIpv6(address) : formatIpv4(mapped)
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f
}
