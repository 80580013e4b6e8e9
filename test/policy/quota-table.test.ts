/** The table of quotas: exact over whoever shares its memory, period by period, in a fixed place. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { QUOTA_TABLE_BYTES, QuotaTable } from '../../core/policy/quota-table.ts'

test('what any of those who share it count is in all their sums, for each key and period apart', () => {
  const step = fc.record({ who: fc.nat(2), key: fc.nat(40), kib: fc.nat(2 ** 31), later: fc.nat(1) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const memory = new SharedArrayBuffer(64 + QUOTA_TABLE_BYTES)
      const tables = [0, 1, 2].map(() => new QuotaTable(memory, 64, QUOTA_TABLE_BYTES))
      const sums = new Map<string, number>()
      let end = 1_000
      for (const { who, key, kib, later } of steps) {
        end += later * 10
        const sum = (sums.get(`${key} ${end}`) ?? 0) + kib
        sums.set(`${key} ${end}`, sum)
        assert.is(tables[who]!.add(hashOf(key), hashOf(key + 100), kib, { now: end - 10, end }), sum)
      }
    }),
    { numRuns: 100 },
  )
})

test('keys whose period is over make room, and of the others the one that has had least is forgotten', () => {
  const table = new QuotaTable(new ArrayBuffer(16 * 16), 0, 16 * 16)
  const [past, now] = [
    { now: 90, end: 100 },
    { now: 100, end: 110 },
  ]
  for (let key = 0; key < 8; key++) table.add(hashOf(key), key, 500, past)
  for (let key = 8; key < 24; key++) assert.is(table.add(hashOf(key), key, key, now), key)
  assert.is(table.add(hashOf(24), 24, 100, now), 100)
  assert.is(table.add(hashOf(23), 23, 0, now), 23)
  assert.is(table.add(hashOf(8), 8, 0, now), 0, 'it had had least')
})

test('a count that does not fit stays at the most that does', () => {
  const table = new QuotaTable(new ArrayBuffer(256), 0, 256)
  const period = { now: 0, end: 1 }
  for (let i = 0; i < 3; i++) table.add(1, 2, 2 ** 37, period)
  assert.is(table.add(1, 2, 0, period), 2 ** 38 - 1)
})

test.run()

function hashOf(key: number): number {
  return Math.imul(key + 1, 0x9e3779b1) >>> 0
}
