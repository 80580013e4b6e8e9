/**
 * How many exchanges run on one plan. A plan that was replaced is still asked by those that began with it: when the last of them has
 * ended, what only that plan needs can go.
 */
export class Tally {
  open = 0
  /** Set when the plan is replaced; called once, when nothing runs on it any more. */
  #onNone: (() => void) | null = null

  leave(): void {
    if (--this.open === 0 && this.#onNone !== null) this.#tell()
  }

  /** `onNone` may be called at once. */
  retire(onNone: () => void): void {
    this.#onNone = onNone
    if (this.open === 0) this.#tell()
  }

  #tell(): void {
    const onNone = this.#onNone
    this.#onNone = null
    onNone?.()
  }
}
