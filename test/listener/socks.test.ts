/** A SOCKS proxy: conversations of 4, 4a and 5, and what it lets nobody do. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blocklist } from '../../core/index.ts'
import { eventually } from '../support/deadline.ts'
import { makeHello } from '../support/hello.ts'
import { startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, connectTo4, credentials, GRANTED, GREETING, replyOf, socksTo } from '../support/socks.ts'

const raw = (greeting?: string) => startOrigin(undefined, { raw: true, onConnection: () => greeting })

/** A client that has greeted and was greeted. */
async function greeted(proxy: RunningProxy) {
  const c = await proxy.connect()
  c.send(GREETING)
  assert.is((await c.bytes(2)).toString('hex'), '0500')
  return c
}

/** What a client is told that asks for this place. */
async function answerTo(proxy: RunningProxy, host: string, port: number): Promise<string> {
  using c = await greeted(proxy)
  c.send(connectTo(host, port))
  return await replyOf(c)
}

test('SOCKS5 to a name: it is resolved here, and bytes pass both ways, half-close too', async () => {
  await using origin = await raw('hello from the server')
  await using proxy = await startProxy(socksTo([origin.port]))
  using c = await greeted(proxy)
  c.send(connectTo('localhost', origin.port))
  assert.is(await replyOf(c), GRANTED)
  assert.is(await c.until('server'), 'hello from the server')
  c.send('and from the client').end()
  const connection = await origin.connection()
  await connection.until('client')
  connection.end('bye')
  assert.is(await c.until('bye'), 'bye')
  const tunnel = await proxy.tunnel()
  const { listener, protocol, destination, endpoint, route, upstream, user, ip, reason, bytesIn, bytesOut } = tunnel
  assert.equal([listener, protocol, destination, endpoint], ['s', 'SOCKS5', `localhost:${origin.port}`, `localhost:${origin.port}`])
  assert.equal([route, upstream, user, ip, reason, bytesIn, bytesOut], [null, null, null, '127.0.0.1', null, 19, 24])
  await proxy.open(0)
})

test('SOCKS5 byte by byte, and all at once with the first bytes of the tunnel', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(socksTo([origin.port]))
  const opening = Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port), Buffer.from('early')])
  using slow = await proxy.connect()
  for (const byte of opening) {
    slow.send(Buffer.of(byte))
    await new Promise(setImmediate)
  }
  await (await origin.connection()).until('early')
  using fast = await proxy.connect()
  fast.send(opening)
  assert.is((await fast.bytes(12)).toString('hex'), `0500${GRANTED}`)
  await (await origin.connection(2)).until('early')
})

test('SOCKS4 to an address, and 4a to a name', async () => {
  await using origin = await raw('hello')
  await using proxy = await startProxy(socksTo([origin.port]))
  for (const host of ['127.0.0.1', 'localhost']) {
    using c = await proxy.connect()
    c.send(connectTo4(host, origin.port))
    assert.is((await c.bytes(8)).toString('hex'), '005a000000000000')
    assert.is(await c.until('hello'), 'hello')
    c.reset()
  }
  using c = await proxy.connect()
  c.send(connectTo4('127.0.0.1', 22))
  assert.is((await c.bytes(8)).toString('hex'), '005b000000000000')
  assert.is(await c.closed(), 'fin')
  const tunnels = [await proxy.tunnel(1), await proxy.tunnel(2), await proxy.tunnel(3)]
  assert.equal(
    tunnels.map(({ protocol }) => protocol),
    ['SOCKS4', 'SOCKS4', 'SOCKS4'],
  )
})

test('with users, a name and its password are asked for, and nobody gets in without', async () => {
  await using origin = await raw('hello')
  await using proxy = await startProxy(socksTo([origin.port], { auth: { users: { ann: 'pw' } } }))
  using c = await proxy.connect()
  c.send(Buffer.of(5, 2, 0, 2))
  assert.is((await c.bytes(2)).toString('hex'), '0502')
  c.send(credentials('ann', 'pw'))
  assert.is((await c.bytes(2)).toString('hex'), '0100')
  c.send(connectTo('127.0.0.1', origin.port))
  assert.is(await replyOf(c), GRANTED)
  assert.is(await c.until('hello'), 'hello')
  c.reset()
  assert.is((await proxy.tunnel()).user, 'ann')

  for (const [i, wrong] of [credentials('ann', 'wp'), credentials('bob', 'pw'), credentials('', ''), credentials('busy', 'pw')].entries()) {
    using c = await proxy.connect()
    // All at once: what follows a wrong password counts for nothing.
    c.send(Buffer.concat([Buffer.of(5, 1, 2), wrong, connectTo('127.0.0.1', origin.port)]))
    assert.is((await c.bytes(4)).toString('hex'), '05020101')
    assert.is(await c.closed(), 'fin')
    assert.is((await proxy.tunnel(i + 2)).reason, 'proxy_auth_required')
  }
  using without = await proxy.connect()
  without.send(GREETING)
  assert.is((await without.bytes(2)).toString('hex'), '05ff')
  using old = await proxy.connect()
  old.send(connectTo4('127.0.0.1', origin.port))
  assert.is((await old.bytes(8)).toString('hex'), '005b000000000000')
  assert.is(origin.connections.length, 1)
})

test('each refusal has its reply, and its reason in the log', async () => {
  await using origin = await raw()
  await using other = await raw()
  const gone = await raw()
  const closedPort = gone.port
  await gone.close()
  const block = blocklist({ hosts: ['||blocked.test^'], name: 'house rules' })
  await using proxy = await startProxy(socksTo([origin.port, closedPort], { block }))
  const refusals = [
    ['127.0.0.1', other.port, '05020001000000000000', 'port_refused'],
    ['www.blocked.test', origin.port, '05020001000000000000', 'host_blocked'],
    ['169.254.169.254', origin.port, '05020001000000000000', 'address_refused'],
    ['0.0.0.0', origin.port, '05020001000000000000', 'address_refused'],
    ['127.0.0.1', closedPort, '05050001000000000000', 'connect_refused'],
    ['nowhere.invalid', origin.port, '05040001000000000000', 'dns_error'],
  ] as const
  for (const [i, [host, port, reply, reason]] of refusals.entries()) {
    assert.is(await answerTo(proxy, host, port), reply, host)
    const tunnel = await proxy.tunnel(i + 1)
    assert.equal([tunnel.reason, tunnel.destination], [reason, `${host}:${port}`])
  }
  assert.is((await proxy.tunnel(2)).detail, '*.blocked.test in house rules')
  assert.is(origin.connections.length + other.connections.length, 0)
  await proxy.open(0)
})

test('loopback is refused until allow.networks opens it, whatever name leads to it', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(socksTo([origin.port], { allow: { ports: [origin.port], networks: '10.0.0.0/8' } }))
  for (const host of ['127.0.0.1', 'localhost', '::1', '::ffff:127.0.0.1', '0.0.0.0', '::'])
    assert.is(await answerTo(proxy, host, origin.port), '05020001000000000000', host)
  assert.is(origin.connections.length, 0)
})

test('only hosts of allow.hosts are reached, and only clients of allow.clients served', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(
    socksTo([origin.port], { allow: { hosts: 'localhost', clients: '127.0.0.5', networks: ['127.0.0.0/8'], ports: [origin.port] } }),
  )
  await proxy.connect().then(
    (other) => other.closed(),
    () => 'reset before it was known to be open',
  )
  assert.is((await proxy.tunnel()).reason, 'client_refused')
  using c = await proxy.connect({ localAddress: '127.0.0.5' })
  c.send(Buffer.concat([GREETING, connectTo('example.com', origin.port)]))
  assert.is((await c.bytes(12)).toString('hex'), '050005020001000000000000')
  using d = await proxy.connect({ localAddress: '127.0.0.5' })
  d.send(Buffer.concat([GREETING, connectTo('localhost', origin.port)]))
  assert.is((await d.bytes(12)).toString('hex'), `0500${GRANTED}`)
})

test('ports 80 and 443 are reached where nothing is said of ports', async () => {
  await using proxy = await startProxy(socksTo([], { allow: { ports: undefined } }))
  for (const port of [22, 25, 8080, 65535]) assert.is(await answerTo(proxy, '127.0.0.1', port), '05020001000000000000', String(port))
  for (const [i] of [22, 25, 8080, 65535].entries()) assert.is((await proxy.tunnel(i + 1)).reason, 'port_refused')
  // Nobody listens there, most likely; whoever does is reached.
  for (const port of [80, 443]) assert.ok(['05050001000000000000', GRANTED].includes(await answerTo(proxy, '127.0.0.1', port)))
})

test('a tunnel to an address ends when its TLS asks for a name that is blocked, before a byte of it has gone on', async () => {
  await using origin = await raw('220 ready\r\n')
  await using proxy = await startProxy(socksTo([origin.port], { block: blocklist({ hosts: ['||blocked.test^'] }) }))
  using c = await greeted(proxy)
  c.send(connectTo('127.0.0.1', origin.port))
  assert.is(await replyOf(c), GRANTED)
  // Whoever speaks first may be the server.
  await c.until('ready\r\n')
  const hello = makeHello({ serverName: 'WWW.blocked.test', padding: 2_000 })
  for (let at = 0; at < hello.length; at += 300) c.send(hello.subarray(at, at + 300))
  assert.is(await c.closed(), 'reset')
  const { reason, detail, sni } = await proxy.tunnel()
  assert.equal([reason, detail, sni], ['host_blocked', '*.blocked.test in hosts', 'www.blocked.test'])
  const connection = await origin.connection()
  await connection.closed()
  assert.is(connection.received.length, 0)
})

test('where lists block something, other tunnels pass as they came: TLS, half of it, and what is none', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(socksTo([origin.port], { block: blocklist({ hosts: ['||blocked.test^'] }) }))
  const hello = makeHello({ serverName: 'fine.test', padding: 2_000 })
  const firsts = [
    hello,
    Buffer.from('SSH-2.0-x\r\n'),
    Buffer.concat([hello, Buffer.from('more')]),
    Buffer.of(22, 3, 1, 0, 0, 1),
    Buffer.of(22, 3, 1, 0),
  ]
  for (const [i, first] of firsts.entries()) {
    using c = await greeted(proxy)
    c.send(connectTo('127.0.0.1', origin.port))
    assert.is(await replyOf(c), GRANTED)
    c.send(first.subarray(0, 3))
    await new Promise(setImmediate)
    c.send(first.subarray(3)).end()
    const connection = await origin.connection(i + 1)
    await eventually(() => connection.received.length === first.length || undefined, `what was sent as number ${i}`)
    assert.ok(connection.received.equals(first))
    connection.end()
    await c.closed()
  }
  assert.is((await proxy.tunnel()).sni, 'fine.test')
})

test('early bytes are looked at as well', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(socksTo([origin.port], { block: blocklist({ hosts: ['||blocked.test^'] }) }))
  using c = await proxy.connect()
  c.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port), makeHello({ serverName: 'blocked.test' })]))
  assert.is(await c.closed(), 'reset')
  assert.is((await proxy.tunnel()).reason, 'host_blocked')
  const connection = await origin.connection()
  await connection.closed()
  assert.is(connection.received.length, 0)
})

test('what is no SOCKS is closed without a word', async () => {
  await using proxy = await startProxy(socksTo([443]))
  for (const [i, first] of ['GET / HTTP/1.1\r\n\r\n', makeHello({ serverName: 'a.test' }), '\0'].entries()) {
    using c = await proxy.connect()
    c.send(first)
    assert.is(await c.closed(), 'reset')
    assert.is(c.received.length, 0)
    assert.is((await proxy.tunnel(i + 1)).reason, 'bad_socks')
  }
})

test('a client that does not come to the point is closed at the deadline, and one that goes is let go', async () => {
  await using proxy = await startProxy(socksTo([443], { timeouts: { handshake: '100ms' } }))
  using silent = await proxy.connect()
  using halfway = await greeted(proxy)
  await Promise.all([silent.closed(), halfway.closed()])
  assert.equal([(await proxy.tunnel(1)).reason, (await proxy.tunnel(2)).reason], ['socks_timeout', 'socks_timeout'])
  using c = await proxy.connect()
  c.send(Buffer.of(5)).end()
  await c.closed()
  assert.is((await proxy.tunnel(3)).reason, 'client_gone')
  await proxy.open(0)
})

test('a client that goes right after its request leaves nothing open', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(socksTo([origin.port]))
  for (let i = 0; i < 20; i++) {
    using c = await greeted(proxy)
    c.send(connectTo(i % 2 === 0 ? 'localhost' : '127.0.0.1', origin.port))
    await c.sent()
    c.reset()
    await proxy.tunnel(i + 1)
  }
  await proxy.open(0)
})

test('tunnels live through a reload, and new ones obey the new plan', async () => {
  await using origin = await raw()
  await using proxy = await startProxy(socksTo([origin.port]))
  using c = await greeted(proxy)
  using undecided = await proxy.connect()
  c.send(connectTo('127.0.0.1', origin.port))
  await replyOf(c)
  proxy.use(socksTo([1]))
  c.send('still there')
  await (await origin.connection()).until('there')
  undecided.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)]))
  assert.is((await undecided.bytes(12)).toString('hex'), '050005020001000000000000')
  assert.is(await answerTo(proxy, '127.0.0.1', origin.port), '05020001000000000000')
})

test.run()
