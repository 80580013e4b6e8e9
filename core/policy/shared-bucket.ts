/**
 * A token bucket that processes share: one number in memory that they have in common, the time at which all of the burst is there again, changed by
 * compare-and-exchange. While others wait for some of it, too, a process takes no more than its part, by how many wait in each.
 */
import { CLAIM, type HeldTable } from './held-table.ts'
import type { KeyHash } from './key-hash.ts'
import type { Bucket, ByteRate } from './token-bucket.ts'

const word = new BigUint64Array(1)
const wordAsTime = new Float64Array(word.buffer)

/** What a key holds: so much for each process that has such a bucket of it, and one for each who waits there. */
const HOLD = 2 ** 20
/** More count as so many: what waits in all processes stays below HOLD. */
const MOST_TOLD = 1_000

export class SharedBucket implements Bucket {
  readonly #table: HeldTable
  readonly #at: number
  readonly #perMs: number
  readonly #burst: number
  readonly #offsetMs: number
  /** Who waits here, as others know it. */
  #told = 0
  /** Of what this process may take while others wait; negative: it has had more. */
  #part = 0
  /** Null: nobody else waited. */
  #partAt: number | null = null
  /** The place in the table may be another key's by now. */
  #isClosed = false

  private constructor(table: HeldTable, at: number, { bytesPerSecond, burst }: ByteRate, offsetMs: number) {
    this.#table = table
    this.#at = at
    this.#perMs = bytesPerSecond / 1000
    this.#burst = burst
    this.#offsetMs = offsetMs
  }

  /** Null: there is no room for the key. `offsetMs`: what to add to the time that is given for one that all processes have in common. */
  static open(table: HeldTable, { upper, lower }: Pick<KeyHash, 'upper' | 'lower'>, rate: ByteRate, offsetMs: number): SharedBucket | null {
    const at = table.take(upper, lower, HOLD, CLAIM - 1)
    return at < 0 ? null : new SharedBucket(table, at, rate, offsetMs)
  }

  get othersWait(): boolean {
    return this.#waiting > this.#told
  }

  /** Whoever comes next finds it in the table. */
  isUnused(): boolean {
    return true
  }

  available(now: number): number {
    return Math.max(0, Math.floor(this.#bytes(now)))
  }

  mayTake(now: number): number {
    const bytes = this.available(now)
    return this.#hasPart(now) ? Math.max(0, Math.min(bytes, Math.floor(this.#part))) : bytes
  }

  spend(bytes: number, now: number): void {
    if (this.#isClosed) return
    const { values } = this.#table
    for (;;) {
      const before = Atomics.load(values, this.#at)
      word[0] = before
      wordAsTime[0] = Math.max(wordAsTime[0]!, now + this.#offsetMs) + bytes / this.#perMs
      if (Atomics.compareExchange(values, this.#at, before, word[0]) === before) break
    }
    if (this.#partAt !== null) this.#part -= bytes
  }

  waitMs(bytes: number, now: number): number {
    const wanted = Math.min(bytes, this.#burst)
    const ms = (wanted - this.#bytes(now)) / this.#perMs
    const partMs = this.#hasPart(now) ? (wanted - this.#part) / (this.#perMs * this.#share) : 0
    return Math.max(0, ms, partMs)
  }

  tellWaiting(count: number): void {
    if (this.#isClosed) return
    const told = Math.min(count, MOST_TOLD)
    if (told !== this.#told) this.#table.change(this.#at, told - this.#told)
    this.#told = told
  }

  close(): void {
    this.tellWaiting(0)
    this.#isClosed = true
    this.#table.giveBack(this.#at, HOLD)
  }

  /** Negative: owed. */
  #bytes(now: number): number {
    word[0] = Atomics.load(this.#table.values, this.#at)
    return this.#burst - Math.max(0, wordAsTime[0]! - now - this.#offsetMs) * this.#perMs
  }

  /** In all processes. */
  get #waiting(): number {
    return this.#table.sum(this.#at) % HOLD
  }

  get #share(): number {
    return this.#told / Math.max(this.#told, this.#waiting)
  }

  /** It grows as its share of the rate does; at first it is that of what there is. */
  #hasPart(now: number): boolean {
    if (this.#told === 0 || !this.othersWait) {
      this.#partAt = null
      return false
    }
    const share = this.#share
    this.#part =
      this.#partAt === null
        ? Math.max(0, this.#bytes(now)) * share
        : Math.min(this.#burst, this.#part + Math.max(0, now - this.#partAt) * this.#perMs * share)
    this.#partAt = now
    return true
  }
}
