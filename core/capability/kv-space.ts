/**
 * What one plugin keeps in kv, within its share of bytes: what is there, in the order of use. When the share is spent, what is over goes first, then
 * what was used longest ago. Nothing of another plugin is here.
 */
import { LRUCache } from 'lru-cache'

/** What an entry costs beside its text: 115 to 175 were measured. */
const ENTRY_BYTES = 200
/** Of these, what a table keeps of an entry that is gone, until it is empty. */
const SLOT_BYTES = 80
/** Entries whose time is over are looked for at most so often, and only when there is no room. */
const SWEEP_MS = 1000

export class KvSpace {
  /** Entries that had to go for others. */
  evictions = 0
  readonly #now: () => number
  #share: number
  #entries: LRUCache<string, string>
  /** Entries that the table has had room for. */
  #slots = 0
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor(share: number, now: () => number) {
    this.#share = share
    this.#now = now
    this.#entries = createTable(now)
  }

  get share(): number {
    return this.#share
  }

  /** A smaller one is kept to at once. */
  set share(bytes: number) {
    this.#share = bytes
    this.#makeRoom(0)
  }

  /** That are taken, by estimate. */
  get bytes(): number {
    return this.#entries.calculatedSize + (this.#slots - this.#entries.size) * SLOT_BYTES
  }

  /** Some may be over. */
  get keys(): number {
    return this.#entries.size
  }

  get(key: string): string | null {
    return this.#entries.get(key) ?? null
  }

  /** `ttlMs` 0: it stays. */
  set(key: string, value: string, ttlMs: number): void {
    const size = sizeOf(key, value)
    if (size > this.#share) throw new Error('kv: the value is larger than all that this plugin may keep')
    this.#entries.delete(key)
    this.#makeRoom(size)
    this.#entries.set(key, value, { ttl: ttlMs })
    this.#slots = Math.max(this.#slots, this.#entries.size)
  }

  /** Another value for what is there; its time goes on. */
  change(key: string, value: string): void {
    this.#entries.set(key, value, { noUpdateTTL: true })
    this.#makeRoom(0)
  }

  /** Whether it was there. */
  delete(key: string): boolean {
    // One whose time is over was not.
    return this.#entries.has(key) && this.#entries.delete(key)
  }

  /** What was used longest ago first. */
  contents(): Record<string, string> {
    return Object.fromEntries([...this.#entries.rentries()].map(([key = '', value = '']) => [key, value]))
  }

  #makeRoom(size: number): void {
    if (this.bytes + size > this.#share) this.#sweep()
    while (this.#entries.size > 0 && this.bytes + size > this.#share) {
      this.#entries.pop()
      this.evictions++
    }
    if (this.#entries.size > 0 || this.#slots === 0) return
    this.#entries = createTable(this.#now)
    this.#slots = 0
  }

  /** What is over is to go before what is merely old. */
  #sweep(): void {
    const now = this.#now()
    if (now - this.#sweptAt < SWEEP_MS) return
    this.#sweptAt = now
    this.#entries.purgeStale()
  }
}

function createTable(now: () => number): LRUCache<string, string> {
  return new LRUCache({
    // It is the space that keeps to a limit, for that may change.
    maxSize: Number.MAX_SAFE_INTEGER,
    sizeCalculation: (value, key) => sizeOf(key, value),
    // A beginning at 0 is none to it.
    perf: { now: () => now() + 1 },
    ttlResolution: 0,
  })
}

function sizeOf(key: string, value: string): number {
  return ENTRY_BYTES + bytesOf(key) + bytesOf(value)
}

/** In memory: two a character, but one in a text of ASCII alone. */
function bytesOf(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length
}
