/**
 * A look into what stands behind a cache's memory, and those who wait for it. Each tier is asked in turn, and none for longer than it may take;
 * what is found is in the memory by the time they are told.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import { type Answer, PENDING } from '../hooks.ts'
import type { CacheSide, Caching } from './cache-side.ts'
import type { StoredResponse } from './stored-response.ts'
import { LATER, type Tier, type Wanted } from './tier.ts'

export interface RecallHome {
  readonly deadlines: Deadlines
  readonly tiers: readonly Tier[]
  /** It is over. `tier`: the number of the one that had it. */
  recalled(recall: Recall, found: StoredResponse | null, tier: number): void
  /** Found too late for those who waited. */
  take(found: StoredResponse, tier: number): void
}

export class Recall implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  isOver = false
  hasFound = false
  readonly wanted: Wanted
  readonly #home: RecallHome
  /** As many as there are exchanges that wait for it. */
  readonly #waiting = new Set<RecallWaiter>()
  #asked = -1

  constructor(home: RecallHome, wanted: Wanted) {
    this.#home = home
    this.wanted = wanted
  }

  start(): void {
    this.#askFrom(0)
  }

  join(waiter: RecallWaiter): void {
    this.#waiting.add(waiter)
  }

  leave(waiter: RecallWaiter): void {
    this.#waiting.delete(waiter)
  }

  /** The next one is asked, or the endpoint. */
  onDeadline(): void {
    if (!this.isOver) this.#askFrom(this.#asked + 1)
  }

  #askFrom(first: number): void {
    const { tiers, deadlines } = this.#home
    for (let i = first; i < tiers.length; i++) {
      const tier = tiers[i]!
      this.#asked = i
      const found = tier.find(this.wanted, (response) => this.#told(i, response))
      if (found === LATER) {
        if (this.slot < 0) deadlines.add(this)
        this.dueAt = deadlines.in(tier.timeoutMs)
        return
      }
      if (found !== null) return this.#finish(found)
    }
    this.#finish(null)
  }

  #told(tier: number, found: StoredResponse | null): void {
    if (!this.isOver && this.#asked === tier) {
      if (found === null) this.#askFrom(tier + 1)
      else this.#finish(found)
    } else if (found !== null) this.#home.take(found, tier)
  }

  #finish(found: StoredResponse | null): void {
    this.isOver = true
    this.hasFound = found !== null
    this.#home.deadlines.remove(this)
    this.#home.recalled(this, found, this.#asked)
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const waiter of waiting) waiter.recalled(found?.large == null ? null : found)
  }
}

/** An exchange that waits for a recall. */
export class RecallWaiter implements Caching {
  readonly inflow = null
  readonly #recall: Recall
  readonly #side: CacheSide
  readonly #lookAgain: (large: StoredResponse | null) => Answer

  constructor(recall: Recall, side: CacheSide, lookAgain: (large: StoredResponse | null) => Answer) {
    this.#recall = recall
    this.#side = side
    this.#lookAgain = lookAgain
    recall.join(this)
  }

  /** `large`: what was found and does not come into the memory. */
  recalled(large: StoredResponse | null): void {
    if (this.#side.ended) return
    this.#side.caching = null
    const answer = this.#lookAgain(large)
    if (answer !== PENDING) this.#side.resume(answer)
  }

  ended(): void {
    this.#recall.leave(this)
    this.#side.resume(null)
  }
}
