/** What every balancer keeps to, whatever its kind. Run by test/balancer/*.test.ts. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Balancer, Candidate, IsAvailable, Tools } from '../../core/balancer/balancer.ts'
import { spread } from '../../core/balancer/hash.ts'
import { PeakAverage } from '../../core/balancer/peak-average.ts'

export type Create = (endpoints: readonly TestEndpoint[], tools: Tools) => Balancer

/** One that a test may put work on. */
export interface TestEndpoint extends Candidate {
  inFlight: number
}

export interface SuiteOptions {
  /** It goes by weight as long as nothing is under way. Default true. */
  readonly isByWeight?: boolean
  /** Picks of 20,000 that may be too many or too few, as a share of all. Default 0.02. */
  readonly tolerance?: number
}

const PICKS = 20_000

export function testBalancer(name: string, create: Create, { isByWeight = true, tolerance = 0.02 }: SuiteOptions = {}): void {
  const make = (weights: readonly number[]): Balancer => create(endpointsOf(weights), steadyTools())

  test(`${name}: with nothing to pick from it answers -1`, () => {
    assert.is(make([]).pick(null), -1)
    assert.is(make([0, 0]).pick(null), -1)
    assert.is(
      make([1, 2]).pick(() => false),
      -1,
    )
  })

  test(`${name}: weight 0 takes nothing`, () => {
    const balancer = make([0, 1, 0])
    for (let i = 0; i < 10; i++) assert.is(balancer.pick(null, spread(i)), 1)
    assert.is(
      balancer.pick((index) => index !== 1),
      -1,
    )
  })

  test(`${name}: only what is available is picked, and something is if anything is`, () => {
    const weights = fc.array(fc.nat(5), { maxLength: 6 })
    const requests = fc.array(fc.tuple(fc.nat(63), fc.nat(0xffffffff)), { maxLength: 10 })
    fc.assert(
      fc.property(weights, requests, (list, asked) => {
        const balancer = make(list)
        for (const [mask, hash] of asked) {
          const isAvailable = (index: number): boolean => ((mask >> index) & 1) === 1
          const index = balancer.pick(isAvailable, hash)
          if (index >= 0) assert.ok(isAvailable(index) && list[index]! > 0)
          else assert.not(list.some((weight, i) => weight > 0 && isAvailable(i)))
        }
      }),
      { numRuns: 50 },
    )
  })

  test(`${name}: the only one of many that is left is found`, () => {
    const balancer = make(Array.from({ length: 300 }, () => 1))
    for (let i = 0; i < 300; i += 37)
      assert.is(
        balancer.pick((index) => index === i, spread(i)),
        i,
      )
  })

  if (!isByWeight) return
  for (const weights of [
    [1, 1, 1, 1],
    [8, 2],
    [1, 0, 3, 6],
  ])
    test(`${name}: of ${weights.join(':')} each gets its share`, () => {
      assertShares(count(make(weights), PICKS), weights, tolerance)
    })

  test(`${name}: what one that is away would get goes to the others by their weights`, () => {
    assertShares(
      count(make([10, 2, 1]), PICKS, (index) => index !== 0),
      [0, 2, 1],
      tolerance * 2,
    )
  })
}

export function endpointsOf(weights: readonly number[]): TestEndpoint[] {
  return weights.map((weight, i) => ({ address: `10.0.${i >> 8}.${i & 255}:80`, weight, inFlight: 0, time: new PeakAverage() }))
}

/** Chance that is the same in every run. */
export function steadyTools(now: () => number = () => 0): Tools {
  let at = 1
  return { random: () => spread(at++) / 0x1_0000_0000, now }
}

/** Of requests of which each has another hash. */
export function count(balancer: Balancer, picks: number, isAvailable: IsAvailable | null = null): number[] {
  const counts: number[] = []
  for (let i = 0; i < picks; i++) {
    const index = balancer.pick(isAvailable, spread(i))
    counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}

export function assertShares(counts: readonly number[], weights: readonly number[], tolerance: number): void {
  const picks = counts.reduce((sum, one) => sum + (one ?? 0), 0)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  for (const [i, weight] of weights.entries()) {
    const off = Math.abs((counts[i] ?? 0) / picks - weight / total)
    assert.ok(off <= tolerance, `${i}: ${counts[i] ?? 0} of ${picks}, its weight is ${weight} of ${total}`)
  }
}
