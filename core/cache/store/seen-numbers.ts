/** Which number of a shared count had been seen at what time: an answer that was asked for then is from behind all up to that number. */

interface Seen {
  readonly number: number
  readonly at: number
}

/** With more of them every other one of the older half is forgotten: what was asked for then counts as a little older than it is. */
const MOST = 256

export class SeenNumbers {
  #seen: Seen[] = []
  #askedAt = Number.NEGATIVE_INFINITY

  /** An endpoint is asked then: what is seen behind it is from later, though the clock may say the same. */
  asks(at: number): void {
    this.#askedAt = at
  }

  note(number: number, at: number): void {
    if (this.#seen.length > 0 && this.#seen.at(-1)!.number >= number) return
    this.#seen.push({ number, at: Math.max(at, this.#askedAt + 1) })
    if (this.#seen.length > MOST) this.#seen = this.#seen.filter((_, i) => i >= MOST / 2 || i % 2 === 0)
  }

  /** Before what was asked for then; -1: none. */
  before(time: number): number {
    return this.#seen.findLast(({ at }) => at <= time)?.number ?? -1
  }

  forget(): void {
    this.#seen = []
  }
}
