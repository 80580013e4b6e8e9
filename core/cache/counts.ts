/** What a cache tells of itself. */

export interface CacheCounts {
  readonly name: string
  readonly objects: number
  readonly bytes: number
  readonly maxBytes: number
  readonly evictions: number
  readonly purged: number
  /** In the order in which they are asked. */
  readonly tiers: readonly TierCounts[]
}

export interface TierCounts {
  /** What it is called in `stat` and metrics. */
  readonly tier: TierName
  /** Of all who share it; null: others keep account of that. */
  readonly objects: number | null
  readonly bytes: number | null
  readonly maxBytes: number | null
  readonly evictions: number | null
  /** Of this worker: how often it had what the memory had not, and how often something in it could not be read or written. */
  readonly found: number
  readonly failed: number
}

export type TierName = 'shared' | 'disk' | 'store'

/** One answer, as `ls` tells of it. */
export interface ListedResponse {
  readonly url: string
  readonly status: number
  readonly bytes: number
  readonly age: number
  readonly ttl: number
  readonly hits: number
  readonly variant: string
  readonly tags: readonly string[]
  readonly where: 'memory' | TierName
}
