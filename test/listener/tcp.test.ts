/** Connections routed by what they ask for: bytes pass as they are, and none does before the route is decided. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Config, split, type TcpOptions, tcp, type UpstreamOptions, upstream } from '../../core/index.ts'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { makeHello } from '../support/hello.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const MB = 1 << 20
const HELLO = makeHello({ serverName: 'bank.test', alpn: ['h2'] })

function edge(routes: TcpOptions['routes'], options: Partial<TcpOptions> = {}): { readonly config: Config } {
  return { config: { listeners: { edge: tcp({ listen: ':1', routes, ...options }) } } }
}

function to(name: string, origins: readonly (Origin | string)[], options: Partial<UpstreamOptions> = {}) {
  return upstream(name, { endpoints: origins.map((one) => (typeof one === 'string' ? one : one.address)), ...options } as UpstreamOptions)
}

const raw = (greeting?: string) => startOrigin(undefined, { raw: true, onConnection: () => greeting })

/** Two origins, `bank` by its name and `rest` for all else, and the proxy before them. */
async function twoOrigins(options: Partial<TcpOptions> = {}) {
  const [bank, rest] = [await raw(), await raw()]
  const proxy = await startProxy(edge([{ name: 'bank', sni: 'bank.test', to: to('bank', [bank]) }, { to: to('rest', [rest]) }], options))
  const close = async () => {
    await proxy[Symbol.asyncDispose]()
    await bank.close()
    await rest.close()
  }
  return { bank, rest, proxy, [Symbol.asyncDispose]: close }
}

test('what a client sends reaches the endpoint of its name byte by byte, and back', async () => {
  await using all = await twoOrigins()
  using c = await all.proxy.connect()
  c.send(HELLO)
  const connection = await all.bank.connection()
  await connection.until(HELLO.toString('latin1'))
  connection.write(Buffer.from([22, 3, 3, 0, 255, 13, 10]))
  assert.equal([...(await c.bytes(7))], [22, 3, 3, 0, 255, 13, 10])
  c.send('more').end()
  await connection.until('more')
  connection.end()
  const tunnel = await all.proxy.tunnel()
  assert.ok(connection.received.equals(Buffer.concat([HELLO, Buffer.from('more')])))
  assert.is(all.rest.connections.length, 0)
  const { listener, route, upstream: name, endpoint, protocol, sni, ip, reason, bytesIn, bytesOut, attempts } = tunnel
  assert.equal([listener, route, name, endpoint], ['edge', 'edge/bank', 'bank', all.bank.address])
  assert.equal([protocol, sni, ip, reason, attempts], ['TLS', 'bank.test', '127.0.0.1', null, 1])
  assert.equal([bytesIn, bytesOut], [HELLO.length + 4, 7])
  assert.ok(tunnel.connectMs >= 0 && tunnel.durationMs >= tunnel.connectMs)
  await all.proxy.open(0)
})

test('a hello is the same in any pieces: byte by byte, over several records, of two kilobytes', async () => {
  await using all = await twoOrigins()
  const hellos = [
    HELLO,
    makeHello({ serverName: 'bank.test', recordSize: 20 }),
    makeHello({ serverName: 'bank.test', padding: 2_000, recordSize: 700 }),
  ]
  for (const [i, hello] of hellos.entries()) {
    using c = await all.proxy.connect()
    for (const byte of hello) {
      c.send(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    await (await all.bank.connection(i + 1)).until(hello.toString('latin1'))
  }
  assert.is(all.rest.connections.length, 0)
})

test('nobody is dialled before the route is decided', async () => {
  await using all = await twoOrigins()
  using c = await all.proxy.connect()
  c.send(HELLO.subarray(0, HELLO.length - 1))
  using other = await all.proxy.connect()
  other.send('GET / HTTP/1.1\r\n\r\n')
  await (await all.rest.connection()).until('GET')
  assert.is(all.bank.connections.length, 0)
  c.send(HELLO.subarray(HELLO.length - 1))
  await (await all.bank.connection()).until(HELLO.toString('latin1'))
})

test('what is no TLS goes to the first route that asks for none, and so do other names', async () => {
  await using all = await twoOrigins()
  const others = [
    'GET / HTTP/1.1\r\nHost: bank.test\r\n\r\n',
    '\x00\x01',
    '\x16\x02',
    'SSH-2.0-x\r\n',
    makeHello({ serverName: 'other.test' }),
    makeHello(),
  ]
  for (const [i, text] of others.entries()) {
    using c = await all.proxy.connect()
    c.send(text)
    await (await all.rest.connection(i + 1)).until(Buffer.from(text as string, 'latin1').toString('latin1'))
  }
  assert.is(all.bank.connections.length, 0)
})

test('a client that says nothing is let through once the time for a hello is over', async () => {
  await using rest = await raw('220 ready\r\n')
  await using bank = await raw()
  const routes = [{ sni: 'bank.test', to: to('bank', [bank]) }, { to: to('rest', [rest]) }]
  await using proxy = await startProxy(edge(routes, { timeouts: { detect: '100ms' } }))
  using c = await proxy.connect()
  assert.is(await c.until('\r\n'), '220 ready\r\n')
  c.send('EHLO')
  await rest.connections[0]!.until('EHLO')
})

test('a hello that came while the proxy was busy is no silence', async () => {
  await using all = await twoOrigins({ timeouts: { detect: '50ms' } })
  using c = await all.proxy.connect()
  await all.proxy.open(1)
  c.send(HELLO)
  // Mechanism: timers run before sockets are looked at.
  for (const end = performance.now() + 300; performance.now() < end; );
  await all.bank.connection()
  assert.is(all.rest.connections.length, 0)
})

test('where no route needs a hello, the server may speak first, at once', async () => {
  await using rest = await raw('220 ready\r\n')
  await using proxy = await startProxy(edge([{ from: '10.0.0.0/8', to: '127.0.0.1:1' }, { to: to('rest', [rest]) }]))
  using c = await proxy.connect()
  assert.is(await c.until('\r\n'), '220 ready\r\n')
  c.reset()
  const { protocol, sni, route } = await proxy.tunnel()
  assert.equal([protocol, sni, route], ['TCP', null, 'edge[1]'])
})

test('a network chooses before anything is read', async () => {
  await using near = await raw('near')
  const routes = [
    { from: '127.0.0.5', to: to('near', [near]) },
    { sni: 'bank.test', to: '127.0.0.1:1' },
  ]
  await using proxy = await startProxy(edge(routes))
  using c = await proxy.connect({ localAddress: '127.0.0.5' })
  assert.is(await c.until('near'), 'near')
})

test('without a route a client is closed, and the log says why', async () => {
  await using proxy = await startProxy(edge([{ sni: 'bank.test', to: '127.0.0.1:1' }], { timeouts: { detect: '100ms' } }))
  const ended = async (bytes: string | Uint8Array, number: number) => {
    using c = await proxy.connect()
    c.send(bytes)
    await c.closed()
    assert.is(c.rest, '')
    const { reason, detail, route, bytesIn } = await proxy.tunnel(number)
    return [reason, detail, route, bytesIn]
  }
  const other = makeHello({ serverName: 'other.test' })
  assert.equal(await ended(other, 1), ['no_route', 'TLS for other.test', null, other.length])
  assert.equal(await ended('GET /', 2), ['no_route', 'the client speaks no TLS', null, 5])
  assert.equal(await ended('', 3), ['no_route', 'the client says nothing', null, 0])
  await proxy.open(0)
})

test('a hello that is broken, endless or late ends its own connection', async () => {
  await using all = await twoOrigins({ timeouts: { detect: '100ms' } })
  using bystander = await all.proxy.connect()
  bystander.send(HELLO)
  await all.bank.connection()
  const why = async (bytes: Uint8Array, number: number) => {
    using c = await all.proxy.connect()
    c.send(bytes)
    await c.closed()
    return (await all.proxy.tunnel(number)).reason
  }
  assert.is(await why(Buffer.of(22, 3, 1, 0, 4, 2, 0, 0, 0), 1), 'bad_hello')
  assert.is(await why(Buffer.of(22, 3, 1, 0, 4, 1, 255, 255, 255), 2), 'hello_too_large')
  assert.is(await why(HELLO.subarray(0, 30), 3), 'hello_timeout')
  using gone = await all.proxy.connect()
  gone.send(HELLO.subarray(0, 30)).end()
  assert.is((await all.proxy.tunnel(4)).reason, 'client_gone')
  bystander.send('still here')
  await all.bank.connections[0]!.until('still here')
  assert.is(all.bank.connections.length + all.rest.connections.length, 1)
})

test('whatever strangers send, the next client is served', async () => {
  await using all = await twoOrigins({ timeouts: { detect: '100ms' } })
  const openings = fc.sample(fc.uint8Array({ maxLength: 300 }), { numRuns: 60, seed: 7 })
  for (const [i, bytes] of openings.entries()) {
    using c = await all.proxy.connect()
    // Each third looks like a record of TLS, each third like a hello.
    c.send(Buffer.concat([Buffer.from([[], [22, 3, 1], [22, 3, 1, 0, 80, 1, 0, 0, 76, 3, 3]][i % 3]!), bytes])).reset()
  }
  using c = await all.proxy.connect()
  c.send(HELLO)
  await (await all.bank.connection()).until(HELLO.toString('latin1'))
})

test('an upstream takes as many as its limit says', async () => {
  await using one = await raw('hi')
  await using proxy = await startProxy(edge([{ to: to('one', [one], { limits: { connections: 1 } }) }]))
  using c = await proxy.connect()
  await c.until('hi')
  await isReset(proxy)
  assert.is((await proxy.tunnel()).reason, 'connection_limit')
})

test('either side may close its sending half and the other goes on', async () => {
  for (const first of ['client', 'endpoint'] as const) {
    await using all = await twoOrigins()
    using c = await all.proxy.connect()
    c.send(HELLO)
    const connection = await all.bank.connection()
    if (first === 'client') {
      c.send('bye').end()
      assert.is(await connection.closed(), 'fin')
      connection.write('still here')
      await c.until('still here')
      connection.end()
      assert.is(await c.closed(), 'fin')
    } else {
      connection.end('bye')
      await c.until('bye')
      assert.is(await c.closed(), 'fin')
      c.send('still here')
      await connection.until('still here')
      c.end()
      assert.is(await connection.closed(), 'fin')
    }
    await all.proxy.open(0)
  }
})

test('a client that has closed its half before anything was known is heard out', async () => {
  await using all = await twoOrigins()
  using c = await all.proxy.connect()
  c.end()
  const connection = await all.rest.connection()
  assert.is(await connection.closed(), 'fin')
  connection.end('12:00')
  assert.is(await c.until('12:00'), '12:00')
  await all.proxy.open(0)
})

test('an endpoint that refuses is followed by the next one, which gets the same bytes', async () => {
  await using dead = await raw()
  const gone = dead.address
  await dead.close()
  await using alive = await raw()
  const bank = to('bank', [gone, alive], { retries: { attempts: 2 } })
  await using proxy = await startProxy(edge([{ sni: 'bank.test', to: bank }]))
  for (const number of [1, 2]) {
    using c = await proxy.connect()
    c.send(HELLO)
    await (await alive.connection(number)).until(HELLO.toString('latin1'))
    c.reset()
    assert.is((await proxy.tunnel(number)).endpoint, alive.address)
  }
  assert.is(proxy.tunnels[0]!.attempts, 2)
})

test('when no endpoint is to be had the client is reset, and the log says why', async () => {
  await using dead = await raw()
  const gone = dead.address
  await dead.close()
  await using proxy = await startProxy(edge([{ to: to('bank', [gone]) }]))
  await isReset(proxy)
  const { reason, endpoint, connectMs } = await proxy.tunnel()
  assert.equal([reason, endpoint], ['connect_refused', gone])
  assert.ok(Number.isNaN(connectMs))
  await proxy.open(0)
})

test('a reset of one side is a reset of the other', async () => {
  for (const side of ['client', 'endpoint'] as const) {
    await using all = await twoOrigins()
    using c = await all.proxy.connect()
    c.send(HELLO)
    const connection = await all.bank.connection()
    await connection.until(HELLO.toString('latin1'))
    if (side === 'client') c.reset()
    else connection.reset()
    assert.is(await (side === 'client' ? connection : c).closed(), 'reset')
    await all.proxy.open(0)
  }
})

test('megabytes pass both ways to readers that take their time, and little of them is held meanwhile', async () => {
  await using all = await twoOrigins()
  using c = await all.proxy.connect({ deadlineMs: 10_000 })
  c.send(HELLO)
  const connection = await all.bank.connection()
  await connection.until(HELLO.toString('latin1'))
  c.pause()
  connection.pause()
  const block = Buffer.alloc(MB, 'sluice')
  for (let i = 0; i < 16; i++) {
    c.send(block)
    connection.write(block)
  }
  // What neither the kernel nor the proxy takes stays with those who sent it.
  await eventually(
    () => (c.socket.writableLength > 4 * MB && connection.socket.writableLength > 4 * MB ? true : undefined),
    'both are stopped',
  )
  c.resume().end()
  connection.resume()
  connection.end()
  await connection.closed(10_000)
  await c.closed()
  await all.proxy.open(0)
  const sent = Buffer.concat(Array.from({ length: 16 }, () => block))
  assert.ok(connection.received.subarray(HELLO.length).equals(sent))
  assert.ok(Buffer.from(c.rest, 'latin1').equals(sent))
  const { bytesIn, bytesOut } = await all.proxy.tunnel()
  assert.equal([bytesIn, bytesOut], [16 * MB + HELLO.length, 16 * MB])
})

test('a tunnel without a byte either way ends, and says so', async () => {
  await using all = await twoOrigins({ timeouts: { tunnelIdle: '100ms' } })
  using c = await all.proxy.connect()
  c.send(HELLO)
  await c.closed()
  assert.is((await all.proxy.tunnel()).reason, 'tunnel_idle')
})

test('more connections than the limit are not let in', async () => {
  await using all = await twoOrigins({ limits: { connections: 1 } })
  using c = await all.proxy.connect()
  c.send(HELLO)
  await all.bank.connection()
  using more = await all.proxy.connect()
  await more.closed()
  c.reset()
  await all.proxy.open(0)
  using again = await all.proxy.connect()
  again.send(HELLO)
  await all.bank.connection(2)
})

test('a split shares connections by its weights', async () => {
  await using one = await raw()
  await using two = await raw()
  const shared = split([
    [to('one', [one]), 3],
    [to('two', [two]), 1],
  ])
  await using proxy = await startProxy(edge([{ to: shared }]))
  const clients: Client[] = []
  for (let i = 0; i < 4; i++) clients.push(await proxy.connect())
  await one.connection(3)
  await two.connection(1)
  for (const client of clients) client.destroy()
})

test('a plan that is replaced leaves tunnels alone, and what comes next has the new one', async () => {
  await using one = await raw()
  await using two = await raw()
  await using proxy = await startProxy(edge([{ to: to('one', [one]) }]))
  using before = await proxy.connect()
  const connection = await one.connection()
  proxy.use(edge([{ to: to('two', [two]) }]))
  using after = await proxy.connect()
  await two.connection()
  await talks(before, connection)
  // Its listener is gone altogether, or is one of HTTP now.
  proxy.use({})
  await talks(before, connection)
  assert.is(one.connections.length, 1)
  after.destroy()
})

/** It may be over before the client has noticed that it is connected. */
async function isReset(proxy: RunningProxy): Promise<void> {
  const how = await proxy.connect().then(
    (c) => c.closed(),
    ({ code }: NodeJS.ErrnoException) => code,
  )
  assert.match(how ?? '', /^(?:reset|ECONNRESET)$/)
}

async function talks(client: Client, connection: Awaited<ReturnType<Origin['connection']>>): Promise<void> {
  const word = `word ${connection.receivedBytes};`
  client.send(word)
  await connection.until(word)
  connection.write(word)
  await client.until(word)
}

test('a drain waits for tunnels until its deadline', async () => {
  await using all = await twoOrigins()
  using c = await all.proxy.connect()
  c.send(HELLO)
  await (await all.bank.connection()).until(HELLO.toString('latin1'))
  const cut = (proxy: RunningProxy) => proxy.runtime.drain(150)
  assert.is(await cut(all.proxy), 1)
  await c.closed()
})

test.run()
