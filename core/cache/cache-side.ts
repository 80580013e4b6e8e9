/**
 * Between an exchange and the cache on its way. The cache answers in the place of an endpoint (`StoredAnswer`), lets an exchange wait
 * for what another one fetches, and is given the body of an answer that it wants to keep.
 */
import type { Hook, HookCall } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { RequestView } from '../plugin.ts'
import type { BodySource } from './body-source.ts'

/** How a request fared: `cache` of the access log, a label of metrics. */
export type CacheOutcome = 'hit' | 'stale' | 'revalidated' | 'collapsed' | 'miss' | 'expired' | 'bypass' | 'refresh'

/** An exchange, as a cache sees it. */
export interface CacheSide extends HookCall {
  /** What a cache keeps of it until it ends. */
  caching: Caching | null
  cacheOutcome: CacheOutcome | null
  readonly scheme: 'http' | 'https'
  /** In Cache-Status. */
  readonly cacheName: string
  /** The same for requests that the same route sends to the same place, through reloads; no other route's. */
  readonly cacheSpace: string
  /** Its client is a proxy that is believed what it says of the host and scheme asked for. */
  readonly isFromProxy: boolean
  /** The response is the proxy's own. */
  readonly isLocal: boolean
  /** A hook asked about it wants the body of the response, other than to give it a coding. */
  readonly hasBodyHooks: boolean
  /** The hook on its way that gives bodies a coding. */
  readonly encoder: Hook | null
  /** What the client accepts, whatever the endpoint is asked for. */
  readonly accepts: string | null
  view(): RequestView
  /** Sends `request` on, as this exchange would go on from here, for no client. */
  fetchBeside(request: RequestHead, caching: Caching): void
}

export interface Caching {
  /** Where the body of the endpoint's answer goes; null: straight to the client. */
  readonly inflow: Inflow | null
  /** The exchange is over, however it ended. */
  ended(): void
}

/** A body on its way into a cache. */
export interface Inflow {
  readonly source: BodySource
  /** False: it is more than is kept. What was pushed before stays in `source`, this and what follows is not the cache's any more. */
  push(bytes: Buffer, from: number, to: number): boolean
  pushText(text: string): boolean
  /** What was pushed in one read is there for those who wait. */
  advance(): void
  complete(): void
  /** It will not be complete. */
  break(): void
  /** Others read it too, or wait for it. */
  readonly isShared: boolean
}
