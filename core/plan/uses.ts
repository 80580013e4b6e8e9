/** Where a config uses something, and under which key: what must be loaded before a plan is compiled is collected first. */
import { routeId } from '../config/flat-routes.ts'
import { httpListeners, tcpRouteId } from '../config/http-listeners.ts'
import { entriesOf } from '../config/lists.ts'
import type { Path } from '../config/positions.ts'
import { parseDuration, parseSize } from '../config/units.ts'
import type { Config, ConnectionUse, HttpRoute, HttpUse, List, Policy, TcpRoute } from '../index.ts'
import type { HttpHooks, UseOptions } from '../plugin.ts'

/** What a `use` list may hold at run time. */
export type UseConfig = PluginStub | Policy | HttpHooks
export type AnyUse = HttpUse | ConnectionUse

/** What a plugin's stub in a config returns (config/bundle.ts makes it). */
export interface PluginStub {
  readonly kind: 'plugin'
  readonly name: string
  /** The id of its PluginSource. */
  readonly plugin: string
  readonly options: unknown
  readonly use: UseOptions | undefined
}

/** One use of a plugin, all limits filled in but where it runs. */
export interface PluginUseConfig {
  /** `use[0]`, `web/use[0]`, `web[2]/use[0]`, `web/me/use[0]`: unique in a plan, the same for the same place in the next. */
  readonly key: string
  readonly name: string
  readonly plugin: string
  readonly options: unknown
  readonly grant: readonly string[]
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly memoryMb: number
  /** What the plugin may keep in kv; null: it is not granted. */
  readonly kvBytes: number | null
  /** Null: what its source says. */
  readonly isolation: 'worker' | 'process' | null
  readonly onFailure: 'deny' | 'continue'
}

/** All of them, in the order they stand. */
export function pluginUses(config: Config): PluginUseConfig[] {
  const uses: PluginUseConfig[] = []
  const add = (owner: string, list: List<AnyUse> | undefined): void => {
    for (const [key, use] of keyedUses(owner, list)) if (isPlugin(use)) uses.push(withLimits(key, use))
  }
  add('', config.use)
  for (const { name, options } of httpListeners(config)) {
    add(name, options.use)
    eachRoute(name, options.routes, (id, route) => add(id, route.use))
  }
  for (const { owner, use } of connectionUses(config)) add(owner, use)
  return uses
}

export interface ConnectionUses {
  /** A TCP listener, or a route of one. */
  readonly owner: string
  readonly use: List<AnyUse> | undefined
  /** Of what it belongs to. */
  readonly path: Path
  /** Its connections go on as HTTP: their data are not asked about. */
  readonly isHttp: boolean
}

/** Of listeners of TCP, and of their routes. */
export function connectionUses({ listeners }: Config): ConnectionUses[] {
  return Object.entries(listeners).flatMap(([name, listener]) => {
    if (listener.kind !== 'tcp') return []
    const path: Path = ['listeners', name, { hidden: 'options' }]
    const routes = entriesOf<TcpRoute>(listener.options.routes).map(([i, route]): ConnectionUses => {
      const isHttp = typeof route.to !== 'string' && route.to.kind === 'http'
      return { owner: tcpRouteId(name, i, route.name), use: route.use, path: [...path, 'routes', i], isHttp }
    })
    return [{ owner: name, use: listener.options.use, path, isHttp: false }, ...routes]
  })
}

/** The entries of a list with their keys; `owner` is '' for the config's own. */
export function keyedUses(owner: string, list: List<AnyUse> | undefined): (readonly [key: string, use: UseConfig])[] {
  // The stub's fields are what bundling put into it.
  return entriesOf(list).map(([i, use]) => [`${owner}${owner === '' ? '' : '/'}use[${i}]`, use as UseConfig] as const)
}

export function isPlugin(use: UseConfig): use is PluginStub {
  return 'kind' in use && use.kind === 'plugin'
}

export function isPolicy(use: UseConfig): use is Policy {
  return 'kind' in use && use.kind === 'policy'
}

function eachRoute(listener: string, routes: List<HttpRoute>, see: (id: string, route: HttpRoute) => void, parent = listener): void {
  for (const [i, route] of entriesOf<HttpRoute>(routes)) {
    const id = routeId(listener, parent, i, route)
    see(id, route)
    if (route.routes !== undefined && 'length' in route.routes) eachRoute(listener, route.routes, see, id)
  }
}

function withLimits(key: string, { name, plugin, options, use = {} }: PluginStub): PluginUseConfig {
  const grant = use.grant ?? []
  return {
    key,
    name,
    plugin,
    options,
    grant,
    timeoutMs: parseDuration(use.timeout ?? '5ms')!,
    deadlineMs: parseDuration(use.deadline ?? '1s')!,
    memoryMb: Math.ceil(parseSize(use.memory ?? '64mb')! / 1024 ** 2),
    kvBytes: grant.includes('kv') ? parseSize(use.kvMemory ?? '16mb') : null,
    isolation: use.isolation ?? null,
    onFailure: use.onFailure ?? 'deny',
  }
}
