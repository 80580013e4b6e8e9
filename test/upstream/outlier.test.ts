/** Outliers on a clock that the test turns: when an endpoint is one, and for how long it is kept off. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { OutlierPlan } from '../../core/plan/upstream-plan.ts'
import { ejectionMs, mostEjected, OutlierRecord } from '../../core/upstream/outlier.ts'

const plan: OutlierPlan = {
  ...{ consecutiveFailures: Infinity, failureRatio: Infinity, minRequests: 10, latency: Infinity },
  ...{ window: 10_000, ejectFor: 30_000, maxEjected: 0.5 },
}

test('so many failures in a row are enough, and one success begins the row anew', () => {
  const record = new OutlierRecord({ ...plan, consecutiveFailures: 3 })
  const add = (failure: string | null) => record.add(failure, 1, 0)
  assert.equal([add('a'), add('b'), add(null), add('c'), add('d')], [null, null, null, null, null])
  assert.is(add('upstream_closed'), '3 failures in a row, the last: upstream_closed')
})

test('a share of the requests is enough, once there were enough of them', () => {
  const record = new OutlierRecord({ ...plan, failureRatio: 0.5 })
  for (let i = 0; i < 9; i++) assert.is(record.add(i % 2 === 0 ? 'status 500' : null, 1, i * 10), null)
  assert.is(record.add(null, 1, 100), '5 of 10 requests failed')
})

test('answers that take long are enough, those that failed left out', () => {
  const record = new OutlierRecord({ ...plan, latency: 200 })
  for (let i = 0; i < 9; i++) assert.is(record.add(i === 0 ? 'reset' : null, 250, i), null)
  assert.is(record.add(null, 250, 10), 'answers took 250 ms on average')
  const fast = new OutlierRecord({ ...plan, latency: 200 })
  for (let i = 0; i < 50; i++) assert.is(fast.add(null, 199, i), null)
})

test('only failures, and no answer at all, say nothing of times', () => {
  const record = new OutlierRecord({ ...plan, latency: 1 })
  for (let i = 0; i < 50; i++) assert.is(record.add('reset', 0, i), null)
})

test('what is older than the window is forgotten', () => {
  const record = new OutlierRecord({ ...plan, failureRatio: 0.5 })
  for (let i = 0; i < 9; i++) record.add('reset', 0, 5_000)
  assert.is(record.add('reset', 0, 15_000), null)
  for (let i = 0; i < 8; i++) record.add('reset', 0, 16_000)
  assert.is(record.add('reset', 0, 17_000), '10 of 10 requests failed')
})

test('it says so exactly when the requests of the window, slot by slot, say so', () => {
  const step = fc.record({ ms: fc.nat(2_500), fails: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 10 }), (steps, tenths) => {
      const record = new OutlierRecord({ ...plan, failureRatio: tenths / 10, minRequests: 5 })
      const log: { slot: number; fails: boolean }[] = []
      let now = 0
      for (const { ms, fails } of steps) {
        now += ms
        log.push({ slot: Math.floor(now / 1_000), fails })
        const recent = log.filter(({ slot }) => slot > Math.floor(now / 1_000) - 10)
        const failed = recent.filter((one) => one.fails).length
        const isOutlier = recent.length >= 5 && failed / recent.length >= tenths / 10
        assert.is(record.add(fails ? 'x' : null, 1, now) !== null, isOutlier)
      }
    }),
  )
})

test('each ejection in a row is longer than the one before, up to ten times the first', () => {
  assert.equal(
    [1, 2, 3, 10, 11, 1_000].map((number) => ejectionMs(plan, number) / plan.ejectFor),
    [1, 2, 3, 10, 10, 10],
  )
})

test('of several endpoints one may always be ejected, unless none may', () => {
  const most = (maxEjected: number) => [0, 1, 2, 3, 10].map((endpoints) => mostEjected({ ...plan, maxEjected }, endpoints))
  assert.equal(most(0), [0, 0, 0, 0, 0])
  assert.equal(most(0.1), [0, 0, 1, 1, 1])
  assert.equal(most(0.5), [0, 0, 1, 1, 5])
  assert.equal(most(1), [0, 1, 2, 3, 10])
})

test.run()
