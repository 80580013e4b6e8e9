/** What exchanges of a forward listener share, and what is done to a request because of who may know of its client. */

import type { Refusal, Use } from '../forward/access.ts'
import type { Blocks } from '../forward/blocks.ts'
import type { Guard } from '../forward/guard.ts'
import { type Parent, parentLine } from '../forward/parent.ts'
import type { Who } from '../forward/times.ts'
import type { NamedDestination } from '../net/destination.ts'
import { findLine, trimmed } from '../net/http1/fields.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { ForwardPlan } from '../plan/forward-plan.ts'
import type { Passwords } from '../policy/passwords.ts'
import type { UserLimits } from '../policy/user-limits.ts'
import type { Origination } from '../upstream/dial.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { dropIdentity, type Hop, hopLines } from './identity.ts'
import type { Interception } from './interception.ts'

export interface Forwarding {
  readonly plan: ForwardPlan
  readonly guard: Guard
  /** Null: nobody is asked who it is. */
  readonly passwords: Passwords | null
  /** Null: nothing is blocked. */
  readonly blocks: Blocks | null
  /** Null: nobody is limited. */
  readonly limits: UserLimits | null
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Null: no tunnel ends here. */
  readonly interception: Interception | null
  /** Directly, or by a tunnel of a parent's. `tls`: as the client of a place; null: what is said there is not this proxy's. */
  upstreamTo(destination: NamedDestination, tls: Origination | null): Upstream
  /** For a request of plain HTTP: HTTP parents take it by its whole URL. */
  upstreamAsking(destination: NamedDestination): Upstream
}

/** The request as an HTTP parent is asked: by its whole URL; or, `null`, as a place is. Returns the lines that go with it. */
export function askParent(head: RequestHead, parent: Parent | null): string {
  head.origin = parent === null ? '' : `http://${head.host}`
  return parent === null ? '' : parentLine(parent)
}

/** Null: it may be reached, as far as that can be told by what the client names. */
export function refusalOf(forward: Forwarding, destination: NamedDestination, use: Use, who: Who): Refusal | null {
  const { plan, guard, blocks } = forward
  return (
    plan.access.refuseDestination(destination, use, guard) ??
    blockedBy(blocks, destination.host) ??
    (plan.times === null ? null : plan.times.refuse(destination.host, who, forward.clock()))
  )
}

/** The same of what TLS inside of a tunnel to there asks for. An address that may be reached stands for whatever is there. */
export function refusalInside(forward: Forwarding, { kind, host }: NamedDestination, name: string, who: Who): Refusal | null {
  if (name === host) return null
  const { plan, blocks } = forward
  return (
    (kind === 'ip' ? null : plan.access.refuseHost(name)) ??
    blockedBy(blocks, name) ??
    (plan.times === null ? null : plan.times.refuse(name, who, forward.clock()))
  )
}

export function blockedBy(blocks: Blocks | null, host: string): Refusal | null {
  const blocked = blocks === null ? null : blocks(host)
  return blocked === null ? null : { code: 'host_blocked', detail: `${blocked.rule} in ${blocked.list}` }
}

/** The one Proxy-Authorization that came, although it ends here; null if there is none, or more than one. */
export function proxyAuthorization(head: RequestHead): string | null {
  const text = head.received
  const from = text.indexOf('\r\n') + 2
  const at = findLine(text, from, text.length, NAME)
  if (at < 0) return null
  const end = text.indexOf('\r', at)
  return findLine(text, end + 2, text.length, NAME) < 0 ? trimmed(text, at + NAME.length + 1, end) : null
}

const NAME = 'proxy-authorization'

/** Whether the request has been here before (RFC 9110 §7.6.3). `name`: that of this listener in Via. */
export function hasPassed(head: RequestHead, name: string): boolean {
  const via = head.get('via')
  if (via?.includes(name) !== true) return false
  return via.split(',').some((element) => /^\s*\S+\s+([^\s(]+)/.exec(element)?.[1] === name)
}

/** Fields that tell of a client, or of proxies before, beside those that `dropIdentity` knows. */
const TELLTALES =
  /^(?:via|(?:true-|x-|x-cluster-|fastly-|proxy-|wl-proxy-|x-original-)?client-?ip|cf-connecting-ip|x-(?:originating|remote)-(?:ip|addr)|x-(?:client|host|proxyuser|envoy-external)-(?:ip|address)|proxy-(?:id|user|host)|x-proxy-[a-z-]+|x-bluecoat-[a-z-]+|forwarded-for(?:-ip)?)$/i

/** Takes out what the origin is not to learn. The client's own word for who it is counts nowhere. */
export function hideClient(head: RequestHead, anonymity: ForwardPlan['anonymity']): void {
  if (head.hasIdentity) dropIdentity(head)
  if (anonymity === 'none') return
  const names = new Set<string>()
  head.forEach((name) => {
    if (TELLTALES.test(name)) names.add(name.toLowerCase())
  })
  // RFC 9110 §7.6.3: who tells of itself keeps the chain.
  if (anonymity === 'anonymous') names.delete('via')
  for (const name of names) head.delete(name)
}

/** The lines that tell of this hop. */
export function forwardLines(hop: Hop, anonymity: ForwardPlan['anonymity']): string {
  if (anonymity === 'high') return ''
  return anonymity === 'none' ? hopLines({ ...hop, forwarded: false }) : `Via: ${hop.version} ${hop.via}\r\n`
}
