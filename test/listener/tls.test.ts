/** TLS in front of the same HTTP/1 connection: nothing of a conversation changes, and what is not TLS ends alone. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as net from 'node:net'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { gatherMaterials } from '../../core/materials.ts'
import { type Certificates, terminate, withCertificates } from '../support/certificates.ts'
import { type Client, type ConnectOptions, connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n'
const MB = 1024 * 1024

secure('serves requests over TLS, and says so to the endpoint', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  using client = await trusting(proxy, made)
  client.send(GET)
  assert.is((await client.final()).text, 'ok')
  client.send(`POST /b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi${GET}`)
  assert.is((await client.final()).status, 200)
  assert.is((await client.final()).status, 200)
  assert.is(origin.requests[0]!.headers['x-forwarded-proto'], 'https')
  assert.is(origin.requests[0]!.headers['x-forwarded-for'], '127.0.0.1')
  assert.is(origin.requests[1]!.text, 'hi')
  assert.equal(
    proxy.ended.map(({ protocol, path, status, peer, reason }) => ({ protocol, path, status, peer, reason })),
    ['/a', '/b', '/a'].map((path) => ({ protocol: 'HTTP/1.1', path, status: 200, peer: '127.0.0.1', reason: null })),
  )
  assert.is(tlsOf(client).alpnProtocol, 'http/1.1')
})

secure('a hello that arrives in any pieces is the same hello', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  for (const size of [1, 7, 100]) {
    await using chopper = await startChopper(proxy.port, size)
    using client = await connect(chopper.port, { tls: { ca: made.ca.cert, servername: 'example.com', rejectUnauthorized: true } })
    client.send(GET)
    assert.is((await client.final()).text, 'ok', `in pieces of ${size}`)
  }
})

secure('a client that says nothing, or half a hello, has the time of a request head', async (made) => {
  await using proxy = await start(made, { times: { requestHead: 100 } })
  for (const [i, start] of ['', '\x16\x03\x01\x02\x00'].entries()) {
    using client = await proxy.connect()
    if (start !== '') client.send(start)
    await client.closed()
    assert.equal(await proxy.handshakeFailed(i + 1), { why: 'timeout', detail: null })
    assert.is(client.rest, '')
  }
  await proxy.open(0)
})

secure('whatever is not TLS ends that connection alone, and is told', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  using bystander = await trusting(proxy, made)
  const failed = async (bytes: string | Uint8Array, end = false) => {
    using client = await proxy.connect()
    client.send(bytes)
    if (end) client.end()
    await client.closed()
    return proxy.handshakesFailed.at(-1)
  }
  assert.equal(await failed('\x00\x01'), { why: 'not_tls', detail: 'unknown' })
  const broken = await failed('\x16garbage that is no record at all')
  assert.is(broken?.why, 'tls')
  assert.match(broken?.detail ?? '', /^ERR_SSL/)
  await failed('PRI', true)
  assert.equal(await proxy.handshakeFailed(3), { why: 'gone', detail: null })
  await failed('\x16\x03\x01\x02\x00', true)
  assert.is((await proxy.handshakeFailed(4)).why, 'gone')
  bystander.send(GET)
  assert.is((await bystander.final()).status, 200)
  bystander.destroy()
  await proxy.open(1) // the idle connection to the origin
})

secure('HTTP in plain text is told to use https, and closed', async (made) => {
  await using proxy = await start(made, {})
  for (const text of [GET, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
    using client = await proxy.connect()
    client.send(text)
    const response = await client.response()
    assert.is(response.status, 400)
    assert.match(response.text, 'https://')
    assert.match(response.headers['content-type'] ?? '', 'text/plain')
    assert.is(await client.closed(), 'fin')
  }
  assert.equal(
    proxy.handshakesFailed.map(({ detail }) => detail),
    ['http1', 'http2'],
  )
  assert.is(proxy.ended.length, 0)
})

secure('TLS 1.2 is the oldest version spoken, without renegotiation', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  using client = await trusting(proxy, made, { maxVersion: 'TLSv1.2' })
  assert.is(tlsOf(client).getProtocol(), 'TLSv1.2')
  client.send(GET)
  assert.is((await client.final()).status, 200)
  const again = new Promise((resolve, reject) =>
    tlsOf(client).renegotiate({}, (error) => (error === null ? reject(new Error('done')) : resolve(error))),
  )
  await Promise.race([again, client.closed()])

  const old: tls.ConnectionOptions = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
  await rejects(trusting(proxy, made, old))
  assert.equal(await proxy.handshakeFailed(), { why: 'tls', detail: 'ERR_SSL_UNSUPPORTED_PROTOCOL' })
})

secure('a record that was tampered with ends the connection, after the handshake too', async (made) => {
  await using origin = await startOrigin(() => undefined)
  await using proxy = await start(made, { origin })
  const below = net.connect(proxy.port, '127.0.0.1')
  const socket = tls.connect({ socket: below, ca: made.ca.cert, servername: 'example.com' })
  await once(socket, 'secureConnect')
  const closed = once(below, 'close')
  socket.on('error', () => {})
  socket.write(GET)
  await origin.request()
  below.write('\x17\x03\x03\x00\x20no record that was ever encrypted')
  await closed
  const ended = await proxy.exchange()
  assert.is(ended.reason, 'client_gone')
  assert.match(ended.detail ?? '', /^ERR_SSL/)
  assert.is(proxy.handshakesFailed.length, 0)
  await proxy.open(0)
})

secure('ALPN: http/1.1 by default, a client that speaks neither is refused', async (made) => {
  await using proxy = await start(made, { listener: { tls: terminate(made.server) } })
  const chosen = async (ALPNProtocols: string[]) => {
    using client = await trusting(proxy, made, { ALPNProtocols })
    client.send(GET)
    await client.final()
    return tlsOf(client).alpnProtocol
  }
  assert.is(await chosen(['h2', 'http/1.1']), 'http/1.1')
  assert.is(await chosen([]), false)
  await rejects(chosen(['h2']))
  assert.equal(await proxy.handshakeFailed(), { why: 'tls', detail: 'ERR_SSL_NO_APPLICATION_PROTOCOL' })
})

secure('a client that half-closes gets its whole answer, and close_notify after it', async (made) => {
  const body = randomBytes(MB).toString('hex')
  await using origin = await startOrigin(() => answer(body))
  await using proxy = await start(made, { origin, times: { halfClosed: 10_000 } })
  using client = await trusting(proxy, made)
  client.pause()
  client.send(GET).end()
  await origin.request()
  client.resume()
  assert.is(digest((await client.final()).body), digest(Buffer.from(body)))
  assert.is(await client.closed(), 'fin')
})

secure('an answer that lasts until the close ends with close_notify', async (made) => {
  await using origin = await startOrigin((_, connection) => {
    connection.end('HTTP/1.1 200 OK\r\n\r\nuntil the end')
    return undefined
  })
  await using proxy = await start(made, { origin })
  using client = await trusting(proxy, made)
  client.send('GET /a HTTP/1.0\r\nHost: example.com\r\n\r\n')
  assert.is(await client.closed(), 'fin')
  assert.is((await client.final()).text, 'until the end')
})

secure('64 MB reach a slow reader intact, and wait at the origin meanwhile', async (made) => {
  const total = 64 * MB
  const part = randomBytes(MB)
  const expected = createHash('sha256')
  let written = 0
  await using origin = await startOrigin(async (_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    for (; written < total; written += MB) {
      expected.update(part)
      connection.write(part)
      await connection.written()
    }
    return undefined
  })
  await using proxy = await start(made, { origin })
  const socket = tls.connect({ port: proxy.port, host: '127.0.0.1', ca: made.ca.cert, servername: 'example.com' })
  await once(socket, 'secureConnect')
  socket.write(GET)
  await stalled(() => written)
  assert.ok(written < 32 * MB, `${written / MB} MB had left the origin before one byte was read`)
  const received = createHash('sha256')
  let bytes = -1
  for await (const piece of socket as AsyncIterable<Buffer>) {
    const from = bytes < 0 ? piece.indexOf('\r\n\r\n') + 4 : 0
    bytes = Math.max(bytes, 0) + piece.length - from
    received.update(piece.subarray(from))
    if (bytes >= total) break
  }
  assert.is(bytes, total)
  assert.is(received.digest('hex'), expected.digest('hex'))
})

secure('an upload of 16 MB reaches the endpoint intact', async (made) => {
  await using origin = await startOrigin((request) => answer(digest(request.body)))
  await using proxy = await start(made, { origin })
  using client = await trusting(proxy, made, {}, 20_000)
  const body = randomBytes(16 * MB)
  client.send(`POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: ${body.length}\r\n\r\n`).send(body)
  assert.is((await client.final()).text, digest(body))
})

secure('a tunnel over TLS carries bytes and half-closes both ways', async (made) => {
  const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst'
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => undefined })
  await using proxy = await start(made, { origin })
  using client = await trusting(proxy, made)
  client.send('GET / HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')
  const endpoint = await origin.connection()
  await endpoint.until('\r\n\r\n')
  endpoint.write(head)
  assert.is((await client.final()).status, 101)
  assert.is((await client.bytes(5)).toString(), 'first')
  const sent = randomBytes(MB)
  client.send(sent).end()
  assert.is(await endpoint.closed(), 'fin')
  assert.is(digest(endpoint.received.subarray(-MB)), digest(sent))
  endpoint.write(sent)
  endpoint.end()
  assert.is(digest(await client.bytes(MB)), digest(sent))
  assert.is(await client.closed(), 'fin')
  const ended = await proxy.exchange()
  assert.ok(ended.tunnel)
  assert.is(ended.bytesIn, MB)
})

secure('a new certificate is for the next handshake; open connections go on', async (made) => {
  await using origin = await startOrigin()
  const options = { origin, listener: { tls: terminate(made.server) } }
  await using proxy = await startProxy(options)
  using before = await trusting(proxy, made)
  proxy.use({ ...options, listener: { tls: terminate(made.selfSigned) } })
  using after = await proxy.connect({ tls: { servername: 'example.com' } })
  assert.is(tlsOf(after).getPeerCertificate().subject.CN, 'self-signed')
  before.send(GET)
  after.send(GET)
  assert.is((await before.final()).status, 200)
  assert.is((await after.final()).status, 200)
})

secure('a wrong certificate is told when the plan is prepared', (made) => {
  const listener = { kind: 'http', name: 'web', tls: terminate({ ...made.server, keyFile: made.other.keyFile }) } as unknown as Parameters<
    typeof gatherMaterials
  >[0]['listeners'][number]
  const plan = { listeners: [listener], upstreams: new Map() } as unknown as Parameters<typeof gatherMaterials>[0]
  assert.throws(
    () => gatherMaterials(plan),
    (error: Error) => error.message.includes(made.server.certFile) && error.message.includes('key values mismatch'),
  )
})

secure('a client resumes its TLS session', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  let session: Buffer | undefined
  {
    using first = await trusting(proxy, made)
    tlsOf(first).on('session', (ticket) => {
      session = ticket
    })
    first.send(GET)
    await first.final()
    await eventually(() => session, 'no ticket')
  }
  using second = await trusting(proxy, made, { session: session! })
  assert.ok(tlsOf(second).isSessionReused())
})

secure('connections that shake hands count towards the limit, and are closed with the listener', async (made) => {
  await using proxy = await start(made, { limits: { connections: 1 } })
  using first = await proxy.connect()
  await proxy.open(1)
  using second = await proxy.connect()
  await second.closed()
  assert.not(first.isClosed)
  proxy.runtime.close()
  await first.closed()
  await proxy.open(0)
})

test.run()

function start(made: Certificates, options: ProxyOptions): Promise<RunningProxy> {
  return startProxy({ ...options, listener: { tls: terminate(made.server), ...options.listener } })
}

function trusting(proxy: RunningProxy, made: Certificates, options: tls.ConnectionOptions = {}, deadlineMs?: number): Promise<Client> {
  const secured: ConnectOptions = {
    tls: { ca: made.ca.cert, servername: 'example.com', rejectUnauthorized: true, ALPNProtocols: ['http/1.1'], ...options },
    deadlineMs,
  }
  return proxy.connect(secured)
}

function tlsOf(client: Client): tls.TLSSocket {
  return client.socket as tls.TLSSocket
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function rejects(promise: Promise<unknown>): Promise<void> {
  const failed = await promise.then(
    () => null,
    (error: unknown) => error,
  )
  assert.ok(failed instanceof Error, 'it was not refused')
}

/** Resolves once a figure has stopped growing. */
async function stalled(read: () => number): Promise<void> {
  let before = -1
  let same = 0
  await eventually(
    () => {
      same = read() === before && before > 0 ? same + 1 : 0
      before = read()
      return same >= 20 ? true : undefined
    },
    'it goes on',
    10_000,
  )
}

/** Relays to `port`, what the client sends in segments of `size`, the first 600 bytes of it. */
async function startChopper(port: number, size: number): Promise<{ port: number } & AsyncDisposable> {
  const server = net.createServer((client) => {
    const target = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let chopped = 0
    client.on('data', async (bytes: Buffer) => {
      client.pause()
      for (let at = 0; at < bytes.length; ) {
        const step = chopped < 600 ? size : bytes.length
        await new Promise((resolve) => target.write(bytes.subarray(at, at + step), () => setImmediate(resolve)))
        at += step
        chopped += step
      }
      client.resume()
    })
    target.pipe(client)
    target.on('error', () => client.destroy())
    client.on('error', () => target.destroy())
    client.on('close', () => target.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
