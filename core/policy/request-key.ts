/** By what requests are told apart where they are counted: the client's address, a field, a cookie, or what a function says. */
import type { RequestKey } from '../dsl/traffic-policies.ts'
import type { HookCall } from '../hooks.ts'
import { formatIpv4, formatIpv6, mappedIpv4, parseIpv6 } from '../net/address.ts'
import { cookieOf, makeRequestView } from '../request-view.ts'

/** Null: it does not count. */
export type KeyOf = (call: Pick<HookCall, 'request' | 'ip'>) => string | null

export function keyOf(key: RequestKey): KeyOf {
  if (key === 'ip') return ({ ip }) => networkOf(ip)
  if (typeof key === 'function') return ({ request, ip }) => checked(key(makeRequestView(request, ip)))
  if ('header' in key) {
    const name = key.header.toLowerCase()
    return ({ request, ip }) => valueOr(request.get(name), ip)
  }
  return ({ request, ip }) => valueOr(cookieOf(request, key.cookie), ip)
}

export function describeKey(key: RequestKey): string {
  if (key === 'ip') return 'a client'
  if (typeof key === 'function') return 'a key of your own'
  return 'header' in key ? `a value of ${key.header}` : `a value of the cookie ${key.cookie}`
}

/** Who has no value counts by the address: leaving it out is no way around. */
function valueOr(value: string | null, ip: string): string {
  return value === null || value === '' ? networkOf(ip) : `=${value}`
}

function checked(key: unknown): string | null {
  if (key === null || key === undefined) return null
  if (typeof key === 'string') return `=${key}`
  throw new TypeError(`a key is text or null, not ${typeof key}`)
}

const words = new Uint16Array(8)

/** An IPv4 address as it is; of an IPv6 address the network /64, for a client has all of one. */
export function networkOf(ip: string): string {
  if (!ip.includes(':') || !parseIpv6(ip, words)) return ip
  const mapped = mappedIpv4(words)
  if (mapped >= 0) return formatIpv4(mapped)
  words.fill(0, 4)
  return formatIpv6(words)
}
