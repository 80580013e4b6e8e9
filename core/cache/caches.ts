/** The caches of a worker by their names. One goes with the last plan that uses it; one whose limits changed keeps what still fits. */
import type { Deadlines } from '../deadlines.ts'
import type { Announced } from './announcements.ts'
import type { CacheAsk, CacheTold } from './asks.ts'
import { Cache, type CacheLimits } from './cache.ts'
import type { CacheCounts } from './counts.ts'
import type { DiskLimits } from './disk/disk-tier.ts'
import type { StoreLimits } from './store/store-tier.ts'

/** What one use says of a cache; what it leaves out others may say. */
export interface CacheWishes {
  readonly bytes?: number
  readonly objectBytes?: number
  readonly variants?: number
  readonly shared?: DiskLimits
  readonly disk?: DiskLimits
  readonly store?: StoreLimits
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

export interface CachesOptions {
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Told of what is less than it might be. */
  readonly warn: (text: string) => void
  /** Told what requests have put out of the cache of that name. */
  readonly onInvalidated: (cache: string, url: string) => void
  /** Nothing is kept outside of this process. */
  readonly isSimulated: boolean
}

export class Caches {
  readonly clock: () => number
  readonly #deadlines: Deadlines
  readonly #warn: (text: string) => void
  readonly #onInvalidated: CachesOptions['onInvalidated']
  readonly #isSimulated: boolean
  /** As many as plans in use name. */
  readonly #byName = new Map<string, { readonly cache: Cache; holds: number }>()
  #plans = 0

  constructor(
    deadlines: Deadlines,
    { clock = Date.now, warn = () => {}, onInvalidated = () => {}, isSimulated = false }: Partial<CachesOptions> = {},
  ) {
    this.#onInvalidated = onInvalidated
    this.#deadlines = deadlines
    this.clock = clock
    this.#warn = warn
    this.#isSimulated = isSimulated
  }

  /** For one plan. */
  open(): CacheSet {
    return new CacheSet(this, ++this.#plans)
  }

  hold(name: string, wanted: WantedLimits): HeldCache {
    let entry = this.#byName.get(name)
    if (entry === undefined) {
      entry = {
        cache: new Cache(name, {
          ...{ deadlines: this.#deadlines, clock: this.clock, warn: this.#warn, isSimulated: this.#isSimulated },
          onInvalidated: (url) => this.#onInvalidated(name, url),
        }),
        holds: 0,
      }
      this.#byName.set(name, entry)
    }
    entry.holds++
    const held = entry
    return {
      cache: held.cache,
      wanted,
      release: () => {
        if (--held.holds > 0 || this.#byName.get(name) !== held) return
        this.#byName.delete(name)
        void held.cache.close()
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

  /** What requests to other workers have put out. */
  hear(announced: readonly Announced[]): void {
    for (const { cache, purges } of announced) for (const one of this.of(cache)) one.invalidatedElsewhere(purges)
  }

  async tell(ask: CacheAsk): Promise<CacheTold> {
    const caches = this.of(ask.cache)
    const problems: string[] = []
    const purged = ask.kind === 'purge' ? await Promise.all(caches.map((cache) => cache.purge(ask.purge, (why) => problems.push(why)))) : []
    const listed = ask.kind === 'list' ? await Promise.all(caches.map((cache) => cache.list(ask.prefix, ask.most))) : []
    return {
      counts: caches.map(({ counts }) => counts),
      purged: purged.reduce((sum, count) => sum + count, 0),
      listed: listed.flat().slice(0, ask.kind === 'list' ? ask.most : 0),
      names: [...this.#byName.keys()],
      problems,
    }
  }

  /** Resolves when what was to be written is, or after so long. */
  async close(mostMs = 60_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, mostMs)
    })
    await Promise.race([late, Promise.all(this.of(null).map((cache) => cache.close()))])
    clearTimeout(timer)
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

  /** Its plan is in use from now on. */
  take(): void {
    for (const [name, wanted] of this.#wanted)
      for (const cache of this.#caches.of(name)) if (wanted.plan > cache.newestPlan) cache.use(wanted)
  }

  hold(name: string, wishes: CacheWishes): HeldCache {
    const wanted = this.#wanted.get(name) ?? new WantedLimits(this.#number)
    this.#wanted.set(name, wanted)
    wanted.add(wishes)
    return this.#caches.hold(name, wanted)
  }
}

export class WantedLimits implements CacheLimits {
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
  get shared(): DiskLimits | null {
    return this.#wishes.shared ?? null
  }
  get disk(): DiskLimits | null {
    return this.#wishes.disk ?? null
  }
  get store(): StoreLimits | null {
    return this.#wishes.store ?? null
  }
}
