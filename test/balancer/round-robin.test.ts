import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { roundRobin } from '../../core/balancer/round-robin.ts'
import { count, testBalancer } from '../suites/balancer.ts'

const kinds = {
  'a planned round': (weights: readonly number[]) => roundRobin(weights),
  'a sorted round': (weights: readonly number[]) => roundRobin(weights, 1),
  'step by step': (weights: readonly number[]) => roundRobin(weights, 0),
}

for (const [name, create] of Object.entries(kinds)) {
  testBalancer(name, (endpoints) => create(endpoints.map(({ weight }) => weight)), { tolerance: 0.001 })

  if (name !== 'a sorted round')
    test(`${name}: heavy ones are spread out, not picked in a run`, () => {
      const balancer = create([5, 1, 1])
      assert.equal(
        Array.from({ length: 7 }, () => balancer.pick(null)),
        [0, 0, 1, 0, 2, 0, 0],
      )
    })

  test(`${name}: equal weights take turns`, () => {
    const balancer = create([3, 3, 3])
    assert.equal(
      Array.from({ length: 6 }, () => balancer.pick(null)),
      [0, 1, 2, 0, 1, 2],
    )
  })

  test(`${name}: every round is exact`, () => {
    const weights = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 3 }), (list, rounds) => {
        const total = list.reduce((sum, weight) => sum + weight, 0)
        assert.equal(
          count(create(list), total * rounds),
          list.map((weight) => weight * rounds),
        )
      }),
    )
  })

  test(`${name}: the turns of one that is away go to the others by their weights`, () => {
    const counts = count(create([10, 2, 1]), 1300, (index) => index !== 0)
    assert.is(counts[0], undefined)
    assert.ok(Math.abs(counts[1]! - (1300 * 2) / 3) <= 15, String(counts))
  })
}

test('a sorted round: heavy ones are spread out, not picked in a run', () => {
  const balancer = roundRobin([5, 1, 1], 1)
  assert.equal(
    Array.from({ length: 7 }, () => balancer.pick(null)),
    [0, 0, 0, 1, 2, 0, 0],
  )
})

test('fractions are weights too', () => {
  assert.equal(count(roundRobin([99.5, 0.5]), 1000), [995, 5])
})

test('ten thousand endpoints of unlike weights are no burden', () => {
  const began = performance.now()
  const balancer = roundRobin(Array.from({ length: 10_000 }, (_, i) => (i % 7) + 1))
  for (let i = 0; i < 100; i++) balancer.pick(null)
  assert.ok(performance.now() - began < 1000)
})

test.run()
