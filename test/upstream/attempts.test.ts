/** Attempts: endpoints that refuse, go stale, answer nonsense or too much. What is tried again, and what never is. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const ask = (method: string, body = '') => `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** Nobody listens there. */
const CLOSED = '127.0.0.1:1'

/** An origin that answers the first request of each connection and, at the second, does this instead. */
function stale(instead: (connection: OriginConnection) => void, onlyOnce = false) {
  let done = false
  return startOrigin((req, connection) => {
    if (connection.requests.length < 2 || (onlyOnce && done)) return answer(`${req.method} ${req.text}`)
    done = true
    instead(connection)
    return undefined
  })
}

test('an endpoint that refuses is 502 with its token, and the next one when there are more tries', async () => {
  await using origin = await startOrigin()
  for (const [attempts, statuses] of [
    [1, [200, 502]],
    [2, [200, 200]],
  ] as const) {
    await using proxy = await startProxy({ endpoints: [CLOSED, origin], attempts })
    using c = await proxy.connect()
    const seen = [await c.send(ask('POST', 'ab')).response(), await c.send(ask('POST', 'ab')).response()]
    assert.equal(seen.map((one) => one.status).sort(), [...statuses].sort())
    const failed = seen.find((one) => one.status === 502)
    if (failed !== undefined) assert.is(failed.headers['proxy-status'], 'sluice; error=connection_refused')
    else assert.ok(proxy.ended.some((one) => one.attempts === 2))
  }
})

test('when all refuse, the last says why', async () => {
  await using proxy = await startProxy({ endpoints: [CLOSED, '127.0.0.2:1', '127.0.0.3:1'], attempts: 5 })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 502)
  const ended = await proxy.exchange()
  assert.equal([ended.reason, ended.attempts, proxy.dialled.length], ['connect_refused', 5, 5])
  assert.is(new Set(proxy.dialled.slice(0, 3).map((one) => one.endpoint)).size, 3)
})

test('an upload that has begun to flow is still whole after a refused connect', async () => {
  await using origin = await startOrigin((req) => answer(String(req.body.length)))
  await using proxy = await startProxy({ endpoints: [CLOSED, origin], attempts: 2 })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) {
    c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n').send(Buffer.alloc(300_000))
    assert.is((await c.response()).text, '300000')
  }
})

test('a kept connection that turns out closed is replaced, for what may be sent twice', async () => {
  for (const how of ['end', 'reset', 'destroy'] as const) {
    await using origin = await stale((connection) => connection[how]())
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    await c.send(GET).response()
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await c.send(ask(method, method === 'PUT' ? 'twice' : '')).response()
      assert.equal([response.status, response.text], [200, method === 'PUT' ? 'PUT twice' : `${method} `], `${how} ${method}`)
    }
    assert.equal(
      proxy.ended.map((one) => [one.attempts, one.reason]),
      Array.from({ length: 5 }, () => [1, null]),
    )
  }
})

test('what may not be sent twice is not: POST, and what has streamed', async () => {
  await using origin = await stale((connection) => connection.destroy())
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(GET).response()
  const response = await c.send(ask('POST', 'once')).response()
  assert.equal([response.status, response.headers['proxy-status']], [502, 'sluice; error=connection_terminated'])
  assert.is(origin.requests.filter((one) => one.method === 'POST').length, 1)
  await c.send(GET).response()
  c.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc')
  await origin.connections[1]!.until('abc')
  assert.is((await c.send('def').response()).status, 502)
})

test('a fresh connection that is closed is not tried again', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.destroy()
    return undefined
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 502)
  assert.is(origin.requests.length, 1)
  assert.is((await proxy.exchange()).reason, 'upstream_closed')
})

test('a stale connection is replaced once, not for ever', async () => {
  await using origin = await startOrigin((_, connection) => {
    if (origin.requests.length === 1) return answer('ok')
    connection.destroy()
    return undefined
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(GET).response()
  assert.is((await c.send(GET).response()).status, 502)
  assert.is(origin.requests.length, 3)
})

test('an answer that is not valid is 502, and not a byte of it is passed on', async () => {
  const long = `X: ${'y'.repeat(70_000)}`
  const cases: readonly (readonly [string, string])[] = [
    ['SECRET\r\n\r\n', 'http_protocol_error'],
    ['HTTP/1.1 200 OK\nSECRET: 1\n\n', 'http_protocol_error'],
    ['HTTP/1.1 200 OK\r\nSECRET : 1\r\n\r\n', 'http_protocol_error'],
    ['HTTP/1.1 200 OK\r\nA: SECRET\r\n fold\r\n\r\n', 'http_protocol_error'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\nSECRET', 'http_protocol_error'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nSECRET\r\n0\r\n\r\n', 'http_protocol_error'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nSECRET', 'http_response_transfer_coding'],
    ['HTTP/1.1 200 OK\r\nA: \0SECRET\r\n\r\n', 'http_protocol_error'],
    ['HTTP/2 200 OK\r\n\r\nSECRET', 'http_protocol_error'],
    [`HTTP/1.1 200 OK\r\nSECRET: 1\r\n${long}\r\n\r\n`, 'http_response_header_section_size'],
    [`HTTP/1.1 200 OK\r\n${'SECRET: 1\r\n'.repeat(300)}\r\n`, 'http_response_header_section_size'],
    ['HTTP/1.1 103 Hints\r\nA : SECRET\r\n\r\n', 'http_protocol_error'],
  ]
  for (const [text, token] of cases) {
    await using origin = await startOrigin(() => text)
    await using proxy = await startProxy({ origin, timeouts: { response: 1_000 } })
    using c = await proxy.connect()
    const response = await c.send(GET).response()
    assert.equal([response.status, response.headers['proxy-status']], [502, `sluice; error=${token}`], JSON.stringify(text.slice(0, 60)))
    assert.not.match(Buffer.concat(c.received).toString('latin1'), /SECRET/)
    await origin.connections[0]!.closed()
    assert.is((await c.send('GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n').response()).status, 400)
  }
})

test('malformed chunks in an answer cut it: the client never sees its end', async () => {
  for (const chunk of ['zz\r\n', '4\r\nmoreX', '4;\0\r\nmore\r\n', '0\r\nA : b\r\n\r\n']) {
    await using origin = await startOrigin(() => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    await c.send(GET).until('half')
    origin.connections[0]!.write(chunk)
    assert.is(await c.closed(), 'reset')
    assert.not.match(Buffer.concat(c.received).toString('latin1'), /0\r\n\r\n$/)
    assert.is((await proxy.exchange()).reason, 'response_malformed')
    await proxy.open(0)
  }
})

test('bytes after a complete answer are nobody’s: the connection is not used again', async () => {
  const extra = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nPOISONED'
  const answers = [
    answer('ok'),
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    'HTTP/1.1 204 No Content\r\n\r\n',
    answer('ok'),
  ]
  for (const text of answers) {
    await using origin = await startOrigin(() => text + extra)
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    for (let i = 0; i < 3; i++) assert.not.match((await c.send(GET).response()).text, /POISONED/)
    assert.is(origin.connections.length, 3)
  }
})

test('bytes on an idle connection close it before they can answer somebody else', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(GET).response()
  await proxy.open(2)
  origin.connections[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nPOISONED')
  await origin.connections[0]!.closed()
  await proxy.open(1)
  assert.is((await c.send(GET).response()).text, 'ok')
})

test('the body of an answer to HEAD, if one comes, is not taken for the next answer', async () => {
  await using origin = await startOrigin(() => answer('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nPOISONED'))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('HEAD / HTTP/1.1\r\nHost: x\r\n\r\n')
  await c.response({ to: 'HEAD' })
  assert.not.match((await c.send(GET).response()).text, /^POISONED/)
  assert.is(origin.connections.length, 2)
})

test('beyond as many connections as an upstream may have, it is 503', async () => {
  await using origin = await startOrigin((req) => (req.target === '/slow' ? undefined : answer('ok')))
  await using proxy = await startProxy({ origin, connections: 1, attempts: 3 })
  const a = await proxy.connect()
  a.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request()
  using b = await proxy.connect()
  const response = await b.send(GET).response()
  assert.equal([response.status, response.headers['proxy-status']], [503, 'sluice; error=connection_limit_reached'])
  a.reset()
  await proxy.open(1)
  assert.is((await b.send(GET).response()).text, 'ok')
})

test('without an endpoint it is 503', async () => {
  await using proxy = await startProxy({ endpoints: [] })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.equal([response.status, response.headers['retry-after']], [503, '1'])
})

test('localhost is found without asking anybody', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ endpoints: [`localhost:${origin.port}`] })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, 'ok')
})

test('a unix socket that is not there is refused', async () => {
  await using proxy = await startProxy({ endpoints: ['unix:/nonexistent/s'] })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).headers['proxy-status'], 'sluice; error=connection_refused')
})

test.run()
