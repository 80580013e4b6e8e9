/**
 * Which of the things that are kept goes when there is no room: SIEVE. A thing that was asked for since the hand last passed stays once
 * more, so what is asked for once, a crawler's walk above all, goes before what is asked for again. A hit sets one bit.
 */

/** Something that is kept. The links belong to the list it is in. */
export interface Kept {
  /** Bytes it counts for. */
  size: number
  /** Those of them that are on V8's heap. */
  heapSize: number
  /** Asked for since the hand passed. */
  visited: boolean
  newer: Kept | null
  older: Kept | null
}

export class Sieve<T extends Kept> {
  bytes = 0
  heapBytes = 0
  count = 0
  #newest: Kept | null = null
  #oldest: Kept | null = null
  #hand: Kept | null = null

  add(kept: T): void {
    kept.visited = false
    kept.newer = null
    kept.older = this.#newest
    if (this.#newest !== null) this.#newest.newer = kept
    this.#newest = kept
    this.#oldest ??= kept
    this.bytes += kept.size
    this.heapBytes += kept.heapSize
    this.count++
  }

  remove(kept: T): void {
    if (this.#hand === kept) this.#hand = kept.newer
    if (kept.newer !== null) kept.newer.older = kept.older
    else this.#newest = kept.older
    if (kept.older !== null) kept.older.newer = kept.newer
    else this.#oldest = kept.newer
    kept.newer = null
    kept.older = null
    this.bytes -= kept.size
    this.heapBytes -= kept.heapSize
    this.count--
  }

  /** One that is in it has become larger; `heapBytes`: so much of that on V8's heap. */
  grow(kept: T, bytes: number, heapBytes: number): void {
    kept.size += bytes
    kept.heapSize += heapBytes
    this.bytes += bytes
    this.heapBytes += heapBytes
  }

  /** The one to go next; null: there is nothing. It stays in the list. */
  next(): T | null {
    let at = this.#hand ?? this.#oldest
    if (at === null) return null
    while (at.visited) {
      at.visited = false
      at = at.newer ?? this.#oldest!
    }
    this.#hand = at
    // Only what `add` was given is in it.
    return at as T
  }
}
