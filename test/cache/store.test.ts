/** Answers in a Redis: what one proxy keeps others find, a purge on one is one on all, and nobody waits for a store that does not answer. */
import { connect } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SharedPurges } from '../../core/cache/store/shared-purges.ts'
import { type Cached, type CachedOptions, fresh, startCached } from '../support/cache.ts'
import { eventually } from '../support/deadline.ts'
import { hasRedis, RedisServer } from '../support/redis.ts'
import { storedResponse } from '../support/stored.ts'

const withRedis = hasRedis() ? test : test.skip
const status = 'cache-status'
const all = { kind: 'purge', cache: null, purge: { kind: 'all', soft: false } } as const

/** Several proxies that share a store; what each of them heard first is a second ago. */
async function start(redis: RedisServer, handler: Parameters<typeof startCached>[0], options: CachedOptions = {}): Promise<Cached> {
  const cached = await startCached(handler, { store: { url: redis.url, timeout: '2s' }, ...options })
  // The first look hears of all purges that there were.
  await cached.get('/first')
  cached.pass(1)
  return cached
}

async function settled(cached: Cached): Promise<void> {
  await Promise.all(cached.proxy.caches.of(null).map((cache) => cache.settled()))
}

function beside(redis: RedisServer, first: Cached, options: CachedOptions = {}): Promise<Cached> {
  return start(redis, () => undefined, { beside: first, ...options })
}

withRedis('what one proxy keeps another one finds, by what it varies by, and for no longer than it may be used', async () => {
  await using redis = await RedisServer.start()
  await using first = await start(redis, ({ target, headers }) =>
    target === '/v'
      ? fresh(String(headers['accept-language']), 60, ['Vary: Accept-Language'])
      : fresh('k'.repeat(100_000), 60, ['ETag: "1"']),
  )
  await first.get('/a')
  for (const language of ['de', 'fr']) await first.get('/v', [`Accept-Language: ${language}`])
  await settled(first)
  await using second = await beside(redis, first)
  const { text, headers } = await second.get('/a')
  assert.equal([text.length, headers[status], headers.age], [100_000, 'sluice; hit; ttl=59', '1'])
  assert.is((await second.get('/v', ['Accept-Language: fr'])).text, 'fr')
  assert.is((await second.get('/v', ['Accept-Language: de'])).text, 'de')
  assert.is(first.asked, 4)
  const [tier] = second.proxy.caches.counts[0]!.tiers
  assert.equal([tier!.tier, tier!.found, tier!.failed], ['store', 4, 0])
})

withRedis('a purge on one proxy is one on all: of what is in the store, and of what others have in memory', async () => {
  await using redis = await RedisServer.start()
  await using first = await start(redis, ({ target }) => fresh(target))
  for (const path of ['/a', '/b/c']) await first.get(path)
  await settled(first)
  await using second = await beside(redis, first)
  await second.get('/a')
  const told = await first.proxy.caches.tell({
    kind: 'purge',
    cache: null,
    purge: { kind: 'prefix', prefix: 'http://example.com/b', soft: false },
  })
  assert.equal([told.purged, told.problems], [1, []])
  assert.is((await second.get('/b/c')).headers[status], 'sluice; fwd=uri-miss; stored')
  await first.proxy.caches.tell(all)
  await eventually(() => (second.proxy.caches.counts[0]!.objects === 0 ? true : undefined), 'it still has answers in memory')
  assert.is((await second.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
})

withRedis('what was asked for before a purge is not taken after it, however late it gets there', async () => {
  await using redis = await RedisServer.start()
  let first: Cached | undefined
  await using made = await start(redis, async ({ target }) => {
    // While the second waits for its endpoint.
    if (target === '/a') await first!.proxy.caches.tell(all)
    return fresh('kiwi')
  })
  first = made
  await using second = await beside(redis, first)
  await second.get('/a')
  await settled(second)
  await using third = await beside(redis, first)
  assert.is((await third.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
})

withRedis('a store that does not answer costs its timeout, and one that is away nothing', async () => {
  await using redis = await RedisServer.start()
  await using first = await start(redis, () => fresh('kiwi'), { store: { url: redis.url, timeout: '20ms' } })
  redis.freeze()
  assert.is((await first.get('/a')).text, 'kiwi')
  const told = await first.proxy.caches.tell(all)
  assert.match(told.problems.join(), /cannot be told now/)
  redis.wake()
  // What could not be told is told later, and until then nothing is taken from there.
  await eventually(
    async () => ((await ask(redis, 'GET sluice:cache:default:purge-count')) === '$1\r\n1\r\n' ? true : undefined),
    'no purge',
  )
  await redis.stop()
  assert.is((await first.get('/b')).text, 'kiwi')
})

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

test('an answer is older than a purge that was not known when it was asked for', () => {
  const purges = new SharedPurges()
  const one = storedResponse('a', 1)
  assert.is(purges.learn(5, 3, ['3 {"kind":"tag","soft":false,"tag":"x"}', '5 {"kind":"url","soft":false,"url":"http://x/a"}'], 100), null)
  assert.equal([purges.numberAt(99), purges.numberAt(100)], [-1, 5])
  assert.equal(
    [1, 2, 4, 5, 6].map((number) => purges.allows(one, number, 0)),
    [false, false, false, true, false],
  )
  assert.equal(purges.learn(6, 3, ['6 {"kind":"url","soft":true,"url":"http://x/a"}'], 200), [
    { kind: 'url', soft: true, url: 'http://x/a' },
  ])
  assert.is(purges.numberAt(150), 5)
  assert.is(purges.allows(one, 5, 1000), true)
  assert.is(one.purgedAt, 1000)
  assert.is(purges.learn(8, 3, ['8 nonsense'], 300), null, 'the seventh is missing')
  assert.is(purges.allows(storedResponse('b', 1), 7, 0), false, 'what cannot be read purges all')
  assert.equal(purges.learn(1, 1, [], 400), [], 'a store that began anew')
  assert.is(purges.allows(one, 1, 0), false)
})

test.run()
