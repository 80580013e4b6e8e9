/** Where the client of a connection wanted to go, before a firewall sent it here. */
import { formatIpv4, formatIpv6, mappedIpv4 } from './address.ts'
import { canonicalAddress, makeDestination, type NamedDestination } from './destination.ts'
import { getSocketOptions, ORIGINAL_DESTINATION } from './socket-options.ts'
import type { AcceptedWire } from './wire.ts'

/** `redirect`: it got another destination on its way here, and the kernel remembers the one before. `tproxy`: it still has its own. */
export type TransparentBy = 'redirect' | 'tproxy'

/** struct sockaddr_in6; sockaddr_in fits into it. */
const sockaddr = Buffer.alloc(28)
const words = new Uint16Array(8)

/** Null: it was not sent here from elsewhere, or that cannot be found out any more. */
export function originalDestination(
  wire: Pick<AcceptedWire, 'descriptor' | 'remoteAddress' | 'facts'>,
  by: TransparentBy,
): NamedDestination | null {
  const { destination } = wire.facts()
  if (destination === null) return null
  const own = makeDestination(canonicalAddress(destination.ip) ?? '', destination.port)
  if (by === 'tproxy') return own
  const isIpv4 = canonicalAddress(wire.remoteAddress)?.includes(':') === false
  const failed = getSocketOptions()?.read(wire.descriptor, ORIGINAL_DESTINATION[isIpv4 ? 'ipv4' : 'ipv6'], sockaddr) ?? -1
  if (failed !== 0) return null
  const original = isIpv4 ? readIpv4(sockaddr) : readIpv6(sockaddr)
  // Nobody has redirected what came to this very address.
  return original === null || (original.host === own?.host && original.port === own.port) ? null : original
}

/** `bytes`: of a struct sockaddr_in. */
export function readIpv4(bytes: Buffer): NamedDestination | null {
  return makeDestination(formatIpv4(bytes.readUInt32BE(4)), bytes.readUInt16BE(2))
}

/** `bytes`: of a struct sockaddr_in6. */
export function readIpv6(bytes: Buffer): NamedDestination | null {
  for (let i = 0; i < 8; i++) words[i] = bytes.readUInt16BE(8 + 2 * i)
  const mapped = mappedIpv4(words)
  return makeDestination(mapped >= 0 ? formatIpv4(mapped) : formatIpv6(words), bytes.readUInt16BE(2))
}
