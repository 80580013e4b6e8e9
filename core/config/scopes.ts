/** Over what a policy counts, or whose what it keeps is: all workers of the machine, one connection, each worker, or whoever uses the same store. */
import { formatPath, type Path } from './positions.ts'
import { isObject, type Plain } from './report.ts'
import type { Parts } from './schema-parts.ts'

export interface Scope {
  readonly what: string
  readonly path: string
  /** `counters`: all workers, where memory can be shared. `connection`: each by itself. */
  readonly over: 'store' | 'counters' | 'connection' | 'cache'
  /** Of a cache: what stands behind the memory of each worker. */
  readonly tiers: readonly ('shared' | 'disk' | 'store')[]
}

const TIERS = ['shared', 'disk', 'store'] as const

export function scopesOf({ policies, listeners }: Pick<Parts, 'policies' | 'listeners'>): Scope[] {
  const scopes = policies.flatMap(({ name, options, path }) => {
    const set = isObject(options) ? options : {}
    switch (name) {
      case 'rateLimit':
        return [scope(name, path, set.store === undefined ? 'counters' : 'store')]
      case 'concurrency':
        return [scope(name, path, 'counters')]
      case 'bandwidth':
        return [scope(name, path, set.key === undefined || set.key === 'connection' ? 'connection' : 'counters')]
      case 'cache':
        return [scope(name, path, 'cache', tiersOf(set))]
      default:
        return []
    }
  })
  for (const { options, path } of listeners) {
    if (isObject(options.quota)) scopes.push(scope('quota', [...path, 'quota'], 'counters'))
    if (isObject(options.bandwidth)) scopes.push(scope('bandwidth', [...path, 'bandwidth'], 'counters'))
  }
  return scopes
}

function tiersOf(options: Plain): Scope['tiers'] {
  return TIERS.filter((tier) => options[tier] !== undefined)
}

function scope(what: string, path: Path, over: Scope['over'], tiers: Scope['tiers'] = []): Scope {
  return { what, path: formatPath(path), over, tiers }
}
