/** Where the client of a connection wanted to go, before a firewall sent it here. */
import { formatIpv4 } from './address.ts'
import { canonicalAddress, makeDestination, type NamedDestination } from './destination.ts'
import { ipv6At, SOCKADDR_BYTES } from './sockaddr.ts'
import { getSocketOptions, ORIGINAL_DESTINATION } from './socket-options.ts'
import type { AcceptedWire } from './wire.ts'

/** `redirect`: it got another destination on its way here, and the kernel remembers the one before. `tproxy`: it still has its own. */
export type TransparentBy = 'redirect' | 'tproxy'

const sockaddr = Buffer.alloc(SOCKADDR_BYTES)

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
  return makeDestination(ipv6At(bytes, 8), bytes.readUInt16BE(2))
}
