/** Many exchanges on one connection: in order, each once, and an end when either side says so. */
// Runs alone: it looks at the memory of its process.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const get = (target: string, ...lines: string[]) =>
  `GET ${target} HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const local = { path: '/local', to: { kind: 'respond', status: 200, body: 'here', headers: {} } } as const

test('one connection on each side serves many exchanges', async () => {
  await using origin = await startOrigin((req) => answer(req.target))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  for (const target of ['/1', '/2', '/3']) {
    const response = await c.send(get(target)).response()
    assert.equal([response.status, response.text, response.headers.connection], [200, target, undefined])
    assert.ok(response.headers.date)
  }
  assert.is(origin.connections.length, 1)
  assert.equal(
    proxy.ended.map((one) => [one.path, one.status, one.bytesOut, one.upstream, one.endpoint, one.attempts, one.reason]),
    ['/1', '/2', '/3'].map((path) => [path, 200, 2, 'api', origin.address, 1, null]),
  )
})

test('pipelined requests are answered in order, local answers among them, however long the first takes', async () => {
  let release = (): void => {}
  await using origin = await startOrigin((req, connection) => {
    if (req.target === '/slow') release = () => connection.write(answer('slow'))
    else return answer(req.target)
    return undefined
  })
  await using proxy = await startProxy({ origin, routes: [local, {}] })
  using c = await proxy.connect()
  c.send(get('/slow') + get('/local') + get('/b') + get('/local') + get('/nothing', 'Connection: close'))
  await origin.request()
  assert.is(proxy.ended.length, 0)
  release()
  for (const text of ['slow', 'here', '/b', 'here', '/nothing']) assert.is((await c.response()).text, text)
  assert.is(await c.closed(), 'fin')
})

test('a pipelined request whose body comes in pieces while another is answered is not forgotten', async () => {
  // Mechanism: each piece decided anew whether a head could be complete, so a piece without a line end hid the head before it.
  let release = (): void => {}
  await using origin = await startOrigin((req, connection) => {
    if (req.target !== '/slow') return answer(req.text)
    release = () => connection.write(answer('slow'))
    return undefined
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send(get('/slow'))
  await origin.request()
  for (const piece of ['POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab', 'cd', 'ef']) {
    c.send(piece)
    await c.sent()
    await proxy.settled()
  }
  release()
  assert.is((await c.response()).text, 'slow')
  assert.is((await c.response()).text, 'abcdef')
})

test('a client that pipelines without end is read no faster than it is answered', async () => {
  // Mechanism: each answer let in another read of 64 KiB, however much waited already.
  await using origin = await startOrigin((req) => (req.target === '/300' ? undefined : answer('ok')))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const piece = Buffer.from(get('/').repeat(2_000))
  let taken = 0
  const send = () =>
    c.socket.write(piece, (error) => {
      if (error) return
      taken++
      send()
    })
  c.send(Array.from({ length: 300 }, (_, i) => get(`/${i + 1}`)).join(''))
  send()
  await origin.request(300)
  await proxy.settled()
  // What the kernel keeps, and not 300 reads on top of it.
  const before = taken
  await proxy.settled()
  assert.is(taken, before)
  assert.ok(taken * piece.length < 15_000_000, `${taken * piece.length} bytes were taken`)
})

test('no more local answers are made for a client than it takes', async () => {
  // Mechanism: 32 KiB of pipelined requests were all answered at once, 1,000 times a body of 100 KB that nobody read.
  const body = 'x'.repeat(100_000)
  await using proxy = await startProxy({ routes: [{ to: { kind: 'respond', status: 200, body, headers: {} } }] })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  c.pause().send(get('/').repeat(1_000))
  await proxy.exchange()
  await proxy.settled()
  assert.ok(proxy.ended.length < 500, `${proxy.ended.length} answers were made`)
  c.resume()
  for (let i = 0; i < 1_000; i++) assert.is((await c.response()).body.length, body.length)
})

test('large answers to pipelined requests of a slow reader arrive whole and in order', async () => {
  await using origin = await startOrigin((req) =>
    Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n'), Buffer.alloc(3_000_000, req.target[1])]),
  )
  await using proxy = await startProxy({ origin, routes: [local, {}] })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  c.pause().send([get('/a'), get('/local'), get('/b'), get('/c'), get('/local')].join(''))
  await origin.request()
  await proxy.settled()
  c.resume()
  for (const letter of ['a', 'here', 'b', 'c', 'here']) {
    const response = await c.response()
    assert.ok(response.body.equals(letter === 'here' ? Buffer.from('here') : Buffer.alloc(3_000_000, letter)), letter)
  }
})

test('a client that pipelines far more than it reads is not read any further', async () => {
  await using origin = await startOrigin(() => undefined)
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const before = process.memoryUsage().rss
  c.send(get('/first'))
  await origin.request()
  for (let i = 0; i < 64; i++) c.send(get(`/${'a'.repeat(1000)}`).repeat(1000))
  await eventually(() => (c.socket.writableLength > 40_000_000 ? true : undefined), 'the proxy reads on')
  assert.ok(process.memoryUsage().rss - before < 200_000_000)
  assert.is(origin.requests.length, 1)
})

test('requests that were sent before the client closed its sending side are all answered', async () => {
  // Mechanism: the end was taken for the end of the exchange under way, and what had been pipelined behind it was dropped.
  await using origin = await startOrigin((req) => answer(req.target))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send(get('/1') + get('/2') + get('/3')).end()
  for (const target of ['/1', '/2', '/3']) {
    const response = await c.response()
    assert.equal([response.text, response.headers.connection], [target, target === '/3' ? 'close' : undefined])
  }
  assert.is(await c.closed(), 'fin')
  await proxy.open(1)
})

test('a request whose body was cut off by a half-close is not begun, and the answers before it stand', async () => {
  await using origin = await startOrigin((req) => answer(req.target))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send(`${get('/1')}POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab`).end()
  assert.is((await c.response()).text, '/1')
  await c.closed()
  assert.is(origin.requests.length, 1)
  assert.is(origin.connections.length, 1)
})

test('HTTP/1.0 closes unless asked to keep the connection', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, hostName: 'api.internal' })
  using once = await proxy.connect()
  assert.is((await once.send('GET / HTTP/1.0\r\n\r\n').response()).headers.connection, 'close')
  assert.is(await once.closed(), 'fin')
  assert.is(origin.requests[0]!.headers.host, 'api.internal')
  using kept = await proxy.connect()
  for (let i = 0; i < 2; i++)
    assert.is((await kept.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').response()).headers.connection, 'keep-alive')
  assert.is(proxy.ended[0]!.protocol, 'HTTP/1.0')
})

test('an HTTP/1.0 client gets a chunked answer as bytes up to the close', async () => {
  await using origin = await startOrigin(
    () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nX: 1\r\n\r\n',
  )
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const response = await c.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').response()
  assert.equal([response.framing, response.text, response.headers.connection], ['close', 'hello world', 'close'])
})

test('an answer that ends with its connection is chunked for HTTP/1.1, and bytes for HTTP/1.0', async () => {
  for (const version of ['1.1', '1.0']) {
    await using origin = await startOrigin((_, connection) => {
      connection.write('HTTP/1.0 200 OK\r\n\r\nto the')
      connection.end(' very end')
      return undefined
    })
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    const response = await c.send(`GET / HTTP/${version}\r\nHost: x\r\n\r\n`).response()
    assert.equal([response.text, response.framing], ['to the very end', version === '1.1' ? 'chunked' : 'close'])
    if (version === '1.0') continue
    assert.is((await c.send(get('/again')).response()).text, 'to the very end')
  }
})

test('an endpoint of HTTP/1.0 that keeps its connection is asked again on it', async () => {
  await using origin = await startOrigin(() => 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok')
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  for (let i = 0; i < 3; i++) assert.is((await c.send(get('/')).response()).text, 'ok')
  assert.is(origin.connections.length, 1)
})

test('an endpoint that says close is believed; the client keeps its connection', async () => {
  await using origin = await startOrigin(() => answer('ok', 200, ['Connection: close']))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  for (let i = 0; i < 3; i++) assert.is((await c.send(get('/')).response()).headers.connection, undefined)
  assert.is(origin.connections.length, 3)
})

test('after as many requests as a connection may carry, it closes', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, limits: { requestsPerConnection: 3 } })
  using c = await proxy.connect()
  c.send(get('/').repeat(5))
  const seen = [await c.response(), await c.response(), await c.response()].map((response) => response.headers.connection)
  assert.equal(seen, [undefined, undefined, 'close'])
  assert.is(await c.closed(), 'fin')
  assert.is(origin.requests.length, 3)
})

test('answers without a body end with their head: HEAD, 204, 304', async () => {
  await using origin = await startOrigin((req) => {
    if (req.target === '/204') return 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n'
    if (req.target === '/304') return 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n'
    if (req.target === '/chunked') return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    return 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
  })
  await using proxy = await startProxy({ origin, routes: [local, {}] })
  using c = await proxy.connect()
  c.send(
    `HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /chunked HTTP/1.1\r\nHost: x\r\n\r\n${get('/204')}${get('/304')}HEAD /local HTTP/1.1\r\nHost: x\r\n\r\n${get('/local')}`,
  )
  assert.is((await c.response({ to: 'HEAD' })).headers['content-length'], '5')
  assert.is((await c.response({ to: 'HEAD' })).status, 200)
  assert.is((await c.response()).headers['content-length'], undefined)
  assert.equal([(await c.response()).headers['content-length'], origin.connections.length], ['5', 1])
  assert.is((await c.response({ to: 'HEAD' })).headers['content-length'], '4')
  assert.is((await c.response()).text, 'here')
  assert.is(proxy.ended[0]!.bytesOut, 0)
})

test('empty lines before a request are passed over', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) assert.is((await c.send(`\r\n\r\n${get('/')}\r\n`).response()).status, 200)
  for (const byte of `\r\n\r\n${get('/')}`) c.send(byte)
  assert.is((await c.response()).status, 200)
})

test.run()
