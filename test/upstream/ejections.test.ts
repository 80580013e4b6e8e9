/** Ejections in traffic: who is kept off, for how long, what is told of it; and that too few are never left alone with all of it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, type OriginAnswer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
/** Nobody listens there. */
const CLOSED = '127.0.0.1:1'

const wrong: Readonly<Record<string, (connection: OriginConnection) => OriginAnswer>> = {
  'status 500': () => answer('no', 500),
  upstream_closed: (connection) => void connection.destroy(),
  response_malformed: () => 'nonsense\r\n\r\n',
  response_incomplete: (connection) => {
    connection.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    return undefined
  },
}

for (const [why, misbehave] of Object.entries(wrong)) {
  test(`an endpoint is ejected for ${why}, and the others go on`, async () => {
    await using bad = await startOrigin((_, connection) => misbehave(connection))
    await using good = await startOrigin()
    await using proxy = await startProxy({ endpoints: [bad, good], outlier: { consecutiveFailures: 2 } })
    for (let i = 0; i < 4; i++) {
      using c = await proxy.connect()
      c.send(GET)
      await proxy.exchange(i + 1)
    }
    assert.equal(
      proxy.changes.map(({ upstream, endpoint, state, why }) => [upstream, endpoint, state, why]),
      [['api', bad.address, 'ejected', `for 30 s: 2 failures in a row, the last: ${why}`]],
    )
    using c = await proxy.connect()
    for (let i = 0; i < 6; i++) assert.is((await c.send(GET).response()).text, 'ok')
    assert.is(bad.requests.length, 2)
  })
}

test('an endpoint that does not connect is ejected, and retries hide it until then', async () => {
  await using good = await startOrigin()
  await using proxy = await startProxy({ endpoints: [CLOSED, good], attempts: 2, outlier: { consecutiveFailures: 3 } })
  using c = await proxy.connect()
  for (let i = 0; i < 12; i++) assert.is((await c.send(GET).response()).status, 200)
  assert.is(proxy.dialled.filter(({ endpoint }) => endpoint === CLOSED).length, 3)
  assert.equal([proxy.changes.length, proxy.changes[0]!.why], [1, 'for 30 s: 3 failures in a row, the last: connect_refused'])
})

test('it comes back when its time is over, and is kept off for longer if it has learnt nothing', async () => {
  const { deadlines, turn } = turnable()
  await using bad = await startOrigin(() => answer('no', 503))
  await using good = await startOrigin()
  const options = { endpoints: [bad, good], outlier: { consecutiveFailures: 2, ejectFor: 10_000 } }
  await using proxy = await startProxy({ ...options, deadlines })
  using c = await proxy.connect()
  const ask = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await c.send(GET).response()
  }
  const told = () => proxy.changes.splice(0).map(({ state, why }) => `${state} ${why.split(':')[0]}`)
  await ask(4)
  assert.equal(told(), ['ejected for 10 s'])
  turn(9_999)
  assert.equal(told(), [])
  turn(100)
  assert.equal(told(), ['available its time is over'])
  await ask(4)
  assert.equal(told(), ['ejected for 20 s'])
  turn(20_100)
  assert.equal(told(), ['available its time is over'])
  turn(20_100)
  await ask(4)
  assert.equal(told(), ['ejected for 10 s'], 'it was in service for longer than it was kept off')
})

test('no more are ejected than may be, and none is the only one', async () => {
  await using a = await startOrigin(() => answer('no', 500))
  await using b = await startOrigin(() => answer('no', 500))
  await using proxy = await startProxy({ endpoints: [a, b], outlier: { consecutiveFailures: 1 } })
  using c = await proxy.connect()
  for (let i = 0; i < 6; i++) await c.send(GET).response()
  assert.is(proxy.changes.filter(({ state }) => state === 'ejected').length, 1)
  await using alone = await startProxy({ endpoints: [a], outlier: { consecutiveFailures: 1 } })
  using d = await alone.connect()
  for (let i = 0; i < 3; i++) assert.is((await d.send(GET).response()).status, 500)
  assert.is(alone.changes.length, 0)
})

test('when too few are left, all are used, and it is said; unless the config wants to keep them off', async () => {
  const start = (status: number) => startOrigin(() => answer('x', status))
  await using a = await start(500)
  await using b = await start(500)
  await using d = await start(200)
  const outlier = { consecutiveFailures: 1, maxEjected: 1 }
  for (const panic of [0.5, 0]) {
    await using proxy = await startProxy({ endpoints: [a, b, d], outlier, panic })
    using c = await proxy.connect()
    const statuses: number[] = []
    for (let i = 0; i < 12; i++) statuses.push((await c.send(GET).response()).status)
    const states = proxy.changes.map(({ state }) => state)
    assert.equal(states, panic === 0 ? ['ejected', 'ejected'] : ['ejected', 'ejected', 'panic'])
    assert.is(statuses.slice(6).filter((status) => status === 500).length, panic === 0 ? 0 : 4)
  }
})

test('when none is left and all must not be used, it is 503', async () => {
  await using a = await startOrigin(() => answer('x', 500))
  await using proxy = await startProxy({ endpoints: [a], outlier: { consecutiveFailures: 1, maxEjected: 1 }, panic: 0 })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 500)
  assert.is((await c.send(GET).response()).status, 503)
  assert.is((await proxy.exchange(2)).reason, 'no_endpoint')
})

test('a client that leaves, and one whose request is wrong, are nobody’s failure', async () => {
  await using slow = await startOrigin((request) => (request.target === '/wait' ? undefined : answer('not found', 404)))
  await using proxy = await startProxy({ origin: slow, outlier: { consecutiveFailures: 1, maxEjected: 1 } })
  const c = await proxy.connect()
  c.send('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n')
  await slow.request()
  c.reset()
  await proxy.exchange()
  using d = await proxy.connect()
  assert.is((await d.send(GET).response()).status, 404)
  assert.equal(proxy.changes, [])
})

test('an ejected endpoint that the next config does not name is not told of for ever', async () => {
  await using a = await startOrigin(() => answer('no', 500))
  await using b = await startOrigin()
  const outlier = { consecutiveFailures: 1 }
  await using proxy = await startProxy({ endpoints: [a, b], outlier })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) await c.send(GET).response()
  proxy.use({ endpoints: [b], outlier })
  assert.equal(
    proxy.changes.map(({ state, endpoint }) => [state, endpoint]),
    [
      ['ejected', a.address],
      ['available', a.address],
    ],
  )
})

test('what did not change is remembered by the next plan', async () => {
  await using a = await startOrigin(() => answer('no', 500))
  await using b = await startOrigin()
  const options = { endpoints: [a, b], outlier: { consecutiveFailures: 1 } }
  await using proxy = await startProxy(options)
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) await c.send(GET).response()
  proxy.use(options)
  for (let i = 0; i < 6; i++) assert.is((await c.send(GET).response()).status, 200)
})

test.run()
