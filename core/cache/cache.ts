/**
 * A cache of one worker: what it keeps, what is on its way into it, and what is purged from it. Uses of `cache` that name the same one
 * share its room, and nothing else: whose answer is whose is told by their keys.
 */
import type { Deadlines } from '../deadlines.ts'
import type { BodySource } from './body-source.ts'
import type { CacheCounts, ListedResponse } from './counts.ts'
import type { DiskLimits, DiskTier } from './disk/disk-tier.ts'
import { HeldFolder } from './disk/held-folder.ts'
import type { LargeFile } from './disk/large-file.ts'
import { Flight, type FlightHome, type FlightParts } from './flight.ts'
import { joinPart } from './joined-parts.ts'
import { isSameVariant, type KeyRecord, type MemoryLimits, MemoryStore, without } from './memory-store.ts'
import { isPurged, type Purge } from './purge.ts'
import { Recall, type RecallHome } from './recall.ts'
import { RecentPurges } from './recent-purges.ts'
import { type StoreLimits, StoreTier } from './store/store-tier.ts'
import type { StoredResponse } from './stored-response.ts'
import type { Tier, TierHome, Wanted } from './tier.ts'

/** So long nobody waits for the answer to a key whose last answer was not to be kept. */
const MARK_MS = 10_000

/** What a plan wants of a cache. */
export interface CacheLimits extends MemoryLimits {
  readonly plan: number
  readonly shared: DiskLimits | null
  readonly disk: DiskLimits | null
  readonly store: StoreLimits | null
}

export interface CacheOptions {
  readonly deadlines: Deadlines
  readonly clock: () => number
  readonly warn: (text: string) => void
  /** Told of a URL that a request has put out, for the other workers. */
  readonly onInvalidated: (url: string) => void
  /** Nothing is kept outside of this process. */
  readonly isSimulated: boolean
}

export class Cache implements FlightHome, RecallHome, TierHome {
  readonly name: string
  readonly deadlines: Deadlines
  readonly clock: () => number
  readonly warn: (text: string) => void
  readonly store: MemoryStore<Flight>
  /** Behind the memory, in the order in which they are asked. */
  tiers: readonly Tier[] = []
  readonly #onInvalidated: (url: string) => void
  readonly #isSimulated: boolean
  readonly #shared = new HeldFolder(this, () => this.#order())
  readonly #disk = new HeldFolder(this, () => this.#order())
  #stored: StoreTier | null = null
  #storeId: string | null = null
  #purged = 0
  #newestPlan = 0
  /** By key: as many as there are exchanges that wait for one. */
  readonly #recalls = new Map<string, Recall>()
  readonly #recentPurges = new RecentPurges()

  constructor(name: string, { deadlines, clock, warn, onInvalidated, isSimulated }: CacheOptions) {
    this.#onInvalidated = onInvalidated
    this.#isSimulated = isSimulated
    this.name = name
    this.deadlines = deadlines
    this.clock = clock
    this.warn = warn
    this.store = new MemoryStore({ bytes: 0, objectBytes: 0, variants: 0 })
  }

  /** Of the plans that ask it, the newest says what its limits are: one that is only prepared changes nothing. */
  use({ plan, bytes, objectBytes, variants, shared, disk, store }: CacheLimits): void {
    this.#newestPlan = plan
    this.store.resize({ bytes, objectBytes, variants })
    if (this.#isSimulated) return
    this.#shared.use(shared)
    this.#disk.use(disk)
    this.#useStore(store)
    this.#order()
  }

  #order(): void {
    const before = this.tiers
    this.tiers = [...this.folders, this.#stored].filter((tier) => tier !== null)
    const stored = this.#stored
    if (stored === null) return
    for (const folder of this.folders) if (!before.includes(folder) || !before.includes(stored)) stored.meet(folder)
  }

  /** What outlives this process. */
  get folders(): readonly DiskTier[] {
    return [this.#shared.tier, this.#disk.tier].filter((tier) => tier !== null)
  }

  #useStore(limits: StoreLimits | null): void {
    if (this.#stored !== null && limits?.id === this.#storeId) {
      // The last plan gives its hold on the store back.
      this.#stored.store = limits!.store
      return
    }
    void this.#stored?.close()
    this.#storeId = limits?.id ?? null
    this.#stored = limits === null ? null : new StoreTier(this.name, limits, this)
  }

  /** Resolves when all that was to be kept behind the memory is. */
  async settled(): Promise<void> {
    await Promise.all(this.tiers.map((tier) => tier.settled()))
  }

  /** The same, and nothing more is. */
  async close(): Promise<void> {
    const tiers = this.tiers
    this.tiers = []
    for (const folder of [this.#shared, this.#disk]) folder.giveUp()
    await Promise.all(tiers.map((tier) => tier.close()))
  }

  get newestPlan(): number {
    return this.#newestPlan
  }

  get objectBytes(): number {
    return this.store.limits.objectBytes
  }

  // ── on their way ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** `isListed`: others may wait for it. */
  launch(parts: FlightParts, isListed: boolean): Flight {
    const flight = new Flight(this, parts)
    if (isListed) {
      const record = this.store.open(parts.key, parts.url)
      record.pending = record.pending.length === 0 ? [flight] : [...record.pending, flight]
    } else this.#unlisted.add(flight)
    return flight
  }

  /** Those that nobody may wait for: a purge is for them too. As many as there are exchanges that have one. */
  readonly #unlisted = new Set<Flight>()

  unlist(flight: Flight): void {
    if (this.#unlisted.delete(flight)) return
    const record = this.store.find(flight.key)
    if (record === undefined) return
    record.pending = without(record.pending, flight)
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
    if (response.body.state === 'broken') return
    if (response.part !== null) return joinPart(this, response)
    // Of a 304: its row gets the new head.
    if (response.large !== null) return this.#disk.tier?.keep(response)
    this.store.put(response)
    // What is there in part stays in memory.
    if (response.pieces === null) for (const tier of this.tiers) tier.keep(response)
  }

  /** Too long for the memory: whether there is a disk for it. */
  takesLarge(length: number): boolean {
    return this.#disk.tier?.takesLarge(length) === true
  }

  createLarge(response: StoredResponse, flight: Flight): LargeFile {
    return this.#disk.tier!.createLarge(response, () => !flight.isPurged)
  }

  /** It was replaced by what was asked for later. */
  hasNewer(response: StoredResponse): boolean {
    const record = this.store.find(response.key)
    const { askedAt } = response.freshness
    return record !== undefined && keptOf(record).some((one) => isSameVariant(one, response) && one.freshness.askedAt > askedAt)
  }

  /** An endpoint is asked for an answer then. */
  asks(at: number): void {
    this.#stored?.asks(at)
  }

  /** It is not to be used any more. */
  drop(response: StoredResponse): void {
    this.store.remove(response)
    for (const tier of this.tiers) tier.remove(response)
  }

  /** The last answer was not to be kept. */
  mark(key: string, url: string): void {
    this.store.mark(key, url, this.clock() + MARK_MS)
  }

  isMarked(key: string): boolean {
    const record = this.store.find(key)
    const mark = record?.mark ?? null
    if (mark === null) return false
    if (mark.until > this.clock()) return true
    this.store.unmark(record!)
    this.store.tidy(record!)
    return false
  }

  // ── behind the memory ────────────────────────────────────────────────────────────────────────────────────────────

  get variants(): number {
    return this.store.limits.variants
  }

  hasRoom(bytes: number): boolean {
    return this.store.hasRoom(bytes)
  }

  lost(response: StoredResponse): void {
    this.store.remove(response)
  }

  /** What was purged while its file was opened. */
  isPurgedLately(found: StoredResponse): boolean {
    return !this.#recentPurges.allows(found, this.clock())
  }

  /** Null: nobody has it. One that is over has brought it into the memory. */
  recall(wanted: Wanted): Recall | null {
    const known = this.#recalls.get(wanted.key)
    if (known !== undefined) return known
    const recall = new Recall(this, wanted)
    this.#recalls.set(wanted.key, recall)
    recall.start()
    return recall.isOver && !recall.hasFound ? null : recall
  }

  recalled(recall: Recall, found: StoredResponse | null, tier: number): void {
    this.#recalls.delete(recall.wanted.key)
    if (found !== null && found.large === null) this.take(found, tier)
  }

  /** What was purged while it was looked for, or is older than what is kept by now, stays away. Those before the tier that had it get it, too. */
  take(found: StoredResponse, tier: number): void {
    if (found.large !== null) return
    const newer = this.store
      .find(found.key)
      ?.responses.some((one) => isSameVariant(one, found) && one.freshness.bornAt >= found.freshness.bornAt)
    if (newer === true || found.body.state === 'broken' || !this.#recentPurges.allows(found, this.clock())) return
    this.store.put(found)
    const before = this.tiers.slice(0, tier)
    if (before.length === 0) return
    whenWhole(found.body, () => {
      for (const one of before) one.keep(found)
    })
  }

  /** Another proxy that shares a tier has purged something, or requests to it have put it out. Resolves when the folders are told. */
  purgedElsewhere(purges: readonly Purge[]): Promise<unknown> {
    const work: Promise<unknown>[] = []
    for (const purge of purges) {
      this.#purgeMemory(purge)
      this.#recentPurges.add(purge, this.clock())
      for (const folder of this.folders) {
        if (purge.kind === 'url' && !purge.soft) folder.invalidate(purge.url)
        else work.push(folder.purge(purge))
      }
    }
    return Promise.all(work)
  }

  // ── leaving it ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request has changed what is behind this URL (RFC 9111 §4.4). */
  invalidate(url: string): void {
    this.#onInvalidated(url)
    for (const record of this.store.ofUrl(url)) {
      for (const flight of record.pending) flight.isPurged = true
      for (const response of keptOf(record)) this.store.remove(response)
    }
    for (const flight of this.#unlisted) if (flight.url === url) flight.isPurged = true
    if (this.tiers.length === 0) return
    this.#recentPurges.add({ kind: 'url', url, soft: false }, this.clock())
    for (const tier of this.tiers) tier.invalidate(url)
  }

  /** Requests to another worker of this proxy have; it has told the tiers. */
  invalidatedElsewhere(purges: readonly Purge[]): void {
    const now = this.clock()
    for (const purge of purges) {
      this.#purgeMemory(purge)
      if (this.tiers.length === 0) continue
      this.#recentPurges.add(purge, now)
      for (const tier of this.tiers) tier.forgetComing(purge)
    }
  }

  /** Resolves with how many answers it was about, when nothing finds them any more: in the memory at once. */
  async purge(purge: Purge, onProblem: (why: string) => void): Promise<number> {
    const count = this.#purgeMemory(purge)
    if (this.tiers.length === 0) return count
    this.#recentPurges.add(purge, this.clock())
    const counts = await Promise.all(
      this.tiers.map((tier) =>
        tier.purge(purge).catch((error: unknown) => {
          onProblem(error instanceof Error ? error.message : String(error))
          return 0
        }),
      ),
    )
    // The same answers may be in several places: those behind the memory have all of them.
    return Math.max(count, ...counts)
  }

  #purgeMemory(purge: Purge): number {
    const now = this.clock()
    let count = 0
    const all = purge.kind === 'url' ? this.store.ofUrl(purge.url) : [...this.store.records()]
    for (const record of all) {
      for (const flight of record.pending) this.#purgeFlight(flight, purge)
      for (const response of keptOf(record)) {
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
    const tiers = this.tiers.map(({ counts }) => counts)
    return { name: this.name, objects, bytes, maxBytes: this.store.limits.bytes, evictions, purged: this.#purged, tiers }
  }

  /** At most so many whose URL begins so, in no order. */
  async list(prefix: string, most: number): Promise<ListedResponse[]> {
    const found = this.#listMemory(prefix, most)
    for (const tier of this.tiers) found.push(...(await tier.list(prefix, most - found.length)))
    return found
  }

  #listMemory(prefix: string, most: number): ListedResponse[] {
    const now = this.clock()
    const found: ListedResponse[] = []
    for (const record of this.store.records()) {
      if (!record.url.startsWith(prefix)) continue
      for (const response of keptOf(record)) {
        if (found.length >= most) return found
        const { url, pieces, hits, variant, tags } = response
        const [status, bytes] = pieces === null ? [response.status, response.length] : [206, pieces.bytes]
        found.push({ url, status, bytes, age: response.age(now), ttl: response.ttl(now), hits, variant, tags, where: 'memory' })
      }
    }
    return found
  }
}

/** What is read from a disk may still be coming, and who writes it elsewhere would be faster. */
function whenWhole(body: BodySource, then: () => void): void {
  if (body.state === 'complete') return then()
  body.join({
    onMore() {
      if (body.state === 'complete') then()
    },
    onBroken() {},
  })
}

function keptOf({ responses, parts }: KeyRecord<Flight>): readonly StoredResponse[] {
  return parts === null ? responses : [...responses, ...parts]
}
