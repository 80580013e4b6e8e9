/**
 * The place that a client of the forward side names: a host and a port, in the one form that rules look at and that is dialled. What two
 * readers could take for two hosts is none.
 */
import { formatHost, formatIpv4, formatIpv6, isHostName, mappedIpv4, parseIpv4, parseIpv6 } from './address.ts'

export interface NamedDestination {
  readonly kind: 'name' | 'ip'
  /** A name in lower case without the dot of the root; or an address in its canonical form, without brackets. */
  readonly host: string
  readonly port: number
}

/** `example.com:443`, `[::1]:8443`; without a port if there is a default. Null: malformed, with a user, or a port that is none. */
export function parseDestination(authority: string, defaultPort: number | null): NamedDestination | null {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._~-]{1,255}))(?::([0-9]{1,5}))?$/.exec(authority)
  if (match === null) return null
  const [, bracketed, plain, digits] = match
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port === null) return null
  if (bracketed !== undefined) return parseIpv6(bracketed, words) ? makeDestination(bracketed, port) : null
  return makeDestination(plain!, port)
}

/** Of a host that is told apart from its port; an IPv6 address without brackets, and without a zone. */
export function makeDestination(host: string, port: number): NamedDestination | null {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return null
  const address = canonicalAddress(host)
  if (address !== null) return { kind: 'ip', host: address, port }
  const name = host.toLowerCase().replace(/\.$/, '')
  if (!isHostName(name)) return null
  // A name that ends in a number is an address to some (`0x7f.1`, `127.1`), and no name to anybody (WHATWG URL, "ends in a number").
  const last = name.slice(name.lastIndexOf('.') + 1)
  return /^(?:\d+|0x[0-9a-f]*)$/.test(last) ? null : { kind: 'name', host: name, port }
}

/** `example.com:443`, `[::1]:443` */
export function formatDestination({ host, port }: NamedDestination): string {
  return `${formatHost(host)}:${port}`
}

/** One text for one address: IPv4-mapped ones as IPv4. Null for what is no address, or has a zone. */
export function canonicalAddress(text: string): string | null {
  const ipv4 = parseIpv4(text)
  if (ipv4 >= 0) return formatIpv4(ipv4)
  if (text.includes('%') || !parseIpv6(text, words)) return null
  const mapped = mappedIpv4(words)
  return mapped >= 0 ? formatIpv4(mapped) : formatIpv6(words)
}

const words = new Uint16Array(8)
