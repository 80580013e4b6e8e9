/** Nobody may take for ever: heads, bodies, answers, idle connections, clients that do not read. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Http1Connection } from '../../core/connection/http1.ts'
import { connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { KernelWires } from '../support/kernel-wires.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const SHORT = 150

/** All is in this process: when nothing has come of so many turns, nothing more comes. Resolves with what it came to. */
async function standsStill(count: () => number): Promise<number> {
  let [last, still] = [0, 0]
  await eventually(() => {
    const now = count()
    still = now === last && now > 0 ? still + 1 : 0
    last = now
    return still > 20 ? true : undefined
  }, 'it goes on and on')
  return last
}

test('a head that drips in ends with 408, however steadily it drips', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, times: { requestHead: SHORT } })
  using c = await proxy.connect()
  await c.send(GET).response()
  let sent = 0
  const drip = setInterval(() => c.send(sent++ === 0 ? 'GET / HTTP/1.1\r\nHost: x\r\nA: ' : 'b'), 10)
  try {
    const response = await c.response()
    assert.equal([response.status, response.headers.connection], [408, 'close'])
    assert.is(await c.closed(), 'fin')
  } finally {
    clearInterval(drip)
  }
  assert.is((await proxy.exchange(2)).reason, 'request_timeout')
  assert.is(origin.requests.length, 1)
})

test('a connection on which nothing ever comes is closed without a word, and so are empty lines alone', async () => {
  await using proxy = await startProxy({ times: { requestHead: SHORT } })
  using silent = await proxy.connect()
  assert.is(await silent.closed(), 'fin')
  assert.is(silent.received.length, 0)
  using lines = await proxy.connect()
  lines.send('\r\n\r\n')
  await lines.closed()
  assert.is(proxy.ended.filter((one) => one.status !== 408).length, 0)
})

test('an idle connection is closed without a word', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, times: { keepAlive: SHORT } })
  using c = await proxy.connect()
  await c.send(GET).response()
  const before = c.received.length
  assert.is(await c.closed(), 'fin')
  assert.is(c.received.length, before)
  assert.is(proxy.ended.length, 1)
})

test('a body that stops ends with 408, and the endpoint never sees it complete', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, times: { requestBodyIdle: SHORT } })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123')
  const response = await c.response()
  assert.equal([response.status, response.headers.connection], [408, 'close'])
  assert.is(await origin.connections[0]!.closed(), 'reset')
  assert.is(origin.requests.length, 0)
  const ended = await proxy.exchange()
  assert.equal([ended.reason, ended.detail], ['request_timeout', 'body idle'])
})

// A wire that took a write for gone, and could not send it, drains of that too (net/kernel-wire.ts).
test('a body that stops ends with 408 also when something that nobody waited for has left meanwhile', async () => {
  using wires = new KernelWires()
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, times: { requestBodyIdle: SHORT } })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123')
  await eventually(() => (origin.connections[0]?.received.includes('123') ? true : undefined), 'the body at the origin')
  for (const { owner } of wires.of(Http1Connection)) owner.onDrain()
  assert.is((await c.response()).status, 408)
})

test('a body that goes on, slowly, is waited for', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin, times: { requestBodyIdle: SHORT, requestHead: SHORT } })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n')
  for (const byte of 'abcdef') {
    const end = proxy.runtime.deadlines.now + 100
    await eventually(() => (proxy.runtime.deadlines.now >= end ? true : undefined), 'the clock stands')
    c.send(byte)
  }
  assert.is((await c.response()).text, 'abcdef')
})

test('an endpoint that does not answer is 504; the connection to the client goes on', async () => {
  await using origin = await startOrigin((req) => (req.target === '/' ? undefined : answer('ok')))
  await using proxy = await startProxy({ origin, timeouts: { response: SHORT } })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.equal(
    [response.status, response.headers['proxy-status'], response.headers.connection],
    [504, 'sluice; error=http_response_timeout', undefined],
  )
  await origin.connections[0]!.closed()
  assert.is((await c.send('GET /b HTTP/1.1\r\nHost: x\r\n\r\n').response()).text, 'ok')
})

test('the time for an answer starts with the end of the request', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin, timeouts: { response: SHORT } })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab')
  const end = proxy.runtime.deadlines.now + 3 * SHORT
  await eventually(() => (proxy.runtime.deadlines.now >= end ? true : undefined), 'the clock stands')
  assert.is((await c.send('c').response()).text, 'abc')
})

test('an answer whose head drips in is 504 too', async () => {
  let drip: NodeJS.Timeout | undefined
  await using origin = await startOrigin((_, connection) => {
    drip = setInterval(() => connection.socket.writable && connection.write('b'), 10)
    return 'HTTP/1.1 200 OK\r\nA: '
  })
  await using proxy = await startProxy({ origin, timeouts: { response: SHORT } })
  using c = await proxy.connect()
  try {
    assert.is((await c.send(GET).response()).status, 504)
  } finally {
    clearInterval(drip)
  }
})

test('an answer that stops in its middle is cut, and does not look complete', async () => {
  await using origin = await startOrigin(() => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
  await using proxy = await startProxy({ origin, timeouts: { idle: SHORT } })
  using c = await proxy.connect()
  await c.send(GET).until('half')
  assert.is(await c.closed(), 'reset')
  assert.is((await proxy.exchange()).reason, 'response_timeout')
})

test('the endpoint is not blamed for a client that does not read', async () => {
  const piece = Buffer.alloc(65_536, 'x')
  let written = 0
  await using origin = await startOrigin((_, connection) => {
    const next = (): void => {
      if (written++ < 512) connection.socket.write(piece, next)
    }
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n')
    next()
    return undefined
  })
  const { deadlines, turn } = turnable()
  await using proxy = await startProxy({ origin, deadlines, timeouts: { idle: 1_000 } })
  using c = await proxy.connect({ deadlineMs: 20_000 })
  c.pause().send(GET)
  await origin.request()
  assert.ok((await standsStill(() => written)) < 512)
  turn(10_000)
  c.resume()
  await eventually(() => (proxy.ended.length > 0 ? true : undefined), 'not ended', 10_000)
  assert.is((await proxy.exchange()).reason, null)
})

test('a client that does not take what is written is cut off', async () => {
  await using origin = await startOrigin(() =>
    Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n'), Buffer.alloc(33_554_432, 'x')]),
  )
  await using proxy = await startProxy({ origin, times: { sendIdle: SHORT } })
  using c = await proxy.connect()
  c.pause().send(GET)
  assert.is((await proxy.exchange()).reason, 'client_gone')
  await proxy.open(0)
})

/** Each with a head that is worth reading no further, and an answer that fills what the kernel holds. */
const MANY = `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(1_000)}\r\n\r\n`.repeat(20_000)

const LOCAL = { to: { kind: 'respond', status: 200, headers: {}, body: 'x'.repeat(16_384) } } as const

for (const [from, routes] of [
  ['an endpoint', [{}]],
  ['the proxy itself', [LOCAL]],
] as const)
  test(`twenty thousand pipelined requests whose answers of ${from} nobody takes are left unread, and cut off`, async () => {
    await using origin = await startOrigin(() => answer('x'.repeat(16_384)))
    const { deadlines, turn } = turnable()
    await using proxy = await startProxy({ origin, deadlines, routes })
    using c = await proxy.connect()
    c.pause().send(MANY)
    const last = await standsStill(() => proxy.ended.length)
    assert.ok(last < 2_000, `${last} were answered`)
    assert.ok(c.socket.writableLength > MANY.length / 2, `${MANY.length - c.socket.writableLength} bytes were read`)
    turn(59_000)
    assert.is(proxy.runtime.connections, 1)
    turn(1_100)
    assert.is(proxy.runtime.connections, 0)
  })

test('an endpoint that does not take an upload is 504', async () => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: (connection) => void connection.pause() })
  await using proxy = await startProxy({ origin, timeouts: { idle: SHORT } })
  using c = await proxy.connect()
  c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${32 << 20}\r\n\r\n`).send(Buffer.alloc(32 << 20))
  const response = await c.response()
  assert.equal([response.status, response.headers.connection], [504, 'close'])
})

test('a connect that takes too long is 504', async () => {
  // 192.0.2.0/24 is for documentation: nobody answers there, unless the machine says at once that it cannot reach it.
  await using proxy = await startProxy({ endpoints: ['192.0.2.1:9'], timeouts: { connect: SHORT } })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.ok(response.status === 504 || response.status === 502)
  await proxy.open(1)
  const ended = await proxy.exchange()
  assert.ok(
    ended.reason === 'connect_timeout' || ended.reason === 'connect_failed' || ended.reason === 'connect_refused',
    String(ended.reason),
  )
})

test('a client that goes away while the connect is under way leaves nothing behind', async () => {
  await using proxy = await startProxy({ endpoints: ['192.0.2.1:9'], timeouts: { connect: 10_000 } })
  const c = await proxy.connect()
  c.send(GET)
  await proxy.settled()
  c.reset()
  await proxy.open(0)
})

test('an idle connection to an endpoint is closed in time', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, timeouts: { keepAlive: SHORT } })
  using c = await proxy.connect()
  await c.send(GET).response()
  await origin.connections[0]!.closed()
  await proxy.open(1)
})

test('connections beyond the limit are closed at once, and taken again when others have left', async () => {
  await using proxy = await startProxy({ limits: { connections: 2 } })
  using a = await proxy.connect()
  const b = await proxy.connect()
  assert.is((await b.send(GET).response()).status, 503)
  const third = await connect(proxy.port)
  assert.ok(await third.closed())
  third.destroy()
  b.destroy()
  await proxy.open(1)
  using d = await proxy.connect()
  assert.is((await d.send(GET).response()).status, 503)
  assert.not.ok(a.isClosed)
})

test.run()
