/** The store of kv in this process, at the other end of a wire, and between two real workers. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KvOperation, KvOutcome } from '../../core/capability/kv-store.ts'
import { LocalKvStore } from '../../core/capability/local-kv.ts'
import { RemoteKvStore } from '../../core/capability/remote-kv.ts'
import { type KvRig, testKv } from '../suites/kv.ts'
import { within } from '../support/deadline.ts'

const get: KvOperation = { kind: 'get', space: 'tried', key: 'a' }

function local(shareBytes: number): KvRig & { readonly store: LocalKvStore } {
  let now = 0
  return {
    store: new LocalKvStore({ shareBytes, now: () => now }),
    advance: (ms) => {
      now += ms
    },
  }
}

/** What crosses is copied, as between processes, and arrives later. */
function remote(shareBytes: number): KvRig {
  const { store: far, advance } = local(shareBytes)
  const store = new RemoteKvStore({
    send(batch, operations) {
      const arrived = structuredClone(operations)
      setImmediate(() => {
        const outcomes = structuredClone(far.performAll(arrived))
        setImmediate(() => store.answer(batch, outcomes))
      })
    },
  })
  return { store, advance }
}

testKv('local', local)
testKv('remote', remote)

test('entries with and without a ttl never take more than the share', async () => {
  const { store, advance } = local(100_000)
  store.allot(new Map([['s', 100_000]]))
  const bytes = (): number => store.usage[0]!.bytes
  for (let i = 0; i < 5000; i++) {
    const value = 'ä'.repeat((i * 37) % 900)
    await store.perform({ kind: 'set', space: 's', key: `k${i}`, value, ttlMs: i % 3 === 0 ? 50 : 0 })
    if (i % 10 === 0) advance(7)
    assert.ok(bytes() <= 100_000, `${bytes()} bytes after ${i} entries`)
  }
  assert.ok(bytes() > 50_000)
})

const put = (space: string, key: string, length = 1000, ttlMs = 0): KvOperation => ({
  kind: 'set',
  space,
  key,
  value: 'x'.repeat(length),
  ttlMs,
})

function fill(store: LocalKvStore, space: string, entries: number, length = 1000): void {
  store.performAll(Array.from({ length: entries }, (_, i) => put(space, `k${i}`, length)))
}

test('a plugin is told of with what it keeps, and what had to go for it', () => {
  const { store } = local(100_000)
  store.allot(
    new Map([
      ['greedy', 10_000],
      ['quiet', 20_000],
    ]),
  )
  fill(store, 'greedy', 20)
  store.performAll([put('quiet', 'a', 10)])
  const [greedy, quiet, ...others] = store.usage
  assert.equal([greedy!.plugin, greedy!.maxBytes, greedy!.keys, greedy!.evictions], ['greedy', 10_000, 8, 12])
  assert.ok(greedy!.bytes > 8 * 1200 && greedy!.bytes <= 10_000, `${greedy!.bytes}`)
  assert.equal(quiet, { plugin: 'quiet', bytes: 211, maxBytes: 20_000, keys: 1, evictions: 0 })
  assert.equal(others, [])
})

test('a larger share keeps what was there, a smaller one what was used last of it', () => {
  const { store } = local(100_000)
  store.allot(new Map([['a', 10_000]]))
  fill(store, 'a', 8)
  store.allot(new Map([['a', 20_000]]))
  fill(store, 'a', 16)
  assert.is(store.usage[0]!.keys, 16)
  store.allot(new Map([['a', 5_000]]))
  assert.ok(store.usage[0]!.bytes <= 5_000)
  assert.equal(Object.keys(store.contents('a')).at(-1), 'k15')
})

test('what plugins have kept that a plan no longer names is there when they come back, as far as one share goes', () => {
  const { store } = local(10_000)
  const both = new Map([
    ['first', 10_000],
    ['second', 10_000],
  ])
  store.allot(both)
  fill(store, 'first', 3)
  fill(store, 'second', 1)
  store.allot(new Map([['second', 10_000]]))
  assert.equal(
    store.usage.map(({ plugin }) => plugin),
    ['second'],
  )
  store.allot(both)
  assert.equal(
    store.usage.map(({ keys }) => keys),
    [3, 1],
  )

  // Others come and go, none of which is in a plan: together they have one share, and who left first goes first.
  store.allot(new Map([['second', 10_000]]))
  fill(store, 'second', 8)
  for (let i = 0; i < 100; i++) fill(store, `other ${i}`, 20)
  assert.is(store.spaces().length, 2)
  assert.equal(store.spaces(), ['second', 'other 99'])
  assert.is(store.usage[0]!.keys, 8)
})

test('text that is not ASCII counts as it lies in memory, and places of entries that are gone count as well', () => {
  const { store } = local(1_000_000)
  store.allot(new Map([['a', 1_000_000]]))
  store.performAll([{ kind: 'set', space: 'a', key: 'k', value: `${'x'.repeat(1000)}€`, ttlMs: 0 }])
  assert.is(store.usage[0]!.bytes, 200 + 1 + 2002)
  fill(store, 'a', 100, 0)
  store.performAll(Array.from({ length: 99 }, (_, i): KvOperation => ({ kind: 'delete', space: 'a', key: `k${i}` })))
  assert.is(store.usage[0]!.bytes, 200 + 1 + 2002 + 203 + 99 * 80)
})

test('a share that tables of many small entries have used up is free again for large ones', () => {
  const { store } = local(300_000)
  store.allot(new Map([['a', 300_000]]))
  fill(store, 'a', 2000, 0)
  for (let i = 0; i < 10; i++) assert.equal(store.performAll([put('a', `large ${i}`, 65_536)]), [{ value: null }])
  assert.ok(store.usage[0]!.bytes <= 300_000)
  store.allot(new Map([['a', 70_000]]))
  assert.equal(store.performAll([put('a', 'last', 65_536), { ...get, space: 'a', key: 'last' }])[1], { value: 'x'.repeat(65_536) })
})

test('what one operation does wrong does not touch the others of its batch', () => {
  const { store } = local(100_000)
  const set: KvOperation = { kind: 'set', space: 'tried', key: 'a', value: 'x', ttlMs: 0 }
  const unknown = { kind: 'drop', space: 'tried', key: 'a' } as unknown as KvOperation
  const outcomes = store.performAll([set, { kind: 'incr', space: 'tried', key: 'a', by: 1, ttlMs: 0 }, unknown, null!, get])
  assert.equal(outcomes[0], { value: null })
  assert.ok(outcomes.slice(1, 4).every((outcome) => 'error' in outcome))
  assert.equal(outcomes[4], { value: 'x' })
})

interface Sent {
  readonly batch: number
  readonly operations: readonly KvOperation[]
}

function recording(deadlineMs = 1000): { store: RemoteKvStore; sent: Sent[] } {
  const sent: Sent[] = []
  const store = new RemoteKvStore({ deadlineMs, send: (batch, operations) => sent.push({ batch, operations }) })
  return { store, sent }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('1,000 operations of one turn go in one message, and come back by one', async () => {
  const { store, sent } = recording()
  const asked = Array.from({ length: 1000 }, (_, i) => store.perform({ ...get, key: String(i) }))
  assert.is(sent.length, 0)
  await turn()
  assert.is(sent.length, 1)
  assert.is(sent[0]!.operations.length, 1000)
  store.answer(
    sent[0]!.batch,
    sent[0]!.operations.map(({ key }): KvOutcome => ({ value: key })),
  )
  assert.equal(
    await Promise.all(asked),
    Array.from({ length: 1000 }, (_, i) => String(i)),
  )
})

test('much text goes in several messages, in its order', async () => {
  const { store, sent } = recording()
  const value = 'x'.repeat(64 * 1024)
  for (let i = 0; i < 40; i++) store.perform({ kind: 'set', space: 's', key: String(i), value, ttlMs: 0 }).catch(() => {})
  await turn()
  assert.ok(sent.length > 1 && sent.length < 5, `${sent.length} messages`)
  assert.equal(
    sent.flatMap(({ operations }) => operations.map(({ key }) => key)),
    Array.from({ length: 40 }, (_, i) => String(i)),
  )
  store.close('the test is over')
})

const reasonOf = (asked: Promise<unknown>): Promise<string> =>
  within(
    asked.then(
      () => 'answered',
      (error: Error) => error.message,
    ),
    'no end of the operation',
  )

test('an operation that is not answered is rejected at the deadline, and a late answer is ignored', async () => {
  const { store, sent } = recording(20)
  // The deadline alone keeps no process alive.
  const alive = setInterval(() => {}, 1000)
  assert.is(await reasonOf(store.perform(get)), 'the store of kv did not answer within 20 ms')
  clearInterval(alive)
  store.answer(sent[0]!.batch, [{ value: 'late' }])
})

test('when the other side is gone, all that was asked is rejected, and all that is asked later', async () => {
  const { store } = recording()
  const sent = reasonOf(store.perform(get))
  await turn()
  const waiting = reasonOf(store.perform(get))
  store.close('the supervisor is gone')
  assert.equal(await Promise.all([sent, waiting, reasonOf(store.perform(get))]), Array(3).fill('the supervisor is gone'))
})

test('an answer that is too short fails the rest', async () => {
  const { store, sent } = recording()
  const asked = [store.perform(get), store.perform(get)].map(reasonOf)
  await turn()
  store.answer(sent[0]!.batch, [{ value: 'a' }])
  assert.equal(await Promise.all(asked), ['answered', 'the store left this one out'])
})

test.run()
