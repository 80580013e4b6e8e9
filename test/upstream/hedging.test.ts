/** A second try beside a late first one: the first good answer is the client's, and the other try ends without a trace. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LatencyQuantile } from '../../core/upstream/latency-quantile.ts'
import { eventually } from '../support/deadline.ts'
import { answer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const ask = (method: string, body = '') => `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** Two endpoints that answer when they are told to, the first to be asked first. */
async function startPair(options: Partial<ProxyOptions> = {}) {
  const { deadlines, turn } = turnable()
  const asked: OriginConnection[] = []
  const start = () =>
    startOrigin((_, connection) => {
      asked.push(connection)
      return undefined
    })
  const [a, b] = [await start(), await start()]
  const proxy = await startProxy({ endpoints: [a, b], hedging: { after: 100, quantile: null }, deadlines, ...options })
  return {
    proxy,
    turn,
    /** The connections that the request came by, once there are so many. */
    tries: (count: number) => eventually(() => (asked.length >= count ? asked : undefined), `no ${count} tries`),
    asked,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]()
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
    },
  }
}

test('the second try answers first: it is the answer, and the first one ends', async () => {
  await using it = await startPair()
  using c = await it.proxy.connect()
  c.send(ask('PUT', 'body'))
  const [first] = await it.tries(1)
  it.turn(101)
  const [, second] = await it.tries(2)
  second!.write('HTTP/1.1 103 Early\r\n\r\n')
  second!.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n')
  await eventually(() => (first!.socket.destroyed || first!.socket.readableEnded ? true : undefined), 'the first try is still open')
  second!.write('0\r\n\r\n')
  const response = await c.final()
  assert.equal([response.status, response.text], [200, 'second'])
  const { attempts, reason, endpoint } = await it.proxy.exchange()
  assert.equal([attempts, reason], [2, null])
  assert.equal(it.proxy.hedges, ['won'])
  assert.match(second!.received.toString(), /^PUT \/(?:.|\r\n)*\r\n\r\nbody$/)
  assert.is(it.asked.length, 2)
  // The connection that answered is kept.
  c.send(GET)
  await it.tries(3)
  assert.ok(String(endpoint).startsWith('127.0.0.1:'))
})

test('the first try answers first: the second one ends', async () => {
  await using it = await startPair()
  using c = await it.proxy.connect()
  c.send(GET)
  const [first] = await it.tries(1)
  it.turn(101)
  const [, second] = await it.tries(2)
  first!.write(answer('first'))
  assert.is((await c.response()).text, 'first')
  await eventually(() => (second!.socket.destroyed || second!.socket.readableEnded ? true : undefined), 'the second try is still open')
  assert.equal([it.proxy.hedges, (await it.proxy.exchange()).attempts], [['lost'], 2])
})

test('an answer in time, and what may not be sent twice, has no second try', async () => {
  await using it = await startPair()
  using c = await it.proxy.connect()
  c.send(GET)
  const [first] = await it.tries(1)
  first!.write(answer('first'))
  await c.response()
  c.send(ask('POST', 'body'))
  const [, post] = await it.tries(2)
  // Another request has its second try meanwhile.
  using other = await it.proxy.connect()
  other.send(GET)
  await it.tries(3)
  it.turn(500)
  await it.tries(4)
  post!.write(answer('post'))
  assert.is((await c.response()).text, 'post')
  assert.equal([it.proxy.hedges, it.asked.length], [[], 4])
})

test('a bad answer does not count while the other try may bring a good one', async () => {
  for (const bad of [0, 1]) {
    await using it = await startPair()
    using c = await it.proxy.connect()
    c.send(GET)
    await it.tries(1)
    it.turn(101)
    const tries = await it.tries(2)
    tries[bad]!.write(answer('bad', 503))
    if (bad === 1) await eventually(() => it.proxy.hedges[0], 'the second try is still under way')
    tries[1 - bad]!.write(answer('good'))
    const response = await c.response()
    assert.equal([response.status, response.text], [200, 'good'])
    assert.equal(it.proxy.hedges, [bad === 0 ? 'won' : 'failed'])
  }
})

test('a try that is lost leaves the request to the other one, and when both are there is an error', async () => {
  for (const lost of [[0], [1], [0, 1], [1, 0]]) {
    await using it = await startPair()
    using c = await it.proxy.connect()
    c.send(GET)
    await it.tries(1)
    it.turn(101)
    const tries = await it.tries(2)
    for (const which of lost) {
      tries[which]!.reset()
      if (which === 1 && lost.length === 1) await eventually(() => it.proxy.hedges[0], 'the second try is still under way')
    }
    if (lost.length === 1) tries[1 - lost[0]!]!.write(answer('good'))
    const response = await c.response()
    assert.equal([lost, response.status], [lost, lost.length === 1 ? 200 : 502])
    const ended = await it.proxy.exchange()
    assert.is(ended.reason, lost.length === 1 ? null : 'upstream_closed')
  }
})

test('the time for one try is each one’s own', async () => {
  await using it = await startPair({ retries: { attempts: 2, perTry: 1_000 } })
  using c = await it.proxy.connect()
  c.send(GET)
  await it.tries(1)
  it.turn(500)
  const [, second] = await it.tries(2)
  it.turn(600)
  second!.write(answer('second'))
  assert.is((await c.response()).text, 'second')
  c.send(GET)
  await it.tries(3)
  it.turn(500)
  await it.tries(4)
  it.turn(600)
  it.turn(1_100)
  assert.is((await c.response()).status, 504)
})

test('a client that leaves ends both', async () => {
  await using it = await startPair()
  using c = await it.proxy.connect()
  c.send(GET)
  await it.tries(1)
  it.turn(101)
  const tries = await it.tries(2)
  c.reset()
  for (const one of tries)
    await eventually(() => (one.socket.destroyed || one.socket.readableEnded ? true : undefined), 'a try is still open')
  assert.is((await it.proxy.exchange()).reason, 'client_gone')
})

test('second tries are bounded by the budget', async () => {
  const { deadlines, turn } = turnable()
  await using slow = await startOrigin(() => undefined)
  await using other = await startOrigin(() => undefined)
  const hedging = { after: 10, quantile: null }
  await using proxy = await startProxy({ endpoints: [slow, other], hedging, retries: { attempts: 1, budget: 0 }, deadlines })
  const clients = await Promise.all(Array.from({ length: 40 }, () => proxy.connect()))
  for (const c of clients) c.send(GET)
  await eventually(() => (slow.requests.length + other.requests.length >= 40 ? true : undefined), 'not all were sent')
  turn(100)
  await eventually(
    () => (proxy.retriesRefused === 10 ? true : undefined),
    () => `${proxy.retriesRefused} were refused`,
  )
  await eventually(() => (slow.requests.length + other.requests.length === 70 ? true : undefined), 'not all were sent twice')
  for (const c of clients) c.destroy()
})

test('what is late is learnt from the latest answers, to within a tenth', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.2, max: 60_000, noNaN: true }), { minLength: 20, maxLength: 200 }), (times) => {
      const quantile = new LatencyQuantile(0.9, 20)
      for (const [i, ms] of times.entries()) {
        if (i < 20 && i > 0) assert.ok(Number.isNaN(quantile.value(i * 101)), String(i))
        quantile.observe(ms, i)
      }
      const sorted = times.toSorted((a, b) => a - b)
      const exact = sorted[Math.ceil(sorted.length * 0.9) - 1]!
      const found = new LatencyQuantile(0.9, 20)
      for (const ms of times) found.observe(ms, 0)
      const value = found.value(1)
      assert.ok(value >= exact * 0.999 && value <= exact * 1.1, `${value} is not ${exact}`)
      assert.is(found.value(50), value)
      assert.ok(Number.isNaN(found.value(30_000)))
    }),
  )
})

test.run()
