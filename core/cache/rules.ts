/** How one use of a cache goes about it: compiled from its options, nothing left to parse. Spans are seconds unless a name says otherwise. */
import type { RequestView } from '../plugin.ts'
import type { FreshnessRules } from './freshness.ts'
import type { QueryRule } from './key.ts'

export interface CacheRules extends FreshnessRules {
  readonly query: QueryRule
  /** Another one for each way to make a key. */
  readonly keyId: string
  /** Lower-case names of fields that are part of the key. */
  readonly headers: readonly string[]
  readonly cookies: readonly string[]
  /** In the place of path and query. */
  readonly key: ((request: RequestView) => string) | null
  /** False: the cache has no part in it. */
  readonly when: ((request: RequestView) => boolean) | null
  /** True: the endpoint is asked, and its answer is kept. */
  readonly bypass: ((request: RequestView) => boolean) | null
  /** What clients say in Cache-Control counts. */
  readonly obeysClients: boolean
  /** Answers to ranges are kept, and joined. */
  readonly partial: boolean
  /** So long a request waits for what another one fetches. */
  readonly waitMs: number
}
