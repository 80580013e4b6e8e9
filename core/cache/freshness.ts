/** How long an answer may be used, and how old it is (RFC 9111 §4.2). Times are milliseconds since the epoch, spans are seconds. Pure. */
import type { ResponseHead } from '../net/http1/head.ts'
import { type ResponseDirectives, readResponseDirectives, secondsOf } from './directives.ts'
import { parseHttpDate } from './http-dates.ts'
import { readTargeted } from './targeted.ts'

/** What a config says of answers, in seconds. */
export interface FreshnessRules {
  /** For answers that say nothing of it themselves, by status. */
  readonly ttl: ReadonlyMap<number, number>
  /** Share of the time since Last-Modified (RFC 9111 §4.2.2); 0: none is guessed. */
  readonly heuristic: number
  /** For answers that say nothing of it themselves (RFC 5861). */
  readonly staleWhileRevalidate: number
  readonly staleIfError: number
}

/** What an answer says of its use by caches. */
export interface Freshness {
  readonly directives: Readonly<ResponseDirectives>
  /** Seconds it is fresh; 0: it has to be asked about each time. */
  readonly lifetime: number
  /** The answer itself, or the config, says how long; else it was guessed, or there is nothing. */
  readonly isExplicit: boolean
  /** When it was asked for: what was purged since then may be about it. */
  readonly askedAt: number
  /** Milliseconds: its age is the time since then. */
  readonly bornAt: number
  readonly date: number
  /** NaN: it has none. */
  readonly lastModified: number
  /** Seconds behind its lifetime. */
  readonly staleWhileRevalidate: number
  readonly staleIfError: number
}

/** RFC 9110 §15.1. */
const HEURISTIC = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
/** The longest that is guessed. */
const MOST_GUESSED = 86_400

/** `askedAt`, `now`: when the request was sent and the head came. */
export function readFreshness(head: ResponseHead, askedAt: number, now: number, rules: FreshnessRules): Freshness {
  const targeted = head.has('cdn-cache-control') ? readTargeted(head.get('cdn-cache-control')!) : null
  const directives = targeted ?? readResponseDirectives(head.get('cache-control'))
  const date = timeOf(head, 'date', now) || now
  const lastModified = timeOf(head, 'last-modified', now)
  const said = saidLifetime(head, directives, targeted !== null, date, now)
  const status = head.status === 206 ? 200 : head.status
  const ttl = said >= 0 || directives.noCache ? undefined : rules.ttl.get(status)
  const guessed =
    said >= 0 || ttl !== undefined || !(directives.isPublic || HEURISTIC.has(status))
      ? 0
      : guess(directives, date, lastModified, rules.heuristic)
  // A number below 0 of no origin's: Age is 1*DIGIT, what else it says counts for nothing (RFC 9111 §5.1).
  const age = secondsOf(firstOf(head.get('age'))) ?? 0
  const apparentAge = Math.max(0, now - date)
  const correctedAge = age * 1000 + Math.max(0, now - askedAt)
  return {
    directives,
    lifetime: directives.noCache ? 0 : said >= 0 ? said : (ttl ?? guessed),
    isExplicit: said >= 0 || ttl !== undefined,
    askedAt,
    bornAt: now - Math.max(apparentAge, correctedAge),
    date,
    lastModified,
    staleWhileRevalidate: staleness(directives, directives.staleWhileRevalidate, rules.staleWhileRevalidate),
    staleIfError: staleness(directives, directives.staleIfError, rules.staleIfError),
  }
}

/** s-maxage, then max-age, then Expires (RFC 9111 §4.2.1); -1: nothing is said. With a targeted field, that one alone counts. */
function saidLifetime(head: ResponseHead, directives: ResponseDirectives, isTargeted: boolean, date: number, now: number): number {
  if (directives.sMaxage >= 0) return directives.sMaxage
  if (directives.maxAge >= 0) return directives.maxAge
  if (isTargeted || !head.has('expires')) return -1
  const expires = timeOf(head, 'expires', now)
  // RFC 9111 §5.3: an invalid one, `0` above all, is in the past.
  return Number.isNaN(expires) ? 0 : Math.max(0, Math.floor((expires - date) / 1000))
}

function guess({ noCache }: ResponseDirectives, date: number, lastModified: number, share: number): number {
  if (share === 0 || noCache || Number.isNaN(lastModified)) return 0
  return Math.min(MOST_GUESSED, Math.max(0, Math.floor(((date - lastModified) / 1000) * share)))
}

/**
 * How long past its lifetime it may serve. What the config allows does not hold against an origin that forbids stale answers; what the
 * origin itself allows holds beside its s-maxage, which would forbid it alone (RFC 9111 §5.2.2.10).
 */
function staleness(directives: ResponseDirectives, said: number, otherwise: number): number {
  if (directives.mustRevalidate || directives.proxyRevalidate || directives.noCache) return 0
  if (said >= 0) return said
  return directives.sMaxage >= 0 ? 0 : otherwise
}

/** NaN: there is none, or it is none. */
function timeOf(head: ResponseHead, name: string, now: number): number {
  const text = head.get(name)
  return text === null ? Number.NaN : parseHttpDate(text, now)
}

/** RFC 9111 §5.1: of several members the first. */
function firstOf(text: string | null): string | null {
  return text === null ? null : text.split(',', 1)[0]!.trim()
}

/** Also for who was not asked about when it was fetched: credentials make no difference (RFC 9111 §3.5). */
export function areForAll({ isPublic, mustRevalidate, sMaxage }: ResponseDirectives): boolean {
  return isPublic || mustRevalidate || sMaxage >= 0
}

/** Whether a cache may use it without asking, stale, because the client wants it so (`max-stale`, RFC 9111 §5.2.1.2). */
export function allowsStale({ directives }: Freshness): boolean {
  return !(directives.mustRevalidate || directives.proxyRevalidate || directives.noCache || directives.sMaxage >= 0)
}
