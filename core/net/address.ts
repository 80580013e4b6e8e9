/**
 * Addresses as people write them: IP literals, places to listen on, endpoints and URLs. Pure; what is not understood is null,
 * never a guess.
 */
import type { ListenAddress } from '../plan/plan.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'

/** An IPv4 address as a whole number, or -1. Four decimal parts without leading zeros: `010.0.0.1` is read in two ways elsewhere. */
export function parseIpv4(text: string, from = 0, to = text.length): number {
  let address = 0
  let part = -1
  let parts = 1
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i)
    if (code === 46) {
      if (part < 0 || parts === 4) return -1
      address = address * 256 + part
      part = -1
      parts++
      continue
    }
    const digit = code - 48
    if (digit < 0 || digit > 9 || part === 0) return -1
    part = part < 0 ? digit : part * 10 + digit
    if (part > 255) return -1
  }
  return parts === 4 && part >= 0 ? address * 256 + part : -1
}

/** Writes the eight 16-bit words of an IPv6 address (RFC 4291 §2.2) and says whether it is one. A zone (`%eth0`) is left out. */
export function parseIpv6(text: string, words: Uint16Array): boolean {
  const zone = text.indexOf('%')
  const end = zone < 0 ? text.length : zone
  let count = 0
  let gap = -1
  let at = 0
  if (text.startsWith('::')) {
    gap = 0
    at = 2
  }
  while (at < end) {
    if (count === 8) return false
    const stop = wordEnd(text, at, end)
    if (stop < end && text.charCodeAt(stop) === 46) {
      const address = parseIpv4(text, at, end)
      if (address < 0 || count > 6) return false
      words[count++] = address / 65536
      words[count++] = address % 65536
      at = end
      break
    }
    const word = parseHex(text, at, stop)
    if (word < 0) return false
    words[count++] = word
    at = stop
    if (at === end) break
    if (text.charCodeAt(at) !== 58) return false
    at++
    if (text.charCodeAt(at) === 58 && at < end) {
      if (gap >= 0) return false
      gap = count
      at++
    } else if (at === end) return false
  }
  return spread(words, count, gap)
}

export function isIp(text: string): boolean {
  return parseIpv4(text) >= 0 || parseIpv6(text, scratch)
}

/** The IPv4 address in `::ffff:0:0/96` (RFC 4291 §2.5.5.2) as a whole number, or -1. */
export function mappedIpv4(words: Uint16Array): number {
  for (let i = 0; i < 5; i++) if (words[i] !== 0) return -1
  return words[5] === 0xffff ? words[6]! * 65536 + words[7]! : -1
}

/** As dotted decimals. */
export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`
}

/** RFC 5952 §4: lower case, the first of the longest runs of zeros shortened. */
export function formatIpv6(words: Uint16Array): string {
  let [gap, gapLength] = [-1, 1]
  for (let at = 0; at < 8; at++) {
    let length = 0
    while (at + length < 8 && words[at + length] === 0) length++
    if (length > gapLength) [gap, gapLength] = [at, length]
    at += length
  }
  const hex = Array.from(words, (word) => word.toString(16))
  return gap < 0 ? hex.join(':') : `${hex.slice(0, gap).join(':')}::${hex.slice(gap + gapLength).join(':')}`
}

/** `8080`, `':8080'`, `'127.0.0.1:8080'`, `'[::1]:8080'`, `'localhost:8080'`, `'unix:/run/x.sock'`; null if it is none of them. */
export function parseListen(text: string | number, kind: 'tcp' | 'udp' = 'tcp'): ListenAddress | null {
  if (typeof text === 'number') return isPort(text, 0) ? { kind, host: null, port: text } : null
  if (text.startsWith('unix:')) return text.length > 5 ? { kind: 'unix', path: text.slice(5) } : null
  if (/^\d+$/.test(text)) return parseListen(Number(text), kind)
  const parts = splitPort(text)
  if (parts === null || parts.port === null || !isPort(parts.port, 0)) return null
  if (parts.host === '' || parts.host === '*') return { kind, host: null, port: parts.port }
  return isIp(parts.host) || isHostName(parts.host) ? { kind, host: parts.host, port: parts.port } : null
}

/** How an address is written in logs and messages: `:8080`, `[::1]:8080`, `:53/udp`, `unix:/run/x.sock`. */
export function formatListen(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return `${formatHost(address.host ?? '')}:${address.port}${address.kind === 'udp' ? '/udp' : ''}`
}

/** An IPv6 address in brackets, everything else as it is. */
export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

export interface Endpoint {
  readonly target: EndpointPlan['target']
  readonly tls: boolean
  /** What a Host field would say; the default port of the scheme is left out. */
  readonly authority: string
}

/**
 * `'127.0.0.1:3000'`, `'name:3000'`, `'[::1]:3000'`, `'unix:/run/x.sock'`, `'http://name'`, `'https://name:8443'`, `'tcp://name:443'`. The port may be
 * left out only where a scheme gives it. A URL with a path, query or user is refused: an endpoint is a place, not a resource.
 */
export function parseEndpoint(text: string): Endpoint | null {
  if (text.startsWith('unix:')) {
    return text.length > 5 ? { target: { kind: 'unix', path: text.slice(5) }, tls: false, authority: 'localhost' } : null
  }
  const scheme = /^(https?|tcp):\/\//i.exec(text)?.[1]?.toLowerCase()
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3).replace(/\/$/, '')
  const parts = splitPort(rest)
  if (parts === null) return null
  const defaultPort = scheme === 'https' ? 443 : scheme === 'http' ? 80 : null
  const port = parts.port ?? defaultPort
  if (port === null || !isPort(port, 1)) return null
  const host = parts.host.toLowerCase()
  const kind = isIp(host) ? 'ip' : isHostName(host) ? 'name' : null
  if (kind === null) return null
  const authority = port === defaultPort ? formatHost(host) : `${formatHost(host)}:${port}`
  return { target: { kind, host, port }, tls: scheme === 'https', authority }
}

/** A DNS name (RFC 1123 §2.1), with `_` as names of services have it. */
export function isHostName(text: string): boolean {
  return text.length <= 253 && /^(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?$/i.test(text) && !/^[\d.]+$/.test(text)
}

const scratch = new Uint16Array(8)

function wordEnd(text: string, from: number, end: number): number {
  let at = from
  while (at < end && text.charCodeAt(at) !== 58 && text.charCodeAt(at) !== 46) at++
  return at
}

function parseHex(text: string, from: number, to: number): number {
  if (to === from || to - from > 4) return -1
  let word = 0
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i)
    const lower = code | 32
    const digit = code >= 48 && code <= 57 ? code - 48 : lower >= 97 && lower <= 102 ? lower - 87 : -1
    if (digit < 0) return -1
    word = word * 16 + digit
  }
  return word
}

/** Moves what follows `::` to the end and fills the gap with zeros. */
function spread(words: Uint16Array, count: number, gap: number): boolean {
  if (gap < 0) return count === 8
  if (count > 7) return false
  words.copyWithin(8 - (count - gap), gap, count)
  words.fill(0, gap, 8 - (count - gap))
  return true
}

function splitPort(text: string): { host: string; port: number | null } | null {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text)
  if (match === null) return null
  const [, bracketed, plain, port] = match
  if (bracketed !== undefined && !parseIpv6(bracketed, scratch)) return null
  return { host: bracketed ?? plain ?? '', port: port === undefined ? null : Number(port) }
}

function isPort(port: number, lowest: number): boolean {
  return Number.isInteger(port) && port >= lowest && port <= 65535
}
