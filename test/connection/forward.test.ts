/** A forward proxy: requests that name their destination, and tunnels. What it lets nobody do is in forward-access.test.ts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { forwarding, timed } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { openSilentPort } from '../support/silent-port.ts'

test('a request goes to the host of its URL, and says what the client said', async () => {
  await using origin = await startOrigin((request) => answer(`you asked ${request.target}`))
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  c.send(
    `GET http://localhost:${origin.port}/a/../%2fb//c?d=%zz HTTP/1.1\r\nHost: localhost:${origin.port}\r\nX-One: 1\r\nProxy-Connection: keep-alive\r\n` +
      'Proxy-Authorization: Basic YTpi\r\nConnection: x-two, keep-alive\r\nX-Two: 2\r\nKeep-Alive: 5\r\n\r\n',
  )
  const response = await c.response()
  assert.equal([response.status, response.text], [200, 'you asked /a/../%2fb//c?d=%zz'])
  const request = await origin.request()
  assert.is(request.headers.host, `localhost:${origin.port}`)
  assert.is(request.headers['x-one'], '1')
  for (const name of ['proxy-connection', 'proxy-authorization', 'connection', 'x-two', 'keep-alive'])
    assert.not(name in request.headers, name)
  const ended = await proxy.exchange()
  assert.equal([ended.listener, ended.route, ended.upstream, ended.endpoint], ['out', 'out', null, `localhost:${origin.port}`])
  assert.equal(
    [ended.method, ended.host, ended.path, ended.status, ended.user],
    ['GET', `localhost:${origin.port}`, '/a/../%2fb//c', 200, null],
  )
})

test('connections are kept for each host apart, and requests for several hosts share the client', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using b = await startOrigin(() => answer('b'))
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  for (const [origin, name] of [
    [a, 'a'],
    [b, 'b'],
    [a, 'a'],
    [b, 'b'],
  ] as const)
    assert.is((await c.send(`GET http://${origin.address}/ HTTP/1.1\r\nHost: ${origin.address}\r\n\r\n`).response()).text, name)
  assert.equal([a.connections.length, b.connections.length], [1, 1])
})

test('the URL counts, not a Host that differs (RFC 9112 §3.2.2)', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  await c.send(`GET http://${origin.address} HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n`).response()
  const request = await origin.request()
  assert.equal([request.headers.host, request.target], [origin.address, '/'])
})

test('CONNECT is a tunnel once the destination has answered: early bytes first, then both ways, half-close too', async () => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => 'hello from the server' })
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  using c = await proxy.connect()
  c.send(`CONNECT localhost:${origin.port} HTTP/1.1\r\nHost: localhost:${origin.port}\r\n\r\nearly`)
  const got = await c.until('server')
  assert.is(got, 'HTTP/1.1 200 Connection established\r\n\r\nhello from the server')
  const connection = await origin.connection()
  await connection.until('early')
  c.send(Buffer.from([0, 255, 13, 10])).end()
  await connection.until('early\x00\xff\r\n')
  assert.is(await connection.closed(), 'fin')
  connection.write('still here')
  await c.until('still here')
  connection.end()
  assert.is(await c.closed(), 'fin')
  await proxy.open(0)
  const ended = await proxy.exchange()
  assert.equal([ended.method, ended.status, ended.tunnel, ended.host, ended.path], ['CONNECT', 200, true, `localhost:${origin.port}`, ''])
  assert.equal([ended.bytesIn, ended.bytesOut, ended.reason, ended.endpoint], [9, 31, null, `localhost:${origin.port}`])
})

test('a tunnel whose client has closed its side before it stood still carries the answer', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(timed({ halfClosed: 60_000 }, [origin.port]))
  using c = await proxy.connect()
  c.send(`CONNECT ${origin.address} HTTP/1.0\r\n\r\nquestion`).end()
  const connection = await origin.connection()
  await connection.until('question')
  assert.is(await connection.closed(), 'fin')
  connection.end('the answer')
  await c.until('the answer')
  assert.is(await c.closed(), 'fin')
})

test('what is not reached is an error with its reason, and the client may ask again', async () => {
  await using origin = await startOrigin()
  const { port } = origin
  await origin.close()
  await using proxy = await startProxy(forwarding({}, [port]))
  using c = await proxy.connect()
  for (const [request, status, reason, token] of [
    [`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`, 502, 'connect_refused', 'connection_refused'],
    [`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`, 502, 'connect_refused', 'connection_refused'],
    [`CONNECT nobody.invalid:${port} HTTP/1.1\r\nHost: x\r\n\r\n`, 502, 'dns_error', 'dns_error'],
  ] as const) {
    const response = await c.send(request).response()
    assert.is(response.status, status)
    assert.match(response.headers['proxy-status']!, new RegExp(`error=${token}$`))
    assert.is((await proxy.exchange(proxy.ended.length)).reason, reason)
  }
})

test('many bytes pass both ways at once, and a side that does not read holds the other up', async () => {
  const bulk = Buffer.alloc(4 * 1024 * 1024, 'x')
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  using c = await proxy.connect()
  await c.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\n`).until('\r\n\r\n')
  const connection = await origin.connection()
  connection.pause()
  c.send(bulk)
  connection.write(bulk)
  connection.end()
  assert.is((await c.bytes(bulk.length)).length, bulk.length)
  assert.is(await c.closed(), 'fin')
  connection.resume()
  c.end()
  assert.is(await connection.closed(), 'fin')
  assert.is(connection.receivedBytes, bulk.length)
})

test('Upgrade passes through a whole URL', async () => {
  await using origin = await startOrigin(undefined, {
    raw: true,
    onConnection(connection) {
      void connection
        .until('\r\n\r\n')
        .then(() => connection.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi'))
      return undefined
    },
  })
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  c.send(`GET http://${origin.address}/chat HTTP/1.1\r\nHost: ${origin.address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
  assert.is((await c.response()).status, 101)
  assert.is(await c.until('hi'), 'hi')
})

test('pipelined requests are answered in order; one CONNECT ends the pipeline', async () => {
  await using origin = await startOrigin((request) => answer(request.target))
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  using c = await proxy.connect()
  const get = (path: string): string => `GET http://${origin.address}${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  c.send(`${get('/1')}${get('/2')}CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: y\r\n\r\n`)
  assert.is((await c.response()).text, '/1')
  assert.is((await c.response()).text, '/2')
  assert.match(await c.until('/3'), /^HTTP\/1\.1 200 Connection established\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
})

test('a client that leaves while its tunnel is dialled leaves nothing behind', async () => {
  await using silent = await openSilentPort()
  await using proxy = await startProxy(forwarding({}, [silent.port]))
  using c = await proxy.connect()
  c.send(`CONNECT 127.0.0.1:${silent.port} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await proxy.open(2)
  c.reset()
  await proxy.open(0)
  const { reason, tunnel } = await proxy.exchange()
  assert.is(reason, 'client_gone')
  assert.not(tunnel)
})

test('an idle tunnel ends, and says why', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(timed({ tunnelIdle: 20 }, [origin.port]))
  using c = await proxy.connect()
  await c.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\n`).until('\r\n\r\n')
  await c.closed()
  assert.is((await proxy.exchange()).reason, 'tunnel_idle')
})

test('OPTIONS and TRACE go no further than Max-Forwards says (RFC 9110 §7.6.2)', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  const ask = (method: string, hops: string): string =>
    `${method} http://${origin.address}/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: ${hops}\r\n\r\n`
  assert.is((await c.send(ask('OPTIONS', '3')).response()).status, 200)
  assert.is((await origin.request()).headers['max-forwards'], '2')
  assert.is((await c.send(ask('OPTIONS', '0')).response()).status, 204)
  assert.is((await c.send(ask('TRACE', '0')).response()).status, 501)
  assert.is((await c.send(ask('GET', '0')).response()).status, 200)
  assert.equal(
    origin.requests.map(({ method }) => method),
    ['OPTIONS', 'GET'],
  )
})

test('hooks of use are asked about plain requests and about CONNECT, and may answer', async () => {
  await using origin = await startOrigin()
  const seen: string[] = []
  const use = [
    {
      onRequest(req: { method: string; host: string; path: string; headers: { set(name: string, value: string): void } }) {
        seen.push(`${req.method} ${req.host} ${req.path}`)
        if (req.path === '/denied') return { status: 418, body: 'no\n' }
        req.headers.set('x-by', 'hook')
        return undefined
      },
    },
  ]
  await using proxy = await startProxy(forwarding({ use }, [origin.port]))
  using c = await proxy.connect()
  assert.is((await c.send(`GET http://${origin.address}/denied HTTP/1.1\r\nHost: x\r\n\r\n`).response()).status, 418)
  assert.is((await c.send(`GET http://${origin.address}/a HTTP/1.1\r\nHost: x\r\n\r\n`).response()).status, 200)
  assert.is((await origin.request()).headers['x-by'], 'hook')
  await c.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\n`).until('\r\n\r\n')
  assert.equal(seen, [`GET ${origin.address} /denied`, `GET ${origin.address} /a`, `CONNECT ${origin.address} `])
})

test.run()
