/** How far what a store tells has been heard: what lies on a disk outlives who has heard it, so that is written down beside it. */
import type { Tier } from '../tier.ts'

export interface Heard {
  /** Numbers of the last ones. */
  readonly purges: number
  readonly invalidations: number
}

/** A tier that outlives its process. */
export interface FolderTier extends Tier {
  /** What had been done there of what that store told; null: nothing is known. */
  heard(store: string): Heard | null
  /** Behind what is being done there of it. */
  hear(store: string, heard: Heard): void
}

export function lesserOf(a: Heard | null, b: Heard): Heard {
  if (a === null) return b
  return { purges: Math.min(a.purges, b.purges), invalidations: Math.min(a.invalidations, b.invalidations) }
}
