/** What becomes of clients that ask by no request: of UDP, of TCP, and of SOCKS. `udp://example.com:443`, `tls://example.com:8443`, `socks5://example.com:443`. */
import { isIp } from '../net/address.ts'
import { formatDestination, parseDestination } from '../net/destination.ts'
import { ownPlacesOf } from '../plan/forward-listeners.ts'
import type { ForwardPlan } from '../plan/forward-plan.ts'
import type { AnyListenerPlan, Plan, TcpListenerPlan, UdpListenerPlan } from '../plan/plan.ts'
import { placesOf } from '../upstream/places.ts'
import type { AccessCheck, Asked } from './explanation.ts'
import { explainTunnel } from './forward.ts'
import { connectionTo, hasPort } from './listener.ts'
import { clean } from './shown.ts'

const FORM = /^(udp|tcp|tls|socks|socks4a?|socks5h?):\/\/([^/?#\s]*?)(?::(\d{1,5}))?\/?$/i

interface Question extends Pick<Asked, 'from' | 'listener'> {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly scheme: string
  readonly host: string
  /** Null: none was named. */
  readonly port: number | null
}

/** `access`: rules as far as they were asked; null: there are none. */
export type PassedOn = { readonly passed: string; readonly access: readonly AccessCheck[] | null } | { readonly wrong: string }

export function isPassedOn(url: string): boolean {
  return /^(?:udp|tcp|tls|socks[45]?[ah]?):/i.test(url)
}

export async function explainPassed(plan: Plan, { url, from, listener, at = Date.now() }: Asked): Promise<PassedOn> {
  const [, scheme, host = '', digits] = FORM.exec(url) ?? []
  if (scheme === undefined)
    return { wrong: `${clean(url)} names no place: udp://name:443, tcp://:5432, tls://name:443 and socks5://name:443 do` }
  const question = {
    from,
    listener,
    at,
    scheme: scheme.toLowerCase(),
    host: host.toLowerCase(),
    port: digits === undefined ? null : Number(digits),
  }
  if (question.scheme.startsWith('socks')) return explainSocks(plan, question)
  if (question.scheme === 'udp') {
    const found = listenerOf(
      plan.listeners.filter((one) => one.kind === 'udp'),
      'UDP',
      question,
    )
    return typeof found === 'string' ? { wrong: found } : { passed: datagrams(found, question), access: null }
  }
  const found = listenerOf(
    plan.listeners.filter((one) => one.kind === 'tcp'),
    'TCP',
    question,
  )
  return typeof found === 'string' ? { wrong: found } : { passed: connection(found, question), access: null }
}

/** The one that is named, or has that port, or is the first. A sentence if there is none. */
function listenerOf<T extends AnyListenerPlan>(all: readonly T[], kind: string, { listener: name, port }: Question): T | string {
  if (all.length === 0) return `the config has no ${kind} listener`
  if (name !== null)
    return (
      all.find((one) => one.name === name) ?? `there is no ${kind} listener ${name}; there are ${all.map((one) => one.name).join(', ')}`
    )
  if (port === null) return all[0]!
  return all.find((one) => hasPort(one, port)) ?? `no ${kind} listener listens on port ${port}`
}

function datagrams(listener: UdpListenerPlan, { host, from }: Question): string {
  const isQuic = host !== '' && !isIp(host.replace(/^\[|\]$/g, ''))
  const decided = listener.routes.match(from, null)
  const needsName = decided === 'undecided'
  const route = needsName ? listener.routes.match(from, isQuic ? { serverName: host, alpn: ['h3'] } : 'none') : decided
  const what = needsName && isQuic ? `QUIC for ${host} from ${from}` : needsName ? `what is no QUIC from ${from}` : `datagrams from ${from}`
  if (route === null || route === 'undecided')
    return `${listener.name} is a UDP listener, and none of its routes takes ${what}: they are dropped`
  const { upstream, endpoints } = placesOf(route.destination, from)
  const [first, ...others] = endpoints.map(({ address }) => address)
  const then = others.length === 0 ? '' : `, and where nobody listens there, to ${others.join(', ')}`
  const to = first === undefined ? `${upstream}, to nowhere: every weight is 0` : first === upstream ? first : `${upstream}, to ${first}`
  return `${listener.name} is a UDP listener: ${route.id} passes ${what} on to ${to}${then}`
}

function connection(listener: TcpListenerPlan, { scheme, host, from }: Question): string {
  const found = connectionTo(listener, { isTls: scheme === 'tls', host }, from)
  if ('passed' in found) return found.passed
  return `${listener.name} is a TCP listener: ${found.because}, and finds requests in it; ask about one: sluice explain GET ${scheme === 'tls' ? 'https' : 'http'}://${host || 'example.com'}/`
}

async function explainSocks(plan: Plan, question: Question): Promise<PassedOn> {
  const { listener: name, host, port, scheme, from, at } = question
  const all = plan.listeners.flatMap((one): (Pick<AnyListenerPlan, 'name' | 'addresses'> & { readonly forward: ForwardPlan })[] => {
    const socks = one.kind === 'socks' ? one : one.kind === 'http' ? one.socks : null
    return socks === null ? [] : [{ name: one.name, addresses: one.addresses, forward: socks.forward }]
  })
  const found = name === null ? all[0] : all.find((one) => one.name === name)
  if (found === undefined)
    return { wrong: name === null ? 'the config has no listener that speaks SOCKS' : `there is no listener ${name} that speaks SOCKS` }
  const destination = port === null ? null : parseDestination(`${host}:${port}`, null)
  if (destination === null) return { wrong: 'what a client of SOCKS asks for is a host and a port: socks5://example.com:443' }
  const { checks, refused } = await explainTunnel(found.forward, { destination, ip: from, at, listens: ownPlacesOf(plan) })
  const version = scheme.startsWith('socks4') ? 'SOCKS4' : 'SOCKS5'
  // RFC 1928 §6; of version 4 there is one for all.
  const answer =
    refused === 'client_refused' ? 'is reset, without an answer' : version === 'SOCKS5' ? 'is answered with reply 2' : 'is rejected'
  const end = refused === null ? 'is connected, as far as can be told before it is dialled' : `${answer}: ${refused}`
  return { passed: `${found.name} speaks SOCKS: ${version} to ${formatDestination(destination)} from ${from} ${end}`, access: checks }
}
