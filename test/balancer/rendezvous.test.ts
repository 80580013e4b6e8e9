/** Keys keep their place: who goes takes nothing from the others, and shares are by weight. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ranked, type Weighted } from '../../core/balancer/rendezvous.ts'

const address = fc.ipV4().map((ip) => `${ip}:53`)
const places = fc.uniqueArray(fc.record({ address, weight: fc.nat(5) }), { minLength: 1, maxLength: 8, selector: (one) => one.address })

test('all that have a weight are named, each once, and the same ones for the same key', () => {
  fc.assert(
    fc.property(places, fc.ipV4(), (all, key) => {
      const order = ranked(all, key)
      assert.equal(order.toSorted(), all.flatMap(({ weight }, i) => (weight > 0 ? [i] : [])).toSorted())
      assert.equal(ranked(all, key), order)
    }),
  )
})

test('without one of them the order of the others is the same, wherever they stand', () => {
  fc.assert(
    fc.property(places, fc.ipV4(), fc.nat(7), (all, key, gone) => {
      const names = (of: readonly Weighted[]): string[] => ranked(of, key).map((i) => of[i]!.address)
      const rest = all.filter((_, i) => i !== gone % all.length)
      assert.equal(
        names(rest.toReversed()),
        names(all).filter((name) => rest.some((one) => one.address === name)),
      )
    }),
  )
})

test('each gets a share of the keys that is its weight', () => {
  const all = [1, 2, 5].map((weight, i) => ({ address: `10.0.0.${i}:53`, weight }))
  const counts = [0, 0, 0]
  for (let i = 0; i < 16_000; i++) counts[ranked(all, `192.0.${i >> 8}.${i & 255}`)[0]!]!++
  for (const [i, expected] of [2_000, 4_000, 10_000].entries()) assert.ok(Math.abs(counts[i]! - expected) < 400, String(counts))
})

test.run()
