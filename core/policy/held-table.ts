/**
 * How much each key holds at the moment, in memory that processes share: a word a key with the sum, changed by compare-and-exchange, so that no more
 * is held than the limit whoever asks at the same time, and a column for each process with its part of every sum, which nobody else writes:
 * what a process held that has died is taken out of the sums (`forget`). No locks. Fixed in size: a set of eight words for each remainder of a
 * key's hash; a key that holds nothing is replaced by the next, and one for which all eight are in use finds no room.
 *
 *   word:  32 bits of the hash, never 0 | 32 bits: what is held, or CLAIM and the number of the process that is about to put the key there
 *   value: 64 bits for whoever holds the key, zeros when it comes
 *   seat:  changes begun | 1 + the word that is being changed, 0 if none is
 */

const WAYS = 8
const SETS = 2_048
export const HELD_KEYS: number = WAYS * SETS
const SEAT_WORDS = 2
/** Sums are below it. */
export const CLAIM: number = 2 ** 31
/** Other processes have changed the word each time, or are about to change what is looked at: not seen yet. */
const MOST_TRIES = 1_000

/** As much as is asked for would be more than the limit. */
export const REFUSED = -1
/** Nobody counts it here: all that the key could take the place of is in use. */
export const NO_ROOM = -2
const CHANGED = -3

/** For so many processes at a time. */
export function heldBytes(seats: number): number {
  return 16 * HELD_KEYS + 4 * seats * (HELD_KEYS + SEAT_WORDS)
}

export interface HeldMemory {
  readonly memory: ArrayBufferLike
  /** From here on it is all zeros, or what other processes have made of it. */
  readonly offset: number
  readonly seats: number
}

export class HeldTable {
  /** Of each key, for whoever holds some of it. */
  readonly values: BigUint64Array
  readonly #words: BigUint64Array
  readonly #halves: Uint32Array
  readonly #columns: readonly Uint32Array[]
  readonly #journals: readonly Uint32Array[]
  readonly #seat: number
  readonly #mine: Uint32Array
  readonly #journal: Uint32Array
  #changes = 0
  readonly #one = new BigUint64Array(1)
  readonly #oneHalves = new Uint32Array(this.#one.buffer)

  /** `seat`: the number of this process, that no other has which lives. */
  constructor({ memory, offset, seats }: HeldMemory, seat: number) {
    this.#words = new BigUint64Array(memory, offset, HELD_KEYS)
    this.#halves = new Uint32Array(memory, offset, 2 * HELD_KEYS)
    this.values = new BigUint64Array(memory, offset + 8 * HELD_KEYS, HELD_KEYS)
    const columnsAt = offset + 16 * HELD_KEYS
    const journalsAt = columnsAt + 4 * seats * HELD_KEYS
    const numbers = Array.from({ length: seats }, (_, number) => number)
    this.#columns = numbers.map((number) => new Uint32Array(memory, columnsAt + 4 * number * HELD_KEYS, HELD_KEYS))
    this.#journals = numbers.map((number) => new Uint32Array(memory, journalsAt + 4 * number * SEAT_WORDS, SEAT_WORDS))
    this.#seat = seat
    this.#mine = this.#columns[seat]!
    this.#journal = this.#journals[seat]!
    this.#changes = this.#journal[0]!
  }

  /** Where the key is, which holds so much more from now on; REFUSED if that were more than `most`; or NO_ROOM. `upper`, `lower`: of its hash. */
  take(upper: number, lower: number, amount: number, most: number): number {
    const tag = upper >>> 0 || 1
    const first = WAYS * ((lower >>> 0) % SETS)
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const at = this.#find(first, tag)
      const taken = at >= 0 ? this.#add(at, tag, amount, most) : amount > most ? REFUSED : this.#put(first, tag, amount)
      if (taken !== CHANGED) return taken
    }
    return NO_ROOM
  }

  /** Of what this process holds there. */
  giveBack(at: number, amount: number): void {
    this.change(at, -amount)
  }

  /** By so much, where this process holds something and goes on to. */
  change(at: number, by: number): void {
    this.#begin(at)
    if (by < 0) Atomics.store(this.#mine, at, this.#mine[at]! + by)
    this.#addToSum(at, by)
    if (by > 0) Atomics.store(this.#mine, at, this.#mine[at]! + by)
    this.#end()
  }

  /** What all processes hold there. */
  sum(at: number): number {
    return Atomics.load(this.#halves, 2 * at)
  }

  /** For whoever sees that a process has ended: all that it held is free. */
  forget(seat: number): void {
    const column = this.#columns[seat]!
    const journal = this.#journals[seat]!
    const midst = Atomics.load(journal, 1) - 1
    for (let at = 0; at < HELD_KEYS; at++) {
      const held = column[at]!
      if (held === 0) continue
      Atomics.store(column, at, 0)
      this.#addToSum(at, -held)
    }
    this.#dropClaims(seat)
    Atomics.store(journal, 1, 0)
    // Sum or column has been changed, and not the other.
    if (midst >= 0) this.#audit(midst)
  }

  #find(first: number, tag: number): number {
    for (let at = first; at < first + WAYS; at++) {
      if (this.#halves[2 * at + 1] === tag && this.#halves[2 * at]! < CLAIM) return at
    }
    return CHANGED
  }

  #add(at: number, tag: number, amount: number, most: number): number {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const word = this.#read(at)
      const held = this.#oneHalves[0]!
      if (this.#oneHalves[1] !== tag || held >= CLAIM) return CHANGED
      if (held + amount > most) return REFUSED
      if (this.#exchange(at, word, this.#wordOf(tag, held + amount), amount)) return at
    }
    return CHANGED
  }

  /**
   * In the place of a key that holds nothing. First a claim, then a look whether the key is anywhere else by now: whoever claims later sees this
   * claim, and takes it away, or what became of it, and gives way. So no key is ever in two places.
   */
  #put(first: number, tag: number, amount: number): number {
    const at = this.#victim(first)
    if (at < 0) return NO_ROOM
    const before = this.#read(at)
    if (this.#oneHalves[0] !== 0) return CHANGED
    const value = Atomics.load(this.values, at)
    const claim = this.#wordOf(tag, CLAIM + this.#seat)
    if (Atomics.compareExchange(this.#words, at, before, claim) !== before) return CHANGED
    if (!this.#isAlone(first, tag, at)) {
      Atomics.compareExchange(this.#words, at, claim, 0n)
      return CHANGED
    }
    Atomics.compareExchange(this.values, at, value, 0n)
    return this.#exchange(at, claim, this.#wordOf(tag, amount), amount) ? at : CHANGED
  }

  /** Of those that hold nothing, the one with the least value. */
  #victim(first: number): number {
    let victim = NO_ROOM
    let least: bigint | null = null
    for (let at = first; at < first + WAYS; at++) {
      if (this.#halves[2 * at] !== 0) continue
      const value = Atomics.load(this.values, at)
      if (least !== null && value >= least) continue
      least = value
      victim = at
    }
    return victim
  }

  /** Claims of others for the same key are taken away. */
  #isAlone(first: number, tag: number, claimed: number): boolean {
    for (let at = first; at < first + WAYS; at++) {
      if (at === claimed) continue
      const word = this.#read(at)
      if (this.#oneHalves[1] !== tag) continue
      if (this.#oneHalves[0]! < CLAIM || Atomics.compareExchange(this.#words, at, word, 0n) !== word) return false
    }
    return true
  }

  #dropClaims(seat: number): void {
    for (let at = 0; at < HELD_KEYS; at++) {
      if (this.#halves[2 * at] !== CLAIM + seat) continue
      const word = this.#read(at)
      if (this.#oneHalves[0] === CLAIM + seat) Atomics.compareExchange(this.#words, at, word, 0n)
    }
  }

  /** Takes so much more, if the word is still that one. */
  #exchange(at: number, word: bigint, next: bigint, amount: number): boolean {
    this.#begin(at)
    const isExchanged = Atomics.compareExchange(this.#words, at, word, next) === word
    if (isExchanged) Atomics.store(this.#mine, at, this.#mine[at]! + amount)
    this.#end()
    return isExchanged
  }

  /** Some of it is held, so the key stays: half of the word is enough, at a fifth of the cost. */
  #addToSum(at: number, by: number): void {
    Atomics.add(this.#halves, 2 * at, by)
  }

  /** Makes the sum what the columns say, as soon as they are seen with nobody in the midst of a change. */
  #audit(at: number): void {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const changes = this.#changesBut(at)
      if (changes === null) continue
      const word = this.#read(at)
      const [held, tag] = this.#oneHalves as unknown as readonly [number, number]
      if (held >= CLAIM) return
      const sum = this.#columns.reduce((total, column) => total + Atomics.load(column, at), 0)
      const after = this.#changesBut(at)
      if (after === null || after.some((count, seat) => count !== changes[seat])) continue
      if (sum === held || Atomics.compareExchange(this.#words, at, word, this.#wordOf(tag, sum)) === word) return
    }
  }

  /** How many changes each process has begun; null: one of them is changing that word. */
  #changesBut(at: number): number[] | null {
    const changes: number[] = []
    for (const journal of this.#journals) {
      // In this order: a change that is not counted yet has not been made, or is seen under way.
      changes.push(Atomics.load(journal, 0))
      if (Atomics.load(journal, 1) === at + 1) return null
    }
    return changes
  }

  #begin(at: number): void {
    Atomics.store(this.#journal, 1, at + 1)
    this.#changes = (this.#changes + 1) >>> 0
    Atomics.store(this.#journal, 0, this.#changes)
  }

  #end(): void {
    Atomics.store(this.#journal, 1, 0)
  }

  /** Its halves are in `#oneHalves` then. */
  #read(at: number): bigint {
    const word = Atomics.load(this.#words, at)
    this.#one[0] = word
    return word
  }

  #wordOf(tag: number, held: number): bigint {
    this.#oneHalves[0] = held
    this.#oneHalves[1] = tag
    return this.#one[0]!
  }
}
