/** Which listener a URL reaches: by its port, else by its scheme. */
import { formatListen } from '../net/address.ts'
import { httpListenersOf } from '../plan/http-listeners.ts'
import type { AnyListenerPlan, GatewayPlan, ListenerPlan, Plan, TcpListenerPlan } from '../plan/plan.ts'
import type { Asked } from './explanation.ts'

export interface Target {
  readonly scheme: 'http' | 'https'
  /** `example.com:8080`, as in Host. */
  readonly authority: string
  /** Null: the URL has none. */
  readonly port: number | null
  /** From the path on, as typed. */
  readonly target: string
}

/** Null for what is no URL of HTTP. A URL may lack its scheme, or be a path alone. */
export function parseTarget(url: string): Target | null {
  const [, scheme, authority = '', target = ''] = /^(?:(https?):\/\/)?([^/?#\s]*)([^#]*)/i.exec(url) ?? []
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url) && scheme === undefined) return null
  const port = /:(\d{1,5})$/.exec(authority)?.[1]
  return {
    scheme: scheme?.toLowerCase() === 'https' ? 'https' : 'http',
    authority,
    port: port === undefined ? null : Number(port),
    target: target === '' || target.startsWith('?') ? `/${target}` : target,
  }
}

export interface Choice {
  readonly listener: ListenerPlan
  readonly because: string
}

/** A sentence if there is no such listener; `passed`: what becomes of a connection in which nobody looks for requests. */
export function chooseListener(
  plan: Plan,
  target: Target,
  { listener: name, from }: Pick<Asked, 'listener' | 'from'>,
): Choice | Passed | string {
  const { scheme, port } = target
  const all = httpListenersOf(plan.listeners)
  // The port of its URL is that of the place that a request to a forward proxy names.
  const reverse = all.filter(({ forward }) => forward === null)
  const listeners = name === null && reverse.length > 0 ? reverse : all
  const wanted = port ?? (scheme === 'https' ? 443 : 80)
  const tcp = plan.listeners.find((one) => one.kind === 'tcp' && hasPort(one, wanted))
  if (tcp?.kind === 'tcp' && name === null) return inTcp(tcp, target, from)
  if (listeners.length === 0) return 'the config has no HTTP listener'
  if (name !== null) {
    const listener = listeners.find((one) => one.name === name)
    if (listener !== undefined) return { listener, because: 'it was named' }
    return `there is no listener ${name}; there ${listeners.length === 1 ? 'is' : 'are'} ${listeners.map((one) => one.name).join(', ')}`
  }
  if (reverse.length === 0) return toForwardProxy(all)
  const fits = (one: ListenerPlan): boolean => schemeOf(one) === scheme
  const onPort = listeners.filter((one) => hasPort(one, wanted))
  const exact = onPort.find(fits) ?? onPort[0]
  if (exact !== undefined) {
    const speaks = fits(exact) ? '' : `; but it speaks ${schemeOf(exact)}: ${scheme}:// to it fails before there is a request`
    return { listener: exact, because: `it listens on port ${wanted}${speaks}` }
  }
  const [first, ...others] = listeners.filter(fits)
  const nobody = port === null ? '' : `nothing listens on port ${port}; `
  if (first === undefined) return { listener: listeners[0]!, because: `${nobody}none speaks ${scheme}; this is the first` }
  const why =
    listeners.length === 1 ? 'it is the only one' : `it is the ${others.length === 0 ? 'only' : 'first'} one that speaks ${scheme}`
  return { listener: first, because: nobody + why }
}

function toForwardProxy([first, ...others]: readonly ListenerPlan[]): Choice {
  return {
    listener: first!,
    because: `requests to a forward proxy name where they go; it is the ${others.length === 0 ? 'only' : 'first'} one`,
  }
}

export function hasPort({ addresses }: AnyListenerPlan, port: number): boolean {
  return addresses.some((address) => address.kind !== 'unix' && address.port === port)
}

/** Its routes choose connections: requests are seen only behind those to HTTP. */
function inTcp(listener: TcpListenerPlan, { scheme, authority }: Target, from: string): Choice | Passed {
  return connectionTo(listener, { isTls: scheme === 'https', host: authority.replace(/:\d+$/, '').toLowerCase() }, from)
}

export interface Passed {
  /** A sentence. */
  readonly passed: string
}

/** A connection as its first bytes make it: of TLS for a host, or of something else. */
export function connectionTo(
  { name, routes, hooks, gateway }: TcpListenerPlan,
  { isTls, host }: { readonly isTls: boolean; readonly host: string },
  from: string,
): Choice | Passed {
  const route = routes.match(from, isTls ? { serverName: host, alpn: ['h2', 'http/1.1'] } : 'none')
  const what = isTls ? `TLS for ${host}` : 'what is no TLS'
  if (route === null || route === 'undecided')
    return { passed: `${name} is a TCP listener, and none of its routes takes ${what}: it is closed` }
  const { destination } = route
  if (destination.kind === 'http') return { listener: destination.listener, because: `${route.id} takes ${what}` }
  const to =
    destination.kind === 'split' ? 'a split' : destination.kind === 'original' ? 'where the client wanted to go' : destination.upstream.name
  const uses = [...hooks, ...route.hooks].map((hook) => hook.name)
  const asked = uses.length === 0 ? '' : `; before it asks ${uses.join(', ')}`
  const how = route.tls === null ? 'as it is' : 'past its TLS'
  if (gateway !== null)
    return { passed: `${name} is a gateway of FTP: ${route.id} passes commands on to ${to}, ${dataOf(gateway)}${asked}` }
  return { passed: `${name} is a TCP listener: ${route.id} passes ${what} on to ${to}, ${how}, and sees no request${asked}` }
}

function dataOf({ ports, address }: GatewayPlan): string {
  const where = ports === null ? 'any free port' : `a port from ${ports.from} to ${ports.to}`
  return `and opens ${where}${address === null ? '' : ` of ${address}`} for data`
}

export function schemeOf({ tls }: ListenerPlan): 'http' | 'https' {
  return tls === null ? 'http' : 'https'
}

export function addressesOf({ addresses }: ListenerPlan): readonly string[] {
  return addresses.map(formatListen)
}
