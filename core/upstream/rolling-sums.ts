/** Sums over a window that moves with the time, in ten slots. Pure: the time is a parameter. */

const SLOTS = 10

export class RollingSums {
  readonly #slotMs: number
  /** One row a sum. */
  readonly #rows: readonly Float64Array[]
  readonly #sums: Float64Array
  #slot = Number.NEGATIVE_INFINITY

  constructor(count: number, windowMs: number) {
    this.#slotMs = windowMs / SLOTS
    this.#rows = Array.from({ length: count }, () => new Float64Array(SLOTS))
    this.#sums = new Float64Array(count)
  }

  add(which: number, value: number, now: number): void {
    this.#rows[which]![this.#at(now)]! += value
    this.#sums[which]! += value
  }

  sum(which: number, now: number): number {
    this.#at(now)
    return this.#sums[which]!
  }

  clear(): void {
    this.#slot = Number.NEGATIVE_INFINITY
    this.#sums.fill(0)
    for (const row of this.#rows) row.fill(0)
  }

  /** The slot of that time; what is older than all slots is forgotten. A time that has passed is now. */
  #at(now: number): number {
    const slot = Math.floor(now / this.#slotMs)
    for (let next = Math.max(this.#slot + 1, slot - SLOTS + 1, 0); next <= slot; next++) this.#forget(next % SLOTS)
    if (slot > this.#slot) this.#slot = slot
    return this.#slot % SLOTS
  }

  #forget(at: number): void {
    for (const [which, row] of this.#rows.entries()) {
      this.#sums[which]! -= row[at]!
      row[at] = 0
    }
  }
}
