/** `rateLimit` with a store: one limit over several proxies, to the last request, and none of them stands still without it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { type Answer, PENDING, type Verdict } from '../../core/hooks.ts'
import { type RateLimitOptions, rateLimit } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { Counters } from '../../core/observe/counters.ts'
import { type StoreLine, StoreNews } from '../../core/observe/store-news.ts'
import { policyKind } from '../../core/policy/kinds.ts'
import { Policies } from '../../core/policy/policies.ts'
import { Stores } from '../../core/store/stores.ts'
import { Waiting } from '../support/deadline.ts'
import { hasRedis, RedisServer } from '../support/redis.ts'

const withRedis = hasRedis() ? test : test.skip

/** One proxy's side of it. */
class Limited implements AsyncDisposable {
  readonly told: string[] = []
  readonly waiting = new Waiting()
  readonly #deadlines = new Deadlines(5)
  readonly #policies = new Policies(this.#deadlines, {
    stores: new Stores({
      deadlines: this.#deadlines,
      random: () => 0,
      events: {
        changed: (_store, isAway) => {
          this.told.push(isAway ? 'away' : 'back')
          this.waiting.poke()
        },
        refused: () => {},
        failed: () => {},
      },
    }),
  })
  #set = this.#policies.open('/')
  #hook
  constructor(options: RateLimitOptions) {
    this.#hook = this.#set.hookOf(rateLimit(options))
  }

  static async with(options: RateLimitOptions): Promise<Limited> {
    const limited = new Limited(options)
    await limited.#policies.storesSettled()
    return limited
  }

  /** As the next plan does it. */
  reload(options: RateLimitOptions): void {
    const before = this.#set
    this.#set = this.#policies.open('/')
    this.#hook = this.#set.hookOf(rateLimit(options))
    before.release()
  }

  until(state: string): Promise<true> {
    return this.waiting.until(
      () => (this.told.at(-1) === state ? true : undefined),
      () => this.told.join(),
    )
  }

  /** `pass`, the seconds to wait, or the code of the error. */
  ask(ip = '10.0.0.1', connection = false): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>()
    const resume = (verdict: Verdict | null): void => resolve(wordOf(verdict))
    const part = connection ? ({ kind: 'connection', connection: { ip, port: 1, listener: 'a' }, hello: null, state: 1 } as const) : null
    const call = { request: new RequestHead('', 0, 'GET', 1), response: null, ip, part, ended: false, resume }
    const answer: Answer = connection ? this.#hook.onConnection!(call) : this.#hook.onRequest!(call)
    if (answer !== PENDING) resume(answer)
    return promise
  }

  /** How many of so many at once pass. */
  async pass(count: number): Promise<number> {
    const answers = await Promise.all(Array.from({ length: count }, () => this.ask()))
    return answers.filter((answer) => answer === 'pass').length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#policies.close()
    this.#deadlines.stop()
  }
}

function wordOf(verdict: Verdict | null): string {
  if (verdict === null) return 'pass'
  if (verdict.kind === 'deny') return 'deny'
  return verdict.kind === 'fail' ? `${verdict.error.code} ${verdict.fields!['Retry-After']}` : 'what?'
}

function optionsOf(url: string, more: Partial<RateLimitOptions> = {}): RateLimitOptions {
  return { key: 'ip', limit: 20, window: '1h', store: { url, timeout: '2s' }, ...more }
}

withRedis('the limit is exact over three proxies that ask at the same time, and each key has its own', async () => {
  await using redis = await RedisServer.start()
  const options = optionsOf(redis.url)
  await using one = await Limited.with(options)
  await using two = await Limited.with(options)
  // Another way to the same store.
  await using three = await Limited.with({ ...options, store: { url: redis.url.replace('127.0.0.1', 'localhost'), timeout: '2s' } })
  const passed = await Promise.all([one.pass(30), two.pass(30), three.pass(30)])
  assert.is(
    passed.reduce((sum, count) => sum + count, 0),
    20,
  )
  assert.match(await two.ask(), /^rate_limited (180|179)$/)
  assert.is(await two.ask('10.0.0.2'), 'pass')
  // Another limit, though for the same key.
  await using other = await Limited.with({ ...options, limit: 21 })
  assert.is(await other.ask(), 'pass')
})

withRedis('what is used is free again on the clock of the store, and then gone from it', async () => {
  await using redis = await RedisServer.start()
  await using limited = await Limited.with(optionsOf(redis.url, { limit: 1, window: '1s' }))
  assert.equal([await limited.ask(), await limited.ask()], ['pass', 'rate_limited 1'])
  const { Redis } = await import('iovalkey')
  const client = new Redis(redis.url)
  const [key] = await client.keys('*')
  assert.match(key!, /^sluice:rate:default:[\w-]{16}:0:10\.0\.0\.1$/)
  const ttl = await client.pttl(key!)
  assert.ok(ttl > 0 && ttl <= 1000, String(ttl))
  // A store whose clock went back by a day keeps nobody out for a day.
  await client.set(key!, String((Date.now() + 86_400_000) * 1000))
  assert.is(await limited.ask(), 'rate_limited 1')
  await client.del(key!)
  assert.is(await limited.ask(), 'pass')
  client.disconnect()
})

withRedis('without its store a proxy counts by itself, or refuses, and goes back to it when it is there again', async () => {
  await using redis = await RedisServer.start()
  await using local = await Limited.with(optionsOf(redis.url, { limit: 2 }))
  await using strict = await Limited.with(optionsOf(redis.url, { ifStoreFails: 'refuse', limit: 3 }))
  assert.equal([await local.ask(), await local.ask(), await strict.ask()], ['pass', 'pass', 'pass'])
  await redis.stop()
  await Promise.all([local.until('away'), strict.until('away')])
  const answers = [await local.ask(), await local.ask(), await local.ask(), await strict.ask()]
  assert.equal(answers, ['pass', 'pass', 'rate_limited 1800', 'policy_busy 1'])
  assert.equal([await local.ask('10.0.0.9', true), await strict.ask('10.0.0.9', true)], ['pass', 'deny'])
  await redis.start()
  await Promise.all([local.until('back'), strict.until('back')])
  assert.equal([await local.ask(), await strict.ask()], ['pass', 'pass'])
  assert.equal(local.told, ['away', 'back'])
})

withRedis('connections of TCP are counted there, too, and a reload keeps the connections to the store', async () => {
  await using redis = await RedisServer.start()
  const options = optionsOf(redis.url, { limit: 2 })
  await using limited = await Limited.with(options)
  assert.is(await limited.ask('10.0.0.1', true), 'pass')
  const { Redis } = await import('iovalkey')
  const client = new Redis(redis.url)
  const ids = async (): Promise<string[]> => String(await client.client('LIST')).match(/id=\d+ (?=.*name=sluice)/g) ?? []
  const before = await ids()
  assert.is(before.length, 1)
  limited.reload(options)
  assert.equal([await limited.ask('10.0.0.1', true), await limited.ask('10.0.0.1', true)], ['pass', 'deny'])
  assert.equal(await ids(), before)
  client.disconnect()
})

test('where nothing is asked over the network, as in a simulation, it counts as without a store', () => {
  const hook = new Policies(new Deadlines())
    .open('/')
    .hookOf(rateLimit(optionsOf('redis://10.0.0.1', { limit: 1, ifStoreFails: 'refuse' })))
  const call = { request: new RequestHead('', 0, 'GET', 1), response: null, ip: '10.0.0.1', part: null, ended: false, resume() {} }
  assert.is(hook.onRequest!(call), null)
  assert.match(wordOf(hook.onRequest!(call) as Verdict), /^rate_limited/)
})

test('explain says over what it is exact, and tells no password', () => {
  const { describe } = policyKind('rateLimit')
  const told = describe(optionsOf('redis://:hunter22@10.0.0.1', { ifStoreFails: 'refuse' }), new RequestHead('', 0, 'GET', 1))
  assert.is(told, '20 in 1h for a client, over all proxies that count in redis://10.0.0.1:6379; while that is away nobody passes')
})

test('one line of the log and a gauge say that a store is away', () => {
  const counters = new Counters()
  const lines: StoreLine[] = []
  const news = new StoreNews(counters, (line) => lines.push(line))
  news.changed('redis://a:1', true, 'connect ECONNREFUSED')
  news.failed('redis://a:1', 'away')
  news.failed('redis://a:1', 'away')
  const { delta, values } = counters.snapshot()
  assert.equal(
    delta.map(({ family, labels }, i) => [family, ...labels, values[i]]),
    [
      ['store_away', 'redis://a:1', 1],
      ['store_failures_total', 'redis://a:1', 'away', 2],
    ],
  )
  news.changed('redis://a:1', false, '')
  news.refused('redis://a:1', 'NOPERM no')
  assert.is(counters.values[0], 0)
  assert.equal(
    lines.map(({ level, text }) => `${level} ${text}`),
    [
      'warn the store redis://a:1 is away: connect ECONNREFUSED',
      'info the store redis://a:1 is back',
      'warn the store redis://a:1 refuses what it is asked: NOPERM no',
    ],
  )
})

test.run()
