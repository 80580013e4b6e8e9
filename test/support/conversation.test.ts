import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, request } from './client.ts'
import { answer, startOrigin } from './origin.ts'

async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: Error) => error.message,
  )
}

test('pipelined requests are recorded and answered in order', async () => {
  await using origin = await startOrigin((req) => answer(`${req.method} ${req.target} ${req.text}`))
  using c = await connect(origin.port)
  c.send('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await c.response()).text, 'POST /a hi')
  assert.is((await c.response()).text, 'GET /b ')
  assert.is(origin.requests.length, 2)
  assert.is(origin.connections.length, 1)
})

test('a chunked request with trailers is read to its last byte', async () => {
  await using origin = await startOrigin()
  using c = await connect(origin.port)
  const chunks = '5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-Sum: 6\r\n\r\n'
  for (const byte of `PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`) c.send(byte)
  const seen = await origin.request()
  assert.is(seen.text, 'hello!')
  assert.equal(seen.trailers, ['X-Sum: 6'])
  assert.is((await c.response()).status, 200)
})

test('interim answers, answers without a body, and bodies until the close are told apart', async () => {
  await using origin = await startOrigin((_req, connection) => {
    connection.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n')
    connection.write('HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end')
    connection.end()
    return undefined
  })
  using c = await connect(origin.port)
  c.send('HEAD / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await c.response()).status, 103)
  assert.is((await c.response({ to: 'HEAD' })).headers['content-length'], '9')
  assert.is((await c.response()).status, 204)
  assert.is((await c.response()).text, 'to the end')
  assert.is(await c.closed(), 'fin')
})

test('what a strict recipient must refuse is recorded and ends the connection', async () => {
  const bad = [
    'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n',
  ]
  await using origin = await startOrigin()
  for (const [i, text] of bad.entries()) {
    using c = await connect(origin.port)
    c.send(text)
    await c.closed()
    assert.is(origin.malformed.length, i + 1, text)
    assert.is(c.rest, '', text)
  }
  assert.is(origin.requests.length, 0)
})

test('a wait that fails shows what was received', async () => {
  await using origin = await startOrigin(() => 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
  using c = await connect(origin.port, { deadlineMs: 50 })
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match(await rejection(c.response()), /nothing for 50 ms: no complete response; received "HTTP\/1\.1 200 OK.*half"/)
  origin.connections[0]!.end()
  assert.match(await rejection(c.response()), /closed by fin/)
  assert.match(await rejection(c.until('never')), /no "never"/)
})

test('bytes that are no message are taken as they are', async () => {
  await using origin = await startOrigin((_req, connection) => {
    connection.write('HTTP/1.1 101 Switching Protocols\r\n\r\nping')
    return undefined
  })
  using c = await connect(origin.port)
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await c.final()).status, 101)
  assert.is((await c.bytes(4)).toString(), 'ping')
})

test('half-close leaves the other direction open', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  using c = await connect(origin.port)
  c.send('bye').end()
  const connection = await origin.connection()
  assert.is(await connection.closed(), 'fin')
  connection.write('later')
  assert.is(await c.until('later'), 'later')
})

test('a request of its own is one line', async () => {
  await using origin = await startOrigin()
  assert.is((await request(origin.port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).text, 'ok')
})

test('closing the origin closes every connection', async () => {
  const origin = await startOrigin(() => undefined)
  using c = await connect(origin.port)
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request()
  await origin.close()
  assert.ok(await c.closed())
})

test.run()
