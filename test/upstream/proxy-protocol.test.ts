/** PROXY headers to endpoints: each connection speaks for one connection of a client, and for no other. */
import { once } from 'node:events'
import * as http2 from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet } from '../../core/net/cidr.ts'
import { type ProxyHeader, readProxyHeader, writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import { terminate, withCertificates } from '../support/certificates.ts'
import type { Client } from '../support/client.ts'
import { within } from '../support/deadline.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n'
const required = { requiresProxyHeader: true, trust: new CidrSet(['127.0.0.1']) }

test('the endpoint is told who the client is, in both versions', async () => {
  await using origin = await startOrigin()
  await using behind = await startProxy({ origin, listener: required })
  for (const proxyProtocol of [1, 2] as const) {
    await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol })
    using client = await proxy.connect({ localAddress: '127.0.0.5' })
    assert.is((await ask(client)).status, 200)
    assert.is(behind.ended.at(-1)!.peer, '127.0.0.5')
  }
  assert.is(behind.handshakesFailed.length, 0)
})

test('both ends of the client’s connection, before the request', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy({ origin, proxyProtocol: 2 })
  using client = await proxy.connect()
  client.send(GET)
  const { source, destination, tlvs } = await headerOf(origin)
  assert.equal(source, { ip: '127.0.0.1', port: client.socket.localPort })
  assert.equal(destination, { ip: '127.0.0.1', port: proxy.port })
  assert.is(tlvs.ssl, null)
})

test('a header that came is passed on', async () => {
  const facts = { source: { ip: '2001:db8::7', port: 4711 }, destination: { ip: '2001:db8::1', port: 443 }, tls: null }
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy({ origin, listener: required, proxyProtocol: 1 })
  using client = await proxy.connect()
  client.send(writeProxyHeader(2, facts)).send(GET)
  const { source, destination } = await headerOf(origin)
  assert.equal({ source, destination, tls: null }, facts)
})

test('a client has its connections for itself, and uses them again', async () => {
  await using origin = await startOrigin((request) => answer(request.target))
  await using behind = await startProxy({ origin, listener: required })
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 2 })
  using one = await proxy.connect({ localAddress: '127.0.0.5' })
  using other = await proxy.connect({ localAddress: '127.0.0.6' })
  for (const client of [one, other, one, one, other]) assert.is((await ask(client)).status, 200)
  const [a, b] = ['127.0.0.5', '127.0.0.6']
  assert.equal(
    behind.ended.map(({ peer }) => peer),
    [a, b, a, a, b],
  )
  assert.is(proxy.dialled.length, 2)
})

test('a client takes its connections along when it goes', async () => {
  await using origin = await startOrigin()
  await using behind = await startProxy({ origin, listener: required })
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 1 })
  const client = await proxy.connect()
  await ask(client)
  await proxy.open(2)
  client.destroy()
  await proxy.open(0)
})

test('what is idle for one client does not keep another one out', async () => {
  await using origin = await startOrigin()
  await using behind = await startProxy({ origin, listener: required })
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 1, connections: 1 })
  using one = await proxy.connect({ localAddress: '127.0.0.5' })
  using other = await proxy.connect({ localAddress: '127.0.0.6' })
  for (const client of [one, other, one]) assert.is((await ask(client)).status, 200)
  assert.equal(
    behind.ended.map(({ peer }) => peer),
    ['127.0.0.5', '127.0.0.6', '127.0.0.5'],
  )
  await proxy.open(3)
})

test('a client that goes in the middle of an exchange takes that connection along too', async () => {
  await using origin = await startOrigin(() => undefined)
  await using behind = await startProxy({ origin, listener: required })
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 1 })
  const client = await proxy.connect()
  client.send(GET)
  await origin.request()
  client.destroy()
  await proxy.open(0)
})

test('a tunnel takes over the connection with its header', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy({ origin, proxyProtocol: 1 })
  using client = await proxy.connect()
  client.send('GET /a HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')
  const endpoint = await origin.connection()
  assert.match(await endpoint.until('\r\n\r\n'), /^PROXY TCP4 /)
  endpoint.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')
  assert.is((await client.final()).status, 101)
  client.send('ping')
  await endpoint.until('ping')
  endpoint.write('pong')
  assert.is((await client.bytes(4)).toString(), 'pong')
  client.end()
  assert.is(await endpoint.closed(), 'fin')
  endpoint.end()
  await proxy.open(0)
})

test('another version in the next plan is another connection', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy({ origin, proxyProtocol: 1 })
  using client = await proxy.connect()
  client.send(GET)
  const first = await origin.connection()
  assert.match(await first.until('\r\n\r\n'), /^PROXY TCP4 /)
  first.write(answer('ok'))
  await client.final()
  proxy.use({ origin, proxyProtocol: 2 })
  assert.is(await first.closed(), 'fin')
  client.send(GET)
  const second = await origin.connection(2)
  await second.until('Host: example.com')
  assert.is((readProxyHeader(second.received, second.receivedBytes) as ProxyHeader).source?.port, client.socket.localPort)
  second.write(answer('ok'))
  assert.is((await client.final()).status, 200)
})

test('an endpoint that closed the connection meanwhile gets another one', async () => {
  await using origin = await startOrigin()
  const behindOptions: ProxyOptions = { origin, listener: required, times: { keepAlive: 50 } }
  await using behind = await startProxy(behindOptions)
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 2 })
  using client = await proxy.connect()
  await ask(client)
  await proxy.open(1)
  assert.is((await ask(client)).status, 200)
  assert.is(proxy.dialled.length, 2)
})

test('other upstreams at the same address go without', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy({
    endpoints: [origin],
    proxyProtocol: 1,
    upstreams: { plain: { endpoints: [origin] } },
    routes: [{ path: '/plain', to: 'plain' }, {}],
  })
  using client = await proxy.connect()
  client.send(GET.replace('/a', '/plain'))
  const first = await origin.connection()
  assert.match(await first.until('\r\n\r\n'), /^GET \/plain/)
  first.write(answer('ok'))
  await client.final()
  client.send(GET)
  assert.match(await (await origin.connection(2)).until('\r\n\r\n'), /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nGET \/a/)
})

secure('to an endpoint with TLS the header goes before it', async ({ ca, server }) => {
  await using origin = await startOrigin()
  const terminating = { tls: terminate(server) }
  await using behind = await startProxy({ origin, listener: { ...required, ...terminating } })
  const tls = { servername: 'example.com', ca: ca.certFile, cert: null, key: null }
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 2, tls })
  using client = await proxy.connect({ localAddress: '127.0.0.5' })
  for (const _ of [1, 2]) assert.is((await ask(client)).status, 200)
  const { peer, scheme } = behind.ended[0]!
  assert.equal([peer, scheme, proxy.dialled.length], ['127.0.0.5', 'https', 1])
})

secure('an endpoint with TLS that is not there, or never shakes hands', async ({ ca }) => {
  await using silent = await startOrigin(undefined, { raw: true })
  const tls = { servername: null, ca: ca.certFile, cert: null, key: null }
  await using proxy = await startProxy({ origin: silent, proxyProtocol: 1, tls, timeouts: { connect: 100 } })
  using client = await proxy.connect()
  assert.is((await ask(client)).status, 504)
  assert.is((await proxy.exchange()).reason, 'connect_timeout')
  proxy.use({ origin: { address: '127.0.0.1:1' }, proxyProtocol: 1, tls })
  assert.is((await ask(client)).status, 502)
  assert.is((await proxy.exchange(2)).reason, 'connect_refused')
})

secure('what TLS with the client agreed on', async ({ server }) => {
  await using origin = await startOrigin(undefined, { raw: true })
  const terminating = { tls: terminate(server) }
  await using proxy = await startProxy({ origin, proxyProtocol: 2, listener: terminating })
  using client = await proxy.connect({ tls: { servername: 'a.example.com', ALPNProtocols: ['http/1.1'] } })
  client.send(GET)
  const { tlvs } = await headerOf(origin)
  assert.equal([tlvs.authority, tlvs.alpn, tlvs.ssl?.version, tlvs.ssl?.verified], ['a.example.com', 'http/1.1', 'TLSv1.3', false])
  assert.is(tlvs.ssl?.cipher, (client.socket as TLSSocket).getCipher().name)
})

secure('all streams of HTTP/2 are of one client', async ({ server }) => {
  await using origin = await startOrigin()
  await using behind = await startProxy({ origin, listener: required })
  const terminating = { tls: terminate(server, { alpn: ['h2'] }) }
  await using proxy = await startProxy({ origin: addressOf(behind), proxyProtocol: 2, listener: terminating })
  const client = await proxy.connect({ localAddress: '127.0.0.5', tls: { servername: 'example.com', ALPNProtocols: ['h2'] } })
  const session = http2.connect('https://example.com', { createConnection: () => client.socket })
  for (const _ of [1, 2]) {
    const stream = session.request({ ':path': '/a' })
    stream.resume()
    await within(once(stream, 'close'), 'no response')
  }
  assert.equal(
    behind.ended.map(({ peer }) => peer),
    ['127.0.0.5', '127.0.0.5'],
  )
  assert.is(proxy.dialled.length, 1)
  session.destroy()
  await proxy.open(0)
})

test.run()

function addressOf({ port }: RunningProxy): { address: string } {
  return { address: `127.0.0.1:${port}` }
}

async function ask(client: Client): ReturnType<Client['final']> {
  return client.send(GET).final()
}

/** Of the first connection, once the request behind it has come. */
async function headerOf(origin: Origin): Promise<ProxyHeader> {
  const connection = await origin.connection()
  await connection.until('Host: example.com')
  const header = readProxyHeader(connection.received, connection.receivedBytes)
  assert.is(typeof header, 'object')
  const { end } = header as ProxyHeader
  assert.match(connection.received.subarray(end).toString('latin1'), /^GET \/a /)
  return header as ProxyHeader
}
