/** The table of rates: exact for each key, whoever else counts in the same memory, and bounded. */
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seeded } from '../../core/policy/counting.ts'
import { KeyHash } from '../../core/policy/key-hash.ts'
import { RateTable, tableBytes } from '../../core/policy/rate-table.ts'

const ROUND = 2 ** 44
const SECOND = 1_000_000

function makeTable(bits = 4) {
  const table = new RateTable(seeded(new ArrayBuffer(tableBytes(bits))))
  const hash = new KeyHash(table.seed, 'test')
  const take = (key: string, nowUs: number, rate = { intervalUs: SECOND, burst: 3 }): boolean => {
    hash.of(key)
    return table.take(hash.upper, hash.lower, nowUs, rate)
  }
  return { table, take }
}

test('a burst at once, then one an interval, and it says how long to wait', () => {
  const { table, take } = makeTable()
  assert.equal(
    [1, 2, 3, 4].map(() => take('a', 5 * SECOND)),
    [true, true, true, false],
  )
  assert.equal([table.remaining, table.waitUs, table.resetUs], [0, SECOND, 3 * SECOND])
  assert.is(take('a', 5.75 * SECOND), false)
  assert.is(table.waitUs, SECOND / 4)
  assert.is(take('a', 6 * SECOND), true)
  assert.is(take('a', 6 * SECOND), false)
  assert.is(take('b', 6 * SECOND), true)
  assert.equal([table.remaining, table.waitUs, table.resetUs], [2, 0, SECOND])
  assert.equal(
    [1, 2, 3, 4].map(() => take('a', 60 * SECOND)),
    [true, true, true, false],
  )
})

test('it lets through what a plain account of each key would', () => {
  const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 4 * SECOND }))
  const rate = fc.record({ intervalUs: fc.integer({ min: 1, max: 3 * SECOND }), burst: fc.integer({ min: 1, max: 20 }) })
  // Also where the clock of the words goes round in between.
  const start = fc.constantFrom(0, 7, ROUND - 3 * SECOND, 5 * ROUND - 1)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), rate, start, (steps, one, begin) => {
      const { take } = makeTable()
      const freeAt = new Map<string, number>()
      let now = begin
      for (const [key, later] of steps) {
        now += later
        const free = Math.max(freeAt.get(key) ?? 0, now) + one.intervalUs
        const isRight = free - now <= one.intervalUs * one.burst
        if (isRight) freeAt.set(key, free)
        assert.is(take(key, now, one), isRight)
      }
    }),
  )
})

test('a full table forgets whoever is next to have used nothing, and never grows', () => {
  const { take } = makeTable(0)
  const rate = { intervalUs: SECOND, burst: 10 }
  for (let i = 0; i < 8; i++) for (let n = 0; n <= i; n++) take(`key ${i}`, 0, rate)
  // The first of them has used one.
  take('another', 0, { intervalUs: SECOND, burst: 10 })
  const left = (key: string): number => Array.from({ length: 11 }, () => take(key, 0, rate)).filter(Boolean).length
  assert.is(left('key 7'), 2)
  assert.is(left('key 1'), 8)
})

test('keys of other policies, and under other seeds, are other keys', () => {
  const one = new KeyHash([1, 2], 'a')
  const hashes = [one, new KeyHash([1, 2], 'b'), new KeyHash([1, 3], 'a')].map((hash) => {
    hash.of('10.0.0.1')
    return `${hash.upper} ${hash.lower}`
  })
  assert.is(new Set(hashes).size, 3)
  const many = new Set(
    Array.from({ length: 20_000 }, (_, i) => {
      one.of(`10.0.${i >> 8}.${i & 255}`)
      return `${one.upper} ${one.lower & 0xfff}`
    }),
  )
  assert.ok(many.size > 19_990, `${many.size} of 20,000`)
})

test('threads that share the memory let exactly the burst through together', async () => {
  const memory = seeded(new SharedArrayBuffer(tableBytes(4)))
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { KeyHash } from ${JSON.stringify(new URL('../../core/policy/key-hash.ts', import.meta.url).href)}
    import { RateTable } from ${JSON.stringify(new URL('../../core/policy/rate-table.ts', import.meta.url).href)}
    const table = new RateTable(workerData)
    const hash = new KeyHash(table.seed, 'test')
    let passed = 0
    for (let i = 0; i < 40_000; i++) {
      hash.of('key ' + (i % 4))
      if (table.take(hash.upper, hash.lower, 1, { intervalUs: 1_000, burst: 5_000 })) passed++
    }
    parentPort.postMessage(passed)`
  const passed = await Promise.all(
    [1, 2].map(
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: memory })
          worker.once('message', resolve).once('error', reject)
        }),
    ),
  )
  assert.is(passed[0]! + passed[1]!, 20_000)
})

test.run()
