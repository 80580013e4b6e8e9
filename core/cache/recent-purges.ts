/**
 * What was purged a moment ago: another worker may not have been told yet, and write what is from before the purge where all find it. It is
 * remembered for as long as that can take.
 */
import { isPurged, type Purge } from './purge.ts'
import type { StoredResponse } from './stored-response.ts'

interface Recent {
  readonly purge: Purge
  readonly at: number
}

const REMEMBERED_MS = 15_000
/** With more of them all that is older than the last is taken for purged. */
const MOST = 64

export class RecentPurges {
  #recent: Recent[] = []

  add(purge: Purge, now: number): void {
    this.#recent = this.#recent.filter(({ at }) => at + REMEMBERED_MS > now)
    if (this.#recent.length >= MOST) this.#recent = [{ purge: { kind: 'all', soft: this.#recent.every((one) => one.purge.soft) }, at: now }]
    this.#recent.push({ purge, at: now })
  }

  /** False: it is to be taken for purged. One that was purged softly becomes stale. */
  allows(response: StoredResponse, now: number): boolean {
    for (const { purge, at } of this.#recent) {
      if (at + REMEMBERED_MS <= now || response.freshness.askedAt > at || !isPurged(response, purge)) continue
      if (!purge.soft) return false
      response.purge(at)
    }
    return true
  }
}
