/** The memory of bodies that are put out is given back at once, and whoever was to be sent one gets it, or nothing: never another one's bytes. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BodySource } from '../../core/cache/body-source.ts'
import { Cache } from '../../core/cache/cache.ts'
import { BodyWriter } from '../../core/cache/disk/body-writer.ts'
import type { DiskFolder } from '../../core/cache/disk/disk-folder.ts'
import { MemoryStore } from '../../core/cache/memory-store.ts'
import { StoredResponse } from '../../core/cache/stored-response.ts'
import type { Tier } from '../../core/cache/tier.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { fresh, requestOf, startCached } from '../support/cache.ts'
import { storedResponse } from '../support/stored.ts'

const LENGTH = 8000
const bytesOf = Array.from({ length: 256 }, (_, id) => Buffer.alloc(LENGTH, id))

/** Bytes that tell whose they are. */
function responseOf(id: number): StoredResponse {
  const body = new BodySource(LENGTH)
  body.push(bytesOf[id]!, 0, LENGTH)
  body.complete()
  const response = new StoredResponse({ ...storedResponse(`${id % 12}`, 0), body, madeOf: body, length: LENGTH })
  response.seal()
  return response
}

test('whoever holds a body finds its bytes, and nobody finds those of another', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const) }),
    fc.record({ do: fc.constant('hold' as const), key: fc.nat(11) }),
    fc.record({ do: fc.constant('release' as const), at: fc.nat(), isLent: fc.boolean() }),
    fc.record({ do: fc.constant('remove' as const), key: fc.nat(11) }),
    fc.record({ do: fc.constant('renew' as const), key: fc.nat(11) }),
    fc.record({ do: fc.constant('turn' as const) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const store = new MemoryStore<never>({ bytes: 80_000, objectBytes: 40_000, variants: 2 })
      const ids = new Map<BodySource, number>()
      const held: BodySource[] = []
      const found = (key: number) => store.find(`${key}`)?.responses[0]
      for (const [i, one] of steps.entries()) {
        const id = (i % 250) + 1
        if (one.do === 'put') {
          const response = responseOf(id)
          ids.set(response.body, id)
          store.put(response)
        } else if (one.do === 'hold') {
          const body = found(one.key)?.body
          body?.hold()
          if (body !== undefined) held.push(body)
        } else if (one.do === 'release') held.splice(held.length === 0 ? 0 : one.at % held.length, 1)[0]?.release(one.isLent)
        else if (one.do === 'remove') for (const other of store.find(`${one.key}`)?.responses ?? []) store.remove(other)
        else if (one.do === 'renew') {
          const known = found(one.key)
          if (known === undefined) continue
          const renewed = new StoredResponse({ ...known })
          renewed.seal()
          store.put(renewed)
        } else await null
        for (const body of held) assert.ok(isAll(body, ids.get(body)!))
        for (const record of store.records()) for (const { body } of record.responses) assert.ok(isAll(body, ids.get(body)!))
      }
      await null
      await null
      const kept = new Set([...store.records()].flatMap(({ responses }) => responses.map(({ body }) => body)))
      for (const [body, id] of ids) {
        if (body.state === 'complete') assert.ok(isAll(body, id))
        else assert.equal([body.bytes.length, held.includes(body), kept.has(body)], [0, false, false])
      }
    }),
    { numRuns: 60 },
  )
})

function isAll(body: BodySource, id: number): boolean {
  return body.state === 'complete' && body.bytes.equals(bytesOf[id]!)
}

test('a body is freed when it is put out, or when the last who is sent it is done', async () => {
  const store = new MemoryStore<never>({ bytes: 1_000_000, objectBytes: 500_000, variants: 1 })
  const [one, other] = [responseOf(1), responseOf(2)]
  for (const response of [one, other]) store.put(response)
  const { bytes } = one.body
  other.body.hold()
  for (const response of [one, other]) store.remove(response)
  // Not while the code runs that put it out.
  assert.is(bytes.length, LENGTH)
  await null
  assert.equal([bytes.length, one.body.state], [0, 'broken'])
  assert.ok(isAll(other.body, 2))
  other.body.release()
  await null
  assert.is(other.body.state, 'broken')
})

test("what waits for a disk is freed when it is written, and is in nobody's way until then", async () => {
  const store = new MemoryStore<never>({ bytes: 20_000, objectBytes: 10_000, variants: 1 })
  const response = responseOf(1)
  store.put(response)
  const writer = new BodyWriter({
    folder: { newFileOf: () => '/dev/null/nothing' } as unknown as DiskFolder,
    addRow: async () => false,
    removeRow() {},
    onWritten() {},
    onError() {},
  })
  writer.add(response)
  store.remove(response)
  await null
  assert.ok(isAll(response.body, 1))
  assert.ok(store.reserve(10_000))
  await writer.settled()
  assert.is(response.body.state, 'broken')
})

test('what a client may still be sent is left to the collector', async () => {
  const store = new MemoryStore<never>({ bytes: 1_000_000, objectBytes: 500_000, variants: 1 })
  const response = responseOf(1)
  store.put(response)
  response.body.hold()
  store.remove(response)
  response.body.release(true)
  await null
  assert.ok(isAll(response.body, 1))
})

test('who is slow gets what it asked for, whatever comes and goes meanwhile', async () => {
  // More than the kernel takes of it.
  const bodyOf = (target: string): string => target.repeat(Math.ceil((target.startsWith('/slow') ? 5_000_000 : 900_000) / target.length))
  await using cached = await startCached(({ target }) => fresh(bodyOf(target)), { memory: '36mb', maxObject: '6mb' })
  await cached.get('/slow-0')
  const clients = await Promise.all(Array.from({ length: 4 }, () => cached.proxy.connect()))
  // From the memory, one that others wait for, too, and one that brings it.
  for (const [i, client] of clients.entries()) client.pause().send(requestOf(i < 2 ? '/slow-0' : `/slow-${i}`))
  await cached.proxy.settled()
  await cached.proxy.caches.tell({ kind: 'purge', cache: null, purge: { kind: 'url', url: 'http://example.com/slow-0', soft: false } })
  for (let i = 0; i < 45; i++) assert.is((await cached.get(`/other-${i}`)).text, bodyOf(`/other-${i}`))
  assert.ok(cached.proxy.caches.counts[0]!.evictions > 10)
  for (const [i, client] of clients.entries()) {
    client.resume()
    assert.is((await client.response()).text, bodyOf(i < 2 ? '/slow-0' : `/slow-${i}`))
    client.destroy()
  }
})

test('what still comes from one tier is given to those before it when it is whole', () => {
  const deadlines = new Deadlines()
  const cache = new Cache('default', { deadlines, clock: () => 0, warn() {}, onInvalidated() {}, isSimulated: true })
  cache.use({ plan: 1, bytes: 1_000_000, objectBytes: 500_000, variants: 1, shared: null, disk: null, store: null })
  const given: string[] = []
  cache.tiers = [{ keep: ({ key }: StoredResponse) => void given.push(key) }] as unknown as readonly Tier[]
  const comingOf = (key: string): StoredResponse => {
    const body = new BodySource(LENGTH)
    return new StoredResponse({ ...storedResponse(key, 0), body, madeOf: body, length: LENGTH })
  }
  const [whole, broken] = [comingOf('whole'), comingOf('broken')]
  for (const one of [whole, broken]) {
    one.seal()
    cache.take(one, 1)
    one.body.push(Buffer.alloc(LENGTH / 2), 0, LENGTH / 2)
    one.body.advance()
  }
  assert.equal(given, [])
  whole.body.push(Buffer.alloc(LENGTH / 2), 0, LENGTH / 2)
  whole.body.complete()
  broken.body.break()
  assert.equal(given, ['whole'])
  deadlines.stop()
})

test('an answer that the memory never took may be removed', () => {
  const store = new MemoryStore<never>({ bytes: 1_000_000, objectBytes: 500_000, variants: 1 })
  for (const id of [1, 2, 3]) store.put(responseOf(id))
  store.remove(responseOf(9))
  assert.is(store.counts.objects, 3)
  store.resize({ ...store.limits, bytes: 0 })
  assert.equal([store.counts.objects, store.counts.bytes], [0, 0])
})

test.run()
