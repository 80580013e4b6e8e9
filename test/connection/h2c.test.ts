/** HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3): told by its first bytes, on the ports and the routes that HTTP/1.1 has. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Http2Connection } from '../../core/connection/http2.ts'
import { connect } from '../support/client.ts'
import { connectFrames, END_STREAM, frameOf, frameType, headersOf, PREFACE } from '../support/http2-frames.ts'
import { KernelWires } from '../support/kernel-wires.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'example.com', ':path', '/a']
const FIRST = Buffer.concat([Buffer.from(PREFACE, 'latin1'), frameOf(frameType.settings, 0, 0), headersOf(1, GET, END_STREAM)])

test('one port, both protocols: the same routes, the same record, and the endpoint is told which it was', async () => {
  await using origin = await startOrigin((req) => answer(req.target))
  await using proxy = await startProxy({ origin })
  using one = await proxy.connect()
  assert.is((await one.send('GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n').response()).text, '/a')
  using two = await connectFrames(proxy.port, null)
  two.headers(1, GET, END_STREAM)
  assert.is(await two.body(1), '/a')
  const facts = proxy.ended.map(({ protocol, scheme, route, path, host, status }) => [protocol, scheme, route, path, host, status])
  assert.equal(facts, [
    ['HTTP/1.1', 'http', 'web[0]', '/a', 'example.com', 200],
    ['HTTP/2', 'http', 'web[0]', '/a', 'example.com', 200],
  ])
  assert.equal(
    origin.requests.map(({ headers }) => [headers.via, headers['x-forwarded-proto']]),
    [
      ['1.1 sluice', 'http'],
      ['2.0 sluice', 'http'],
    ],
  )
  await proxy.open(3)
})

test('its first bytes are recognised however they are cut', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  for (const cut of [1, 3, 14, 16, 18, 23, 24, 30]) {
    using c = await connect(proxy.port)
    c.send(FIRST.subarray(0, cut))
    await c.sent()
    await proxy.settled()
    c.send(FIRST.subarray(cut))
    await proxy.exchange(proxy.ended.length + 1)
  }
  assert.ok(proxy.ended.every(({ protocol, status }) => protocol === 'HTTP/2' && status === 200))
})

test('a client that takes nothing is left after a while, also when that was found out after it had been written to', async () => {
  using wires = new KernelWires()
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'], times: { sendIdle: 100 } })
  using c = await connectFrames(proxy.port, null)
  c.headers(1, GET, END_STREAM)
  await c.body(1)
  for (const wire of wires.of(Http2Connection)) wire.congested = true
  c.send(frameType.ping, 0, 0, Buffer.alloc(8))
  await proxy.open(0)
})

test('what is not all of the preface is told so in HTTP/2, and what only looks like it in HTTP/1.1', async () => {
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'] })
  using wrong = await proxy.connect()
  wrong.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r')
  await wrong.closed()
  assert.equal([proxy.ended[0]!.reason, proxy.ended[0]!.detail], ['http2_error', 'no preface'])
  for (const text of ['PRI / HTTP/2.0\r\n\r\n', '\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
    using c = await proxy.connect()
    assert.is((await c.send(text).response()).status, 505)
  }
})

test('only a connection that begins with it speaks it: never behind a request, and not where the listener says no', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').send(FIRST)
  assert.equal([(await c.response()).status, (await c.response()).status], [200, 505])
  await using strict = await startProxy({ origin, listener: { h2c: false } })
  using d = await strict.connect()
  assert.is((await d.send(FIRST).response()).status, 505)
  assert.is((await strict.exchange()).reason, 'unsupported_version')
})

test('nothing of HTTP/1.1 turns into it: an upgrade to h2c is not passed on, and not granted', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n')
  assert.is((await c.response()).status, 200)
  const { headers } = origin.requests[0]!
  assert.equal([headers.upgrade, headers['http2-settings']], [undefined, undefined])
})

test('a connection with nothing on it is closed with GOAWAY when the listener drains', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await connectFrames(proxy.port, null)
  c.headers(1, GET, END_STREAM)
  await c.end(1)
  proxy.runtime.listener('web')!.drain()
  // What comes before the client knows is still served.
  await c.frame(({ type }) => type === frameType.goaway)
  c.headers(3, GET, END_STREAM)
  assert.is(await c.end(3), 'complete')
  assert.is((await c.failed()).error, 0)
  await proxy.open(1)
})

test.run()
