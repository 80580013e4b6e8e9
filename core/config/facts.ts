/** What a config comes to: how much of it there is, the names that its upstreams have to be found by, and what it made for nothing. */
import { parseParent } from '../forward/parent.ts'
import { formatListen, parseEndpoint, parseListen } from '../net/address.ts'
import { formatPath, type Path } from './positions.ts'
import type { Place } from './problems.ts'
import { isObject, wordOf } from './report.ts'
import type { Parts } from './schema-parts.ts'
import { type Scope, scopesOf } from './scopes.ts'

/** Plain data: it leaves the process that evaluated the config. */
export interface Facts {
  readonly counts: Counts
  /** Names of its plugins, each once. */
  readonly plugins: readonly string[]
  readonly hosts: readonly HostName[]
  readonly listens: readonly ListenPlace[]
  readonly scopes: readonly Scope[]
}

/** Where an address to listen on was written. */
export interface ListenPlace {
  /** As `formatListen` writes it. */
  readonly address: string
  readonly path: string
  readonly place: Place
}

/** A name that a resolver is asked for. */
export interface HostName {
  readonly name: string
  /** Of the first endpoint that has it. */
  readonly path: string
  readonly place: Place
}

export function factsOf(parts: Parts, placeOf: (path: Path) => Place): Facts {
  const hosts = [...hostNames(parts)].map(([name, path]) => ({ name, path: formatPath(path), place: placeOf(path) }))
  const plugins = new Map(parts.plugins.map(({ plugin, name }) => [plugin, wordOf(name)]))
  const listens = parts.listens.flatMap(({ value, path, protocol }) => {
    const address = typeof value === 'string' || typeof value === 'number' ? parseListen(value, protocol) : null
    return address === null ? [] : [{ address: formatListen(address), path: formatPath(path), place: placeOf(path) }]
  })
  return {
    counts: { ...countParts(parts), plugins: plugins.size },
    plugins: [...plugins.values()],
    hosts,
    listens,
    scopes: scopesOf(parts),
  }
}

export interface Counts {
  readonly listeners: number
  /** Groups do not count, what is in them does. */
  readonly routes: number
  readonly upstreams: number
  readonly plugins: number
}

function countParts({ listeners, routes, tcpRoutes, udpRoutes, upstreams }: Parts): Omit<Counts, 'plugins'> {
  return {
    listeners: listeners.filter(({ inside }) => inside === null).length,
    routes: routes.filter(({ route }) => route.routes === undefined).length + tcpRoutes.length + udpRoutes.length,
    upstreams: upstreams.length,
  }
}

/** Each with the path of the first endpoint, or parent, that has it. */
function hostNames({ upstreams, listeners }: Parts): ReadonlyMap<string, Path> {
  const names = new Map<string, Path>()
  const add = (address: unknown, path: Path): void => {
    const target = typeof address === 'string' ? parseEndpoint(address)?.target : undefined
    if (target?.kind === 'name' && !names.has(target.host)) names.set(target.host, path)
  }
  for (const { value, path } of upstreams) {
    if (typeof value === 'string') add(value, path)
    else if (isObject(value.options) && Array.isArray(value.options.endpoints))
      for (const [i, one] of value.options.endpoints.entries())
        add(isObject(one) ? one.address : one, [...path, { hidden: 'options' }, 'endpoints', i])
  }
  for (const { options, path } of listeners) {
    for (const [written, at] of parentsOf(options.parent, ['parent'])) {
      const parent = parseParent(written)
      if (typeof parent !== 'string' && parent.target.kind === 'name' && !names.has(parent.target.host))
        names.set(parent.target.host, [...path, ...at])
    }
  }
  return names
}

/** What is written as one at any depth, with its path. */
function parentsOf(value: unknown, path: Path): (readonly [string, Path])[] {
  if (typeof value === 'string') return [[value, path]]
  if (Array.isArray(value)) return value.flatMap((one, i) => parentsOf(one, [...path, i]))
  return isObject(value) ? parentsOf(value.via, [...path, 'via']) : []
}

/** Everything of a kind that a value holds, at any depth. */
export function heldOfKind(value: unknown, kind: string, held = new Set<unknown>(), seen = new Set<unknown>()): ReadonlySet<unknown> {
  if (typeof value !== 'object' || value === null || seen.has(value)) return held
  seen.add(value)
  if ('kind' in value && value.kind === kind) held.add(value)
  for (const member of Object.values(value)) heldOfKind(member, kind, held, seen)
  return held
}
