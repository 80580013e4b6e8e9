/** How full the caches of a worker are, written into its counters when it is asked how it is. */
import type { CacheCounts } from '../cache/cache.ts'
import type { Counters } from '../observe/counters.ts'

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

  constructor(counters: Counters, slot: number) {
    this.#counters = counters
    this.#worker = String(slot)
  }

  measure(caches: readonly CacheCounts[]): void {
    // One that is gone keeps nothing.
    for (const { objects, bytes } of this.#slots.values()) this.#counters.values[objects] = this.#counters.values[bytes] = 0
    for (const { name, objects, bytes, evictions, purged } of caches) {
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
