/** A memory of answers: bounded whatever is put into it, and what is asked for again outlives a walk through everything. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MemoryStore, selectVariant } from '../../core/cache/memory-store.ts'
import { storedResponse as response } from '../support/stored.ts'

const isThere = (store: MemoryStore<never>, key: string): boolean => (store.find(key)?.responses.length ?? 0) > 0

test('it never holds more than it may, and forgets keys of which nothing is left', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const), key: fc.nat(20), bytes: fc.nat(30_000), variant: fc.nat(3) }),
    fc.record({ do: fc.constant('mark' as const), key: fc.nat(20) }),
    fc.record({ do: fc.constant('hit' as const), key: fc.nat(20) }),
    fc.record({ do: fc.constant('remove' as const), key: fc.nat(20) }),
    fc.record({ do: fc.constant('resize' as const), bytes: fc.integer({ min: 10_000, max: 100_000 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new MemoryStore<never>({ bytes: 100_000, objectBytes: 50_000, variants: 2 })
      for (const one of steps) {
        if (one.do === 'put') store.put(response(`${one.key}`, one.bytes, ['a'], `=${one.variant}\n`))
        else if (one.do === 'mark') store.mark(`${one.key}`, `http://x/${one.key}`, 1)
        else if (one.do === 'resize') store.resize({ ...store.limits, bytes: one.bytes })
        else {
          for (const found of store.find(`${one.key}`)?.responses ?? []) {
            if (one.do === 'hit') found.visited = true
            else store.remove(found)
          }
        }
        assert.ok(store.counts.bytes <= store.limits.bytes)
        let [objects, records] = [0, 0]
        for (const record of store.records()) {
          records++
          objects += record.responses.length
          assert.ok(record.responses.length <= 2)
          assert.ok(record.responses.length > 0 || record.mark !== null)
          assert.ok([...store.ofUrl(record.url)].includes(record))
        }
        assert.is(store.counts.objects, objects)
        assert.ok(records <= 21)
      }
      for (let key = 0; key <= 20; key++) {
        const record = store.find(`${key}`)
        if (record === undefined) continue
        store.unmark(record)
        for (const found of [...record.responses]) store.remove(found)
        store.tidy(record)
      }
      assert.equal(
        [store.counts.bytes, store.counts.objects, [...store.records()].length, [...store.ofUrl('http://x/1')].length],
        [0, 0, 0, 0],
      )
    }),
    { numRuns: 200 },
  )
})

test('the keys of one URL are those of which something is known, in whatever order they came and went', () => {
  const step = fc.record({ key: fc.nat(12), isMarked: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new MemoryStore<never>({ bytes: 100_000, objectBytes: 50_000, variants: 2 })
      const known = new Set<number>()
      for (const { key, isMarked } of steps) {
        const record = store.open(`${key}`, `http://x/${key % 3}`)
        store.unmark(record)
        if (isMarked) store.mark(`${key}`, `http://x/${key % 3}`, 1)
        else store.tidy(record)
        if (isMarked) known.add(key)
        else known.delete(key)
        for (const url of [0, 1, 2]) {
          const keys = store.ofUrl(`http://x/${url}`).map((one) => Number(one.key))
          assert.equal(
            keys.sort((a, b) => a - b),
            [...known].filter((one) => one % 3 === url).sort((a, b) => a - b),
          )
        }
      }
    }),
    { numRuns: 200 },
  )
})

test('what is not kept any more, and still sent to somebody, counts against what may come', () => {
  const store = new MemoryStore<never>({ bytes: 100_000, objectBytes: 50_000, variants: 2 })
  const slow = response('slow', 30_000)
  store.put(slow)
  slow.body.hold()
  slow.body.hold()
  store.remove(slow)
  assert.not(store.reserve(30_000), 'a client that does not read has 30 KB of the 50 KB')
  assert.ok(store.reserve(15_000))
  store.unreserve(15_000)
  slow.body.release()
  assert.not(store.reserve(30_000))
  slow.body.release()
  assert.ok(store.reserve(30_000))
})

test('what slow clients are still sent counts against what is kept, up to a quarter of the memory', () => {
  const store = new MemoryStore<never>({ bytes: 1_000_000, objectBytes: 100_000, variants: 2 })
  const fill = (from: number): number => {
    for (let i = from; i < from + 200; i++) store.put(response(`${i}`, 10_000))
    return store.counts.bytes
  }
  const before = fill(0)
  assert.ok(before > 720_000 && before <= 750_000, `${before}`)
  for (const [held, most] of [
    [200_000, 550_000],
    [400_000, 500_000],
  ] as const) {
    for (let i = 0; i < 20; i++) {
      const slow = response('slow', held / 20)
      store.put(slow)
      slow.body.hold()
      store.remove(slow)
    }
    const bytes = fill(1000 + held)
    assert.ok(bytes > most - 30_000 && bytes <= most, `${bytes} beside ${held}`)
  }
})

test('what is on the heap has a bound of its own, whatever the memory may be', () => {
  const store = new MemoryStore<never>({ bytes: 1_000_000_000, objectBytes: 50_000, variants: 2 }, 50_000)
  for (let i = 0; i < 200; i++) store.put(response(`${i}`, 30_000))
  const { objects, bytes } = store.counts
  assert.ok(objects > 40 && objects < 60, `${objects}`)
  assert.ok(bytes > objects * 30_000)
})

test('what is asked for again outlives a walk through ten times as much as fits', () => {
  const store = new MemoryStore<never>({ bytes: 1_000_000, objectBytes: 100_000, variants: 4 })
  const hot = Array.from({ length: 20 }, (_, i) => `hot${i}`)
  for (const key of hot) store.put(response(key, 10_000))
  for (let i = 0; i < 1000; i++) {
    store.put(response(`cold${i}`, 10_000))
    for (const key of i % 10 === 0 ? hot : []) for (const found of store.find(key)?.responses ?? []) found.visited = true
  }
  assert.is(hot.filter((key) => isThere(store, key)).length, hot.length)
})

test('room for what is still coming is half of it, and is given back', () => {
  const store = new MemoryStore<never>({ bytes: 100_000, objectBytes: 50_000, variants: 4 })
  store.put(response('a', 70_000))
  assert.ok(isThere(store, 'a'))
  assert.ok(store.reserve(50_000))
  assert.not(isThere(store, 'a'))
  assert.not(store.reserve(1))
  store.unreserve(50_000)
  assert.ok(store.reserve(1))
})

test('a newer answer takes the place of the one of its variant, and the oldest variant goes first', () => {
  const store = new MemoryStore<never>({ bytes: 100_000, objectBytes: 50_000, variants: 2 })
  const put = (value: string) => store.put(response('a', 10, ['x'], `=${value}\n`))
  for (const value of ['1', '2', '1', '3']) put(value)
  const select = (value: string) => selectVariant(store.find('a')!.responses, { get: () => value })
  assert.equal([select('1') !== null, select('2') !== null, select('3') !== null], [true, false, true])
})

test.run()
