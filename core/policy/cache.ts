/** `cache`: keeps answers (core/cache). Its options become the rules of one use; the memory behind it is the worker's, by its name. */
import { hash } from 'node:crypto'
import { resolve } from 'node:path'
import { CachePoint } from '../cache/cache-point.ts'
import type { DiskLimits } from '../cache/disk/disk-tier.ts'
import { sharedPath } from '../cache/disk/shared-memory-folder.ts'
import { keyedQuery, type QueryRule } from '../cache/key.ts'
import type { CacheRules } from '../cache/rules.ts'
import type { StoreLimits } from '../cache/store/store-tier.ts'
import { dataOf } from '../config/data.ts'
import { parseDuration, parseSize } from '../config/units.ts'
import type { CacheDisk, CacheOptions } from '../dsl/cache-policy.ts'
import type { StoreOptions } from '../dsl/store.ts'
import { makeHook } from '../hooks.ts'
import { parseStoreUrl } from '../net/store-url.ts'
import { planStore } from '../store/plan-store.ts'
import type { PolicyContext, PolicyKind } from './policy.ts'

/** What `ttl` is for, if it names no status. */
const TTL_STATUSES = [200, 203, 204, 301, 308, 404, 410]
const DISK_SIZE = '1gb'
/** Memory that takes longer is being swapped. */
const SHARED_MS = 200

export const cache: PolicyKind<CacheOptions> = {
  isPure: false,
  bind(options, { caches, keep, folder, openStore }) {
    const { name = 'default', memory, maxObject, variants, shared, disk, store } = options
    const held = caches.hold(name, {
      ...(memory === undefined ? {} : { bytes: parseSize(memory)! }),
      ...(maxObject === undefined ? {} : { objectBytes: parseSize(maxObject)! }),
      ...(variants === undefined ? {} : { variants }),
      ...(shared === undefined ? {} : { shared: compileShared(shared) }),
      ...(disk === undefined ? {} : { disk: compileDisk(disk, folder) }),
      ...(store === undefined ? {} : compileStore(store, folder, openStore)),
    })
    keep(() => ({ close: held.release }))
    const point = new CachePoint(held, compileRules(options), caches.clock)
    return makeHook('cache', {
      onRequest: ({ cacheSide }) => (cacheSide === undefined ? null : point.ask(cacheSide)),
      onResponse: ({ cacheSide }) => (cacheSide === undefined ? null : point.answer(cacheSide)),
    })
  },
  describe({ name = 'default', memory = '64mb', ttl, ...options }, request) {
    const { query, vary, key, shared, disk, store, partial = false } = options
    const parts = [
      ...['scheme', 'host', ...(key === undefined ? ['path'] : ['a function of the config'])],
      ...(key === undefined && query !== 'none' ? [typeof query === 'object' ? 'some of the query' : 'query'] : []),
      ...(vary?.headers ?? []).map((field) => `field ${field}`),
      ...(vary?.cookies ?? []).map((cookie) => `cookie ${cookie}`),
    ]
    const lasts = ttl === undefined ? '' : `, fresh for ${typeof ttl === 'string' ? ttl : 'a time by status'} if they do not say`
    const here = key === undefined ? `, here ${request.host}${request.path}${keyedQuery(request.search, compileQuery(query ?? 'all'))}` : ''
    const together = shared === undefined ? '' : `, ${shared} for all of them`
    const behind = disk === undefined ? '' : `, ${disk.size ?? DISK_SIZE} in ${disk.path}`
    const elsewhere = store === undefined ? '' : `, ${storeName(store)}`
    return `keeps answers in ${name} (${memory} a worker${together}${behind}${elsewhere}) by ${parts.join(', ')}${here}${lasts}${partial ? ', ranges in part, too' : ''}`
  },
}

function storeName(store: string | StoreOptions): string {
  const address = parseStoreUrl(typeof store === 'string' ? store : store.url)
  return typeof address === 'string' ? 'a store' : address.name
}

/** Where no memory can be shared, a folder that cannot be made says so. */
function compileShared(size: string): DiskLimits {
  return { kind: 'shared', path: sharedPath(process.ppid), bytes: parseSize(size)!, timeoutMs: SHARED_MS, largeBytes: 0 }
}

function compileDisk({ path, size = DISK_SIZE, timeout = '200ms', maxObject }: CacheDisk, folder: string): DiskLimits {
  const largeBytes = maxObject === undefined ? 0 : parseSize(maxObject)!
  return { kind: 'disk', path: resolve(folder, path), bytes: parseSize(size)!, timeoutMs: parseDuration(timeout)!, largeBytes }
}

function compileStore(store: string | StoreOptions, folder: string, open: PolicyContext['openStore']): { readonly store?: StoreLimits } {
  const opened = open(store)
  if (opened === null) return {}
  const plan = planStore(store, folder)
  return { store: { store: opened, id: hash('sha256', JSON.stringify(plan)), timeoutMs: plan.timeout } }
}

export function compileRules(options: CacheOptions): CacheRules {
  const seconds = (text: string | undefined): number => (text === undefined ? 0 : parseDuration(text)! / 1000)
  const query = compileQuery(options.query ?? 'all')
  const headers = (options.vary?.headers ?? []).map((name) => name.toLowerCase())
  const cookies = options.vary?.cookies ?? []
  return Object.freeze({
    query,
    headers,
    cookies,
    ttl: compileTtl(options.ttl),
    heuristic: options.heuristic ?? 0,
    staleWhileRevalidate: seconds(options.staleWhileRevalidate),
    staleIfError: seconds(options.staleIfError),
    key: options.key ?? null,
    // Kept under another key's rules, an answer would be somebody else's.
    keyId: hash('sha1', dataOf([query, headers, cookies, options.key]).join('\n'), 'base64url').slice(0, 8),
    when: options.when ?? null,
    bypass: options.bypass ?? null,
    obeysClients: options.obeyClients ?? true,
    partial: options.partial ?? false,
    waitMs: parseDuration(options.wait ?? '5s')!,
  })
}

function compileTtl(ttl: CacheOptions['ttl']): ReadonlyMap<number, number> {
  if (ttl === undefined) return new Map()
  const entries = typeof ttl === 'string' ? TTL_STATUSES.map((status) => [status, ttl] as const) : Object.entries(ttl)
  return new Map(entries.map(([status, text]) => [Number(status), parseDuration(text as string)! / 1000]))
}

function compileQuery(query: NonNullable<CacheOptions['query']>): QueryRule {
  if (typeof query === 'string') return { kind: query }
  if ('only' in query) return { kind: 'only', names: query.only }
  return { kind: 'without', names: query.without }
}
