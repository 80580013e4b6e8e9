/** What a listener keeps, against a Map of the same. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Accepted } from '../../core/connection/home.ts'
import { Kept } from '../../core/listener/kept.ts'

const connection = (): Accepted => ({ keptAt: -1, drain() {}, destroy() {} })

test('whatever comes, goes and changes its place: as in a Map', () => {
  const step = fc.record({ does: fc.constantFrom('add', 'add', 'remove'), who: fc.nat(9), place: fc.nat(3), by: fc.nat(1) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const connections = Array.from({ length: 10 }, connection)
      // Two listeners: a connection is with one of them at a time.
      const both = [new Kept<number>(), new Kept<number>()] as const
      const maps = [new Map<Accepted, number>(), new Map<Accepted, number>()] as const
      for (const { does, who, place, by } of steps) {
        const one = connections[who]!
        const [kept, map, other] = [both[by]!, maps[by]!, maps[1 - by]!]
        if (does === 'remove') {
          assert.is(kept.remove(one), map.get(one) ?? null)
          map.delete(one)
        } else if (!other.has(one)) {
          kept.add(one, place)
          map.set(one, place)
        }
        assert.is(kept.size, map.size)
        assert.equal(new Set(kept.all()), new Set(map.keys()))
      }
      for (const [at, map] of maps.entries()) for (const [one, place] of [...map]) assert.is(both[at]!.remove(one), place)
      assert.ok(connections.every(({ keptAt }) => keptAt === -1))
    }),
  )
})

test('what it gives is of that moment: who closes meanwhile, and has others close, takes nobody out of it', () => {
  const kept = new Kept<null>()
  const all = Array.from({ length: 5 }, connection)
  for (const one of all) kept.add(one, null)
  const met: Accepted[] = []
  for (const one of kept.all()) {
    met.push(one)
    for (const other of all) kept.remove(other)
  }
  assert.equal(met, all)
  assert.is(kept.size, 0)
})

test.run()
