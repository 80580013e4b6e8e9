/**
 * What a config says, part by part, each as a name and a fingerprint: little enough to keep beside a plan, and all that is needed to
 * tell later what another one changed (difference.ts).
 */
import { hash } from 'node:crypto'
import { dataOf } from '../config/data.ts'
import { routeId } from '../config/flat-routes.ts'
import { insideName, tcpRouteId } from '../config/http-listeners.ts'
import { entriesOf, toList } from '../config/lists.ts'
import type { UserFile } from '../config/user-file.ts'

import type {
  Config,
  ForwardOptions,
  HttpRoute,
  List,
  Listen,
  SocksOptions,
  TcpOptions,
  TcpRoute,
  UdpOptions,
  UdpRoute,
  Upstream,
} from '../index.ts'

import { parseListen } from '../net/address.ts'
import { addressesOf } from './addresses.ts'
import { type AnyUse, isPlugin, keyedUses, pluginUses } from './uses.ts'

export interface Part {
  readonly id: string
  /** The same for the same content. */
  readonly content: string
}

export interface ListenerPart extends Part {
  /** Keys of its addresses (addresses.ts). */
  readonly addresses: readonly string[]
  readonly isSecure: boolean
}

export interface Parts {
  /** Without their routes and addresses. */
  readonly listeners: readonly ListenerPart[]
  /** In the order they are tried. */
  readonly routes: readonly Part[]
  readonly upstreams: readonly Part[]
  /** By name, all uses of one together. */
  readonly plugins: readonly Part[]
  /** By who uses them. */
  readonly certificates: readonly Part[]
  /** Files of block lists. */
  readonly lists: readonly Part[]
  /** Files of users. */
  readonly users: readonly Part[]
  /** `log`, `admin`. */
  readonly settings: readonly Part[]
  /** Of the code: constants that a function uses are in no other part. */
  readonly code: string
}

export interface PartSources {
  readonly code: string
  /** What certificates and keys were read, by who uses them. */
  readonly certificates: ReadonlyMap<string, string>
  /** What could be seen of the files of block lists, by their paths. */
  readonly lists: ReadonlyMap<string, string>
  /** Files of users, by their paths. */
  readonly users: ReadonlyMap<string, UserFile>
}

export function partsOf(config: Config, { code, certificates, lists, users }: PartSources): Parts {
  const collector = new Collector(config)
  return {
    listeners: collector.listeners,
    routes: collector.routes,
    upstreams: [...collector.upstreams].map(([id, content]) => ({ id, content })),
    plugins: pluginParts(config),
    certificates: [...certificates].map(([id, content]) => ({ id, content })),
    lists: [...lists].map(([id, content]) => ({ id, content })),
    users: [...users].map(([id, { digest }]) => ({ id, content: digest })),
    settings: [
      { id: 'log', content: fingerprint(config.log) },
      { id: 'admin', content: fingerprint(config.admin) },
    ],
    code: fingerprint(code),
  }
}

class Collector {
  readonly listeners: ListenerPart[] = []
  readonly routes: Part[] = []
  readonly upstreams = new Map<string, string>()
  readonly #seen = new Set<Upstream>()

  constructor(config: Config) {
    const shared = usesOf('', config.use)
    for (const [name, listener] of Object.entries(config.listeners)) {
      if (listener.kind === 'tcp') this.#collectTcp(name, listener.options, shared)
      if (listener.kind === 'forward') this.#collectForward(name, listener.options, shared)
      if (listener.kind === 'udp') this.#collectUdp(name, listener.options)
      if (listener.kind === 'socks') this.#collectSocks(name, listener.options)
      if (listener.kind !== 'http') continue
      const { routes, listen, use, ...rest } = listener.options
      const content = fingerprint([rest, shared, usesOf(name, use)])
      this.listeners.push({ id: name, content, addresses: addressKeys(name, listen), isSecure: rest.tls !== undefined })
      this.#collectRoutes(name, routes, { id: name, content: '' })
    }
    for (const [, upstream] of entriesOf(config.upstreams)) this.#collectUpstream(upstream)
  }

  #collectForward(name: string, { listen, use, ...rest }: ForwardOptions, shared: unknown): void {
    const content = fingerprint(['forward', rest, shared, usesOf(name, use)])
    this.listeners.push({ id: name, content, addresses: addressKeys(name, listen), isSecure: false })
  }

  #collectSocks(name: string, { listen, ...rest }: SocksOptions): void {
    this.listeners.push({ id: name, content: fingerprint(['socks', rest]), addresses: addressKeys(name, listen), isSecure: false })
  }

  /** HTTP inside is what its routes are, and else a part of the route that it stands in. */
  #collectTcp(name: string, { routes, listen, use, ...rest }: TcpOptions, shared: unknown): void {
    this.listeners.push({
      id: name,
      content: fingerprint(['tcp', rest, usesOf(name, use)]),
      addresses: addressKeys(name, listen),
      isSecure: false,
    })
    for (const [i, { to, use, ...rest }] of entriesOf<TcpRoute>(routes)) {
      const id = tcpRouteId(name, i, rest.name)
      const route = [rest, usesOf(id, use)]
      if (typeof to === 'string' || to.kind !== 'http') {
        this.routes.push({ id, content: fingerprint([route, this.#destination(to)]) })
        continue
      }
      const { routes: inner, use: its, ...options } = to.options
      const inside = insideName(id)
      this.routes.push({ id, content: fingerprint([route, options, shared, usesOf(inside, its)]) })
      this.#collectRoutes(inside, inner, { id: inside, content: '' })
    }
  }

  #collectUdp(name: string, { routes, listen, ...rest }: UdpOptions): void {
    const content = fingerprint(['udp', rest])
    this.listeners.push({ id: name, content, addresses: addressKeys(name, listen, 'udp'), isSecure: false })
    for (const [i, { to, ...route }] of entriesOf<UdpRoute>(routes)) {
      this.routes.push({ id: tcpRouteId(name, i, route.name), content: fingerprint([route, this.#destination(to)]) })
    }
  }

  /** What a group says belongs to each of its routes. */
  #collectRoutes(listener: string, routes: List<HttpRoute>, around: Part): void {
    for (const [i, route] of entriesOf<HttpRoute>(routes)) {
      const id = routeId(listener, around.id, i, route)
      const { to, use, routes: inner, mirror, ...rest } = route as HttpRoute & { readonly to?: unknown; readonly routes?: List<HttpRoute> }
      const content = fingerprint([around.content, rest, usesOf(id, use), this.#destination(to), this.#mirror(mirror)])
      if (Array.isArray(inner)) this.#collectRoutes(listener, inner, { id, content })
      else this.routes.push({ id, content })
    }
  }

  /** Upstreams by their names: what one consists of is no route's business. */
  #destination(to: unknown): unknown {
    if (isUpstream(to)) return this.#collectUpstream(to)
    if (typeof to !== 'object' || to === null || !('parts' in to) || !Array.isArray(to.parts)) return to
    const parts = (to.parts as readonly (readonly [unknown, unknown])[]).map(([part, weight]) => [this.#destination(part), weight])
    return { ...to, parts }
  }

  #mirror(mirror: unknown): unknown {
    if (typeof mirror !== 'object' || mirror === null || !('to' in mirror)) return this.#destination(mirror)
    return { ...mirror, to: this.#destination(mirror.to) }
  }

  #collectUpstream(upstream: Upstream): string {
    const { name, options } = upstream
    if (!this.#seen.has(upstream)) this.upstreams.set(name, fingerprint(options))
    this.#seen.add(upstream)
    return `upstream ${name}`
  }
}

function addressKeys(name: string, listen: Listen, kind: 'tcp' | 'udp' = 'tcp'): string[] {
  const addresses = toList(listen).map((text) => parseListen(text, kind)!)
  return addressesOf([{ name, addresses }]).map(({ key }) => key)
}

function isUpstream(to: unknown): to is Upstream {
  return typeof to === 'object' && to !== null && 'kind' in to && to.kind === 'upstream'
}

/** Plugins by their names: what one consists of is told apart. */
function usesOf(owner: string, list: List<AnyUse> | undefined): unknown[] {
  return keyedUses(owner, list).map(([, use]) => (isPlugin(use) ? `plugin ${use.name}` : use))
}

function pluginParts(config: Config): Part[] {
  const byName = new Map<string, string[]>()
  for (const { key: _, ...use } of pluginUses(config)) byName.set(use.name, [...(byName.get(use.name) ?? []), fingerprint(use)])
  return [...byName].map(([id, uses]) => ({ id, content: fingerprint([...new Set(uses)].sort()) }))
}

function fingerprint(value: unknown): string {
  return hash('sha1', dataOf(value).join('\n'), 'base64')
}
