/** Listeners for what a firewall sends them, reached by those that it did not send: they wanted to go nowhere else, and never to the proxy itself. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Config, forward, http, original, tcp } from '../../core/index.ts'
import { readRequestHead } from '../../core/net/http1/request.ts'
import { originalDestination, readIpv4, readIpv6 } from '../../core/net/original-destination.ts'
import { makeHello } from '../support/hello.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const only = (gate: Config['listeners'][string]) => ({ config: { listeners: { gate } } })
const GET = 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n'

for (const by of ['redirect', 'tproxy'] as const) {
  /** By tproxy its own address is where the client wanted to go: that would be a loop. */
  const [status, reason] = by === 'redirect' ? [400, 'not_redirected'] : [403, 'address_refused']

  test(`${by}: HTTP that was not sent here goes nowhere`, async () => {
    await using proxy = await startProxy(only(http({ listen: ':1', transparent: by, routes: [{ to: original() }] })))
    using client = await proxy.connect()
    assert.is((await client.send(GET).final()).status, status)
    assert.is((await proxy.exchange()).reason, reason)
  })

  test(`${by}: a connection that was not sent here is reset`, async () => {
    await using proxy = await startProxy(only(tcp({ listen: ':1', transparent: by, routes: [{ to: original() }] })))
    const end = await proxy.connect().then(
      (client) => client.closed(),
      (error: NodeJS.ErrnoException) => error.code,
    )
    assert.ok(end === 'reset' || end === 'ECONNRESET', end)
    const { reason: told, route } = await proxy.tunnel()
    assert.equal([told, route], [reason, 'gate[0]'])
  })
}

test('a forward proxy that is transparent is still one for clients that name it', async () => {
  await using origin = await startOrigin()
  const port = Number(origin.address.split(':')[1])
  const gate = forward({ listen: ':1', transparent: 'redirect', open: true, allow: { networks: '127.0.0.0/8', ports: [port] } })
  await using proxy = await startProxy(only(gate))
  using client = await proxy.connect()
  client.send(`GET http://${origin.address}/a HTTP/1.1\r\nHost: ${origin.address}\r\n\r\n`)
  assert.is((await client.final()).status, 200)
  client.send(GET)
  assert.is((await client.final()).status, 400)
  assert.is((await proxy.exchange(2)).reason, 'not_redirected')
  using secure = await proxy.connect()
  secure.send(makeHello({ serverName: 'example.com', alpn: [] }))
  assert.is(await secure.closed(), 'reset')
  const { reason, sni, listener } = await proxy.tunnel()
  assert.equal([reason, sni, listener], ['not_redirected', 'example.com', 'gate'])
  client.destroy()
  // The pool's.
  await proxy.open(1)
})

test('a path alone is left as it is, and names nothing; a whole URL and CONNECT do', () => {
  const rules = { requestLineBytes: 8192, fields: 100, encodedSlashes: false, forward: true, transparent: true }
  const read = (line: string) => {
    const bytes = Buffer.from(`${line} HTTP/1.1\r\nHost: a.test\r\n\r\n`)
    const head = readRequestHead(bytes.latin1Slice(), bytes, 0, bytes.length, rules)
    return typeof head === 'object' && head !== null ? [head.path + head.search, head.destination?.host ?? null, head.host] : head
  }
  assert.equal(read('GET /a/../b%2fc?d'), ['/a/../b%2fc?d', null, 'a.test'])
  assert.equal(read('OPTIONS *'), ['*', null, 'a.test'])
  assert.is(read('GET *'), 'bad_request')
  assert.equal(read('GET http://b.test/c'), ['/c', 'b.test', 'b.test'])
  assert.equal(read('CONNECT b.test:443'), ['', 'b.test', 'b.test:443'])
})

test('what the kernel remembers is read in both families', () => {
  const ipv4 = Buffer.from('02000050c633640700000000', 'hex')
  assert.equal(readIpv4(Buffer.concat([ipv4, Buffer.alloc(16)])), { kind: 'ip', host: '198.51.100.7', port: 80 })
  const ipv6 = Buffer.from(`0a0001bb00000000${'20010db8000000000000000000000007'}00000000`, 'hex')
  assert.equal(readIpv6(ipv6), { kind: 'ip', host: '2001:db8::7', port: 443 })
  const wire = (descriptor: number, ip: string | null) => ({
    ...{ descriptor, remoteAddress: '192.0.2.1' },
    facts: () => ({ source: null, destination: ip === null ? null : { ip, port: 80 }, tls: null }),
  })
  assert.is(originalDestination(wire(-1, '192.0.2.9'), 'redirect'), null, 'no socket')
  assert.equal(originalDestination(wire(-1, '::ffff:192.0.2.9'), 'tproxy'), { kind: 'ip', host: '192.0.2.9', port: 80 })
  assert.is(originalDestination(wire(-1, null), 'tproxy'), null, 'a unix socket')
})

test.run()
