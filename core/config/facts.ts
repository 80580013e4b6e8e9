/** What a config comes to: how much of it there is, the names that its upstreams have to be found by, and what it made for nothing. */
import { parseEndpoint } from '../net/address.ts'
import type { Path } from './positions.ts'
import { isObject } from './report.ts'
import type { Parts } from './schema-parts.ts'

export interface Counts {
  readonly listeners: number
  /** Groups do not count, what is in them does. */
  readonly routes: number
  readonly upstreams: number
  readonly plugins: number
}

export function countParts({ listeners, routes, upstreams, plugins }: Parts): Counts {
  return {
    listeners: listeners.length,
    routes: routes.filter(({ route }) => route.routes === undefined).length,
    upstreams: upstreams.length,
    plugins: new Set(plugins.map(({ plugin }) => plugin)).size,
  }
}

/** Hosts that a resolver is asked for, each at the first endpoint that has it. */
export function hostNames({ upstreams }: Parts): ReadonlyMap<string, Path> {
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
  return names
}

/** Everything of a kind that a value holds, at any depth. */
export function heldOfKind(value: unknown, kind: string, held = new Set<unknown>(), seen = new Set<unknown>()): ReadonlySet<unknown> {
  if (typeof value !== 'object' || value === null || seen.has(value)) return held
  seen.add(value)
  if ('kind' in value && value.kind === kind) held.add(value)
  for (const member of Object.values(value)) heldOfKind(member, kind, held, seen)
  return held
}
