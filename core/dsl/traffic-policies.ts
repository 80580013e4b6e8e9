/** Policies that bound how much may come. */
import type { Duration, RequestView, Size } from '../plugin.ts'
import type { AnyPolicy, HttpPolicy } from './policies.ts'
import type { StoreOptions } from './store.ts'

/**
 * By what requests are told apart: `'ip'`, the client's address (of IPv6 the network /64); the value of a field or a cookie, or else the
 * address; or what a function says: null does not count.
 */
export type RequestKey = 'ip' | { readonly header: string } | { readonly cookie: string } | ((req: RequestView) => string | null)

export interface RateLimitOptions {
  key: RequestKey
  /** So many in a window. */
  limit: number
  /** Up to `30d`. */
  window: Duration
  /** As many at once, for who has not come lately. Default: `limit`. */
  burst?: number | undefined
  /** Tell clients of it by `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers). Default false. */
  fields?: boolean | undefined
  /** Its name in these fields. Default `default`. */
  name?: string | undefined
  /**
   * Count in a Redis or Valkey, `'redis://10.0.0.1:6379'`: exactly over all proxies whose config has this same limit, on the clock of the store. Default: over
   * the workers of this machine.
   */
  store?: string | StoreOptions | undefined
  /** While the store is away or does not answer in time: `'local'`, this machine counts by itself, or `'refuse'`, with 503. Default `local`. */
  ifStoreFails?: 'local' | 'refuse' | undefined
}
/**
 * Lets `limit` requests a `window` through for each key, evenly, after `burst` at once (GCRA); more get 429 with `Retry-After`. Counted exactly
 * over all workers of the machine, or with a `store` over several machines; here 131,072 keys are remembered, and where there are more, those that are nearest to having used nothing are forgotten. On a
 * TCP listener connections are counted, by `'ip'` alone, and closed.
 */
export function rateLimit(options: RateLimitOptions): AnyPolicy {
  return { kind: 'policy', layer: 'any', name: 'rateLimit', options }
}

export interface ConcurrencyOptions {
  key: RequestKey
  /** So many at a time, over all workers of the machine. */
  limit: number
}
/**
 * At most `limit` exchanges at a time for each key, tunnels (WebSockets) included; more get 429. Counted exactly over all workers of the machine, those too that are
 * being drained; what a worker held that has ended is free at once. 16,384 keys at a time: one beyond that for which there is no room is counted by each worker
 * for its part of `limit`, as all are where memory cannot be shared.
 */
export function concurrency(options: ConcurrencyOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'concurrency', options }
}

export interface BandwidthOptions {
  /** Bytes a second of request bodies: `'256kb'`. Default: no limit. */
  request?: Size | undefined
  /** Bytes a second of response bodies, whoever answers: endpoints, caches, the proxy itself. Default: no limit. */
  response?: Size | undefined
  /** Who has so much together: one connection, all that comes by the same key. Who a function says null of is not held up. Default `'connection'`. */
  key?: 'connection' | RequestKey | undefined
  /** So many bytes at once, for who has not had any lately; a fifth of a second's worth at the least. Default: what may pass in a second. */
  burst?: Size | undefined
}
/**
 * Bodies, WebSockets and other tunnels go no faster than so many bytes a second. Who has to wait is not read from meanwhile, and no deadline runs against it.
 * What exchanges with the same key have together they get in turn, over all workers of the machine. 16,384 keys at a time: one beyond that for which there is no room is
 * paced by each worker for its part of the rate, as all are where memory cannot be shared.
 */
export function bandwidth(options: BandwidthOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'bandwidth', options }
}

/** A request with a longer body gets 413, before any of it is sent on if its length is announced. As it is sent: not decoded. */
export function bodyLimit(most: Size): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'bodyLimit', options: most }
}
