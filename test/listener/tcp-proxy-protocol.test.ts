/** A PROXY header before a TCP listener's connections: who the client is, for routes, hooks, the log and the endpoint; none, no connection. */
import { once } from 'node:events'
import * as net from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { http, respond, type TcpOptions, tcp, terminate, upstream } from '../../core/index.ts'
import { readProxyHeader, writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import type { ConnectionHooks } from '../../core/plugin.ts'
import { withCertificates } from '../support/certificates.ts'
import { Client } from '../support/client.ts'
import { DEFAULT_DEADLINE_MS } from '../support/deadline.ts'
import { makeHello } from '../support/hello.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const FACTS = { source: { ip: '192.0.2.7', port: 4711 }, destination: { ip: '198.51.100.1', port: 443 }, tls: null }
const TLS = { serverName: 'bank.test', alpn: 'h2', version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', commonName: 'ann' }
const HELLO = makeHello({ serverName: 'bank.test' })

const raw = (greeting?: string) => startOrigin(undefined, { raw: true, onConnection: () => greeting })
const to = (name: string, origin: Origin, proxyProtocol?: 1 | 2) =>
  upstream(name, { endpoints: [origin.address as `${string}:${number}`], ...(proxyProtocol === undefined ? {} : { proxyProtocol }) })

function start(routes: TcpOptions['routes'], more: Partial<TcpOptions> = {}) {
  const edge = tcp({ listen: ':1', routes, proxyProtocol: 'require', trust: '127.0.0.1', ...more })
  return startProxy({ config: { listeners: { edge } } })
}

test('the client that the header names is the one of routes, of hooks and of the log', async () => {
  await using inside = await raw()
  await using rest = await raw()
  const seen: unknown[] = []
  const use: ConnectionHooks[] = [{ onConnection: ({ ip, port }) => void seen.push([ip, port]) }]
  let count = 0
  for (const hooks of [[], use]) {
    await using proxy = await start([{ from: '192.0.2.0/24', to: to('inside', inside) }, { to: to('rest', rest) }], { use: hooks })
    for (const version of [1, 2] as const) {
      using c = await proxy.connect()
      c.send(Buffer.concat([writeProxyHeader(version, FACTS), Buffer.from('first words')]))
      await (await inside.connection(++count)).until('first words')
      c.reset()
      const tunnel = await proxy.tunnel(version)
      assert.equal([tunnel.ip, tunnel.route, tunnel.bytesIn], ['192.0.2.7', 'edge[0]', 11])
    }
  }
  assert.is(rest.connections.length, 0)
  assert.equal(seen, [
    ['192.0.2.7', 4711],
    ['192.0.2.7', 4711],
  ])
})

test('header and hello in any pieces, and nothing behind them is lost', async () => {
  await using bank = await raw()
  await using proxy = await start([{ sni: 'bank.test', to: to('bank', bank) }])
  const all = Buffer.concat([writeProxyHeader(2, FACTS), HELLO, Buffer.from('more')])
  const cuts = [1, 12, 27, 28, 29, 60, all.length - 5, all.length - 4]
  for (const [i, cut] of cuts.entries()) {
    using c = await proxy.connect()
    await c.send(all.subarray(0, cut)).sent()
    await new Promise(setImmediate)
    c.send(all.subarray(cut))
    await (await bank.connection(i + 1)).until(`${HELLO.toString('latin1')}more`)
  }
})

test('who is not trusted, who sends none, and who sends another thing is closed, and nobody is dialled', async () => {
  await using bank = await raw()
  await using proxy = await start([{ to: to('bank', bank) }])
  await proxy.connect({ localAddress: '127.0.0.9' }).then(
    (stranger) => stranger.send(writeProxyHeader(1, FACTS)).closed(),
    () => {},
  )
  assert.equal(await proxy.handshakeFailed(1), { why: 'untrusted', detail: '127.0.0.9' })
  using none = await proxy.connect()
  await none.send(HELLO).closed()
  assert.is((await proxy.handshakeFailed(2)).why, 'proxy_header')
  using half = await proxy.connect()
  await half.send('PROXY TCP4 192.0.2.7').end().closed()
  assert.is((await proxy.handshakeFailed(3)).why, 'gone')
  assert.equal([bank.connections.length, proxy.tunnels.length], [0, 0])
  await proxy.open(0)
})

test('what the header tells of the client goes on to an endpoint that is told of it', async () => {
  await using one = await raw()
  await using two = await raw()
  await using proxy = await start([{ sni: 'bank.test', to: to('one', one, 2) }, { to: to('two', two, 2) }])
  // The proxy in front has ended TLS, and says what it was.
  using plain = await proxy.connect()
  plain.send(Buffer.concat([writeProxyHeader(2, { ...FACTS, tls: TLS }), Buffer.from('plain')]))
  const told = readHeader((await (await two.connection()).until('plain')).slice(0, -5))
  assert.equal([told.source, told.destination, told.tlvs.authority, told.tlvs.alpn], [FACTS.source, FACTS.destination, 'bank.test', 'h2'])
  const { version, cipher, commonName, verified } = told.tlvs.ssl!
  assert.equal([version, cipher, commonName, verified], ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', 'ann', true])
  // It has passed TLS on: the name is that of the hello, whatever the header says.
  using hello = await proxy.connect()
  hello.send(Buffer.concat([writeProxyHeader(2, { ...FACTS, authority: 'other.test' }), HELLO]))
  const text = await (await one.connection()).until(HELLO.toString('latin1'))
  const { source, tlvs } = readHeader(text.slice(0, -HELLO.length))
  assert.equal([source, tlvs.authority, tlvs.ssl], [FACTS.source, 'bank.test', null])
})

test('a header that tells nothing leaves the addresses of the socket', async () => {
  await using one = await raw()
  await using proxy = await start([{ to: to('one', one, 1) }])
  using c = await proxy.connect()
  c.send('PROXY UNKNOWN\r\nhi')
  assert.match(await (await one.connection()).until('hi'), /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nhi$/)
  c.reset()
  assert.is((await proxy.tunnel()).ip, '127.0.0.1')
})

test('HTTP behind a route sees the same client', async () => {
  await using origin = await startOrigin()
  const routes = [{ path: '/respond', respond: respond(200, 'ok') }, { to: `http://${origin.address}` }]
  await using proxy = await start([{ to: http({ routes }) }])
  using c = await proxy.connect()
  c.send(`${writeProxyHeader(2, FACTS).latin1Slice()}GET / HTTP/1.1\r\nHost: example.com\r\n\r\n`)
  assert.is((await c.final()).status, 200)
  assert.is(origin.requests[0]!.headers['x-forwarded-for'], '192.0.2.7')
  assert.equal([proxy.ended[0]!.ip, proxy.ended[0]!.peer], ['192.0.2.7', '192.0.2.7'])
})

secure('before TLS that ends here, and what is told then is what ended here', async ({ server, ca }) => {
  await using origin = await raw()
  const tls = terminate({ cert: server.certFile, key: server.keyFile })
  await using proxy = await start([
    { sni: 'example.com', tls, to: to('origin', origin, 2) },
    { tls, to: http({ routes: [{ respond: respond(200, 'https') }] }) },
  ])
  const open = async (servername: string): Promise<Client> => {
    const below = net.connect(proxy.port, '127.0.0.1')
    below.write(writeProxyHeader(2, { ...FACTS, tls: { ...TLS, serverName: 'forged.test' } }))
    const socket = tlsConnect({ socket: below, servername, ca: ca.cert })
    const client = new Client(socket, DEFAULT_DEADLINE_MS)
    await once(socket, 'secureConnect')
    return client
  }
  using passed = await open('example.com')
  passed.send('inside')
  const { source, tlvs } = readHeader((await (await origin.connection()).until('inside')).slice(0, -6))
  assert.equal([source, tlvs.authority, tlvs.ssl?.commonName], [FACTS.source, 'example.com', null])
  using web = await open('www.example.com')
  assert.is((await web.send('GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n').final()).text, 'https')
  assert.is(proxy.ended[0]!.ip, '192.0.2.7')
})

function readHeader(text: string) {
  const bytes = Buffer.from(text, 'latin1')
  const header = readProxyHeader(bytes, bytes.length)
  if (header === null || header === 'malformed') throw new Error(`no header: ${JSON.stringify(text)}`)
  assert.is(header.end, bytes.length)
  return header
}

test.run()
