/**
 * Who the client is, and what endpoints are told of it. Only a trusted peer's `X-Forwarded-*` count; everybody else's, and their
 * twins with underscores, are replaced, so that no client can choose its own address.
 */
import { isIP } from 'node:net'
import type { CidrSet } from '../net/cidr.ts'
import type { RequestHead } from '../net/http1/head.ts'

/** An address as the socket tells it, IPv4-mapped ones as IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** The rightmost address of `X-Forwarded-For` that is not trusted; the peer's own unless the peer is trusted. */
export function clientAddress(head: RequestHead, peer: string, trust: CidrSet | null): string {
  if (trust === null || !head.hasIdentity || !trust.has(peer)) return peer
  const chain = head.get('x-forwarded-for')
  if (chain === null) return peer
  let client = peer
  for (const part of chain.split(',').reverse()) {
    const address = plainAddress(part.trim())
    // What is not an address was not written by a proxy: whoever stands before it is the last that can be known.
    if (isIP(address) === 0) return client
    client = address
    if (!trust.has(address)) return client
  }
  return client
}

/** A line that may be a twin: `X_…`, or an underscore further on. */
const TWIN = /^x(?:_|-(?:forwarded|real)[a-z-]*_)/im
const DROPPED = /^(?:x[-_]forwarded(?:[-_][a-z]+)*|x[-_]real[-_]ip|forwarded|client[-_]cert(?:[-_]chain)?)$/i
/** Whose word for them counts is not known: a proxy that does not write them lets the client's pass (RFC 9440 §4). */
const CERTIFICATE = /^client[-_]cert(?:[-_]chain)?$/i

/** Takes out what a peer without trust says about who it speaks for. */
export function dropIdentity(head: RequestHead): void {
  drop(head, (name) => DROPPED.test(name))
}

function drop(head: RequestHead, isDropped: (name: string) => boolean): void {
  const names: string[] = []
  head.forEach((name) => {
    if (isDropped(name)) names.push(name)
  })
  for (const name of names) head.delete(name)
}

export interface Hop {
  readonly peer: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  /** How the request came, for Via (RFC 9110 §7.6.3). */
  readonly version: '1.0' | '1.1' | '2.0'
  /** Pseudonym for Via; null: none. */
  readonly via: string | null
  /** Also RFC 7239. */
  readonly forwarded: boolean
}

/** The lines that tell of this hop, for a request that carries none: the same for a whole connection. */
export function hopLines(hop: Hop): string {
  const lines = `X-Forwarded-For: ${named(hop.peer)}\r\nX-Forwarded-Proto: ${hop.scheme}\r\n${hop.host === '' ? '' : `X-Forwarded-Host: ${hop.host}\r\n`}`
  const via = hop.via === null ? '' : `Via: ${hop.version} ${hop.via}\r\n`
  return lines + via + (hop.forwarded ? `Forwarded: ${forwardedElement(hop)}\r\n` : '')
}

/** For a request from a trusted proxy: its chain goes on, one element longer. */
export function extendIdentity(head: RequestHead, hop: Hop): void {
  // No proxy writes the twins: they are the client's, and endpoints that read `-` and `_` alike would join them to the chain.
  if (head.hasIdentity && TWIN.test(head.lines())) drop(head, (name) => name.includes('_') && DROPPED.test(name))
  drop(head, (name) => CERTIFICATE.test(name))
  const chain = head.get('x-forwarded-for')
  head.set('X-Forwarded-For', chain === null ? named(hop.peer) : `${chain}, ${named(hop.peer)}`)
  if (!head.has('x-forwarded-proto')) head.set('X-Forwarded-Proto', hop.scheme)
  if (!head.has('x-forwarded-host') && hop.host !== '') head.set('X-Forwarded-Host', hop.host)
  if (hop.via !== null) head.append('Via', `${hop.version} ${hop.via}`)
  if (!hop.forwarded) return
  const before = head.get('forwarded')
  head.set('Forwarded', before === null ? forwardedElement(hop) : `${before}, ${forwardedElement(hop)}`)
}

/** RFC 7239 §4; IPv6 in brackets and quotes (§6). */
function forwardedElement(hop: Hop): string {
  const node = hop.peer.includes(':') ? `"[${hop.peer}]"` : named(hop.peer)
  return `for=${node};proto=${hop.scheme}${hop.host === '' ? '' : `;host="${hop.host}"`}`
}

/** Who comes by a unix socket has no address (RFC 7239 §6.2). */
function named(peer: string): string {
  return peer === '' ? 'unknown' : peer
}
