/**
 * How often keys were let through, by GCRA: of each the time at which it has used nothing any more, in one word of 64 bits that is
 * changed by one compare-and-exchange, so that processes which share the memory count exactly, without locks, and one that dies in the
 * midst leaves nothing behind. Fixed in size: a set of eight words for each remainder of a key's hash; where all eight are in use, the key
 * that is next to have used nothing is forgotten.
 *
 *   word:  20 bits of the hash, never 0 | 44 bits of time, in microseconds, which go round after 203 days
 */

const WAYS = 8
const HEAD_WORDS = 2
const TIME_BITS = 44
const ROUND = 2 ** TIME_BITS
const HALF = ROUND / 2
/** Of the upper half of a word: the time's bits above 32. */
const UPPER_BITS = TIME_BITS - 32
const UPPER_MASK = (1 << UPPER_BITS) - 1
/** Another process has changed the word each time: not seen yet. */
const MOST_TRIES = 1000

/** 16,384 sets, for 131,072 keys: one megabyte. */
export const TABLE_BYTES: number = tableBytes(14)

/** `bits`: as many sets as 2 to that. */
export function tableBytes(bits: number): number {
  return (HEAD_WORDS + WAYS * 2 ** bits) * 8
}

export interface Rate {
  /** Microseconds that one costs, whole. */
  readonly intervalUs: number
  /** As many at once, for who has used nothing. */
  readonly burst: number
}

export class RateTable {
  /** Of the last `take`: what it returned. */
  passes = false
  /** Of the last `take`: how many more would be let through now. */
  remaining = 0
  /** Of the last `take`: microseconds until one more is let through; 0 if it was. */
  waitUs = 0
  /** Of the last `take`: microseconds until nothing is used any more. */
  resetUs = 0
  readonly #words: BigUint64Array
  readonly #halves: Uint32Array
  readonly #sets: number
  readonly #one = new BigUint64Array(1)
  readonly #oneHalves = new Uint32Array(this.#one.buffer)

  /** All zeros, or what another process has made of it. The platform is little-endian. `bytes`: of the memory, from its beginning. */
  constructor(memory: ArrayBufferLike, bytes: number = memory.byteLength) {
    this.#words = new BigUint64Array(memory, 0, bytes / 8)
    this.#halves = new Uint32Array(memory, 0, bytes / 4)
    this.#sets = (this.#words.length - HEAD_WORDS) / WAYS
  }

  /** What hashes begin with: nobody outside knows which keys meet. Whoever made the memory writes it, once. */
  get seed(): readonly [number, number] {
    return [this.#halves[0]!, this.#halves[1]!]
  }

  /** Counts one of that key, if that is within its rate. `upper`, `lower`: of its hash. `nowUs`: on one clock for all processes. */
  take(upper: number, lower: number, nowUs: number, { intervalUs, burst }: Rate): boolean {
    const now = nowUs % ROUND
    const tag = upper >>> UPPER_BITS || 1
    const first = HEAD_WORDS + WAYS * ((lower >>> 0) % this.#sets)
    const most = intervalUs * burst
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const at = this.#find(first, tag, now)
      const word = Atomics.load(this.#words, at)
      const used = this.#usedUs(word, tag, now, most) + intervalUs
      if (used > most) {
        this.remaining = 0
        this.waitUs = used - most
        this.resetUs = used - intervalUs
        this.passes = false
        return false
      }
      if (Atomics.compareExchange(this.#words, at, word, this.#wordOf(tag, (now + used) % ROUND)) !== word) continue
      this.remaining = Math.floor((most - used) / intervalUs)
      this.waitUs = 0
      this.resetUs = used
      this.passes = true
      return true
    }
    this.passes = true
    return true
  }

  /** Where the key is, or is to be. */
  #find(first: number, tag: number, now: number): number {
    const halves = this.#halves
    let victim = first
    let least = Number.POSITIVE_INFINITY
    for (let at = first; at < first + WAYS; at++) {
      const upper = halves[2 * at + 1]!
      if (upper >>> UPPER_BITS === tag) return at
      const ahead = upper === 0 ? -HALF : aheadOf(now, (upper & UPPER_MASK) * 2 ** 32 + halves[2 * at]!)
      if (ahead < least) {
        least = ahead
        victim = at
      }
    }
    return victim
  }

  /** Microseconds for which the key still counts as having used something. */
  #usedUs(word: bigint, tag: number, now: number, most: number): number {
    this.#one[0] = word
    const [lower, upper] = this.#oneHalves as unknown as readonly [number, number]
    if (upper >>> UPPER_BITS !== tag) return 0
    const ahead = aheadOf(now, (upper & UPPER_MASK) * 2 ** 32 + lower)
    // More than it could have used: it is from before the time went round.
    return ahead < 0 || ahead > most ? 0 : ahead
  }

  #wordOf(tag: number, time: number): bigint {
    this.#oneHalves[0] = time % 2 ** 32
    this.#oneHalves[1] = ((tag << UPPER_BITS) | Math.floor(time / 2 ** 32)) >>> 0
    return this.#one[0]!
  }
}

/** From −HALF up to HALF. */
function aheadOf(now: number, time: number): number {
  const ahead = time - now
  return ahead >= HALF ? ahead - ROUND : ahead < -HALF ? ahead + ROUND : ahead
}
