/** Splits by a key: shares, and what moves when weights change. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hashText, spread } from '../../core/balancer/hash.ts'
import { partOfHash } from '../../core/balancer/part-of-hash.ts'
import { ringHash } from '../../core/balancer/ring-hash.ts'
import { assertShares, count, endpointsOf } from '../suites/balancer.ts'

const KEYS = 20_000

function partsOf(weights: readonly number[]): number[] {
  return Array.from({ length: KEYS }, (_, i) => partOfHash(weights, hashText(`10.1.${i >> 8}.${i & 255}`)))
}

for (const weights of [
  [1, 1],
  [80, 20],
  [95, 5],
  [0, 1, 0, 3],
  [0.5, 99.5],
])
  test(`of ${weights.join(':')} each part gets its share of the clients`, () => {
    const counts: number[] = []
    for (const part of partsOf(weights)) counts[part] = (counts[part] ?? 0) + 1
    assertShares(counts, weights, 0.01)
    for (const [i, weight] of weights.entries()) if (weight === 0) assert.is(counts[i], undefined)
  })

test('when five more of a hundred are to go to the other part, five of a hundred clients move', () => {
  const before = partsOf([95, 5])
  const after = partsOf([90, 10])
  const moved = before.filter((part, i) => part !== after[i])
  assert.ok(Math.abs(moved.length / KEYS - 0.05) < 0.01, String(moved.length))
  assert.not(moved.includes(1))
})

test('the part that a key falls into says nothing of where it falls inside of it', () => {
  const ring = ringHash(endpointsOf([1, 1, 1, 1]))
  const all = count(ring, KEYS)
  const inside: number[] = []
  for (let i = 0; i < KEYS; i++) {
    if (partOfHash([1, 9], spread(i)) !== 0) continue
    const index = ring.pick(null, spread(i))
    inside[index] = (inside[index] ?? 0) + 1
  }
  assertShares(inside, all, 0.04)
})

test.run()
