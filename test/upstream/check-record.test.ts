/** Verdicts of health checks: when they change, and when the next check is due. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HealthCheckPlan } from '../../core/plan/upstream-plan.ts'
import { CheckRecord } from '../../core/upstream/check-record.ts'

const plan: HealthCheckPlan = {
  ...{ type: 'http', path: '/', service: '', host: null, statuses: null },
  ...{ interval: 5_000, timeout: 1_000, unhealthyAfter: 3, healthyAfter: 2 },
}

test('nothing is known at first; one good check is enough then, and three bad ones', () => {
  const good = new CheckRecord(plan)
  assert.is(good.isHealthy, null)
  assert.equal([good.add(true), good.isHealthy], [true, true])
  const bad = new CheckRecord(plan)
  assert.equal([bad.add(false), bad.add(false), bad.isHealthy], [false, false, null])
  assert.equal([bad.add(false), bad.isHealthy], [true, false])
})

test('a verdict changes by exactly so many checks in a row that speak against it', () => {
  const counts = fc.integer({ min: 1, max: 5 })
  fc.assert(
    fc.property(counts, counts, fc.boolean(), fc.array(fc.boolean(), { maxLength: 60 }), (unhealthyAfter, healthyAfter, first, checks) => {
      const record = new CheckRecord({ ...plan, unhealthyAfter, healthyAfter }, first)
      let expected = first
      for (let i = 0; i < checks.length; i++) {
        const needed = expected ? unhealthyAfter : healthyAfter
        const last = checks.slice(0, i + 1).slice(-needed)
        const changes = last.length === needed && last.every((one) => one !== expected)
        assert.is(record.add(checks[i]!), changes)
        if (changes) {
          expected = !expected
          // The row begins anew.
          checks.splice(0, i + 1)
          i = -1
        }
        assert.is(record.isHealthy, expected)
      }
    }),
  )
})

test('checks hurry while a verdict may change, and keep to their interval else, never exactly', () => {
  const record = new CheckRecord(plan, true)
  assert.equal([record.delayMs(0), record.delayMs(0.5), record.delayMs(1)], [4_500, 5_000, 5_500])
  record.add(false)
  assert.equal([record.delayMs(0), record.delayMs(1)], [900, 1_100])
  record.add(true)
  assert.is(record.delayMs(0.5), 5_000)
  for (let i = 0; i < 3; i++) record.add(false)
  assert.equal([record.isHealthy, record.delayMs(0.5)], [false, 5_000])
})

test('no hurry makes a short interval longer, or checks follow without a pause', () => {
  const delay = (interval: number): number => {
    const record = new CheckRecord({ ...plan, interval }, true)
    record.add(false)
    return record.delayMs(0.5)
  }
  assert.equal([delay(100), delay(1_000), delay(60_000)], [100, 250, 12_000])
})

test.run()
