/** What is in a disk's index, told some rows at a time: requests are answered between them. */
import type { ListedResponse } from '../counts.ts'
import { type DiskIndex, type Place, urlsFrom } from './disk-index.ts'
import { listedOf } from './disk-rows.ts'
import { STEP } from './purge-range.ts'

export interface Listing {
  readonly prefix: string
  readonly most: number
  readonly now: number
  readonly where: 'disk' | 'shared'
}

/** Throws what the index says. */
export async function listRows(index: DiskIndex, { prefix, most, now, where }: Listing): Promise<readonly ListedResponse[]> {
  const found: ListedResponse[] = []
  for (let after: Place | null = null; found.length < most; ) {
    const rows = index.list(urlsFrom(prefix), after, Math.min(STEP, most - found.length))
    for (const row of rows) found.push({ ...listedOf(row, now), tags: index.tagsOf(row.id), where })
    if (rows.length < STEP) return found
    after = rows.at(-1)!
    await new Promise((resolve) => setImmediate(resolve))
  }
  return found
}
