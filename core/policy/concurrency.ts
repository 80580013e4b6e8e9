/**
 * `concurrency`: so many exchanges at a time for each key, over all workers of the machine. A key is remembered as long as one of its exchanges is under
 * way. Without memory that is shared, and for a key that finds no room there, each worker counts by itself for its part of the limit.
 */
import type { ConcurrencyOptions } from '../dsl/traffic-policies.ts'
import { makeHook } from '../hooks.ts'
import { type HeldTable, NO_ROOM, REFUSED } from './held-table.ts'
import { KeyHash } from './key-hash.ts'
import type { Kept, PolicyContext, PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'
import { describeKey, keyOf } from './request-key.ts'

export const concurrency: PolicyKind<ConcurrencyOptions> = {
  isPure: false,
  bind({ key, limit }, context) {
    const underWay = context.keep(() => new UnderWay(limit, context))
    const find = keyOf(key)
    return makeHook('concurrency', {
      onRequest(call) {
        const found = find(call)
        if (found === null) return null
        const ending = underWay.begin(found)
        if (ending === null) return TOO_MANY
        call.request.whenEnded(ending)
        return null
      },
    })
  },
  describe: ({ key, limit }) => `${limit} at a time for ${describeKey(key)}`,
}

const TOO_MANY = refusal('rate_limited', 'more at a time than the limit', { 'Retry-After': '1' })

class UnderWay implements Kept {
  readonly #limit: number
  readonly #table: HeldTable | null
  readonly #hash: KeyHash | null
  /** Of what is counted here alone: no more keys than exchanges. */
  readonly #counts = new Map<string, number>()
  readonly #part: number

  constructor(limit: number, { counting, id }: Pick<PolicyContext, 'counting' | 'id'>) {
    this.#limit = limit
    this.#table = counting.held
    this.#hash = this.#table === null ? null : new KeyHash(counting.table.seed, id)
    this.#part = Math.max(1, Math.floor(limit / counting.parts))
  }

  /** What is to be called when it has ended; null: it is one too many. */
  begin(key: string): (() => void) | null {
    const table = this.#table
    const hash = this.#hash
    if (table === null || hash === null) return this.#beginHere(key)
    hash.of(key)
    const at = table.take(hash.upper, hash.lower, 1, this.#limit)
    if (at === REFUSED) return null
    return at === NO_ROOM ? this.#beginHere(key) : () => table.giveBack(at, 1)
  }

  #beginHere(key: string): (() => void) | null {
    const counts = this.#counts
    const count = counts.get(key) ?? 0
    if (count >= this.#part) return null
    counts.set(key, count + 1)
    return () => {
      const left = counts.get(key)! - 1
      if (left === 0) counts.delete(key)
      else counts.set(key, left)
    }
  }

  /** Exchanges that are still under way count down in it. */
  close(): void {}
}
