/** `concurrency`: so many exchanges at a time for each key. A key is remembered as long as one of its exchanges is under way. */
import type { ConcurrencyOptions } from '../dsl/traffic-policies.ts'
import { makeHook } from '../hooks.ts'
import type { Kept, PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'
import { describeKey, keyOf } from './request-key.ts'

export const concurrency: PolicyKind<ConcurrencyOptions> = {
  isPure: false,
  bind({ key, limit }, { keep }) {
    const { counts } = keep(() => new UnderWay())
    const find = keyOf(key)
    return makeHook('concurrency', {
      onRequest(call) {
        const found = find(call)
        if (found === null) return null
        const count = counts.get(found) ?? 0
        if (count >= limit) return REFUSED
        counts.set(found, count + 1)
        call.request.whenEnded(() => {
          const left = counts.get(found)! - 1
          if (left === 0) counts.delete(found)
          else counts.set(found, left)
        })
        return null
      },
    })
  },
  describe: ({ key, limit }) => `${limit} at a time for ${describeKey(key)}`,
}

const REFUSED = refusal('rate_limited', 'more at a time than the limit', { 'Retry-After': '1' })

class UnderWay implements Kept {
  readonly counts = new Map<string, number>()

  /** Exchanges that are still under way count down in it. */
  close(): void {}
}
