/** The policy that keeps answers. */
import type { Duration, RequestView, Size } from '../plugin.ts'
import type { HttpPolicy } from './policies.ts'
import type { StoreOptions } from './store.ts'

export interface CacheOptions {
  /** Uses with the same name share one memory, a worker. Answers are never shared between routes. Default `default`. */
  name?: string | undefined
  /**
   * Bytes a worker grows by for answers; up to a half of it, and of much less, stays free for what V8 and the allocator take beside them. What is asked for least goes first. One use of a
   * name says so for all. Default `64mb`.
   */
  memory?: Size | undefined
  /**
   * Behind the memory of each worker: memory that all of them have in common, so what one has fetched the others find, and most of it is there once. Of Linux
   * (`/dev/shm`); it goes with the proxy. Default: none. One use of a name says so for all.
   */
  shared?: Size | undefined
  /** Behind the memory: one copy for all workers of the machine, which outlives them. Default: none. One use of a name says so for all. */
  disk?: CacheDisk | undefined
  /**
   * Behind memory and disk, for several machines: a Redis or Valkey, `'redis://10.0.0.1:6379'`. Proxies that name the same store and the same cache share what
   * they keep; their routes must be alike. Bodies up to 1 MB lie there. A request waits for it no longer than the store's `timeout`. Default: none.
   */
  store?: string | StoreOptions | undefined
  /** A larger body is passed on and not kept. Default `8mb`, at most half of the memory. */
  maxObject?: Size | undefined
  /**
   * Answers to ranges are kept, too (206 with one range, a strong `ETag` or `Last-Modified`), and those of the same version are joined (RFC 9111 §3.4): a later
   * range within what is kept is a hit. All of one URL together up to `maxObject`, in the memory of a worker alone: neither `shared`, `disk` nor `store` has parts, and they
   * go with the worker. Once all of the body is there it is kept as others are.
   * Default false: a range of what is not kept goes to the endpoint as it is, and its answer is not kept.
   */
  partial?: boolean | undefined
  /** Answers of one URL that differ by `Vary` (RFC 9111 §4.1). Default 16. */
  variants?: number | undefined
  /**
   * For answers that say nothing of it themselves: `'1m'` for 200, 203, 204, 301, 308, 404 and 410, or by status, `{ 200: '10m', 404: '10s' }`. What
   * `CDN-Cache-Control`, `Cache-Control` and `Expires` say goes first. Default: such answers are not kept.
   */
  ttl?: Duration | Readonly<Record<number, Duration>> | undefined
  /** Share of the time since `Last-Modified` that such an answer is fresh, a day at the most (RFC 9111 §4.2.2). Default 0: none. */
  heuristic?: number | undefined
  /** An answer that is stale is still sent for so long, and asked about meanwhile, if it does not say how long itself (RFC 5861). Default: not at all. */
  staleWhileRevalidate?: Duration | undefined
  /** The same when the endpoint fails or answers 500, 502, 503 or 504. Default: not at all. */
  staleIfError?: Duration | undefined
  /**
   * Which of the query is part of the key. Default `'all'`, as it came; `'sorted'`: whatever its order; `{ without: ['utm_*'] }`, `{ only: ['page'] }`. The endpoint gets all of
   * it: leave out nothing that it puts into its answers, for the first one's would be everybody's.
   */
  query?: 'all' | 'sorted' | 'none' | { readonly only: readonly string[] } | { readonly without: readonly string[] } | undefined
  /** Part of the key beside scheme, host, path and query: fields and cookies of the request. */
  vary?: { readonly headers?: readonly string[] | undefined; readonly cookies?: readonly string[] | undefined } | undefined
  /** In the place of path and query; scheme and host stay part of the key. */
  key?: ((req: RequestView) => string) | undefined
  /** False: the cache has no part in this request. */
  when?: ((req: RequestView) => boolean) | undefined
  /** True: the endpoint is asked whatever is kept, and its answer is kept. */
  bypass?: ((req: RequestView) => boolean) | undefined
  /** `no-cache`, `max-age`, `only-if-cached` … of clients count (RFC 9111 §5.2.1). Default true. */
  obeyClients?: boolean | undefined
  /** So long a request waits for what another one is fetching, then it goes to the endpoint itself. Default `5s`. */
  wait?: Duration | undefined
}

export interface CacheDisk {
  /**
   * A folder, from the config's on; it is made, and in it one of the cache's name. It belongs to one proxy at a time, whose workers share it: another one, in another
   * container too, keeps nothing there and says so, until the first has ended.
   */
  path: string
  /** What all of it may take there, one answer a quarter at the most. What is asked for least goes first. Default `1gb`. */
  size?: Size | undefined
  /**
   * A body that is too long for the memory (`maxObject` of the cache) and no longer than this is kept here alone: it goes into its file while it comes and out of it while it is
   * sent, ranges from their place, and is never in memory as a whole. At most a quarter of `size`. Default: such a body is passed on and not kept.
   */
  maxObject?: Size | undefined
  /** So long a request waits for it at the most, then its endpoint is asked. Default `200ms`. */
  timeout?: Duration | undefined
}

/**
 * A shared HTTP cache (RFC 9111): answers what it keeps, asks for what is wanted by many once, and says in `Cache-Status` what it did. In the `use`
 * of a listener it stands first of each route's, but behind what decides there who gets an answer (`basicAuth`, `ipAccess` …); a route's own takes its place.
 */
export function cache(options: CacheOptions = {}): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'cache', options }
}
