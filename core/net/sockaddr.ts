/** Addresses as the kernel writes them: struct sockaddr_in, and sockaddr_in6, which is the larger of the two. Those that are mapped are of IPv4. */
import { formatIpv4, formatIpv6, mappedIpv4 } from './address.ts'

export const SOCKADDR_BYTES = 28
const AF_INET = 2
const AF_INET6 = 10

/** Of one end of a connection; without an address: of a unix socket. */
export interface Peer {
  address?: string
  port?: number
}

export function readSockaddr(bytes: Buffer): Peer {
  const family = bytes.readUInt16LE(0)
  if (family !== AF_INET && family !== AF_INET6) return {}
  return { address: family === AF_INET ? formatIpv4(bytes.readUInt32BE(4)) : ipv6At(bytes, 8), port: bytes.readUInt16BE(2) }
}

const words = new Uint16Array(8)

export function ipv6At(bytes: Buffer, at: number): string {
  for (let i = 0; i < 8; i++) words[i] = bytes.readUInt16BE(at + 2 * i)
  const mapped = mappedIpv4(words)
  return mapped >= 0 ? formatIpv4(mapped) : formatIpv6(words)
}
