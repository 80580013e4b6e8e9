/** What was found out lately, by a key: at most so many, the one used longest ago goes first, and none is believed for longer than it may be. */

import type { Kept } from './policy.ts'

export class Recent<T> implements Kept {
  /** How many went because there was no room. */
  evictions = 0
  readonly #most: number
  /** In the order of their last use. */
  readonly #entries = new Map<string, { readonly value: T; readonly until: number }>()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string, now: number): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (entry.until <= now) return undefined
    this.#entries.set(key, entry)
    return entry.value
  }

  /** `until`: on the clock of `get`. */
  set(key: string, value: T, until: number): void {
    this.#entries.delete(key)
    if (this.#entries.size >= this.#most)
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        this.evictions++
        break
      }
    this.#entries.set(key, { value, until })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  close(): void {
    this.#entries.clear()
  }
}
