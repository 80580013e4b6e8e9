/**
 * Config → Plan: pure, at once, and frozen. It takes a config that was found valid when it was loaded, fills in what was left out,
 * parses what has units, and makes one ordered table of a listener's routes and groups.
 */
import { isGroup, routeId } from '../config/flat-routes.ts'
import { insideName, tcpRouteId } from '../config/http-listeners.ts'
import { entriesOf, toList } from '../config/lists.ts'
import { compileMatch, compileTcpMatch } from '../config/match.ts'
import { parseDuration, parseSize } from '../config/units.ts'
import type { Hook } from '../hooks.ts'
import type {
  Blocklist,
  Config,
  ForwardOptions,
  HttpOptions,
  HttpRoute,
  HttpTarget,
  List,
  Listen,
  LogOptions,
  RouteTo,
  SocksOptions,
  Split,
  TcpListener,
  TcpOptions,
  TcpRoute,
  TlsTermination,
  Transparent,
  UdpListener,
  UdpRoute,
} from '../index.ts'
import { parseListen } from '../net/address.ts'
import { CidrSet } from '../net/cidr.ts'
import type { Conditions } from '../route/conditions.ts'
import { type RouteRule, RouteTable } from '../route/table.ts'
import { type TcpRule, TcpTable } from '../route/tcp-table.ts'
import { templateNames } from '../route/template.ts'
import { acmePlansOf, dnsZonesOf, takesHttpChallenge } from './acme.ts'
import { CachePlaces } from './cache-places.ts'
import { matchOf, spaceOf } from './cache-space.ts'
import { compileBlocklist } from './compile-blocklist.ts'
import { compileFiles } from './compile-files.ts'
import { compileForward, compileIntercept, viaName } from './compile-forward.ts'
import { compileGateway } from './compile-gateway.ts'
import { compileSocks } from './compile-socks.ts'
import { compileTls } from './compile-tls.ts'
import { compileTransparent, compileTunnels, transparentAddresses } from './compile-transparent.ts'
import { compileKey, UpstreamCompiler } from './compile-upstream.ts'
import type { BlocklistPlan, SocksListenerPlan } from './forward-plan.ts'
import type {
  AnyListenerPlan,
  Destination,
  ListenAddress,
  ListenerLimits,
  ListenerPlan,
  ListenerTimeouts,
  LogPlan,
  MirrorPlan,
  Plan,
  RoutePlan,
  SplitDestination,
  TcpDestination,
  TcpListenerPlan,
  TcpRoutePlan,
  TcpTimeouts,
  TlsPlan,
  UdpListenerPlan,
  UdpRoutePlan,
} from './plan.ts'
import { tunnelLogHooks } from './tunnel-log-hooks.ts'
import { type AnyUse, isPolicy, keyedUses, type UseConfig } from './uses.ts'

export interface CompileOptions {
  readonly generation: number
  /** Files of the config are looked for in here: the folder of its file. */
  readonly folder: string
  /** Makes the hook of one entry of a `use` list. Called once for each. */
  bindUse(use: UseConfig, key: string): Hook
  /** Answers the challenges of authorities over plain HTTP, before all that the config says: asked if there is a certificate that takes it. */
  readonly challengeHook?: Hook
}

export function compilePlan(config: Config, options: CompileOptions): Plan {
  const compiler = new Compiler(config, options)
  const { admin } = config
  const listeners = compiler.listeners()
  return Object.freeze({
    generation: options.generation,
    listeners: Object.freeze(listeners),
    upstreams: compiler.upstreams.byName,
    acme: acmePlansOf(listeners),
    dnsZones: dnsZonesOf(config, options.folder),
    log: compileLog(config.log ?? {}),
    admin: admin === undefined ? null : Object.freeze({ listen: compileListen(admin.listen) }),
  })
}

class Compiler {
  readonly upstreams: UpstreamCompiler
  readonly #config: Config
  readonly #options: CompileOptions
  readonly #challengeHooks: readonly Hook[]
  readonly #places = new CachePlaces()
  readonly #blocklists = new Map<Blocklist, BlocklistPlan>()

  constructor(config: Config, options: CompileOptions) {
    this.#config = config
    this.#options = options
    this.upstreams = new UpstreamCompiler(options.folder)
    const { challengeHook } = options
    this.#challengeHooks = challengeHook !== undefined && takesHttpChallenge(config) ? [challengeHook] : []
  }

  listeners(): AnyListenerPlan[] {
    const shared = this.#bind('', this.#config.use)
    const listeners = Object.entries(this.#config.listeners).map(([name, listener]) => {
      if (listener.kind === 'tcp') return this.#tcpListener(name, listener, shared)
      if (listener.kind === 'forward') return this.#forwardListener(name, listener.options, shared)
      if (listener.kind === 'udp') return this.#udpListener(name, listener, shared)
      if (listener.kind === 'socks') return this.#socksListener(name, listener.options, shared)
      const { tls } = listener.options
      return this.#httpListener(
        { name, addresses: compileAddresses(listener.options), tls: this.#tls(tls, HTTP) },
        listener.options,
        shared,
      )
    })
    for (const [, upstream] of entriesOf(this.#config.upstreams)) this.upstreams.compile(upstream)
    return listeners
  }

  #httpListener(place: Pick<ListenerPlan, 'name' | 'addresses' | 'tls'>, options: HttpOptions, shared: readonly Hook[]): ListenerPlan {
    const { name } = place
    const around = (caches: readonly Hook[]): Around => ({ id: name, hooks: caches, conditions: [], matches: [name] })
    return this.#listenerOf(place, options, { shared, rules: (caches) => this.#rules(name, options.routes, around(caches)) })
  }

  #listenerOf(
    place: Pick<ListenerPlan, 'name' | 'addresses' | 'tls'>,
    options: Omit<HttpOptions, 'routes'>,
    { shared, rules }: { readonly shared: readonly Hook[]; readonly rules: (caches: readonly Hook[]) => readonly RouteRule[] },
  ): ListenerPlan {
    const { name } = place
    const hooks = [...shared, ...this.#bind(name, options.use)]
    // Whose answer it is depends on the route: caches of a listener are asked when that is known.
    const trust = compileTrust(options.trust)
    const caches = hooks.filter((hook) => this.#places.isCache(hook))
    this.#places.noteOfListener(caches)
    return Object.freeze({
      kind: 'http',
      ...place,
      ...{ trust, headerTrust: trust },
      requiresProxyHeader: options.proxyProtocol === 'require',
      via: options.via === false ? null : (options.via ?? 'sluice'),
      forwarded: options.forwarded ?? false,
      encodedSlashes: options.encodedSlashes ?? false,
      h2c: options.h2c ?? true,
      limits: compileLimits(options.limits ?? {}),
      timeouts: compileTimeouts(options.timeouts ?? {}),
      ...{ forward: null, socks: null, transparent: compileTransparent(options.transparent), tunnels: null },
      hooks: Object.freeze([...(place.tls === null ? this.#challengeHooks : []), ...hooks.filter((hook) => !this.#places.isCache(hook))]),
      routes: new RouteTable(rules(caches)),
    })
  }

  /** HTTP as any other, but for where it goes. */
  #forwardListener(name: string, options: ForwardOptions, shared: readonly Hook[]): ListenerPlan {
    const { use, limits, timeouts } = options
    const place = { name, addresses: compileAddresses(options), tls: null }
    const intercept = options.intercept === undefined ? null : compileIntercept(options.intercept, this.#options.folder)
    const forward = compileForward(options, { block: this.#blocklist(options.block), intercept, folder: this.#options.folder })
    const rules = (caches: readonly Hook[]): RouteRule[] => {
      const hooks = Object.freeze(caches.slice(-1))
      const cacheSpace = hooks.length === 0 ? '' : spaceOf([name], { kind: 'named' })
      const destination = Object.freeze({ kind: 'named' as const })
      const route: RoutePlan = Object.freeze({ id: name, hooks, destination, mirror: null, cacheSpace })
      return [{ route, conditions: [compileMatch({})], captures: false }]
    }
    const listener = this.#listenerOf(place, { via: viaName(name, options), h2c: false, use, limits, timeouts }, { shared, rules })
    const transparent = compileTransparent(options.transparent, forward)
    return Object.freeze({
      ...listener,
      ...(forward.anonymity === 'high' ? { via: null } : {}),
      headerTrust: compileTrust(options.trust),
      requiresProxyHeader: options.proxyProtocol === 'require',
      ...{ forward, transparent, tunnels: compileTunnels({ ...listener, transparent }, tunnelLogHooks(listener.hooks)) },
      // The header is read before it is known that it is SOCKS.
      socks: options.socks === true ? compileSocks({ name, addresses: [], hooks: listener.hooks, trust: null }, {}, forward) : null,
    })
  }

  #socksListener(name: string, options: SocksOptions, hooks: readonly Hook[]): SocksListenerPlan {
    const forward = compileForward(options, { block: this.#blocklist(options.block), ports: SOCKS_PORTS, folder: this.#options.folder })
    return compileSocks({ name, addresses: compileListen(options.listen), hooks, trust: compileTrust(options.trust) }, options, forward)
  }

  /** One that several listeners have is read once. */
  #blocklist(list: Blocklist | undefined): BlocklistPlan | null {
    if (list === undefined) return null
    const known = this.#blocklists.get(list) ?? compileBlocklist(list.options, this.#options.folder)
    this.#blocklists.set(list, known)
    return known
  }

  #tcpListener(name: string, { options }: TcpListener, shared: readonly Hook[]): TcpListenerPlan {
    const keys = new Map<string, number>()
    const own = Object.freeze(this.#bind(name, options.use))
    const rules = entriesOf<TcpRoute>(options.routes).map(([i, route]): TcpRule<TcpRoutePlan> => {
      const id = tcpRouteId(name, i, route.name)
      const isHttp = typeof route.to !== 'string' && route.to.kind === 'http'
      const text = JSON.stringify([name, route.sni, route.alpn, route.from, route.tls !== undefined])
      keys.set(text, (keys.get(text) ?? 0) + 1)
      const destination = Object.freeze(this.#tcpDestination(id, route, { key: `${keys.get(text)} ${text}`, shared }))
      const hooks = Object.freeze(this.#bind(id, route.use))
      const wantsHello = hooks.some(({ onClientHello }) => onClientHello !== null)
      const logHooks = tunnelLogHooks(shared, own, hooks)
      const plan = Object.freeze({ id, hooks, logHooks, wantsHello, tls: isHttp ? null : this.#tls(route.tls, []), destination })
      return { route: plan, conditions: compileTcpMatch(route) }
    })
    return Object.freeze({
      kind: 'tcp',
      trust: compileTrust(options.trust),
      requiresProxyHeader: options.proxyProtocol === 'require',
      name,
      addresses: compileAddresses(options),
      transparent: compileTransparent(options.transparent),
      gateway: options.gateway === undefined ? null : compileGateway(options.gateway),
      limits: Object.freeze({ connections: options.limits?.connections ?? 10_000 }),
      timeouts: compileTcpTimeouts(options.timeouts ?? {}),
      hooks: own,
      logHooks: tunnelLogHooks(shared, own),
      routes: new TcpTable(rules),
    })
  }

  #tcpDestination(id: string, { to, tls }: TcpRoute, { key, shared }: { key: string; shared: readonly Hook[] }): TcpDestination {
    if (typeof to === 'string' || to.kind === 'upstream') return { kind: 'upstream', upstream: this.upstreams.compile(to) }
    if (to.kind === 'split') return this.#split(to, null)
    if (to.kind === 'original') return { kind: 'original', byName: false }
    const place = { name: insideName(id), addresses: [], tls: this.#tls(tls, HTTP) }
    return { kind: 'http', listener: this.#httpListener(place, to.options, shared), key }
  }

  #udpListener(name: string, { options }: UdpListener, shared: readonly Hook[]): UdpListenerPlan {
    const logHooks = tunnelLogHooks(shared)
    const rules = entriesOf<UdpRoute>(options.routes).map(([i, route]): TcpRule<UdpRoutePlan> => {
      const { to, replies = null } = route
      const destination = Object.freeze(
        typeof to !== 'string' && to.kind === 'split'
          ? this.#split(to, null)
          : { kind: 'upstream' as const, upstream: this.upstreams.compile(to) },
      )
      const plan = Object.freeze({ id: tcpRouteId(name, i, route.name), replies, logHooks, destination })
      return { route: plan, conditions: compileTcpMatch(route) }
    })
    return Object.freeze({
      kind: 'udp',
      name,
      addresses: compileListen(options.listen, 'udp'),
      limits: Object.freeze({ sessions: options.limits?.sessions ?? 10_000 }),
      timeouts: Object.freeze({ idle: parseDuration(options.timeouts?.idle ?? '60s')! }),
      logHooks,
      routes: new TcpTable(rules),
    })
  }

  #tls(tls: HttpOptions['tls'], alpn: readonly string[]): readonly TlsPlan[] | null {
    if (tls === undefined) return null
    const list = Array.isArray(tls) ? entriesOf<TlsTermination>(tls).map(([, one]) => one) : [tls as TlsTermination]
    return Object.freeze(list.map((one) => compileTls(one, this.#options.folder, alpn)))
  }

  /** Groups are dissolved: each route gets the conditions and hooks of those around it. */
  #rules(listener: string, routes: List<HttpRoute>, around: Around): RouteRule[] {
    return entriesOf<HttpRoute>(routes).flatMap(([i, route]) => {
      const id = routeId(listener, around.id, i, route)
      const hooks = [...around.hooks, ...this.#bind(id, route.use)]
      const conditions = [...around.conditions, compileMatch(route)]
      const matches = [...around.matches, matchOf(route)]
      if (isGroup(route)) return this.#rules(listener, route.routes, { id, hooks, conditions, matches })
      const destination = Object.freeze(this.#destination(route))
      // Who chooses the address may write any Host: what comes from there is kept for nobody.
      const isAsked = destination.kind === 'upstream' || destination.kind === 'split'
      const cache = isAsked ? hooks.findLast((hook) => this.#places.isCache(hook)) : undefined
      const plan: RoutePlan = Object.freeze({
        id,
        hooks: Object.freeze(this.#places.order(hooks, cache)),
        destination,
        mirror: isAsked ? this.#mirror(route as RouteTo) : null,
        cacheSpace: cache === undefined ? '' : spaceOf(matches, destination),
      })
      return [{ route: plan, conditions, captures: needsCaptures(destination) }]
    })
  }

  #mirror({ mirror }: RouteTo): MirrorPlan | null {
    if (mirror === undefined) return null
    const { to, share = 1, body = '64kb' } = typeof mirror === 'string' || 'kind' in mirror ? { to: mirror } : mirror
    return Object.freeze({ upstream: this.upstreams.compile(to), share, maxBytes: parseSize(body)! })
  }

  #destination(route: Exclude<HttpRoute, { routes: List<HttpRoute> }>): Destination {
    const target: HttpTarget = (('to' in route ? route.to : undefined) as HttpTarget) ?? route.respond ?? route.redirect
    const rewrite = typeof route.rewrite === 'string' ? route.rewrite : null
    if (typeof target === 'string') return { kind: 'upstream', upstream: this.upstreams.compile(target), rewrite }
    if (!('kind' in target)) {
      return { kind: 'respond', status: target.status, body: target.body ?? '', headers: Object.freeze({ ...target.headers }) }
    }
    if (target.kind === 'files') return compileFiles(target, { folder: this.#options.folder, rewrite })
    if (target.kind === 'redirect') return { kind: 'redirect', to: target.to, status: target.status }
    if (target.kind === 'original') return { kind: 'original' }
    if (target.kind === 'upstream') return { kind: 'upstream', upstream: this.upstreams.compile(target), rewrite }
    return this.#split(target, rewrite)
  }

  #split({ parts, options = {} }: Split, rewrite: string | null): SplitDestination {
    const compiled = parts.map(([to, weight]) => Object.freeze({ upstream: this.upstreams.compile(to), weight }))
    return { kind: 'split', parts: Object.freeze(compiled), by: options.by === undefined ? null : compileKey(options.by), rewrite }
  }

  #bind(owner: string, list: List<AnyUse> | undefined): Hook[] {
    return keyedUses(owner, list).map(([key, use]) => {
      const hook = this.#options.bindUse(use, key)
      if (isPolicy(use)) this.#places.note(hook, use.name)
      return hook
    })
  }
}

const HTTP = ['h2', 'http/1.1']
/** Unless `allow.ports` says others: what the web needs. */
const SOCKS_PORTS = [80, 443]

/** What the groups around a route give to it. */
interface Around {
  readonly id: string
  readonly hooks: readonly Hook[]
  readonly conditions: readonly Conditions[]
  /** The listener's name, and what of routes decides who gets here. */
  readonly matches: readonly unknown[]
}

function needsCaptures(destination: Destination): boolean {
  if (!('rewrite' in destination) && destination.kind !== 'redirect') return false
  const template = destination.kind === 'redirect' ? destination.to : destination.rewrite
  return template !== null && templateNames(template).length > 0
}

function compileTrust(trust: HttpOptions['trust']): CidrSet | null {
  return trust === undefined ? null : new CidrSet(toList(trust))
}

function compileListen(listen: Listen, kind: 'tcp' | 'udp' = 'tcp'): readonly ListenAddress[] {
  return Object.freeze(toList(listen).map((text) => Object.freeze(parseListen(text, kind)!)))
}

function compileAddresses({
  listen,
  transparent,
}: {
  readonly listen: Listen
  readonly transparent?: Transparent | undefined
}): readonly ListenAddress[] {
  return transparentAddresses(compileListen(listen), transparent)
}

function compileLog({ access = true, level = 'info', format }: LogOptions): LogPlan {
  return Object.freeze({ access, level, format: format ?? null })
}

function compileLimits(limits: NonNullable<HttpOptions['limits']>): ListenerLimits {
  return Object.freeze({
    headBytes: parseSize(limits.head ?? '32kb')!,
    requestLineBytes: parseSize(limits.requestLine ?? '8kb')!,
    fields: limits.fields ?? 100,
    connections: limits.connections ?? 10_000,
    requestsPerConnection: limits.requestsPerConnection ?? 10_000,
    bodyBytes: limits.body === undefined ? Number.POSITIVE_INFINITY : parseSize(limits.body)!,
  })
}

function compileTcpTimeouts({ detect = '3s', tunnelIdle = '1h' }: NonNullable<TcpOptions['timeouts']>): TcpTimeouts {
  return Object.freeze({ detect: parseDuration(detect)!, tunnelIdle: parseDuration(tunnelIdle)! })
}

function compileTimeouts(timeouts: NonNullable<HttpOptions['timeouts']>): ListenerTimeouts {
  const ms = (text: string | undefined, otherwise: string): number => parseDuration(text ?? otherwise)!
  return Object.freeze({
    requestHead: ms(timeouts.requestHead, '10s'),
    requestBodyIdle: ms(timeouts.requestBodyIdle, '30s'),
    keepAlive: ms(timeouts.keepAlive, '75s'),
    sendIdle: ms(timeouts.sendIdle, '60s'),
    tunnelIdle: ms(timeouts.tunnelIdle, '1h'),
    halfClosed: ms(timeouts.halfClosed, '1s'),
  })
}
