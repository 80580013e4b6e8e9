/** Interim answers and the wait for 100 (RFC 9110 §10.1.1, §15.2). */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, startOrigin } from '../support/origin.ts'
import { hook, startProxy } from '../support/proxy.ts'

const EXPECT = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'
const tag = hook('tag', {
  onResponse: (call) => {
    call.response!.set('X-Tag', '1')
    return null
  },
})
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

test('the wait for 100 is between client and endpoint: the body flows when the endpoint says so', async () => {
  await using origin = await startOrigin((req) => answer(req.text), { onHead: () => CONTINUE })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) {
    assert.is((await c.send(EXPECT).response()).status, 100)
    assert.is((await c.send('hello').response()).text, 'hello')
  }
  assert.is(origin.requests[0]!.headers.expect, '100-continue')
  assert.is(origin.connections.length, 1)
})

test('a client that does not wait is served as well', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  assert.is((await c.send(`${EXPECT}hello`).final()).text, 'hello')
})

test('a final answer instead of 100 ends the exchange, and with it the connection: the body never came', async () => {
  await using origin = await startOrigin(() => undefined, { onHead: () => answer('no', 401) })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const response = await c.send(EXPECT).response()
  assert.equal([response.status, response.headers.connection], [401, 'close'])
  assert.is(await c.closed(), 'fin')
  assert.ok(await origin.connections[0]!.closed())
})

test('so does an answer of the proxy itself', async () => {
  await using proxy = await startProxy({ routes: [{ to: { kind: 'respond', status: 403, body: 'no', headers: {} } }] })
  using c = await proxy.connect()
  const response = await c.send(EXPECT).response()
  assert.equal([response.status, response.headers.connection], [403, 'close'])
  assert.is(await c.closed(), 'fin')
})

test('other expectations are refused', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  assert.is((await c.send(EXPECT.replace('100-continue', 'more')).response()).status, 417)
  assert.is(origin.connections.length, 0)
})

test('interim answers reach HTTP/1.1 clients, in order and without a length, and HTTP/1.0 clients not at all', async () => {
  const interim =
    'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 7\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n'
  await using origin = await startOrigin(() => `${interim}${answer('done')}`)
  await using proxy = await startProxy({
    origin,
    listener: { hooks: [tag] },
  })
  using c = await proxy.connect()
  const first = await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()
  assert.equal(
    [first.status, first.headers.link, first.headers['content-length'], first.headers['x-hop'], first.headers['x-tag']],
    [103, '</a.css>', undefined, undefined, undefined],
  )
  assert.is((await c.response()).status, 102)
  const last = await c.response()
  assert.equal([last.text, last.headers['x-tag']], ['done', '1'])
  using old = await proxy.connect()
  assert.is((await old.send('GET / HTTP/1.0\r\nHost: x\r\n\r\n').response()).status, 200)
})

test('interim answers without end are no answer', async () => {
  await using origin = await startOrigin((_, connection) => {
    const more = () => {
      if (connection.socket.writable) connection.socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(100), more)
    }
    more()
    return undefined
  })
  // Mechanism: over HTTP/2 nothing holds them back, and each waited in memory for a client that did not read.
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const ended = await proxy.exchange()
  assert.equal([ended.status, ended.reason, ended.detail], [502, 'response_head_too_large', 'interim responses'])
  assert.is((await c.final()).status, 502)
})

test('interim answers now and then do not lengthen the time for the answer', async () => {
  let timer: NodeJS.Timeout | undefined
  await using origin = await startOrigin((_, connection) => {
    timer = setInterval(() => connection.write('HTTP/1.1 102 Processing\r\n\r\n'), 10)
    return undefined
  })
  await using proxy = await startProxy({ origin, timeouts: { response: 150 } })
  using c = await proxy.connect()
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const ended = await proxy.exchange()
  clearInterval(timer)
  assert.is(ended.reason, 'response_timeout')
})

test.run()
