/** Whether a shared cache may keep an answer (RFC 9111 §3), and if not, the word for it in Cache-Status. Pure. */
import type { ResponseHead } from '../net/http1/head.ts'
import { areForAll, type Freshness } from './freshness.ts'

/** Of the request, as it was when it came to the cache. */
export interface AskedFor {
  readonly method: string
  readonly noStore: boolean
  readonly hasAuthorization: boolean
  /** Parts are kept, too. */
  readonly inPart: boolean
  /** The config says for how long answers of that status are fresh. */
  readonly namesStatus: boolean
}

export type Refusal =
  | 'method'
  | 'request-no-store'
  | 'status'
  | 'no-store'
  | 'private'
  | 'authorization'
  | 'set-cookie'
  | 'vary'
  | 'no-freshness'
  | 'no-length'
  | 'too-large'
  | 'no-room'
  | 'range'
  | 'no-validator'
  | 'too-many-parts'
  | 'purged'
  | 'unkeyed'
  | 'local'

/** Whose meaning is known here (RFC 9111 §5.2.2.3). 304 is a part of an answer. */
const UNDERSTOOD = new Set([200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451, 501])

/** What is said of the request as it was sent, its length or a field that is no part of the key: whoever sends such would have all others get it. */
const OF_REQUEST = new Set([400, 407, 408, 411, 412, 413, 417, 421, 426, 428, 429, 431, 505])

/** Null: it may be kept. Vary and sizes are the store's to judge. */
export function refusalOf(asked: AskedFor, head: ResponseHead, freshness: Freshness): Refusal | null {
  const { directives, isExplicit, lifetime } = freshness
  if (asked.method !== 'GET') return 'method'
  if (asked.noStore) return 'request-no-store'
  const { status } = head
  // 416 is about one range, whatever it was that asked for it.
  if (status < 200 || (status === 206 && !asked.inPart) || status === 304 || status === 416) return 'status'
  if (OF_REQUEST.has(status) && !asked.namesStatus) return 'status'
  const understood = UNDERSTOOD.has(status)
  if (directives.mustUnderstand && !understood) return 'status'
  // RFC 9111 §5.2.2.3: whoever knows the status and the directive ignores the no-store beside it.
  if (directives.noStore && !directives.mustUnderstand) return 'no-store'
  if (directives.isPrivate) return 'private'
  // RFC 9111 §3.5.
  if (asked.hasAuthorization && !areForAll(directives)) return 'authorization'
  // What is set for one client is not for the next; RFC 9111 §7.3 leaves it to the origin, and origins forget.
  if (head.has('set-cookie')) return 'set-cookie'
  if (lifetime > 0 || freshness.staleWhileRevalidate > 0) return null
  // It serves only those who ask the origin about it, so there must be something to ask by.
  const hasValidator = head.has('etag') || !Number.isNaN(freshness.lastModified)
  return hasValidator && (isExplicit || directives.noCache) ? null : 'no-freshness'
}
