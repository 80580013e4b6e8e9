/** A purge of what is in a disk's index, some rows at a time: other processes write between them. */
import type { DiskIndex, Place, Range } from './disk-index.ts'
import type { DiskWrites } from './disk-writes.ts'

/** Of a purge or a list, at a time. */
export const STEP = 24
const TRIES = 3

interface RangePurge {
  readonly range: Range
  /** When they became stale; null: they go. */
  readonly stale: number | null
  /** The index is not used any more. */
  isOver(): boolean
}

/** How many rows it was about; not `isDone`: the rest cannot be. */
export async function purgeRange(writes: DiskWrites, purge: RangePurge): Promise<{ readonly count: number; readonly isDone: boolean }> {
  let count = 0
  let tries = 0
  for (let after: Place | null = null, isMore = true; isMore && !purge.isOver(); ) {
    const step = await purgeStep(writes, purge, after)
    if (step !== null) {
      count += step.count
      after = step.last
      isMore = step.last !== null
    } else if (++tries === TRIES) return { count, isDone: false }
  }
  return { count, isDone: true }
}

/** Null: it could not be done. */
function purgeStep(
  writes: DiskWrites,
  { range, stale }: RangePurge,
  after: Place | null,
): Promise<{ readonly count: number; readonly last: Place | null } | null> {
  return new Promise((resolve) => {
    let count = 0
    let last: Place | null = null
    const change = (index: DiskIndex) => {
      const some = index.matching(range, after, STEP)
      last = some.length === STEP ? some.at(-1)! : null
      const gone = stale === null ? some.flatMap(({ id }) => index.removeId(id)) : []
      count = stale === null ? gone.length : some.filter(({ id }) => index.makeStale(id, stale)).length
      return gone
    }
    writes.mustMake(change, (isMade) => resolve(isMade ? { count, last } : null))
  })
}
