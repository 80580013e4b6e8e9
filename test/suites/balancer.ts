/** What every balancer keeps to, whatever its kind. Run by test/balancer/*.test.ts. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Balancer } from '../../core/balancer/balancer.ts'

export function testBalancer(name: string, create: (weights: readonly number[]) => Balancer): void {
  test(`${name}: with nothing to pick from it answers -1`, () => {
    assert.is(create([]).pick(null), -1)
    assert.is(create([0, 0]).pick(null), -1)
    assert.is(
      create([1, 2]).pick(() => false),
      -1,
    )
  })

  test(`${name}: weight 0 takes nothing`, () => {
    const balancer = create([0, 1, 0])
    for (let i = 0; i < 10; i++) assert.is(balancer.pick(null), 1)
    assert.is(
      balancer.pick((index) => index !== 1),
      -1,
    )
  })

  test(`${name}: only what is available is picked, and something is if anything is`, () => {
    const weights = fc.array(fc.nat(5), { maxLength: 6 })
    fc.assert(
      fc.property(weights, fc.array(fc.nat(63), { maxLength: 30 }), (list, masks) => {
        const balancer = create(list)
        for (const mask of masks) {
          const isAvailable = (index: number): boolean => ((mask >> index) & 1) === 1
          const index = balancer.pick(isAvailable)
          if (index >= 0) assert.ok(isAvailable(index) && list[index]! > 0)
          else assert.not(list.some((weight, i) => weight > 0 && isAvailable(i)))
        }
      }),
    )
  })
}

export function count(balancer: Balancer, picks: number, isAvailable: ((index: number) => boolean) | null = null): number[] {
  const counts: number[] = []
  for (let i = 0; i < picks; i++) {
    const index = balancer.pick(isAvailable)
    counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}
