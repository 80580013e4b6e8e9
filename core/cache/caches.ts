/** The caches of a worker by their names. One goes with the last plan that uses it; one whose limits changed keeps what still fits. */
import type { Deadlines } from '../deadlines.ts'
import type { CacheAsk, CacheTold } from './asks.ts'
import { Cache, type CacheCounts } from './cache.ts'
import type { StoreLimits } from './memory-store.ts'

/** What one use says of a cache; what it leaves out others may say. */
export interface CacheWishes {
  readonly bytes?: number
  readonly objectBytes?: number
  readonly variants?: number
}

export interface HeldCache {
  readonly cache: Cache
  /** What all uses of one plan say together: whole once all are bound. */
  readonly wanted: WantedLimits
  release(): void
}

const DEFAULT_BYTES = 64 * 1024 ** 2
const DEFAULT_OBJECT_BYTES = 8 * 1024 ** 2
const DEFAULT_VARIANTS = 16

export class Caches {
  readonly clock: () => number
  readonly #deadlines: Deadlines
  /** As many as plans in use name. */
  readonly #byName = new Map<string, { readonly cache: Cache; holds: number }>()
  #plans = 0

  constructor(deadlines: Deadlines, clock: () => number = Date.now) {
    this.#deadlines = deadlines
    this.clock = clock
  }

  /** For one plan. */
  open(): CacheSet {
    return new CacheSet(this, ++this.#plans)
  }

  hold(name: string, wanted: WantedLimits): HeldCache {
    let entry = this.#byName.get(name)
    if (entry === undefined) {
      entry = { cache: new Cache(name, { deadlines: this.#deadlines, clock: this.clock }), holds: 0 }
      this.#byName.set(name, entry)
    }
    entry.holds++
    const held = entry
    return {
      cache: held.cache,
      wanted,
      release: () => {
        if (--held.holds === 0 && this.#byName.get(name) === held) this.#byName.delete(name)
      },
    }
  }

  /** All of them, or the one of that name. */
  of(name: string | null): Cache[] {
    const caches = [...this.#byName.values()].map(({ cache }) => cache)
    return name === null ? caches : caches.filter((cache) => cache.name === name)
  }

  get counts(): CacheCounts[] {
    return this.of(null).map(({ counts }) => counts)
  }

  tell(ask: CacheAsk): CacheTold {
    const caches = this.of(ask.cache)
    const purged = ask.kind === 'purge' ? caches.reduce((count, cache) => count + cache.purge(ask.purge), 0) : 0
    const listed = ask.kind === 'list' ? caches.flatMap((cache) => cache.list(ask.prefix, ask.most)).slice(0, ask.most) : []
    return { counts: caches.map(({ counts }) => counts), purged, listed }
  }
}

export class CacheSet {
  readonly #caches: Caches
  readonly #number: number
  readonly #wanted = new Map<string, WantedLimits>()

  constructor(caches: Caches, number: number) {
    this.#caches = caches
    this.#number = number
  }

  get clock(): () => number {
    return this.#caches.clock
  }

  hold(name: string, wishes: CacheWishes): HeldCache {
    const wanted = this.#wanted.get(name) ?? new WantedLimits(this.#number)
    this.#wanted.set(name, wanted)
    wanted.add(wishes)
    return this.#caches.hold(name, wanted)
  }
}

export class WantedLimits implements StoreLimits {
  /** Of its plan: the newest that is asked counts. */
  readonly plan: number
  #wishes: CacheWishes = {}

  constructor(plan: number) {
    this.plan = plan
  }

  add(wishes: CacheWishes): void {
    this.#wishes = { ...this.#wishes, ...wishes }
  }

  get bytes(): number {
    return this.#wishes.bytes ?? DEFAULT_BYTES
  }
  get objectBytes(): number {
    return Math.min(this.#wishes.objectBytes ?? DEFAULT_OBJECT_BYTES, this.bytes / 2)
  }
  get variants(): number {
    return this.#wishes.variants ?? DEFAULT_VARIANTS
  }
}
