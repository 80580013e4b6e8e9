/** A store in a real Redis: shared by who names it alike, told when it goes and comes, and nobody waits for it longer than he said. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { parseStoreUrl } from '../../core/net/store-url.ts'
import { type StoreError, type StorePlan, scriptOf } from '../../core/store/store.ts'
import { Stores } from '../../core/store/stores.ts'
import { certificates } from '../support/certificates.ts'
import { eventually, Waiting } from '../support/deadline.ts'
import { hasRedis, RedisServer } from '../support/redis.ts'

const withRedis = hasRedis() ? test : test.skip

class Watched implements AsyncDisposable {
  readonly told: string[] = []
  readonly failures: string[] = []
  readonly deadlines = new Deadlines(5)
  readonly waiting = new Waiting()
  readonly stores = new Stores({
    deadlines: this.deadlines,
    random: () => 0,
    events: {
      changed: (store, isAway, why) => {
        this.told.push(`${store} ${isAway ? `away: ${why}` : 'back'}`)
        this.waiting.poke()
      },
      refused: (_store, why) => this.told.push(`refused: ${why}`),
      failed: (_store, why) => this.failures.push(why),
    },
  })

  until(count: number): Promise<true> {
    return this.waiting.until(
      () => (this.told.length >= count ? true : undefined),
      () => this.told.join('\n'),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stores.close()
    this.deadlines.stop()
  }
}

function planOf(url: string, more: Partial<StorePlan> = {}): StorePlan {
  return { url, ca: null, cert: null, key: null, servername: null, connections: 2, timeout: 10_000, ...more }
}

test('an address is read as people write it, and its name tells no password', () => {
  const parsed = parseStoreUrl('rediss://me:p%40ss@[::1]:7000/3')
  assert.equal(parsed, {
    ...{ place: { kind: 'host', host: '::1', port: 7000 }, isSecure: true, database: 3 },
    ...{ user: 'me', password: 'p@ss', name: 'rediss://[::1]:7000/3' },
  })
  assert.match(JSON.stringify(parseStoreUrl('valkey://cache')), /"port":6379.*"name":"valkey:\/\/cache:6379"/)
  for (const wrong of ['http://a', 'redis://', 'redis://a/x', 'redis://a?db=1', 'a:6379', 'redis://me@a', 'redis://:%zz@a', ''])
    assert.type(parseStoreUrl(wrong), 'string', wrong)
})

withRedis('questions and scripts are answered, over a connection that those who name it alike share', async () => {
  await using redis = await RedisServer.start({ password: 's3cret/#' })
  await using watched = new Watched()
  const [one, two] = [watched.stores.open(planOf(redis.url)), watched.stores.open(planOf(redis.url))]
  await watched.stores.settled()
  assert.is(one.name, `redis://127.0.0.1:${redis.port}`)
  assert.is(await one.ask('SET', ['a', Buffer.from([0xff, 0])]), 'OK')
  assert.equal(await two.ask('GET', ['a'], { asBytes: true }), Buffer.from([0xff, 0]))
  const twice = scriptOf("return { redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[1] }")
  assert.equal(await one.run(twice, ['n'], [2]), [2, '2'])
  await one.ask('SCRIPT', ['FLUSH'])
  assert.equal(await one.run(twice, ['n'], [3]), [5, '3'])
  for (const value of ['x', 'y']) {
    const error = await one.ask('LPUSH', ['a', value]).catch((failed: StoreError) => failed)
    assert.is((error as StoreError).kind, 'error')
  }
  // Many at once: a second connection, and no third.
  await Promise.all(Array.from({ length: 50 }, (_, i) => two.ask('SET', [`k${i}`, i])))
  const clients = async (): Promise<number> => String(await one.ask('CLIENT', ['LIST'])).match(/name=sluice/g)?.length ?? 0
  await eventually(async () => ((await clients()) === 2 ? true : undefined), 'a second connection')
  await Promise.all(Array.from({ length: 50 }, (_, i) => two.ask('GET', [`k${i}`])))
  assert.is(await clients(), 2)
  one.close()
  assert.is(await two.ask('GET', ['n']), '5')
  two.close()
  assert.equal(watched.failures, ['error', 'error'])
  // Once for both.
  assert.is(watched.told.length, 1)
  assert.match(watched.told[0]!, /^refused: WRONGTYPE /)
})

withRedis('a store that goes is told once, fails at once, and is told when it is back', async () => {
  await using redis = await RedisServer.start()
  await using watched = new Watched()
  // Nobody would wait so long: what fails, fails at once.
  const store = watched.stores.open(planOf(redis.url, { timeout: 600_000 }))
  await watched.stores.settled()
  await store.ask('PING', [])
  await redis.stop()
  await watched.until(1)
  assert.ok(store.isAway)
  assert.is(await store.ask('PING', []).catch((error: StoreError) => error.kind), 'away')
  await redis.start()
  await watched.until(2)
  assert.is(await store.ask('PING', []), 'PONG')
  const name = `redis://127.0.0.1:${redis.port}`
  assert.equal(watched.told, [`${name} away: the connection was closed`, `${name} back`])
})

withRedis('one that became a replica is left, for by its name there may be another by now', async () => {
  await using redis = await RedisServer.start()
  await using watched = new Watched()
  const store = watched.stores.open(planOf(redis.url))
  await watched.stores.settled()
  const before = await store.ask('CLIENT', ['ID'])
  await store.ask('REPLICAOF', ['127.0.0.1', '1'])
  assert.is(await store.ask('SET', ['a', 1]).catch((error: StoreError) => error.kind), 'error')
  await watched.until(2)
  assert.match(watched.told.join('\n'), /refused: READONLY .*\n.* away: /s)
  await watched.until(3)
  assert.is.not(await store.ask('CLIENT', ['ID']), before)
})

withRedis('a store that says nothing costs one deadline, and is away from then on', async () => {
  await using redis = await RedisServer.start()
  await using watched = new Watched()
  const store = watched.stores.open(planOf(redis.url, { timeout: 30 }))
  await watched.stores.settled()
  await store.ask('PING', [], { timeoutMs: 10_000 })
  redis.freeze()
  const kinds = await Promise.all([1, 2, 3].map(() => store.ask('PING', []).catch((error: StoreError) => error.kind)))
  assert.ok(kinds.includes('timeout'), kinds.join())
  await watched.until(1)
  assert.is(await store.ask('PING', []).catch((error: StoreError) => error.kind), 'away')
  assert.match(watched.told[0]!, / away: no answer within 30 ms$/)
  redis.wake()
  await watched.until(2)
  assert.is(await store.ask('PING', [], { timeoutMs: 10_000 }), 'PONG')
})

withRedis('a wrong password is told as such, and the answer holds no secret', async () => {
  await using redis = await RedisServer.start({ password: 'right' })
  await using watched = new Watched()
  const store = watched.stores.open(planOf(redis.url.replace('right', 'wrong')))
  await watched.stores.settled()
  assert.ok(store.isAway)
  assert.match(watched.told.join(), /away: .*(WRONGPASS|NOAUTH)/)
  assert.not.match(watched.told.join(), /wrong@/)
})

const withTls = certificates === null ? test.skip : withRedis
withTls('over TLS, by an authority that is given; without it the store is not trusted', async () => {
  const { ca, server } = certificates!
  await using redis = await RedisServer.start({ tls: server })
  await using watched = new Watched()
  const trusting = watched.stores.open(planOf(redis.url, { ca: ca.cert }))
  const other = watched.stores.open(planOf(redis.url))
  await watched.stores.settled()
  assert.is(await trusting.ask('PING', []), 'PONG')
  assert.ok(other.isAway)
  assert.match(watched.told.join(), /^rediss:\/\/127\.0\.0\.1:\d+ away: unable to/)
})

test('what cannot be reached from the start is away, and a plan goes on', async () => {
  await using watched = new Watched()
  const store = watched.stores.open(planOf('unix:/nowhere/redis.sock'))
  await watched.stores.settled()
  assert.ok(store.isAway)
  assert.is(await store.ask('PING', []).catch((error: StoreError) => error.kind), 'away')
  assert.match(watched.told.join(), /^unix:\/nowhere\/redis.sock away: .*ENOENT/)
})

test.run()
