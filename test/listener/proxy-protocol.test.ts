/** A header of the PROXY protocol before everything else: who the client is, whatever carries the rest; and nothing without one. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import * as http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet } from '../../core/net/cidr.ts'
import { writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import type { ListenerPlan } from '../../core/plan/plan.ts'
import { type Certificates, terminate, withCertificates } from '../support/certificates.ts'
import { Client, connect } from '../support/client.ts'
import { DEFAULT_DEADLINE_MS, within } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n'
const FACTS = { source: { ip: '192.0.2.7', port: 4711 }, destination: { ip: '198.51.100.1', port: 80 }, tls: null }
const required = { requiresProxyHeader: true, trust: new CidrSet(['127.0.0.1', '10.0.0.0/8']) }

test('the header says who the client is, to the endpoint and in the log', async () => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin })
  for (const version of [1, 2] as const) {
    using client = await proxy.connect()
    client.send(Buffer.concat([writeProxyHeader(version, FACTS), Buffer.from(GET)]))
    assert.is((await client.final()).status, 200)
    client.send(GET)
    assert.is((await client.final()).status, 200)
  }
  for (const { headers } of origin.requests) assert.is(headers['x-forwarded-for'], '192.0.2.7')
  assert.equal(
    proxy.ended.map(({ ip, peer }) => [ip, peer]),
    Array.from({ length: 4 }, () => ['192.0.2.7', '192.0.2.7']),
  )
})

test('in any pieces, and nothing behind it is lost', async () => {
  await using origin = await startOrigin((request) => answer(request.text))
  await using proxy = await start({ origin })
  const body = 'x'.repeat(50_000)
  const bytes = `${writeProxyHeader(2, FACTS).latin1Slice()}POST /b HTTP/1.1\r\nHost: example.com\r\nContent-Length: ${body.length}\r\n\r\n${body}${GET}`
  for (const cut of [1, 12, 16, 27, 28, 40, 20_000]) {
    using client = await proxy.connect()
    await client.send(bytes.slice(0, cut)).sent()
    await new Promise((resolve) => setImmediate(resolve))
    client.send(bytes.slice(cut))
    assert.is((await client.final()).text, body, `cut at ${cut}`)
    assert.is((await client.final()).status, 200)
  }
})

test('what a trusted client forwards counts, what another says does not', async () => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin })
  for (const ip of ['192.0.2.7', '10.0.0.9']) {
    using client = await proxy.connect()
    client.send(writeProxyHeader(1, { ...FACTS, source: { ip, port: 1 } }))
    client.send('GET /a HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n')
    await client.final()
  }
  assert.equal(
    proxy.ended.map(({ ip, peer }) => [ip, peer]),
    [
      ['192.0.2.7', '192.0.2.7'],
      ['203.0.113.5', '10.0.0.9'],
    ],
  )
})

test('a header that tells nothing leaves the address of the socket', async () => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin })
  for (const header of ['PROXY UNKNOWN\r\n', '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0']) {
    using client = await proxy.connect()
    client.send(header + GET)
    assert.is((await client.final()).status, 200)
    assert.is(proxy.ended.at(-1)!.peer, '127.0.0.1')
  }
})

test('no header, no connection; and it is told', async () => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin })
  using bystander = await proxy.connect()
  bystander.send(writeProxyHeader(1, FACTS))
  for (const [i, start] of [GET, '\x16\x03\x01', 'PROXY TCP4 1.2.3.4\r\n', 'PROXY UNKNOWN '.padEnd(120, 'x')].entries()) {
    using client = await proxy.connect()
    client.send(start)
    await client.closed()
    assert.is(client.rest, '')
    assert.equal(await proxy.handshakeFailed(i + 1), { why: 'proxy_header', detail: null })
  }
  bystander.send(GET)
  assert.is((await bystander.final()).status, 200)
  assert.is(proxy.ended.length, 1)
})

test('who closes before, and who is late', async () => {
  await using proxy = await start({ times: { requestHead: 100 } })
  using gone = await proxy.connect()
  gone.send('PROXY TCP4').end()
  await gone.closed()
  assert.equal(await proxy.handshakeFailed(1), { why: 'gone', detail: null })
  for (const [i, start] of ['', 'PROXY TCP4'].entries()) {
    using late = await proxy.connect()
    if (start !== '') late.send(start)
    await late.closed()
    assert.equal(await proxy.handshakeFailed(i + 2), { why: 'timeout', detail: null })
  }
  await proxy.open(0)
})

test('from an address that is not trusted, closed unread', async () => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin, listener: { trust: new CidrSet(['127.0.0.2']) } })
  using other = await proxy.connect()
  await other.closed()
  assert.equal(await proxy.handshakeFailed(1), { why: 'untrusted', detail: '127.0.0.1' })
  await proxy.open(0)
  using trusted = await proxy.connect({ localAddress: '127.0.0.2' })
  trusted.send(writeProxyHeader(2, FACTS)).send(GET)
  assert.is((await trusted.final()).status, 200)
  assert.is(proxy.ended[0]!.peer, '192.0.2.7')
})

test('over a unix socket, whose folder says who may open it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-header-'))
  try {
    await using origin = await startOrigin()
    const path = join(folder, 'in.sock')
    await using proxy = await start({ origin, path, listener: { trust: null } })
    using client = await connect(path)
    client.send(writeProxyHeader(2, FACTS)).send(GET)
    assert.is((await client.final()).status, 200)
    assert.is(proxy.ended[0]!.peer, '192.0.2.7')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('those who owe a header count towards the limit, and are closed with the listener', async () => {
  await using proxy = await start({ limits: { connections: 1 } })
  using first = await proxy.connect()
  await proxy.open(1)
  using second = await proxy.connect()
  await second.closed()
  assert.not(first.isClosed)
  proxy.runtime.close()
  await first.closed()
  await proxy.open(0)
})

secure('TLS comes after it', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin, listener: terminating(made) })
  using client = new Client(await securedAfterHeader(proxy, made, 'http/1.1'), DEFAULT_DEADLINE_MS)
  client.send(GET)
  assert.is((await client.final()).status, 200)
  const { peer, scheme } = await proxy.exchange()
  assert.equal([peer, scheme], ['192.0.2.7', 'https'])
  assert.is(origin.requests[0]!.headers['x-forwarded-for'], '192.0.2.7')
})

secure('HTTP/2 comes after it', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start({ origin, listener: terminating(made) })
  const socket = await securedAfterHeader(proxy, made, 'h2')
  const session = http2.connect('https://example.com', { createConnection: () => socket })
  const stream = session.request({ ':path': '/a' })
  const [headers] = await within(once(stream, 'response'), 'no response')
  assert.is((headers as http2.IncomingHttpHeaders)[':status' as never], 200)
  stream.resume()
  assert.is((await proxy.exchange()).peer, '192.0.2.7')
  session.destroy()
})

secure('TLS before the header is none', async (made) => {
  await using proxy = await start({ listener: terminating(made) })
  using client = await proxy.connect()
  const socket = tls.connect({ socket: client.socket, servername: 'example.com', ca: made.ca.cert })
  socket.on('error', () => {})
  assert.equal(await proxy.handshakeFailed(1), { why: 'proxy_header', detail: null })
  socket.destroy()
})

test.run()

function start(options: ProxyOptions): Promise<RunningProxy> {
  return startProxy({ ...options, listener: { ...required, ...options.listener } })
}

function terminating({ server }: Certificates): Pick<ListenerPlan, 'tls'> {
  return { tls: terminate(server, { alpn: ['h2', 'http/1.1'] }) }
}

async function securedAfterHeader(proxy: RunningProxy, { ca }: Certificates, protocol: string): Promise<tls.TLSSocket> {
  const { socket: below } = await proxy.connect()
  below.removeAllListeners('data').write(writeProxyHeader(2, FACTS))
  const socket = tls.connect({ socket: below, servername: 'example.com', ca: ca.cert, ALPNProtocols: [protocol] })
  await within(once(socket, 'secureConnect'), 'no handshake')
  return socket
}
