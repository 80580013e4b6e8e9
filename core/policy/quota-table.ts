/**
 * How many bytes each key has had in its period, in memory that processes share: two words a key, its fingerprint and its count, each
 * changed by one compare-and-exchange, so that no byte is counted twice or lost between two of them, and one that dies in the midst leaves nothing
 * behind. Fixed in size: where a key finds no place, the one there that has had least is forgotten.
 *
 *   count:  26 bits: the minute in which the period ends, since the epoch | 38 bits: KiB
 */

const ENTRY_BYTES = 16
/** Where a key may be, from the place that its fingerprint says. */
const PROBES = 16
const KIB_BITS = 38n
const KIB_MASK = (1n << KIB_BITS) - 1n
/** Another process has changed the word each time: not seen yet. */
const MOST_TRIES = 1_000

/** 8,192 keys: 128 KiB. */
export const QUOTA_TABLE_BYTES = 8_192 * ENTRY_BYTES

/** Of a period, in minutes since the epoch. */
export interface Period {
  readonly now: number
  /** It ends with the beginning of this one. */
  readonly end: number
}

export class QuotaTable {
  readonly #words: BigUint64Array
  readonly #entries: number

  /** All zeros, or what another process has made of it. */
  constructor(memory: ArrayBufferLike, offset: number, bytes: number) {
    this.#words = new BigUint64Array(memory, offset, bytes / 8)
    this.#entries = bytes / ENTRY_BYTES
  }

  /** Counts so many KiB more; returns how many there are now. `upper`, `lower`: of the key's hash. */
  add(upper: number, lower: number, kib: number, period: Period): number {
    const at = this.#place(upper, lower, period.now) + 1
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const word = Atomics.load(this.#words, at)
      const used = endOf(word) === period.end ? word & KIB_MASK : 0n
      const sum = used + BigInt(kib)
      const next = sum > KIB_MASK ? KIB_MASK : sum
      if (Atomics.compareExchange(this.#words, at, word, (BigInt(period.end) << KIB_BITS) | next) === word) return Number(next)
    }
    return 0
  }

  /** The word of its fingerprint, which it has from now on. */
  #place(upper: number, lower: number, now: number): number {
    const fingerprint = (BigInt(upper >>> 0) << 32n) | BigInt(lower >>> 0) || 1n
    const first = (lower >>> 0) % this.#entries
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const at = this.#find(first, fingerprint, now)
      const there = Atomics.load(this.#words, at)
      if (there === fingerprint) return at
      if (Atomics.compareExchange(this.#words, at, there, fingerprint) !== there) continue
      if (there !== 0n) Atomics.store(this.#words, at + 1, 0n)
      return at
    }
    return 2 * first
  }

  /** Where it is; else where it may be put: where nobody is, one whose period is over, or the one that has had least. */
  #find(first: number, fingerprint: bigint, now: number): number {
    let least = -1
    let leastKib = KIB_MASK + 1n
    for (let i = 0; i < PROBES; i++) {
      const at = 2 * ((first + i) % this.#entries)
      const there = Atomics.load(this.#words, at)
      if (there === fingerprint) return at
      const count = Atomics.load(this.#words, at + 1)
      const kib = there === 0n ? -1n : endOf(count) <= now ? 0n : (count & KIB_MASK) + 1n
      if (kib >= leastKib) continue
      least = at
      leastKib = kib
    }
    return least
  }
}

function endOf(word: bigint): number {
  return Number(word >> KIB_BITS)
}
