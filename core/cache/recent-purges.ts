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
/** The same of URLs, each of which a client can have purged by a request that changes something, here or at another worker. */
const MOST_URLS = 32_768

export class RecentPurges {
  #recent: Recent[] = []
  /** Those of one URL that are not soft, and when they were; the first is the oldest. */
  readonly #urls = new Map<string, number>()

  add(purge: Purge, now: number): void {
    if (purge.kind === 'url' && !purge.soft) return this.#addUrl(purge.url, now)
    this.#recent = this.#recent.filter(({ at }) => at + REMEMBERED_MS > now)
    if (this.#recent.length >= MOST) this.#recent = [{ purge: { kind: 'all', soft: this.#recent.every((one) => one.purge.soft) }, at: now }]
    this.#recent.push({ purge, at: now })
  }

  #addUrl(url: string, now: number): void {
    this.#urls.delete(url)
    this.#urls.set(url, now)
    for (const [known, at] of this.#urls) {
      if (at + REMEMBERED_MS > now) break
      this.#urls.delete(known)
    }
    if (this.#urls.size <= MOST_URLS) return
    this.#urls.clear()
    this.add({ kind: 'all', soft: false }, now)
  }

  /** False: it is to be taken for purged. One that was purged softly becomes stale. */
  allows(response: StoredResponse, now: number): boolean {
    const { askedAt } = response.freshness
    const urlAt = this.#urls.get(response.url)
    if (urlAt !== undefined && urlAt + REMEMBERED_MS > now && askedAt <= urlAt) return false
    for (const { purge, at } of this.#recent) {
      if (at + REMEMBERED_MS <= now || askedAt > at || !isPurged(response, purge)) continue
      if (!purge.soft) return false
      response.purge(at)
    }
    return true
  }
}
