/** TLS that ends at a route of a TCP listener: in front of an endpoint, anew to it, or in front of HTTP, beside what passes untouched. */
import { once } from 'node:events'
import http2 from 'node:http2'
import * as net from 'node:net'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Config,
  type HttpOptions,
  http,
  respond,
  type TcpOptions,
  type TlsTermination,
  tcp,
  terminate,
  upstream,
} from '../../core/index.ts'
import { type Certificates, type Pair, withCertificates } from '../support/certificates.ts'
import type { Client } from '../support/client.ts'
import { makeHello } from '../support/hello.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n'

function edge(routes: TcpOptions['routes'], options: Partial<TcpOptions> = {}): { readonly config: Config } {
  return { config: { listeners: { edge: tcp({ listen: ':1', routes, ...options }) } } }
}

function ending({ certFile: cert, keyFile: key }: Pair, alpn?: readonly string[]): TlsTermination {
  return terminate({ cert, key, ...(alpn === undefined ? {} : { alpn }) })
}

function asking({ ca }: Certificates, servername: string, options: tls.ConnectionOptions = {}) {
  return { tls: { ca: ca.cert, servername, rejectUnauthorized: true, ...options } }
}

const saying = (text: string, options: Partial<HttpOptions> = {}) => http({ routes: [{ respond: respond(200, text) }], ...options })

secure('an endpoint gets what was in it, and what it says is encrypted', async (made) => {
  await using mq = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(edge([{ sni: 'mq.example.com', tls: ending(made.server), to: `tcp://${mq.address}` }]))
  using c = await proxy.connect(asking(made, 'mq.example.com', { ALPNProtocols: ['mqtt'] }))
  assert.is((c.socket as tls.TLSSocket).alpnProtocol, false)
  c.send('hello')
  const connection = await mq.connection()
  assert.is(await connection.until('hello'), 'hello')
  connection.write('welcome')
  assert.is(await c.until('welcome'), 'welcome')
  c.end()
  assert.is(await connection.closed(), 'fin')
  connection.end('bye')
  assert.is(await c.until('bye'), 'bye')
  const { route, sni, protocol, reason, bytesIn, bytesOut } = await proxy.tunnel()
  assert.equal([route, sni, protocol, reason], ['edge[0]', 'mq.example.com', 'TLS', null])
  assert.equal([bytesIn, bytesOut], [5, 10])
  await proxy.open(0)
})

secure('a megabyte each way is the same on the other side', async (made) => {
  await using echo = await startEcho()
  await using proxy = await startProxy(edge([{ tls: ending(made.server), to: `tcp://127.0.0.1:${echo.port}` }]))
  using c = await proxy.connect({ ...asking(made, 'example.com'), deadlineMs: 10_000 })
  const block = Buffer.alloc(1 << 20, 'sluice')
  c.send(block).end()
  assert.ok((await c.bytes(block.length)).equals(block))
  await c.closed()
  await proxy.open(0)
})

secure('it is encrypted anew to an upstream with TLS, and offered the same protocol', async (made) => {
  const seen: unknown[] = []
  await using endpoint = await startTls(made, (socket) => {
    seen.push(socket.alpnProtocol, socket.servername)
    socket.pipe(socket)
  })
  const anew = upstream('anew', { endpoints: [`127.0.0.1:${endpoint.port}`], tls: { ca: made.ca.cert, servername: 'example.com' } })
  await using proxy = await startProxy(edge([{ tls: ending(made.server, ['mqtt']), to: anew }]))
  for (const alpn of [['mqtt'], []]) {
    using c = await proxy.connect(asking(made, 'example.com', { ALPNProtocols: alpn }))
    c.send('hello')
    assert.is(await c.until('hello'), 'hello')
  }
  assert.equal(seen, ['mqtt', 'example.com', false, 'example.com'])
})

secure('an endpoint whose certificate is not good gets nothing', async (made) => {
  let came = 0
  await using endpoint = await startTls(made, (socket) => socket.on('data', ({ length }) => (came += length)))
  const anew = upstream('anew', { endpoints: [`127.0.0.1:${endpoint.port}`], tls: { ca: made.ca.cert, servername: 'other.test' } })
  await using proxy = await startProxy(edge([{ tls: ending(made.server), to: anew }]))
  using c = await proxy.connect(asking(made, 'example.com'))
  c.send('secret')
  await c.closed()
  assert.is((await proxy.tunnel()).reason, 'tls_certificate')
  assert.is(came, 0)
})

secure('one port: untouched by one name, HTTP by another, and HTTP in plain text', async (made) => {
  await using bank = await startTls(made, (socket) => socket.end('from the bank'))
  await using api = await startOrigin(() => answer('from the api'))
  const web = http({
    routes: [
      { name: 'me', path: '/me', respond: respond(200, 'me') },
      { path: '/*', to: `http://${api.address}` },
    ],
  })
  const routes: TcpOptions['routes'] = [
    { sni: 'bank.example.com', to: `tcp://127.0.0.1:${bank.port}` },
    { sni: '*.example.com', tls: ending(made.server, ['h2', 'http/1.1']), to: web },
    { to: saying('use https') },
  ]
  await using proxy = await startProxy(edge(routes))
  using banking = await proxy.connect(asking(made, 'bank.example.com'))
  assert.is(await banking.until('bank'), 'from the bank')
  using browsing = await proxy.connect(asking(made, 'www.example.com'))
  assert.is((await browsing.send(GET).response()).text, 'from the api')
  assert.is((await browsing.send(GET.replace('/a', '/me')).response()).text, 'me')
  assert.is(api.requests[0]!.headers['x-forwarded-proto'], 'https')
  assert.is(api.requests[0]!.headers['x-forwarded-for'], '127.0.0.1')
  assert.is(await askHttp2(proxy, made), 'me')
  using plain = await proxy.connect()
  assert.is((await plain.send(GET + GET).response()).text, 'use https')
  assert.is((await plain.response()).text, 'use https')
  await proxy.exchange(5)
  assert.equal(
    proxy.ended.map(({ listener, route, protocol, scheme }) => [listener, route, protocol, scheme]),
    [
      ['edge[1]/web', 'edge[1]/web[1]', 'HTTP/1.1', 'https'],
      ['edge[1]/web', 'edge[1]/web/me', 'HTTP/1.1', 'https'],
      ['edge[1]/web', 'edge[1]/web/me', 'HTTP/2', 'https'],
      ['edge[2]/web', 'edge[2]/web[0]', 'HTTP/1.1', 'http'],
      ['edge[2]/web', 'edge[2]/web[0]', 'HTTP/1.1', 'http'],
    ],
  )
  // What is HTTP has a line a request, and none of a tunnel.
  assert.equal(
    proxy.tunnels.filter(({ route }) => route !== 'edge[0]'),
    [],
  )
})

secure('who is let in to HTTP counts in the limit of its TCP listener until it leaves', async (made) => {
  const routes = [{ tls: ending(made.server), to: saying('hi') }]
  await using proxy = await startProxy(edge(routes, { limits: { connections: 1 } }))
  using c = await proxy.connect(asking(made, 'example.com'))
  assert.is((await c.send(GET).response()).text, 'hi')
  using more = await proxy.connect()
  await more.closed()
  c.destroy()
  await proxy.open(0)
  using again = await proxy.connect(asking(made, 'example.com'))
  assert.is((await again.send(GET).response()).text, 'hi')
})

secure('HTTP in a route has limits of its own', async (made) => {
  const inside = saying('hi', { limits: { connections: 1 } })
  await using proxy = await startProxy(edge([{ tls: ending(made.server), to: inside }]))
  using c = await proxy.connect(asking(made, 'example.com'))
  assert.is((await c.send(GET).response()).text, 'hi')
  using more = await proxy.connect()
  more.send('\x16\x03')
  const refused = await proxy.connect(asking(made, 'example.com')).then(
    () => false,
    () => true,
  )
  assert.ok(refused)
  assert.is((await c.send(GET).response()).text, 'hi')
})

secure('a handshake that fails ends its connection alone, and the log says so', async (made) => {
  await using proxy = await startProxy(edge([{ tls: ending(made.server, ['mqtt']), to: '127.0.0.1:1' }], { timeouts: { detect: '100ms' } }))
  await proxy.connect(asking(made, 'example.com', { ALPNProtocols: ['other'] })).then(
    () => assert.unreachable('nothing in common'),
    () => {},
  )
  const { reason, detail, route, upstream: name } = await proxy.tunnel()
  assert.equal([reason, detail, route, name], ['handshake_failed', 'ERR_SSL_NO_APPLICATION_PROTOCOL', 'edge[0]', null])
  assert.is((await proxy.handshakeFailed()).why, 'tls')
  using silent = await proxy.connect()
  await silent.closed()
  assert.is((await proxy.tunnel(2)).reason, 'no_route')
  await proxy.open(0)
})

secure('a client that is slow with its hello, byte by byte, is shaken hands with', async (made) => {
  await using proxy = await startProxy(edge([{ sni: 'www.example.com', tls: ending(made.server), to: saying('hi') }]))
  await using slow = await startSlow(proxy.port)
  const socket = tls.connect({ port: slow.port, host: '127.0.0.1', ca: made.ca.cert, servername: 'www.example.com' })
  await once(socket, 'secureConnect')
  socket.write(GET)
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  assert.match(bytes.toString(), /^HTTP\/1\.1 200/)
  socket.destroy()
})

secure('a client that was still speaking when its listener went is reset, and nobody else notices', async (made) => {
  await using proxy = await startProxy(edge([{ sni: 'www.example.com', tls: ending(made.server), to: saying('hi') }]))
  using late = await proxy.connect()
  const hello = makeHello({ serverName: 'www.example.com' })
  late.send(hello.subarray(0, 40))
  await proxy.open(1)
  proxy.use({})
  // The HTTP in it has nobody: its plan is let go meanwhile.
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  late.send(hello.subarray(40))
  assert.is(await late.closed(), 'reset')
  await proxy.open(0)
})

secure('HTTP inside goes on through reloads with the clients that get there, wherever its route stands', async (made) => {
  const [one, two] = ['one.example.com', 'two.example.com'].map((sni) => ({ sni, tls: ending(made.server), to: saying(sni) }))
  await using proxy = await startProxy(edge([one!, two!]))
  using first = await proxy.connect(asking(made, 'one.example.com'))
  using second = await proxy.connect(asking(made, 'two.example.com'))
  const say = async (c: Client) => {
    const { text, headers } = await c.send(GET).response()
    return [text, headers.connection]
  }
  assert.equal(
    [await say(first), await say(second)],
    [
      ['one.example.com', undefined],
      ['two.example.com', undefined],
    ],
  )
  proxy.use(edge([{ sni: 'new.test', to: '127.0.0.1:1' }, { ...two!, to: saying('two anew') }, one!]))
  assert.equal(
    [await say(first), await say(second)],
    [
      ['one.example.com', undefined],
      ['two anew', undefined],
    ],
  )
  // Its route is gone: the next exchange is the last.
  proxy.use(edge([one!]))
  assert.equal(
    [await say(first), await say(second)],
    [
      ['one.example.com', undefined],
      ['two anew', 'close'],
    ],
  )
  assert.is(await second.closed(), 'fin')
})

async function askHttp2(proxy: RunningProxy, { ca }: Certificates): Promise<string> {
  const session = http2.connect(`https://127.0.0.1:${proxy.port}`, { ca: ca.cert, servername: 'www.example.com' })
  const stream = session.request({ ':path': '/me', ':authority': 'www.example.com' })
  let text = ''
  stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(stream, 'end')
  session.close()
  return text
}

interface Listening extends AsyncDisposable {
  readonly port: number
}

async function listening(server: net.Server): Promise<Listening> {
  const open = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => open.add(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function startTls({ server: pair }: Certificates, use: (socket: tls.TLSSocket) => void): Promise<Listening> {
  const server = tls.createServer({ cert: pair.cert, key: pair.key, ALPNProtocols: ['mqtt'] }, (socket) =>
    use(socket.on('error', () => {})),
  )
  return listening(server.on('tlsClientError', () => {}))
}

function startEcho(): Promise<Listening> {
  return listening(net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)))
}

/** Passes the first bytes of a client on one by one. */
function startSlow(port: number): Promise<Listening> {
  const server = net.createServer((client) => {
    const target = net.connect({ port, host: '127.0.0.1', noDelay: true })
    client.once('data', async (hello: Buffer) => {
      client.pause()
      for (const byte of hello) await new Promise((resolve) => target.write(Buffer.of(byte), () => setImmediate(resolve)))
      client.pipe(target)
    })
    target.on('error', () => client.destroy()).pipe(client)
    client.on('close', () => target.destroy())
  })
  return listening(server)
}

test.run()
