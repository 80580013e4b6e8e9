/** The store of kv in this process, at the other end of a wire, and between two real workers. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KvOperation, KvOutcome } from '../../core/capability/kv-store.ts'
import { LocalKvStore } from '../../core/capability/local-kv.ts'
import { RemoteKvStore } from '../../core/capability/remote-kv.ts'
import { type KvRig, testKv } from '../suites/kv.ts'
import { within } from '../support/deadline.ts'

const get: KvOperation = { kind: 'get', space: 'tried', key: 'a' }

function local(budgetBytes: number): KvRig & { readonly store: LocalKvStore } {
  let now = 0
  return {
    store: new LocalKvStore({ budgetBytes, now: () => now }),
    advance: (ms) => {
      now += ms
    },
  }
}

/** What crosses is copied, as between processes, and arrives later. */
function remote(budgetBytes: number): KvRig {
  const { store: far, advance } = local(budgetBytes)
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

test('entries with and without a ttl never take more than the budget', async () => {
  const { store, advance } = local(100_000)
  for (let i = 0; i < 5000; i++) {
    const value = 'ä'.repeat((i * 37) % 900)
    await store.perform({ kind: 'set', space: 's', key: `k${i}`, value, ttlMs: i % 3 === 0 ? 50 : 0 })
    if (i % 10 === 0) advance(7)
    assert.ok(store.size <= 100_000, `${store.size} bytes after ${i} entries`)
  }
  assert.ok(store.size > 50_000)
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
