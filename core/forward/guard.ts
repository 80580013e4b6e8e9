/**
 * The guard on addresses that are dialled for clients of the forward side: what belongs to the machine itself, its links or its cloud is
 * refused, however it is written, until the config opens it. It is asked about the very address that is dialled next.
 */
import { formatIpv4, mappedIpv4, parseIpv4, parseIpv6 } from '../net/address.ts'
import { CidrSet } from '../net/cidr.ts'

/** Null: it may be dialled; else what it is, for the log: `127.0.0.1 is loopback`. `isMeant`: the config names that very address. */
export type Guard = (address: string, port: number, isMeant?: boolean) => string | null

export interface GuardOptions {
  /** `allow.networks`; null: nothing. */
  readonly opened: CidrSet | null
  /** Whether an address is one of this machine's. */
  isOwn(address: string): boolean
  /** Whether this proxy itself listens there for clients of its forward side: nothing opens that. */
  listens(address: string, port: number): boolean
}

export function makeGuard({ opened, isOwn, listens }: GuardOptions): Guard {
  return (address, port, isMeant = false) => {
    if (listens(embeddedIpv4(address) ?? address, port)) return `${address} at port ${port} is this proxy itself`
    if (isMeant || opened?.has(address) === true) return null
    const kind = kindOf(address) ?? (isOwn(address) ? "one of this machine's own" : null)
    if (kind !== null) return `${address} is ${kind}`
    const inner = embeddedIpv4(address)
    if (inner === null) return null
    const innerKind = kindOf(inner) ?? (isOwn(inner) ? "one of this machine's own" : null)
    return innerKind === null ? null : `${address} leads to ${inner}, which is ${innerKind}`
  }
}

const refused: readonly (readonly [kind: string, networks: CidrSet])[] = [
  ['unspecified', new CidrSet(['0.0.0.0/8', '::/128'])],
  ['loopback', new CidrSet(['127.0.0.0/8', '::1'])],
  // Of clouds: Amazon (and most others, in the next row too), Alibaba, Oracle, Azure; Amazon and Google by IPv6.
  ['metadata', new CidrSet(['169.254.169.254', '100.100.100.200', '192.0.0.192', '168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254'])],
  // RFC 3927; RFC 4291 §2.5.6 and §2.5.7, the latter deprecated.
  ['link-local', new CidrSet(['169.254.0.0/16', 'fe80::/10', 'fec0::/10'])],
  ['multicast or broadcast', new CidrSet(['224.0.0.0/4', '255.255.255.255', 'ff00::/8'])],
  // RFC 8215: where in them an IPv4 address stands is known to the network alone.
  ['of a local NAT64', new CidrSet(['64:ff9b:1::/48'])],
]

function kindOf(address: string): string | null {
  for (const [kind, networks] of refused) if (networks.has(address)) return kind
  return null
}

/** One that stands for this machine whatever its interfaces are. */
export function isLoopbackAddress(address: string): boolean {
  return THIS_MACHINE.has(address)
}

const THIS_MACHINE = new CidrSet(['0.0.0.0/8', '::/128', '127.0.0.0/8', '::1'])

/** The IPv4 address that an IPv6 address leads to by a translator or a tunnel; null if there is none. Mapped ones are IPv4 already. */
export function embeddedIpv4(address: string): string | null {
  if (parseIpv4(address) >= 0 || !parseIpv6(address, words) || mappedIpv4(words) >= 0) return null
  const [a, b, c, d, e, f, g, h] = words as unknown as readonly [number, number, number, number, number, number, number, number]
  const at = (high: number, low: number): string => formatIpv4(high * 65536 + low)
  const isZero = (...parts: readonly number[]): boolean => parts.every((part) => part === 0)
  // NAT64 (RFC 6052 §2.1).
  if (a === 0x64 && b === 0xff9b && isZero(c, d, e, f)) return at(g, h)
  // IPv4-compatible (RFC 4291 §2.5.5.1) and IPv4-translated (RFC 2765 §2.1).
  if (isZero(a, b, c, d) && (isZero(e, f) || (e === 0xffff && f === 0))) return at(g, h)
  // 6to4 (RFC 3056 §2).
  if (a === 0x2002) return at(b, c)
  // Teredo (RFC 4380 §4): the client's, every bit inverted.
  if (a === 0x2001 && b === 0) return at(g ^ 0xffff, h ^ 0xffff)
  // ISATAP (RFC 5214 §6.1).
  return (e === 0 || e === 0x200) && f === 0x5efe ? at(g, h) : null
}

const words = new Uint16Array(8)
