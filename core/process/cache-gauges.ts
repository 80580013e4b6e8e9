/** How full the caches of a worker are, written into its counters when it is asked how it is. */
import type { CacheCounts, TierCounts } from '../cache/counts.ts'
import type { Counters } from '../observe/counters.ts'

interface TierSlots {
  readonly objects: number
  readonly bytes: number
  readonly found: number
  readonly failed: number
  last: { readonly found: number; readonly failed: number }
}

interface Slots {
  readonly objects: number
  readonly bytes: number
  readonly evictions: number
  readonly purged: number
  /** What was told before; a cache that came anew begins at 0 again, and counters never go back. */
  last: { readonly evictions: number; readonly purged: number }
}

export class CacheGauges {
  readonly #counters: Counters
  readonly #worker: string
  /** By name: as many as configs have named. */
  readonly #slots = new Map<string, Slots>()
  /** By cache and tier. */
  readonly #tiers = new Map<string, TierSlots>()

  constructor(counters: Counters, slot: number) {
    this.#counters = counters
    this.#worker = String(slot)
  }

  measure(caches: readonly CacheCounts[]): void {
    // One that is gone keeps nothing.
    for (const { objects, bytes } of [...this.#slots.values(), ...this.#tiers.values()])
      this.#counters.values[objects] = this.#counters.values[bytes] = 0
    for (const { name, objects, bytes, evictions, purged, tiers } of caches) {
      for (const tier of tiers) this.#measureTier(name, tier)
      const slots = this.#slotsOf(name)
      const { values } = this.#counters
      values[slots.objects] = objects
      values[slots.bytes] = bytes
      const { last } = slots
      const isNew = evictions < last.evictions || purged < last.purged
      values[slots.evictions]! += evictions - (isNew ? 0 : last.evictions)
      values[slots.purged]! += purged - (isNew ? 0 : last.purged)
      slots.last = { evictions, purged }
    }
  }

  #measureTier(name: string, { tier, objects, bytes, found, failed }: TierCounts): void {
    const slots = this.#tierSlotsOf(name, tier)
    const { values } = this.#counters
    values[slots.objects] = objects ?? 0
    values[slots.bytes] = bytes ?? 0
    const { last } = slots
    const isNew = found < last.found || failed < last.failed
    values[slots.found]! += found - (isNew ? 0 : last.found)
    values[slots.failed]! += failed - (isNew ? 0 : last.failed)
    slots.last = { found, failed }
  }

  #tierSlotsOf(name: string, tier: string): TierSlots {
    const key = `${name} ${tier}`
    let slots = this.#tiers.get(key)
    if (slots === undefined) {
      slots = {
        objects: this.#counters.add('cache_tier_objects', name, tier, this.#worker),
        bytes: this.#counters.add('cache_tier_bytes', name, tier, this.#worker),
        found: this.#counters.add('cache_tier_found_total', name, tier),
        failed: this.#counters.add('cache_tier_failures_total', name, tier),
        last: { found: 0, failed: 0 },
      }
      this.#tiers.set(key, slots)
    }
    return slots
  }

  #slotsOf(name: string): Slots {
    let slots = this.#slots.get(name)
    if (slots === undefined) {
      slots = {
        objects: this.#counters.add('cache_objects', name, this.#worker),
        bytes: this.#counters.add('cache_bytes', name, this.#worker),
        evictions: this.#counters.add('cache_evictions_total', name),
        purged: this.#counters.add('cache_purged_total', name),
        last: { evictions: 0, purged: 0 },
      }
      this.#slots.set(name, slots)
    }
    return slots
  }
}
