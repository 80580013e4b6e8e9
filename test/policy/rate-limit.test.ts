/** `rateLimit`: who has had the limit is told when to come again, and nobody else notices. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import type { Hook } from '../../core/hooks.ts'
import { type RateLimitOptions, rateLimit, tcp } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { Counting } from '../../core/policy/counting.ts'
import { Policies } from '../../core/policy/policies.ts'
import { networkOf } from '../../core/policy/request-key.ts'
import { startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'
import { startProxy } from '../support/proxy.ts'

/** The hook alone, on a clock to turn. */
function limited(options: RateLimitOptions, counting = new Counting()) {
  let now = 1000
  const policies = new Policies(new Deadlines(50, () => now), { counting })
  let hook: Hook = policies.open('/').hookOf(rateLimit(options))
  return {
    /** `pass`, or the seconds to wait. */
    ask(ip: string, fields: Record<string, string> = {}): string {
      const request = new RequestHead('', 0, 'GET', 1)
      for (const [name, value] of Object.entries(fields)) request.set(name, value)
      const answer = hook.onRequest!({ request, response: null, ip, part: null, ended: false, resume() {} })
      if (answer === null) return 'pass'
      return typeof answer === 'object' && answer.kind === 'fail' ? answer.fields!['Retry-After']! : 'what?'
    },
    later(ms: number): void {
      now += ms
    },
    reload(changed: RateLimitOptions = options): void {
      hook = policies.open('/').hookOf(rateLimit(changed))
    },
  }
}

test('the answer is 429, with the time to come again, and the log tells why', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([rateLimit({ key: 'ip', limit: 2, window: '1h', fields: true })], origin)
  using c = await proxy.connect()
  const [first, second, third] = [await ask(), await ask(), await ask()]
  assert.equal([first!.status, second!.status, third!.status], [200, 200, 429])
  assert.is(first!.headers['ratelimit-policy'], '"default";q=2;w=3600')
  assert.is(first!.headers.ratelimit, '"default";r=1;t=1800')
  assert.match(third!.headers.ratelimit!, /^"default";r=0;t=1(800|799)$/)
  assert.match(third!.headers['retry-after']!, /^1(800|799)$/)
  const { reason, decidedBy } = await proxy.exchange(3)
  assert.equal([reason, decidedBy], ['rate_limited', 'rateLimit'])
  assert.is((await c.send(get('/', [], '10.0.0.2')).response()).status, 200)
  assert.is(origin.requests.length, 3)

  function ask() {
    return c.send(get()).response()
  }
})

test('a burst at once, then evenly', () => {
  const { ask, later } = limited({ key: 'ip', limit: 10, window: '10s', burst: 2 })
  assert.equal([ask('10.0.0.1'), ask('10.0.0.1'), ask('10.0.0.1')], ['pass', 'pass', '1'])
  later(1000)
  assert.equal([ask('10.0.0.1'), ask('10.0.0.1')], ['pass', '1'])
  later(60_000)
  assert.equal([ask('10.0.0.1'), ask('10.0.0.1'), ask('10.0.0.1')], ['pass', 'pass', '1'])
})

test('a client of IPv6 has one limit for all of its network', () => {
  const { ask } = limited({ key: 'ip', limit: 1, window: '1m' })
  assert.equal([ask('2001:db8:0:1::1'), ask('2001:db8:0:1:ffff::2'), ask('2001:db8:0:2::1')], ['pass', '60', 'pass'])
  assert.equal([ask('10.0.0.1'), ask('::ffff:10.0.0.1')], ['pass', '60'])
  assert.equal([networkOf('2001:DB8:0:1::1'), networkOf(''), networkOf('10.0.0.1')], ['2001:db8:0:1::', '', '10.0.0.1'])
})

test('a field or a cookie tells clients apart, and who leaves it out counts by the address', () => {
  const header = limited({ key: { header: 'X-Key' }, limit: 1, window: '1m' })
  assert.equal([header.ask('10.0.0.1', { 'x-key': 'a' }), header.ask('10.0.0.2', { 'x-key': 'a' })], ['pass', '60'])
  assert.equal([header.ask('10.0.0.1'), header.ask('10.0.0.1'), header.ask('10.0.0.1', { 'x-key': '' })], ['pass', '60', '60'])
  assert.is(header.ask('10.0.0.9', { 'x-key': '10.0.0.1' }), 'pass')
  const cookie = limited({ key: { cookie: 'sid' }, limit: 1, window: '1m' })
  assert.equal(
    [cookie.ask('10.0.0.1', { cookie: 'a=b; sid=1' }), cookie.ask('10.0.0.2', { cookie: 'sid=1' }), cookie.ask('10.0.0.2')],
    ['pass', '60', 'pass'],
  )
})

test('a function chooses the key; null does not count, and what is no key is an error of the config', async () => {
  const own = limited({ key: (req) => (req.path === '/free' ? null : req.ip), limit: 1, window: '1m' })
  assert.equal([own.ask('10.0.0.1'), own.ask('10.0.0.1')], ['pass', '60'])
  await using origin = await startOrigin()
  const free = rateLimit({ key: (req) => (req.path === '/free' ? null : 'all'), limit: 1, window: '1m' })
  const wrong = rateLimit({ key: (req) => (req.path === '/wrong' ? (5 as never) : null), limit: 1, window: '1m' })
  await using proxy = await startWith([wrong, free], origin)
  using c = await proxy.connect()
  const statuses: number[] = []
  for (const path of ['/free', '/free', '/', '/', '/wrong']) statuses.push((await c.send(get(path)).response()).status)
  assert.equal(statuses, [200, 200, 200, 429, 500])
})

test('what was counted goes on through a reload that leaves the options alone', () => {
  const options = { key: 'ip', limit: 1, window: '1m' } as const
  const { ask, reload } = limited(options)
  assert.is(ask('10.0.0.1'), 'pass')
  reload({ ...options })
  assert.is(ask('10.0.0.1'), '60')
  reload({ ...options, limit: 2 })
  assert.is(ask('10.0.0.1'), 'pass')
})

test('without shared memory each worker lets its part through', () => {
  let told = 0
  const { ask, later } = limited({ key: 'ip', limit: 4, window: '4s' }, new Counting({ shared: null, workers: 2, onSplit: () => told++ }))
  assert.equal([ask('10.0.0.1'), ask('10.0.0.1'), ask('10.0.0.1')], ['pass', 'pass', '2'])
  later(2000)
  assert.equal([ask('10.0.0.1'), ask('10.0.0.1')], ['pass', '2'])
  assert.is(told, 1)
})

test('on a TCP listener connections are counted', async () => {
  await using origin = await startOrigin(() => undefined, { raw: true, onConnection: () => 'hello' })
  const edge = tcp({ listen: ':1', use: [rateLimit({ key: 'ip', limit: 1, window: '1h' })], routes: [{ to: origin.address }] })
  await using proxy = await startProxy({ config: { listeners: { edge } } })
  using first = await proxy.connect()
  assert.is(await first.until('hello'), 'hello')
  // The reset may come before it knows that it is connected.
  await proxy.connect().then(
    (second) => second.closed(),
    () => {},
  )
  assert.is((await proxy.tunnel()).reason, 'connection_denied')
  assert.is(origin.connections.length, 1)
})

test.run()
