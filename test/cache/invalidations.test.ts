/** What a request to one proxy has changed the others that share its store do not answer as it was, and no flood of such requests becomes one there. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Gathered } from '../../core/cache/gathered.ts'
import { isPurged, type Purge } from '../../core/cache/purge.ts'
import { readInvalidated, SharedInvalidations } from '../../core/cache/store/shared-invalidations.ts'
import { Teller } from '../../core/cache/store/teller.ts'
import { type Cached, type CachedOptions, fresh, startCached } from '../support/cache.ts'
import { eventually } from '../support/deadline.ts'
import { answer } from '../support/origin.ts'
import { hasRedis, RedisServer } from '../support/redis.ts'
import { type Turnable, turnable } from '../support/turnable.ts'

const withRedis = hasRedis() ? test : test.skip
const HIT = 'sluice; hit; ttl=59'
const STORED = 'sluice; fwd=uri-miss; stored'
const STATE = 'sluice:cache:default:invalidations'
const URLS = 'sluice:cache:default:invalidated'

/** One of several machines; it listens when its clock is turned. */
interface Machine {
  readonly cached: Cached
  readonly time: Turnable
}

/** It has heard what there is by then, a second ago. */
async function machine(redis: RedisServer, handler: Parameters<typeof startCached>[0], options: CachedOptions = {}): Promise<Machine> {
  const time = turnable()
  const cached = await startCached(handler, { store: { url: redis.url, timeout: '2s' }, deadlines: time.deadlines, ...options })
  await cached.get('/first')
  cached.pass(1)
  return { cached, time }
}

const beside = (redis: RedisServer, first: Machine): Promise<Machine> => machine(redis, () => undefined, { beside: first.cached })

const settled = ({ cached }: Machine): Promise<unknown> => Promise.all(cached.proxy.caches.of(null).map((cache) => cache.settled()))

async function status({ cached }: Machine, path: string): Promise<string> {
  return String((await cached.get(path)).headers['cache-status'])
}

/** Turns its clock until it is so. */
function hears({ cached, time }: Machine, isSo: (cached: Cached) => boolean, why: string): Promise<true> {
  return eventually(() => {
    if (isSo(cached)) return true
    time.turn(1100)
    return undefined
  }, why)
}

const objects = (of: Cached): number => of.proxy.caches.counts[0]!.objects

/** In the protocol's own words. */
function ask(redis: RedisServer, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(redis.port, '127.0.0.1').on('error', reject)
    socket.setEncoding('latin1').once('data', (text: string) => {
      socket.destroy()
      resolve(text)
    })
    socket.write(`${line}\r\n`)
  })
}

async function told(redis: RedisServer, url: string): Promise<void> {
  await eventually(async () => ((await ask(redis, `ZSCORE ${URLS} ${url}`)) === '$-1\r\n' ? undefined : true), `${url} is not told`)
}

withRedis('what a POST to one machine changes leaves the store at once, and the memory of another when it next listens', async () => {
  await using redis = await RedisServer.start()
  let number = 0
  const handler = ({ method }: { method: string }): string =>
    method === 'GET' ? fresh(`${++number}`) : 'HTTP/1.1 204 No Content\r\nLocation: /b\r\n\r\n'
  const first = await machine(redis, handler)
  await using _1 = first.cached
  for (const path of ['/a', '/b', '/c']) await first.cached.get(path)
  await settled(first)
  const second = await beside(redis, first)
  await using _2 = second.cached
  for (const path of ['/a', '/b', '/c']) assert.is(await status(second, path), HIT)
  await first.cached.get('/a', [], 'POST')
  await told(redis, 'http://example.com/b')
  // A third that comes now finds what was left, and no more.
  const third = await beside(redis, first)
  await using _3 = third.cached
  assert.equal([await status(third, '/c'), await status(third, '/b')], ['sluice; hit; ttl=58', STORED])
  await hears(second, (of) => objects(of) === 2, 'it still has what was put out')
  assert.equal([await status(second, '/c'), await status(second, '/a')], ['sluice; hit; ttl=58', STORED])
})

withRedis('what was asked for before it was put out is not kept in the store after it, and what is asked for then is', async () => {
  await using redis = await RedisServer.start()
  let first: Machine | undefined
  let isChanged = false
  const made = await machine(redis, async ({ method, target }) => {
    if (method !== 'GET') return answer('', 204)
    if (target !== '/a' || isChanged) return fresh('new')
    // Before the second has its answer.
    isChanged = true
    await first!.cached.get('/a', [], 'POST')
    await told(redis, 'http://example.com/a')
    return fresh('old')
  })
  first = made
  await using _1 = made.cached
  const second = await beside(redis, made)
  await using _2 = second.cached
  assert.is((await second.cached.get('/a')).text, 'old')
  await settled(second)
  const third = await beside(redis, made)
  await using _3 = third.cached
  assert.is((await third.cached.get('/a')).text, 'new')
  await settled(third)
  const fourth = await beside(redis, made)
  await using _4 = fourth.cached
  const { text, headers } = await fourth.cached.get('/a')
  assert.equal([text, headers['cache-status']], ['new', 'sluice; hit; ttl=59'])
})

withRedis('what is fetched anew right after it was put out elsewhere is kept in the store', async () => {
  await using redis = await RedisServer.start()
  const first = await machine(redis, ({ method }) => (method === 'GET' ? fresh('kiwi') : answer('', 204)))
  await using _1 = first.cached
  const second = await beside(redis, first)
  await using _2 = second.cached
  await first.cached.get('/a', [], 'POST')
  await told(redis, 'http://example.com/a')
  // It has not listened since, and its clock stands still: what it sees is that it has to ask.
  assert.is(await status(second, '/a'), STORED)
  await settled(second)
  const third = await beside(redis, first)
  await using _3 = third.cached
  assert.is(await status(third, '/a'), HIT)
})

withRedis('a burst of them is a few questions, the first of which goes at once, and the list of them has an end', async () => {
  await using redis = await RedisServer.start()
  const first = await machine(redis, ({ method }) => (method === 'GET' ? fresh('kiwi') : answer('', 204)))
  await using _1 = first.cached
  const second = await beside(redis, first)
  await using _2 = second.cached
  await second.cached.get('/1499')
  const [cache] = first.cached.proxy.caches.of(null)
  const before = Number((await ask(redis, `HGET ${STATE} count`)).split('\r\n')[1])
  const count = async (): Promise<number> => Number((await ask(redis, `HGET ${STATE} count`)).split('\r\n')[1]) - before
  for (let i = 0; i < 1500; i++) cache!.invalidate(`http://example.com/${i}`)
  await told(redis, 'http://example.com/0')
  assert.is(await count(), 1)
  await eventually(async () => {
    first.time.turn(300)
    return (await count()) === 12 ? true : undefined
  }, 'not all is told')
  assert.is(await ask(redis, `ZCARD ${URLS}`), ':1501\r\n')
  // More than are heard at a time.
  await hears(second, (of) => objects(of) === 1, 'it still has the last of them')
  assert.is(await status(second, '/first'), 'sluice; hit; ttl=58')
  for (let i = 0; i < 5000; i++) cache!.invalidate(`http://example.com/more/${i}`)
  await eventually(async () => {
    first.time.turn(300)
    return (await ask(redis, `ZSCORE ${URLS} http://example.com/more/4095`)) === '$-1\r\n' ? undefined : true
  }, 'not all is told')
  const kept = Number((await ask(redis, `ZCARD ${URLS}`)).slice(1))
  assert.ok(kept <= 4096 && kept > 3000, `${kept} are remembered`)
  assert.ok((await count()) < 52, `${await count()} questions`)
  // The host of those that were too many.
  assert.match(await ask(redis, `HEXISTS ${STATE} h:example.com`), /:1/)
})

withRedis('a machine that was away for longer than the store remembers asks about all that it has anew', async () => {
  await using redis = await RedisServer.start()
  const first = await machine(redis, ({ method }) => (method === 'GET' ? fresh('kiwi', 60, ['ETag: "1"']) : answer('', 204)))
  await using _1 = first.cached
  const second = await beside(redis, first)
  await using _2 = second.cached
  await second.cached.get('/a')
  await ask(redis, `HINCRBY ${STATE} count 1000`)
  await ask(redis, `HINCRBY ${STATE} floor 900`)
  await eventually(async () => {
    second.time.turn(1100)
    return /fwd=stale/.test(await status(second, '/a')) ? true : undefined
  }, 'it is still fresh')
  // And so when the store has lost what it had.
  await second.cached.get('/b')
  await ask(redis, 'FLUSHALL')
  second.cached.pass(1)
  await eventually(async () => {
    second.time.turn(1100)
    return /fwd=stale/.test(await status(second, '/b')) ? true : undefined
  }, 'it is still fresh')
})

withRedis('what could not be told is told when the store is back, and until then nothing is taken from there', async () => {
  await using redis = await RedisServer.start()
  const first = await machine(redis, ({ method }) => (method === 'GET' ? fresh('kiwi') : answer('', 204)))
  await using _1 = first.cached
  await first.cached.get('/a')
  await settled(first)
  const second = await beside(redis, first)
  await using _2 = second.cached
  await second.cached.get('/a')
  redis.freeze()
  await first.cached.get('/a', [], 'POST')
  assert.is(await status(first, '/a'), STORED)
  redis.wake()
  await told(redis, 'http://example.com/a')
  await hears(second, (of) => objects(of) === 1, 'it still has what was put out')
})

withRedis('what lies on the disk of a machine that is down leaves it when it is up again, and nothing else does', async () => {
  await using redis = await RedisServer.start()
  const path = mkdtempSync(join(tmpdir(), 'sluice-heard-'))
  try {
    const here = { disk: { path, timeout: '10s' } } as const
    const first = await machine(redis, ({ method, target }) => (method === 'GET' ? fresh(target, 600) : answer('', 204)))
    await using _1 = first.cached
    const down = await machine(redis, () => undefined, { beside: first.cached, ...here })
    for (const path of ['/a', '/b', '/c/d']) await down.cached.get(path)
    await settled(down)
    await down.cached[Symbol.asyncDispose]()
    await Promise.all(down.cached.proxy.caches.of(null).map((cache) => cache.close()))
    await first.cached.get('/a', [], 'POST')
    await told(redis, 'http://example.com/a')
    await first.cached.proxy.caches.tell({
      ...{ kind: 'purge', cache: null },
      purge: { kind: 'prefix', prefix: 'http://example.com/c', soft: false },
    })
    const up = await machine(redis, () => undefined, { beside: first.cached, ...here })
    await using _2 = up.cached
    await settled(up)
    assert.equal([await status(up, '/a'), await status(up, '/b'), await status(up, '/c/d')], [STORED, 'sluice; hit; ttl=599', STORED])
    // Another worker that comes later has missed nothing.
    await settled(up)
    const later = await machine(redis, () => undefined, { beside: first.cached, ...here })
    await using _3 = later.cached
    assert.match(await status(later, '/a'), /hit/)
    assert.equal(
      later.cached.proxy.caches.counts[0]!.tiers.map(({ tier, found }) => [tier, found]),
      [
        ['disk', 2],
        ['store', 0],
      ],
    )
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
})

test('URLs wait each once, then as hosts, then as all, and those that could not be told wait again', async () => {
  const { deadlines, turn } = turnable()
  const said: string[][] = []
  let isAway = false
  const teller = new Teller({
    deadlines,
    async tell(put) {
      if (isAway) throw new Error('away')
      said.push(put.purges.map((purge) => ('url' in purge ? purge.url : 'host' in purge ? purge.host : purge.kind)))
    },
  })
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  for (const url of ['http://a/1', 'http://a/2', 'http://a/1']) teller.add(url)
  assert.ok(teller.has('http://a/1') && !teller.has('http://a/3'))
  await settle()
  assert.equal(said, [['http://a/1', 'http://a/2']])
  assert.not(teller.has('http://a/1'))
  isAway = true
  teller.add('http://a/3')
  turn(200)
  await settle()
  assert.ok(teller.has('http://a/3'))
  for (let i = 0; i < 5000; i++) teller.add(`http://b/${i}`)
  teller.add(`http://c/${'x'.repeat(3000)}`)
  assert.ok(teller.has('http://b/4999') && teller.has('http://c/') && !teller.has('http://a/9'))
  isAway = false
  turn(1200)
  await settle()
  assert.equal([said[1]!.length, said[1]![0], said[1]!.slice(-2)], [130, 'http://a/3', ['b', 'c']])
  for (let i = 0; i < 20; i++) teller.add(`http://host${i}/${'x'.repeat(3000)}`)
  assert.ok(teller.has('http://elsewhere/'))
  await teller.close()
  assert.equal([said.length, said[2]!.at(-1), said.flat().filter((url) => url.startsWith('http')).length], [33, 'all', 4098])
})

/** What a store would say, that remembers so many. */
class Told {
  count = 1000
  floor = 1000
  all = 1000
  readonly hosts = new Map<string, number>()
  #urls: (readonly [string, number])[] = []
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  add(put: Gathered): void {
    const number = ++this.count
    this.#urls = [...this.#urls.filter(([url]) => !put.urls.has(url)), ...[...put.urls].map((url) => [url, number] as const)]
    for (const host of put.hosts) this.hosts.set(host, number)
    if (put.isAll) this.all = number
    const extra = this.#urls.length - this.#most
    if (extra <= 0) return
    this.floor = this.#urls[extra - 1]![1]
    this.#urls = this.#urls.filter(([, number]) => number > this.floor)
  }

  since(known: number) {
    const fields = { count: this.count, floor: this.floor, all: this.all }
    const flat = [...Object.entries(fields), ...[...this.hosts].map(([host, number]) => [`h:${host}`, number])].flat().map(String)
    const urls = known >= this.floor ? this.#urls.filter(([, number]) => number > known) : []
    // As many as one number may have, and its mark.
    return readInvalidated(flat, [...urls, ['', this.count]].slice(0, 5).flat().map(String), 5)
  }
}

test('whatever is told, and however seldom and late it is heard, what was put out leaves every memory', () => {
  const url = fc.constantFrom('http://a/1', 'http://a/2', 'http://b/1', 'http://b/2', 'http://c/1', `http://d/${'x'.repeat(3000)}`)
  const step = fc.oneof(
    fc.record({ kind: fc.constant('tells' as const), by: fc.nat(2), urls: fc.array(url, { minLength: 1, maxLength: 4 }) }),
    fc.record({ kind: fc.constantFrom('asks' as const, 'hears' as const), by: fc.nat(2) }),
  )
  interface Listener {
    readonly known: SharedInvalidations
    /** By URL: the number under which it was told last, by another one at first. */
    readonly owed: Map<string, number>
    asked: { readonly said: ReturnType<Told['since']>; readonly since: number } | null
  }
  const run = (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]): void => {
    const store = new Told(4)
    const all = [0, 1, 2].map((): Listener => ({ known: new SharedInvalidations(), owed: new Map(), asked: null }))
    for (const { known } of all) known.learn(store.since(-1), -1, 0)
    for (const [now, one] of steps.entries()) {
      const listener = all[one.by]!
      const { known, owed, asked } = listener
      if (one.kind === 'tells') {
        const put = new Gathered({ urls: 3, length: 2048 })
        for (const url of one.urls) put.add(url)
        store.add(put)
        // Told again, it is heard of under the later number.
        for (const other of all) for (const url of one.urls) if (other !== listener || owed.has(url)) other.owed.set(url, store.count)
        known.told(put.urls, store.count, now)
      } else if (one.kind === 'asks') listener.asked ??= { said: store.since(known.known), since: known.known }
      else if (asked !== null) {
        listener.asked = null
        const purges: readonly Purge[] = known.learn(asked.said, asked.since, now)
        for (const [url, number] of owed) {
          if (number > asked.said.count) continue
          owed.delete(url)
          assert.ok(
            purges.some((purge) => isPurged({ url, tags: [] }, purge)),
            `${url} stays`,
          )
        }
      }
    }
  }
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), run), { numRuns: 300 })
})

test('an answer that was on its way while it was put out is not taken, and has the number that was seen before it was asked for', () => {
  const known = new SharedInvalidations()
  const heard = (count: number, urls: [string, number][], floor = 10) =>
    known.learn({ count, floor, all: 10, hosts: new Map(), urls, isPart: false }, known.known, count)
  assert.equal(heard(20, [['http://a/1', 15]]), [])
  const since = known.known
  assert.ok(known.allows('http://a/1', 11, since))
  assert.equal(heard(22, [['http://a/2', 22]]), [{ kind: 'url', url: 'http://a/2', soft: false }])
  assert.equal(
    [21, 22].map((number) => known.allows('http://a/2', number, since)),
    [false, true],
  )
  assert.ok(known.allows('http://a/3', 11, since))
  assert.equal(
    [19, 20, 21, 22].map((time) => known.numberAt(time)),
    [-1, 20, 20, 22],
  )
  // Its own: nobody else was in between, so there is nothing to hear.
  known.told(['http://a/4'], 23, 30)
  assert.equal([known.known, known.numberAt(30)], [23, 23])
  // Seen behind the asking, though the clock says the same.
  known.asks(40)
  known.told(['http://a/5'], 25, 40)
  assert.equal([known.known, known.numberAt(40), known.numberAt(41)], [23, 23, 25])
  // Heard before the last one was told, and come after it.
  assert.equal(known.learn({ count: 22, floor: 10, all: 10, hosts: new Map(), urls: [], isPart: false }, 22, 50), [])
  assert.is(known.known, 23)
  // Another beginning.
  assert.equal(heard(5, [], 5), [{ kind: 'all', soft: true }])
  assert.is(known.numberAt(100), 5)
})

test.run()
