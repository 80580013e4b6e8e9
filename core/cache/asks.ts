/** What is asked of all caches of a proxy from outside, and what each worker tells. Checked here: it comes over sockets. Pure. */
import { unknownKey } from '../config/nearest.ts'
import { escapeRawBytes } from '../net/path.ts'
import type { CacheCounts, ListedResponse, TierCounts } from './counts.ts'
import { authority } from './key.ts'
import type { Purge } from './purge.ts'

export type CacheAsk =
  /** `cache`: the one of that name; null: all. */
  | { readonly kind: 'purge'; readonly cache: string | null; readonly purge: Purge }
  /** Those whose URL begins so, at most so many. */
  | { readonly kind: 'list'; readonly cache: string | null; readonly prefix: string; readonly most: number }
  | { readonly kind: 'stat'; readonly cache: string | null }

export interface CacheTold {
  readonly counts: readonly CacheCounts[]
  /** How many answers were purged. */
  readonly purged: number
  readonly listed: readonly ListedResponse[]
  /** Of all caches, whichever was asked. */
  readonly names: readonly string[]
  /** What could not be done, in sentences. */
  readonly problems: readonly string[]
}

/** What all workers tell, as one. What they share they tell alike. */
export function mergeTold(told: readonly CacheTold[], most = Number.POSITIVE_INFINITY): CacheTold {
  const counts = new Map<string, CacheCounts>()
  for (const one of told.flatMap((worker) => worker.counts)) counts.set(one.name, mergeCounts(counts.get(one.name), one))
  return {
    counts: [...counts.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    purged: told.reduce((sum, { purged }) => sum + purged, 0),
    listed: withoutShared(told).slice(0, most),
    problems: [...new Set(told.flatMap(({ problems }) => problems))],
    names: [...new Set(told.flatMap(({ names }) => names))].sort(),
  }
}

function mergeCounts(known: CacheCounts | undefined, one: CacheCounts): CacheCounts {
  if (known === undefined) return one
  return {
    name: one.name,
    objects: known.objects + one.objects,
    bytes: known.bytes + one.bytes,
    maxBytes: known.maxBytes + one.maxBytes,
    evictions: known.evictions + one.evictions,
    purged: known.purged + one.purged,
    tiers: one.tiers.map((tier) =>
      mergeTier(
        tier,
        known.tiers.find((other) => other.tier === tier.tier),
      ),
    ),
  }
}

function mergeTier(one: TierCounts, known: TierCounts | undefined): TierCounts {
  return { ...one, found: one.found + (known?.found ?? 0), failed: one.failed + (known?.failed ?? 0) }
}

function withoutShared(told: readonly CacheTold[]): ListedResponse[] {
  const seen = new Set<string>()
  return told
    .flatMap(({ listed }) => listed)
    .filter(({ where, url, variant }) => {
      const name = `${where} ${url}\n${variant}`
      if (where !== 'memory' && seen.has(name)) return false
      seen.add(name)
      return true
    })
}

const MOST_TEXT = 2048
export const MOST_LISTED = 1000

type Fields = Readonly<Record<string, unknown>>

/** As it comes over the control socket. */
export function parseCacheAsk(value: unknown): CacheAsk | string {
  if (typeof value !== 'object' || value === null) return 'cache needs what to ask'
  const fields = value as Fields
  if (fields.kind === 'purge') {
    const purge = (typeof fields.purge === 'object' && fields.purge !== null ? fields.purge : {}) as Fields
    const what = { ...(purge.kind === 'all' ? { all: true } : { [String(purge.kind)]: purge[String(purge.kind)] }), soft: purge.soft }
    return parsePurge({ ...what, cache: fields.cache ?? null })
  }
  if (fields.kind === 'list') return parseList(fields)
  const { cache = null } = fields
  return fields.kind === 'stat' && isName(cache) ? { kind: 'stat', cache } : 'there is purge, list and stat'
}

const PURGE_KEYS = ['url', 'prefix', 'host', 'tag', 'all', 'soft', 'cache']

/** `{ url | prefix | host | tag: '…' }` or `{ all: true }`, with `soft` and `cache`; or the sentence that says what is wrong with it. */
export function parsePurge(fields: Fields): (CacheAsk & { readonly kind: 'purge' }) | string {
  const { soft = false, cache = null } = fields
  const unknown = Object.keys(fields).find((key) => !PURGE_KEYS.includes(key))
  if (unknown !== undefined) return unknownKey(unknown, PURGE_KEYS)
  if (typeof soft !== 'boolean') return 'soft is true or false'
  if (!isName(cache)) return 'cache is the name of one'
  const kinds = ['url', 'prefix', 'host', 'tag', 'all'].filter((kind) => fields[kind] !== undefined && fields[kind] !== false)
  if (kinds.length !== 1) return 'say what to purge: exactly one of url, prefix, host, tag and all'
  const what = fields[kinds[0]!]
  if (kinds[0] === 'all') return what === true ? { kind: 'purge', cache, purge: { kind: 'all', soft } } : 'all is true'
  if (!isText(what)) return `${kinds[0]} is a text of up to ${MOST_TEXT} characters`
  switch (kinds[0]) {
    case 'host':
      return { kind: 'purge', cache, purge: { kind: 'host', host: what.toLowerCase(), soft } }
    case 'tag':
      return { kind: 'purge', cache, purge: { kind: 'tag', tag: what, soft } }
    default: {
      const url = canonical(what)
      if (url === null) return `${kinds[0]} is a whole URL, as in https://example.com/a`
      return { kind: 'purge', cache, purge: kinds[0] === 'url' ? { kind: 'url', url, soft } : { kind: 'prefix', prefix: url, soft } }
    }
  }
}

export function parseList(fields: Fields): (CacheAsk & { readonly kind: 'list' }) | string {
  const { prefix = '', cache = null, most = 100 } = fields
  if (!isName(cache)) return 'cache is the name of one'
  if (typeof prefix !== 'string' || prefix.length > MOST_TEXT) return 'prefix is the beginning of a URL'
  if (typeof most !== 'number' || !Number.isInteger(most) || most < 1 || most > MOST_LISTED) return `most is a number up to ${MOST_LISTED}`
  return { kind: 'list', cache, prefix: canonical(prefix) ?? prefix, most }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MOST_TEXT
}

function isName(value: unknown): value is string | null {
  return value === null || (typeof value === 'string' && value !== '' && value.length <= 64)
}

/** As keys have it: scheme and host in lower case, without the port that goes without saying; letters beyond ASCII as browsers send them; no fragment. */
function canonical(url: string): string | null {
  const [, scheme, host, rest] = /^(https?):\/\/([^/?#\s]+)([^#\s]*)(?:#.*)?$/i.exec(url) ?? []
  if (scheme === undefined || host === undefined || rest === undefined) return null
  const lower = scheme.toLowerCase()
  return `${lower}://${authority(lower, host)}${rest.startsWith('/') ? '' : '/'}${escapeRawBytes(Buffer.from(rest).toString('latin1'))}`
}
