/**
 * A cache of one worker: what it keeps, what is on its way into it, and what is purged from it. Uses of `cache` that name the same one
 * share its room, and nothing else: whose answer is whose is told by their keys.
 */
import type { Deadlines } from '../deadlines.ts'
import { Flight, type FlightHome } from './flight.ts'
import { MemoryStore, type StoreLimits } from './memory-store.ts'
import { isPurged, type Purge } from './purge.ts'
import type { StoredResponse } from './stored-response.ts'

/** So long nobody waits for the answer to a key whose last answer was not to be kept. */
const MARK_MS = 10_000

export interface CacheCounts {
  readonly name: string
  readonly objects: number
  readonly bytes: number
  readonly maxBytes: number
  readonly evictions: number
  readonly purged: number
}

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
}

export class Cache implements FlightHome {
  readonly name: string
  readonly deadlines: Deadlines
  readonly store: MemoryStore<Flight>
  readonly #clock: () => number
  #purged = 0
  #newestPlan = 0

  constructor(name: string, { deadlines, clock }: { readonly deadlines: Deadlines; readonly clock: () => number }) {
    this.name = name
    this.deadlines = deadlines
    this.#clock = clock
    this.store = new MemoryStore({ bytes: 0, objectBytes: 0, variants: 0 })
  }

  /** Of the plans that ask it, the newest says what its limits are: one that is only prepared changes nothing. */
  use({ plan, bytes, objectBytes, variants }: StoreLimits & { readonly plan: number }): void {
    this.#newestPlan = plan
    this.store.resize({ bytes, objectBytes, variants })
  }

  get newestPlan(): number {
    return this.#newestPlan
  }

  get objectBytes(): number {
    return this.store.limits.objectBytes
  }

  // ── on their way ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** `isListed`: others may wait for it. */
  launch(parts: Pick<Flight, 'key' | 'url' | 'vary' | 'variant'>, isListed: boolean): Flight {
    const flight = new Flight(this, parts)
    if (isListed) this.store.open(parts.key, parts.url).pending.push(flight)
    else this.#unlisted.add(flight)
    return flight
  }

  /** Those that nobody may wait for: a purge is for them too. As many as there are exchanges that have one. */
  readonly #unlisted = new Set<Flight>()

  unlist(flight: Flight): void {
    if (this.#unlisted.delete(flight)) return
    const record = this.store.find(flight.key)
    if (record === undefined) return
    record.pending = record.pending.filter((other) => other !== flight)
    this.store.tidy(record)
  }

  reserve(flight: Flight, bytes: number): boolean {
    if (!this.store.reserve(bytes)) return false
    flight.reserved += bytes
    return true
  }

  unreserve(bytes: number): void {
    this.store.unreserve(bytes)
  }

  keep(response: StoredResponse): void {
    this.store.put(response)
  }

  /** The last answer was not to be kept. */
  mark(key: string, url: string): void {
    this.store.mark(key, url, this.#clock() + MARK_MS)
  }

  isMarked(key: string): boolean {
    const record = this.store.find(key)
    const mark = record?.mark ?? null
    if (mark === null) return false
    if (mark.until > this.#clock()) return true
    this.store.unmark(record!)
    this.store.tidy(record!)
    return false
  }

  // ── leaving it ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request has changed what is behind this URL (RFC 9111 §4.4). */
  invalidate(url: string): void {
    for (const { responses, pending } of this.store.ofUrl(url)) {
      for (const flight of pending) flight.isPurged = true
      for (const response of responses) this.store.remove(response)
    }
    for (const flight of this.#unlisted) if (flight.url === url) flight.isPurged = true
  }

  /** Returns how many answers it was about. */
  purge(purge: Purge): number {
    const now = this.#clock()
    let count = 0
    const all = purge.kind === 'url' ? [...this.store.ofUrl(purge.url)] : [...this.store.records()]
    for (const { responses, pending } of all) {
      for (const flight of pending) this.#purgeFlight(flight, purge)
      for (const response of responses) {
        if (!isPurged(response, purge)) continue
        count++
        if (purge.soft) response.purge(now)
        else this.store.remove(response)
      }
    }
    for (const flight of this.#unlisted) this.#purgeFlight(flight, purge)
    this.#purged += count
    return count
  }

  /** What it brings may be from before the purge, and its tags are not known before its head. */
  #purgeFlight(flight: Flight, purge: Purge): void {
    if (
      flight.response === null ? purge.kind === 'tag' || isPurged({ url: flight.url, tags: [] }, purge) : isPurged(flight.response, purge)
    )
      flight.isPurged = true
  }

  get counts(): CacheCounts {
    const { objects, bytes, evictions } = this.store.counts
    return { name: this.name, objects, bytes, maxBytes: this.store.limits.bytes, evictions, purged: this.#purged }
  }

  /** At most so many whose URL begins so, in no order. */
  list(prefix: string, most: number): ListedResponse[] {
    const now = this.#clock()
    const found: ListedResponse[] = []
    for (const { responses } of this.store.records()) {
      for (const response of responses) {
        if (!response.url.startsWith(prefix)) continue
        if (found.length >= most) return found
        const { url, status, length: bytes, hits, variant, tags } = response
        found.push({ url, status, bytes, age: response.age(now), ttl: response.ttl(now), hits, variant, tags })
      }
    }
    return found
  }
}
