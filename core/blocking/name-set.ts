/**
 * Very many names in little memory: an open-addressing table of 64-bit fingerprints, ten bytes a slot, looked up from the last label to
 * the first in one pass, so that a name and all it stands under cost about as much as the name alone. Two names with the same fingerprint
 * are taken for one: with a million entries that is one look-up in 10¹³.
 */

/** What an entry is about: the name itself, the names under it, or both. */
export const SELF = 1
export const BELOW = 2

/** The entry for a name. */
export interface Found {
  readonly source: number
  /** It is about what begins here in the name that was asked for: 0 is the name itself. */
  readonly at: number
}

const SEED_A = 0xdeadbeef | 0
const SEED_B = 0x41c6ce57 | 0
const FACTOR_A = 2654435761
const FACTOR_B = 1597334677
const DOT = 46
const MOST_SOURCES = 1 << 14
/** Of the slots. */
const FILL = 0.6
const CHUNK = 1 << 15
/** Few, for at first each touches memory that the system has yet to give: 10 µs a page on a small machine. */
const STEP = 1 << 11

/** Takes names, then makes the set of them, with pauses in between if wanted. */
export class NameSetBuilder {
  /** Three words an entry: the fingerprint, then source and kinds. */
  readonly #chunks: Uint32Array[] = []
  #used = CHUNK
  #chunk = new Uint32Array(0)

  /** `bytes` between `from` and `to` are a name of ASCII, without a dot at its end. `source`: any number under 16,384. */
  add(bytes: Uint8Array, from: number, to: number, { kinds, source }: { readonly kinds: number; readonly source: number }): void {
    if (source >= MOST_SOURCES) throw new RangeError('too many sources of names')
    let a = SEED_A
    let b = SEED_B
    for (let i = to - 1; i >= from; i--) {
      const code = lower(bytes[i]!)
      a = Math.imul(a ^ code, FACTOR_A)
      b = Math.imul(b ^ code, FACTOR_B)
    }
    const first = finishFirst(a, b)
    if (this.#used === CHUNK) this.#open()
    const at = this.#used++ * 3
    this.#chunk[at] = first
    this.#chunk[at + 1] = finishSecond(first, b)
    this.#chunk[at + 2] = (source << 2) | kinds
  }

  /** Yields after at most some milliseconds of work; what it returns holds all that was added. The builder is empty then. */
  *build(): Generator<void, NameSet> {
    const chunks = this.#chunks
    const count = chunks.length === 0 ? 0 : (chunks.length - 1) * CHUNK + this.#used
    const table = new Table(count)
    for (let i = 0; i < chunks.length; i++) {
      const end = (i === chunks.length - 1 ? this.#used : CHUNK) * 3
      const chunk = chunks[i]!
      for (let at = 0; at < end; at += 3) {
        table.insert(chunk[at]! | 0, chunk[at + 1]! | 0, chunk[at + 2]!)
        if (at % (STEP * 3) === 0) yield
      }
      // What is in the table is not kept twice.
      chunks[i] = new Uint32Array(0)
    }
    this.#chunks.length = 0
    this.#used = CHUNK
    // Lists have many names in common: room for all of them would be room for nothing.
    const isSparse = table.names < count * 0.75
    return new NameSet(isSparse ? yield* table.shrunk() : table)
  }

  #open(): void {
    this.#chunk = new Uint32Array(CHUNK * 3)
    this.#chunks.push(this.#chunk)
    this.#used = 0
  }
}

/** At once, for few names. */
export function buildNow(builder: NameSetBuilder): NameSet {
  const steps = builder.build()
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

export class NameSet {
  readonly #table: Table

  constructor(table: Table) {
    this.#table = table
  }

  /** Entries: of a name that was added several times, one. */
  get size(): number {
    return this.#table.names
  }

  /** Bytes of its table. */
  get bytes(): number {
    return this.#table.bytes
  }

  /** Of a name itself or of one that it stands under; null: there is none. A dot at the end is not looked at. */
  find(name: string): Found | null {
    const table = this.#table
    if (table.names === 0) return null
    let a = SEED_A
    let b = SEED_B
    const last = name.charCodeAt(name.length - 1) === DOT ? name.length - 2 : name.length - 1
    for (let i = last; i >= 0; i--) {
      const code = lower(name.charCodeAt(i))
      if (code === DOT) {
        const first = finishFirst(a, b)
        const source = table.find(first, finishSecond(first, b), BELOW)
        if (source >= 0) return { source, at: i + 1 }
      }
      a = Math.imul(a ^ code, FACTOR_A)
      b = Math.imul(b ^ code, FACTOR_B)
    }
    const first = finishFirst(a, b)
    const source = table.find(first, finishSecond(first, b), SELF)
    return source < 0 ? null : { source, at: 0 }
  }
}

class Table {
  names = 0
  readonly #slots: number
  /** The two halves of a fingerprint side by side, for one look into memory; both zero: nobody. */
  readonly #prints: Int32Array
  /** Source, and in the last two bits the kinds. */
  readonly #marks: Uint16Array

  constructor(capacity: number) {
    this.#slots = Math.ceil(capacity / FILL) + 1
    this.#prints = new Int32Array(this.#slots * 2)
    this.#marks = new Uint16Array(this.#slots)
  }

  get bytes(): number {
    return this.#prints.byteLength + this.#marks.byteLength
  }

  insert(first: number, second: number, mark: number): void {
    const key = keyOf(first, second)
    const prints = this.#prints
    for (let slot = this.#slotOf(second); ; slot = slot + 1 === this.#slots ? 0 : slot + 1) {
      const known = prints[slot * 2]!
      if (known === 0 && prints[slot * 2 + 1] === 0) {
        prints[slot * 2] = key
        prints[slot * 2 + 1] = second
        this.#marks[slot] = mark
        this.names++
        return
      }
      if (known !== key || prints[slot * 2 + 1] !== second) continue
      // Who named it first is who is told.
      this.#marks[slot]! |= mark & (SELF | BELOW)
      return
    }
  }

  /** The source; -1: nobody, or not for this. */
  find(first: number, second: number, kind: number): number {
    const key = keyOf(first, second)
    const prints = this.#prints
    for (let slot = this.#slotOf(second); ; slot = slot + 1 === this.#slots ? 0 : slot + 1) {
      const known = prints[slot * 2]!
      if (known === key && prints[slot * 2 + 1] === second) {
        const mark = this.#marks[slot]!
        return (mark & kind) === 0 ? -1 : mark >>> 2
      }
      if (known === 0 && prints[slot * 2 + 1] === 0) return -1
    }
  }

  *shrunk(): Generator<void, Table> {
    const table = new Table(this.names)
    for (let slot = 0; slot < this.#slots; slot++) {
      const [first, second] = [this.#prints[slot * 2]!, this.#prints[slot * 2 + 1]!]
      if (first !== 0 || second !== 0) table.insert(first, second, this.#marks[slot]!)
      if (slot % STEP === 0) yield
    }
    return table
  }

  #slotOf(second: number): number {
    return Math.floor(((second >>> 0) * this.#slots) / 4294967296)
  }
}

/** No fingerprint looks like an empty slot. */
function keyOf(first: number, second: number): number {
  return first === 0 && second === 0 ? 1 : first
}

function lower(code: number): number {
  return code >= 65 && code <= 90 ? code | 32 : code
}

/** The last mixing of cyrb53, all 64 bits of it. */
function finishFirst(a: number, b: number): number {
  return Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
}

function finishSecond(first: number, b: number): number {
  return Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909)
}
