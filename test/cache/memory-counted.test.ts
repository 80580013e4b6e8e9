/** What a cache counts its answers for is what they take: heap and buffers, after a collection, within a tenth. */
// Runs alone: it looks at the memory of its process.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FILLINGS, fill, PLAIN_LINES, startProxy, takenBytes } from '../../bench/micro/cached-answers.ts'
import { collectGarbage } from '../support/garbage.ts'

const MB = 1_048_576
/** Of each kind: enough that what else the process does is small beside it. */
const FILLED_BYTES = 2.5 * MB

test.before(() => {
  // What compiled code and its caches take comes with the first of them.
  for (const filling of FILLINGS) fill(filling, MB / 4, () => {})
})

for (const filling of FILLINGS) {
  test(`answers of ${filling.name} count for what they take`, () => {
    const seen: string[] = []
    // What else the process lets go of meanwhile is not there a second time.
    for (let i = 0; i < 3; i++) {
      const { taken, counted } = fill(filling, FILLED_BYTES, collectGarbage)
      if (Math.abs(counted / taken - 1) < 0.1) return
      seen.push(`${counted.toFixed(0)} counted, ${taken.toFixed(0)} taken`)
    }
    assert.unreachable(seen.join('; '))
  })
}

test('a memory that is full, and has been filled several times over, holds what it may', () => {
  const memory = 8 * MB
  const proxy = startProxy({ length: 1024, lines: PLAIN_LINES }, memory)
  const before = takenBytes(collectGarbage)
  for (let i = 0; i < (3 * memory) / 2048; i++) proxy.ask(`/some/path/of/a/page?id=${i}`)
  const taken = takenBytes(collectGarbage) - before
  const { evictions, bytes } = proxy.cache.counts
  assert.ok(evictions > 0)
  // Tables that have been larger, and code, come to some hundred KB.
  assert.ok(taken < bytes * 1.1 + 0.5 * MB && taken > bytes * 0.9, `${bytes} counted, ${taken} taken`)
  // A quarter is for gaps, at most 16 MB, and of the rest, which is all on V8's heap, another one for what has not been collected.
  assert.ok(bytes > 0.55 * memory && bytes <= 0.5625 * memory, `${bytes} of ${memory}`)
  proxy.stop()
})

test('keys whose answers are not for keeping count for what they take', () => {
  const proxy = startProxy({ length: 95, lines: 'Cache-Control: no-store\r\n' }, 16 * FILLED_BYTES)
  const before = takenBytes(collectGarbage)
  for (let i = 0; i < 5000; i++) proxy.ask(`/some/path/of/a/page?id=${i}`)
  const taken = takenBytes(collectGarbage) - before
  const { objects, bytes } = proxy.cache.counts
  assert.is(objects, 0)
  assert.ok(Math.abs(bytes / taken - 1) < 0.1, `${bytes} counted, ${taken} taken`)
  proxy.stop()
})

test.run()
