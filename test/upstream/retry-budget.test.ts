/** The budget of retries on a clock that the test turns: a share of the requests of ten seconds, and three a second beside it. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RetryBudget } from '../../core/upstream/retry-budget.ts'

/** As many as it gives at that time. */
function drawn(budget: RetryBudget, now: number): number {
  let count = 0
  while (budget.take(now)) count++
  return count
}

test('without a request there are three a second, for ten seconds at once', () => {
  assert.is(drawn(new RetryBudget(0.2), 5_000), 30)
  assert.is(drawn(new RetryBudget(0), 5_000), 30)
})

test('with requests there is their share more, and what is taken comes back after ten seconds', () => {
  const budget = new RetryBudget(0.2)
  for (let i = 0; i < 1_000; i++) budget.count(20_000)
  assert.is(drawn(budget, 20_500), 230)
  assert.is(drawn(budget, 29_999), 0)
  assert.is(drawn(budget, 30_000), 30)
})

test('a clock that stands still, or was read a little earlier elsewhere, costs nothing', () => {
  const budget = new RetryBudget(0.5)
  budget.count(10_000)
  budget.count(9_990)
  assert.is(drawn(budget, 9_990), 31)
})

test('at no time are there more retries within ten seconds than their share and three a second', () => {
  const step = fc.record({ ms: fc.nat(4_000), requests: fc.nat(50), wanted: fc.nat(80) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.double({ min: 0, max: 1, noNaN: true }), (steps, ratio) => {
      const budget = new RetryBudget(ratio)
      const log: { at: number; requests: number; retries: number }[] = []
      let now = 1_000_000
      for (const { ms, requests, wanted } of steps) {
        now += ms
        for (let i = 0; i < requests; i++) budget.count(now)
        let retries = 0
        for (let i = 0; i < wanted; i++) if (budget.take(now)) retries++
        log.push({ at: now, requests, retries })
        // Slots of a second: the oldest may be a whole one, or just begun.
        const recent = log.filter(({ at }) => Math.floor(at / 1_000) > Math.floor(now / 1_000) - 10)
        const sum = (key: 'requests' | 'retries'): number => recent.reduce((total, one) => total + one[key], 0)
        const most = sum('requests') * ratio + 30
        // What was given before stays given, though its requests are forgotten before it.
        if (retries > 0) assert.ok(sum('retries') <= most, `${sum('retries')} of ${most}`)
        if (retries < wanted) assert.ok(sum('retries') + 1 > most, 'refused though there was room')
      }
    }),
  )
})

test.run()
