/** What every store of kv keeps to, wherever it is. Run by test/capability/*.test.ts. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KvOperation, KvStore, KvValue } from '../../core/capability/kv-store.ts'

export interface KvRig {
  readonly store: KvStore
  /** Puts the store's clock forward. */
  advance(ms: number): void
}

const shareBytes = 64 * 1024

/** `create`: a store with that many bytes for each space. */
export function testKv(name: string, create: (shareBytes: number) => KvRig): void {
  const check = (what: string, run: (kv: Asked) => Promise<void>): void => {
    test(`${name}: ${what}`, () => run(new Asked(create(shareBytes))))
  }

  check('what is not there is null, and what was set is there until it is deleted', async (kv) => {
    assert.is(await kv.get('a'), null)
    assert.is(await kv.set('a', ''), null)
    assert.is(await kv.get('a'), '')
    assert.is(await kv.delete('a'), true)
    assert.is(await kv.delete('a'), false)
    assert.is(await kv.get('a'), null)
  })

  check('an entry is gone after its ttl, and not before', async (kv) => {
    await kv.set('a', '1', 1000)
    kv.advance(999)
    assert.is(await kv.get('a'), '1')
    kv.advance(2)
    assert.is(await kv.get('a'), null)
    assert.is(await kv.delete('a'), false)
  })

  check('setting anew begins a ttl anew, and without one ends it', async (kv) => {
    await kv.set('a', '1', 1000)
    await kv.set('b', '1', 1000)
    kv.advance(600)
    await kv.set('a', '2', 1000)
    await kv.set('b', '2')
    kv.advance(600)
    assert.is(await kv.get('a'), '2')
    kv.advance(60_000)
    assert.equal([await kv.get('a'), await kv.get('b')], [null, '2'])
  })

  check('incr begins at 0, and its ttl counts from the first', async (kv) => {
    assert.is(await kv.incr('n', 1, 1000), 1)
    kv.advance(600)
    assert.is(await kv.incr('n', 5, 1000), 6)
    assert.is(await kv.incr('n', -10, 1000), -4)
    assert.is(await kv.get('n'), '-4')
    kv.advance(600)
    assert.is(await kv.incr('n', 1, 1000), 1)
  })

  check('incr of what is no whole number, or of too much, fails and changes nothing', async (kv) => {
    await kv.set('a', 'text')
    await kv.set('n', String(Number.MAX_SAFE_INTEGER))
    await kv.fails({ kind: 'incr', space: 'tried', key: 'a', by: 1, ttlMs: 0 }, /kv\.incr: the value of "a" is not a whole number/)
    await kv.fails({ kind: 'incr', space: 'tried', key: 'n', by: 1, ttlMs: 0 }, /too large to be exact/)
    assert.equal([await kv.get('a'), await kv.get('n')], ['text', String(Number.MAX_SAFE_INTEGER)])
  })

  check('compareAndSet sets what is as expected, and nothing else', async (kv) => {
    assert.is(await kv.compareAndSet('a', null, '1'), true)
    assert.is(await kv.compareAndSet('a', null, '2'), false)
    assert.is(await kv.compareAndSet('a', '2', '3'), false)
    assert.is(await kv.compareAndSet('a', '1', '3'), true)
    assert.is(await kv.get('a'), '3')
  })

  check('spaces do not see each other, whatever their keys are', async (kv) => {
    await kv.store.perform({ kind: 'set', space: 'a', key: 'b\0c', value: '1', ttlMs: 0 })
    assert.is(await kv.store.perform({ kind: 'get', space: 'a', key: 'b' }), null)
    assert.is(await kv.store.perform({ kind: 'get', space: 'ab', key: '\0c' }), null)
    assert.is(await kv.store.perform({ kind: 'get', space: 'a', key: 'b\0c' }), '1')
  })

  check('without room the entry used longest ago goes first', async (kv) => {
    const value = 'x'.repeat(shareBytes / 8)
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await kv.set(key, value)
    await kv.get('a')
    await kv.set('g', value)
    await kv.set('h', value)
    assert.equal([await kv.get('a'), await kv.get('b'), await kv.get('h')], [value, null, value])
  })

  check('what is over goes before what is merely old', async (kv) => {
    const value = 'x'.repeat(shareBytes / 8)
    await kv.set('old', value)
    for (const key of ['b', 'c', 'd', 'e', 'f']) await kv.set(key, value, 1000)
    kv.advance(1001)
    for (const key of ['g', 'h', 'i']) await kv.set(key, value)
    assert.is(await kv.get('old'), value)
  })

  check('a value larger than the share is refused, and what was there stays', async (kv) => {
    await kv.set('a', '1')
    const value = 'x'.repeat(shareBytes)
    await kv.fails({ kind: 'set', space: 'tried', key: 'a', value, ttlMs: 0 }, /larger than all that this plugin may keep/)
    assert.is(await kv.get('a'), '1')
  })

  check('whatever one space keeps, nothing of another goes for it', async (kv) => {
    await kv.set('a', 'first')
    await kv.incr('n', 7)
    const value = 'x'.repeat(shareBytes / 8)
    for (const space of ['greedy', 'tried\0', 'Tried', '']) {
      for (let i = 0; i < 20; i++) await kv.store.perform({ kind: 'set', space, key: `k${i}`, value, ttlMs: i % 2 === 0 ? 60_000 : 0 })
      for (let i = 0; i < 500; i++) await kv.store.perform({ kind: 'incr', space, key: `n${i}`, by: 1, ttlMs: 0 })
    }
    assert.equal([await kv.get('a'), await kv.get('n')], ['first', '7'])
  })

  check('many at once are done in their order', async (kv) => {
    const sums = await Promise.all(Array.from({ length: 1000 }, () => kv.incr('n', 1)))
    assert.equal(
      sums,
      Array.from({ length: 1000 }, (_, i) => i + 1),
    )
  })

  test(`${name}: does what a map would do`, () => fc.assert(fc.asyncProperty(operations, asMapDoes(create))))
}

const key = fc.constantFrom('a', 'b', '')
const value = fc.oneof(fc.string(), fc.integer().map(String))
const at = { space: fc.constantFrom('x', 'y'), key, ttlMs: fc.constant(0) }
const operations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('get' as const), ...at }),
    fc.record({ kind: fc.constant('set' as const), ...at, value }),
    fc.record({ kind: fc.constant('delete' as const), ...at }),
    fc.record({ kind: fc.constant('incr' as const), ...at, by: fc.integer() }),
    fc.record({ kind: fc.constant('compareAndSet' as const), ...at, expected: fc.option(value), value }),
  ),
)

function asMapDoes(create: (shareBytes: number) => KvRig): (operations: readonly KvOperation[]) => Promise<void> {
  return async (operations) => {
    const { store } = create(1024 * 1024)
    const map = new Map<string, string>()
    const outcomes = await Promise.all(operations.map((operation) => store.perform(operation).catch(() => 'failed')))
    for (const [i, operation] of operations.entries()) assert.is(outcomes[i], doneBy(map, operation), JSON.stringify(operation))
  }
}

function doneBy(map: Map<string, string>, operation: KvOperation): KvValue {
  const name = JSON.stringify([operation.space, operation.key])
  const before = map.get(name) ?? null
  switch (operation.kind) {
    case 'get':
      return before
    case 'set':
      map.set(name, operation.value)
      return null
    case 'delete':
      return map.delete(name)
    case 'incr': {
      if (before !== null && !/^-?\d+$/.test(before)) return 'failed'
      const sum = Number(before ?? 0) + operation.by
      map.set(name, String(sum))
      return sum
    }
    case 'compareAndSet':
      if (before === operation.expected) map.set(name, operation.value)
      return before === operation.expected
  }
}

/** One space of a store, with fewer words. */
class Asked {
  readonly store: KvStore
  readonly advance: (ms: number) => void

  constructor({ store, advance }: KvRig) {
    this.store = store
    this.advance = advance
  }

  get(key: string): Promise<KvValue> {
    return this.store.perform({ kind: 'get', space: 'tried', key })
  }
  set(key: string, value: string, ttlMs = 0): Promise<KvValue> {
    return this.store.perform({ kind: 'set', space: 'tried', key, value, ttlMs })
  }
  delete(key: string): Promise<KvValue> {
    return this.store.perform({ kind: 'delete', space: 'tried', key })
  }
  incr(key: string, by: number, ttlMs = 0): Promise<KvValue> {
    return this.store.perform({ kind: 'incr', space: 'tried', key, by, ttlMs })
  }
  compareAndSet(key: string, expected: string | null, value: string): Promise<KvValue> {
    return this.store.perform({ kind: 'compareAndSet', space: 'tried', key, expected, value, ttlMs: 0 })
  }
  async fails(operation: KvOperation, why: RegExp): Promise<void> {
    const error = await this.store.perform(operation).then(
      () => null,
      (reason: Error) => reason,
    )
    assert.match(error?.message ?? 'it was done', why)
  }
}
