/** The circuit breaker in traffic: a time line on a clock that the test turns, and what clients, endpoints and the log see of it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { http, tcp, upstream } from '../../core/index.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const circuitBreaker = { failureRatio: 0.5, minRequests: 4, openFor: 10_000 }

const states = (proxy: RunningProxy): string[] => proxy.changes.splice(0).map(({ state }) => state)

test('the time line of an upstream that goes down and comes up again', async () => {
  const { deadlines, turn } = turnable()
  let status = 500
  await using origin = await startOrigin(() => answer('x', status))
  await using proxy = await startProxy({ origin, circuitBreaker, deadlines })
  using c = await proxy.connect()
  const ask = async () => (await c.send(GET).response()).status
  for (let i = 0; i < 4; i++) assert.is(await ask(), 500)
  assert.equal(states(proxy), ['open'])

  const refused = await c.send(GET).response()
  assert.equal([refused.status, refused.headers['retry-after']], [503, '10'])
  assert.is(refused.headers['proxy-status'], 'sluice; error=destination_unavailable')
  assert.equal([(await proxy.exchange(5)).reason, origin.requests.length], ['circuit_open', 4])
  turn(6_000)
  assert.is((await c.send(GET).response()).headers['retry-after'], '4')

  turn(4_000)
  assert.is(await ask(), 500)
  assert.equal([states(proxy), origin.requests.length], [['half-open', 'open'], 5])
  assert.is(await ask(), 503)

  status = 200
  turn(10_000)
  assert.is(await ask(), 200)
  assert.equal(states(proxy), ['half-open', 'closed'])
  assert.is(await ask(), 200)
})

test('while one request tries, the others are refused; if its client leaves, the next one tries', async () => {
  const { deadlines, turn } = turnable()
  let isDown = true
  await using origin = await startOrigin((request) => {
    if (isDown) return answer('x', 500)
    return request.target === '/slow' ? undefined : answer('ok')
  })
  await using proxy = await startProxy({ origin, circuitBreaker, deadlines })
  using c = await proxy.connect()
  for (let i = 0; i < 4; i++) await c.send(GET).response()
  isDown = false
  turn(10_000)
  const trying = await proxy.connect()
  trying.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request(5)
  assert.is((await c.send(GET).response()).status, 503)
  trying.reset()
  await proxy.exchange(6)
  assert.is((await c.send(GET).response()).status, 200)
  assert.equal(states(proxy), ['open', 'half-open', 'closed'])
})

test('a request whose body is still gathered is not the one that tries, and holds up nobody', async () => {
  const { deadlines, turn } = turnable()
  let status = 500
  await using origin = await startOrigin(() => answer('x', status))
  const app = upstream('app', {
    endpoints: [origin.address],
    buffer: { request: true },
    circuitBreaker: { minRequests: 4, failureRatio: 0.5, openFor: '10s' },
  })
  const web = http({ listen: ':0', routes: [{ to: app }] })
  await using proxy = await startProxy({ config: { listeners: { web } }, deadlines })
  using c = await proxy.connect()
  const ask = async () => (await c.send(GET).response()).status
  const half = 'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab'
  for (let i = 0; i < 4; i++) await ask()
  for (const next of [500, 200]) {
    turn(10_000)
    using slow = await proxy.connect()
    slow.send(half)
    await proxy.settled()
    status = next
    assert.is(await ask(), next)
    assert.equal(states(proxy).slice(-2), ['half-open', next === 500 ? 'open' : 'closed'])
    const before = origin.requests.length
    // When it is all there, it is asked again whether it may pass.
    assert.is((await slow.send('cd').response()).status, next === 500 ? 503 : 200)
    assert.is(origin.requests.length - before, next === 500 ? 0 : 1)
  }
  status = 500
  for (let i = 0; i < 4; i++) await ask()
  using late = await proxy.connect()
  // While the circuit is open nothing is gathered.
  assert.is((await late.send(half).response()).status, 503)
})

test('what a retry has mended is no failure of the upstream', async () => {
  let count = 0
  await using a = await startOrigin(() => answer('x', count++ % 2 === 0 ? 503 : 200))
  await using proxy = await startProxy({ origin: a, circuitBreaker, retries: { attempts: 2, statuses: [503] } })
  using c = await proxy.connect()
  for (let i = 0; i < 6; i++) assert.is((await c.send(GET).response()).status, 200)
  assert.equal(states(proxy), [])
})

test('requests that are wrong, and clients that leave, are no failures of the upstream', async () => {
  await using origin = await startOrigin((request) => (request.target === '/slow' ? undefined : answer('no', 404)))
  await using proxy = await startProxy({ origin, circuitBreaker: { ...circuitBreaker, minRequests: 1 } })
  const leaving = await proxy.connect()
  leaving.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request()
  leaving.reset()
  await proxy.exchange()
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 404)
  assert.is((await c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n').response()).status, 400)
  assert.equal(states(proxy), [])
})

test('an upgrade that is accepted is served', async () => {
  await using origin = await startOrigin((request) =>
    request.headers.upgrade === undefined
      ? answer('x', 500)
      : 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
  )
  const { deadlines, turn } = turnable()
  await using proxy = await startProxy({ origin, circuitBreaker: { ...circuitBreaker, minRequests: 1 }, deadlines })
  using c = await proxy.connect()
  await c.send(GET).response()
  turn(10_000)
  using d = await proxy.connect()
  assert.is((await d.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n').response()).status, 101)
  assert.equal(states(proxy), ['open', 'half-open', 'closed'])
})

test('connections of a TCP listener are reset while it is open', async () => {
  const down = upstream('down', { endpoints: ['127.0.0.1:1'], circuitBreaker: { minRequests: 2 } })
  await using proxy = await startProxy({ config: { listeners: { edge: tcp({ listen: ':0', routes: [{ to: down }] }) } } })
  for (let i = 0; i < 3; i++) {
    // It may be reset before it counts as open.
    const closed = proxy.connect().then((c) => c.closed())
    assert.is(await closed.catch(() => 'reset'), 'reset')
    await proxy.tunnel(i + 1)
  }
  assert.equal(
    proxy.tunnels.map(({ reason }) => reason),
    ['connect_refused', 'connect_refused', 'circuit_open'],
  )
  assert.equal([proxy.dialled.length, states(proxy)], [2, ['open']])
})

test('another config for the upstream begins with a closed circuit', async () => {
  await using origin = await startOrigin(() => answer('x', 500))
  const options = { origin, circuitBreaker: { ...circuitBreaker, minRequests: 1 } }
  await using proxy = await startProxy(options)
  using c = await proxy.connect()
  await c.send(GET).response()
  proxy.use(options)
  assert.is((await c.send(GET).response()).status, 503, 'what did not change stays as it is')
  proxy.use({ ...options, idleConnections: 3 })
  assert.is((await c.send(GET).response()).status, 500)
  assert.equal(states(proxy), ['open', 'closed', 'open'])
})

test.run()
