/** The parts of a config that nobody has checked yet, each with its path. What is not in shape is stepped over: that is said elsewhere. */
import { insideName, tcpRouteId } from './http-listeners.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, wordOf } from './report.ts'

export interface ListenerPart {
  readonly name: string
  readonly kind: string
  readonly options: Plain
  /** Of the options. */
  readonly path: Path
  /** The name of the TCP listener, and whether TLS has ended there, for HTTP in a route of one; null for those that listen themselves. */
  readonly inside: { readonly listener: string; readonly isSecure: boolean } | null
}

/** One address that is asked for. */
export interface ListenPart {
  readonly value: unknown
  readonly path: Path
  readonly isAdmin: boolean
  readonly protocol: 'tcp' | 'udp'
}

export interface RoutePart {
  readonly route: Plain
  readonly path: Path
  readonly listener: string
  /** Its `path`, or that of the nearest group around it that has one. */
  readonly paths: unknown
  /** The same of its `host`. */
  readonly hosts: unknown
}

export interface TcpRoutePart {
  readonly route: Plain
  readonly path: Path
  readonly listener: string
}

/** Of UDP. */
export type UdpRoutePart = TcpRoutePart

/** One upstream, at the first place where it stands. */
export interface UpstreamPart {
  /** What upstream(…) returned, or the address itself. */
  readonly value: Plain | string
  readonly path: Path
}

/** A policy in a `use` list. */
export interface PolicyPart {
  readonly name: unknown
  readonly options: unknown
  readonly path: Path
}

export interface Parts {
  readonly listeners: readonly ListenerPart[]
  readonly listens: readonly ListenPart[]
  readonly routes: readonly RoutePart[]
  readonly tcpRoutes: readonly TcpRoutePart[]
  readonly udpRoutes: readonly UdpRoutePart[]
  readonly upstreams: readonly UpstreamPart[]
  /** Lists of routes that stand in themselves, where they do so. */
  readonly circles: readonly Path[]
  /** Uses of plugins. */
  readonly plugins: readonly Plain[]
  readonly policies: readonly PolicyPart[]
}

type Around = Pick<RoutePart, 'listener' | 'paths' | 'hosts'>

export function partsOf(config: Plain): Parts {
  const walk = new Walk()
  walk.config(config)
  return walk
}

class Walk implements Parts {
  readonly listeners: ListenerPart[] = []
  readonly listens: ListenPart[] = []
  readonly routes: RoutePart[] = []
  readonly tcpRoutes: TcpRoutePart[] = []
  readonly udpRoutes: UdpRoutePart[] = []
  readonly upstreams: UpstreamPart[] = []
  readonly circles: Path[] = []
  readonly plugins: Plain[] = []
  readonly policies: PolicyPart[] = []
  readonly #seen = new Set<unknown>()

  config({ listeners, upstreams, admin, use }: Plain): void {
    this.#use(use, ['use'])
    if (isObject(listeners)) for (const [name, listener] of Object.entries(listeners)) this.#listener(name, listener)
    for (const [i, one] of entries(upstreams)) this.#upstream(one, ['upstreams', i])
    if (isObject(admin)) this.#listen(admin.listen, { path: ['admin', 'listen'], isAdmin: true, protocol: 'tcp' })
  }

  #listener(name: string, listener: unknown): void {
    if (!isObject(listener) || !isObject(listener.options)) return
    const { kind, options } = listener
    const path: Path = ['listeners', name, { hidden: 'options' }]
    this.#listen(options.listen, { path: [...path, 'listen'], isAdmin: false, protocol: kind === 'udp' ? 'udp' : 'tcp' })
    if (kind === 'http') return this.#http({ name, kind, options, path, inside: null })
    this.listeners.push({ name, kind: wordOf(kind), options, path, inside: null })
    if (kind === 'udp') return this.#udpRoutes(name, options.routes, [...path, 'routes'])
    this.#use(options.use, [...path, 'use'])
    if (kind !== 'tcp') return
    for (const [i, route] of entries(options.routes)) if (isObject(route)) this.#tcpRoute(route, [...path, 'routes', i], name, i)
  }

  #http(part: ListenerPart): void {
    this.listeners.push(part)
    const { name, options, path } = part
    this.#use(options.use, [...path, 'use'])
    this.#routes(options.routes, [...path, 'routes'], { listener: name, paths: undefined, hosts: undefined })
  }

  #tcpRoute(route: Plain, path: Path, listener: string, index: number): void {
    this.tcpRoutes.push({ route, path, listener })
    const { to, tls, name, use } = route
    this.#use(use, [...path, 'use'])
    if (!isObject(to) || to.kind !== 'http') return this.#target(to, [...path, 'to'])
    if (!isObject(to.options)) return
    const id = tcpRouteId(listener, index, typeof name === 'string' ? name : undefined)
    const inside = { listener, isSecure: tls !== undefined }
    this.#http({ name: insideName(id), kind: 'http', options: to.options, path: [...path, 'to', { hidden: 'options' }], inside })
  }

  #udpRoutes(listener: string, routes: unknown, path: Path): void {
    for (const [i, route] of entries(routes)) {
      if (!isObject(route)) continue
      this.udpRoutes.push({ route, path: [...path, i], listener })
      this.#target(route.to, [...path, i, 'to'])
    }
  }

  #listen(listen: unknown, part: Omit<ListenPart, 'value'>): void {
    if (Array.isArray(listen)) for (const [i, value] of listen.entries()) this.listens.push({ ...part, value, path: [...part.path, i] })
    else if (listen !== undefined) this.listens.push({ ...part, value: listen })
  }

  #routes(routes: unknown, path: Path, around: Around): void {
    if (!Array.isArray(routes)) return
    if (this.#seen.has(routes)) {
      this.circles.push(path)
      return
    }
    // Until its end: a list that stands twice is walked twice.
    this.#seen.add(routes)
    for (const [i, route] of entries(routes)) {
      if (!isObject(route)) continue
      const at: Path = [...path, i]
      const inside = { ...around, paths: route.path ?? around.paths, hosts: route.host ?? around.hosts }
      this.routes.push({ route, path: at, ...inside })
      this.#use(route.use, [...at, 'use'])
      this.#target(route.to, [...at, 'to'])
      if (isObject(route.mirror) && route.mirror.kind === undefined) this.#upstream(route.mirror.to, [...at, 'mirror', 'to'])
      else this.#upstream(route.mirror, [...at, 'mirror'])
      this.#routes(route.routes, [...at, 'routes'], inside)
    }
    this.#seen.delete(routes)
  }

  #target(to: unknown, path: Path): void {
    if (isObject(to) && to.kind === 'split')
      for (const [i, part] of entries(to.parts)) {
        if (Array.isArray(part)) this.#upstream(part[0], [...path, { hidden: 'parts' }, i, 0])
      }
    else this.#upstream(to, path)
  }

  #upstream(value: unknown, path: Path): void {
    const isOne = typeof value === 'string' || (isObject(value) && value.kind === 'upstream')
    if (!isOne || this.#seen.has(value)) return
    this.#seen.add(value)
    this.upstreams.push({ value, path })
  }

  #use(use: unknown, path: Path): void {
    for (const [i, entry] of entries(use)) {
      if (!isObject(entry)) continue
      if (entry.kind === 'plugin') this.plugins.push(entry)
      else if (entry.kind === 'policy') this.policies.push({ name: entry.name, options: entry.options, path: [...path, i] })
    }
  }
}

function entries(list: unknown): (readonly [number, unknown])[] {
  return Array.isArray(list) ? [...list.entries()] : []
}
