/** Sessions of UDP: each client its own way to one endpoint and back, bounded in number and in time. */
import { Resolver } from 'node:dns/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { type Config, split, type UdpOptions, udp, upstream } from '../../core/index.ts'
import { getKernel } from '../../core/net/kernel.ts'
import { eventually } from '../support/deadline.ts'
import { type ProxyOptions, startProxy } from '../support/proxy.ts'
import { dnsResponder, type UdpEnd, udpEnd } from '../support/udp.ts'

const echo = (prefix = '') => udpEnd(({ bytes }) => [prefix + bytes.toString('latin1')])

function door(routes: UdpOptions['routes'], options: Partial<UdpOptions> = {}): { readonly config: Config } {
  return { config: { listeners: { edge: udp({ listen: '127.0.0.1:0', routes, ...options }) } } }
}

const to = (...ends: readonly UdpEnd[]) => upstream('ends', { endpoints: ends.map(({ address }) => address) })

/** Its clock stands still until it is put forward. */
async function startAt(options: ProxyOptions) {
  let now = 1_000
  const deadlines = new Deadlines(50, () => now)
  const proxy = await startProxy({ ...options, parts: { deadlines } })
  const forward = (ms: number): void => {
    now += ms
    deadlines.tick()
  }
  return { proxy, forward, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() }
}

test('a resolver asks through it, and a session ends with the reply', async () => {
  using dns = await dnsResponder('192.0.2.7')
  await using proxy = await startProxy(door([{ name: 'home', replies: 1, to: to(dns) }]))
  const resolver = new Resolver({ timeout: 2_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${proxy.port}`])
  assert.equal(await resolver.resolve4('example.test'), ['192.0.2.7'])
  const session = await proxy.tunnel()
  const { listener, route, upstream: name, endpoint, protocol, ip, reason, datagramsIn, datagramsOut, bytesIn, bytesOut } = session
  assert.equal([listener, route, name, endpoint], ['edge', 'edge/home', 'ends', dns.address])
  assert.equal([protocol, ip, reason, datagramsIn, datagramsOut], ['UDP', '127.0.0.1', null, 1, 1])
  assert.is(bytesIn, dns.received[0]!.bytes.length)
  assert.is(bytesOut, bytesIn + 16)
  await proxy.open(0)
})

test('clients are kept apart: each has a socket of its own to the endpoint, and gets its own replies', async () => {
  using end = await echo('> ')
  await using proxy = await startProxy(door([{ to: to(end) }]))
  using a = await udpEnd()
  using b = await udpEnd()
  a.send('a1', proxy.port)
  await a.datagram(1)
  b.send('b1', proxy.port)
  await b.datagram(1)
  a.send('a2', proxy.port)
  await a.datagram(2)
  assert.equal([a.texts, b.texts], [['> a1', '> a2'], ['> b1']])
  const [first, second, third] = end.received
  assert.is(first!.port, third!.port)
  assert.is.not(first!.port, second!.port)
  await proxy.open(2)
})

test('datagrams arrive as they were, whatever is in them, in order, empty ones and large ones too', async () => {
  using end = await udpEnd()
  await using proxy = await startProxy(door([{ to: to(end) }]))
  using c = await udpEnd()
  const sizes = [0, 1, 3, 1_200, 1_472, 9_000, 60_000]
  for (const [i, size] of sizes.entries()) {
    c.send(Buffer.alloc(size, i), proxy.port)
    await end.datagram(i + 1)
  }
  assert.equal(
    end.received.map(({ bytes }) => bytes.length),
    sizes,
  )
  for (const [i, { bytes }] of end.received.entries()) assert.ok(bytes.every((byte) => byte === i))
  for (const [i, size] of sizes.entries()) {
    end.send(Buffer.alloc(size, 255 - i), end.received[0]!.port)
    const { bytes } = await c.datagram(i + 1)
    assert.is(bytes.length, size)
    assert.ok(bytes.every((byte) => byte === 255 - i))
  }
})

test('only the endpoint can answer: what others send to its socket reaches nobody', async () => {
  using end = await echo()
  using stranger = await udpEnd()
  await using proxy = await startProxy(door([{ to: to(end) }]))
  using c = await udpEnd()
  c.send('1', proxy.port)
  await c.datagram(1)
  stranger.send('forged', end.received[0]!.port)
  c.send('2', proxy.port)
  await c.datagram(2)
  assert.equal(c.texts, ['1', '2'])
})

test('a session is over when nothing came either way for so long, and the next datagram begins another', async () => {
  using end = await echo()
  await using all = await startAt(door([{ to: to(end) }], { timeouts: { idle: '5s' } }))
  const { proxy, forward } = all
  using c = await udpEnd()
  c.send('1', proxy.port)
  await c.datagram(1)
  forward(4_900)
  c.send('2', proxy.port)
  await c.datagram(2)
  forward(4_900)
  assert.is(proxy.tunnels.length, 0)
  forward(300)
  assert.is(proxy.tunnels.length, 1)
  const { reason, datagramsIn, datagramsOut } = proxy.tunnels[0]!
  assert.equal([reason, datagramsIn, datagramsOut], [null, 2, 2])
  await proxy.open(0)
  c.send('3', proxy.port)
  await c.datagram(3)
  assert.is.not(end.received[2]!.port, end.received[0]!.port)
})

test('replies that were owed and did not come are told', async () => {
  using silent = await udpEnd()
  await using all = await startAt(door([{ to: to(silent), replies: 1 }]))
  using c = await udpEnd()
  c.send('?', all.proxy.port)
  await silent.datagram(1)
  all.forward(61_000)
  assert.is(all.proxy.tunnels[0]!.reason, 'response_timeout')
})

test('more clients than the limit are not served until one has ended, and are counted', async () => {
  using end = await echo()
  await using all = await startAt(door([{ to: to(end) }], { limits: { sessions: 1 }, timeouts: { idle: '5s' } }))
  const { proxy, forward } = all
  using a = await udpEnd()
  using b = await udpEnd()
  a.send('a', proxy.port)
  await a.datagram(1)
  b.send('b', proxy.port)
  assert.is(await proxy.datagramDropped(), 'limit')
  a.send('a', proxy.port)
  await a.datagram(2)
  forward(6_000)
  b.send('b', proxy.port)
  await b.datagram(1)
})

test('short of descriptors no session begins, and those that are there go on', async () => {
  using end = await echo()
  let isShort = false
  await using proxy = await startProxy({ ...door([{ to: to(end) }]), parts: { isShort: () => isShort } })
  using a = await udpEnd()
  using b = await udpEnd()
  a.send('a', proxy.port)
  await a.datagram(1)
  isShort = true
  b.send('b', proxy.port)
  assert.is(await proxy.datagramDropped(), 'limit')
  a.send('a', proxy.port)
  await a.datagram(2)
})

test('a client for whom there is no route is told of once, however much it sends', async () => {
  using end = await echo()
  await using all = await startAt(door([{ from: '10.0.0.0/8', to: to(end) }]))
  const { proxy, forward } = all
  using c = await udpEnd()
  for (let i = 0; i < 3; i++) c.send('x', proxy.port)
  await proxy.datagramDropped(3)
  assert.equal(new Set(proxy.dropped), new Set(['refused']))
  assert.is(proxy.tunnels.length, 0)
  forward(11_000)
  assert.equal([proxy.tunnels.length, proxy.tunnels[0]!.reason, proxy.tunnels[0]!.datagramsIn], [1, 'no_route', 3])
  assert.is(end.received.length, 0)
})

test('where nobody listens the next endpoint gets what the client sends again', async () => {
  const gone = await udpEnd()
  const dead = gone.address
  gone.close()
  using end = await echo()
  // Which of the two is the first one is up to the hash: an endpoint of hardly any weight is the second.
  const ends = upstream('ends', {
    endpoints: [
      { address: dead, weight: 1_000_000 },
      { address: end.address, weight: 1 },
    ],
  })
  await using proxy = await startProxy(door([{ to: ends }]))
  using c = await udpEnd()
  c.send('1', proxy.port)
  const again = (): true | undefined => {
    c.send('again', proxy.port)
    return c.received.length > 0 ? true : undefined
  }
  await eventually(again, 'no reply of the endpoint that is there')
  await proxy[Symbol.asyncDispose]()
  assert.equal([proxy.tunnels.length, proxy.tunnels[0]!.endpoint, proxy.tunnels[0]!.attempts], [1, end.address, 2])
})

test('where nobody listens at all the session ends, and says so', async () => {
  const gone = await udpEnd()
  const dead = gone.address
  gone.close()
  await using proxy = await startProxy(door([{ to: dead }]))
  using c = await udpEnd()
  c.send('1', proxy.port)
  const { reason, endpoint, attempts } = await proxy.tunnel()
  assert.equal([reason, endpoint, attempts], ['connect_refused', dead, 1])
  await proxy.open(0)
})

test('a name that does not resolve ends the session', async () => {
  await using proxy = await startProxy(door([{ to: 'nowhere.invalid:53' }]))
  using c = await udpEnd()
  c.send('1', proxy.port)
  const { reason } = await proxy.tunnel(1, 10_000)
  assert.ok(reason === 'dns_error' || reason === 'dns_timeout', String(reason))
})

test('a client goes to the same endpoint each time, and clients are spread', async () => {
  using one = await echo('1')
  using two = await echo('2')
  await using proxy = await startProxy(
    door(
      [
        {
          to: split([
            [one.address, 1],
            [two.address, 1],
          ]),
        },
      ],
      { listen: '0.0.0.0:0' },
    ),
  )
  const answers = new Map<string, string>()
  for (let i = 0; i < 24; i++) {
    const ip = `127.0.1.${1 + (i % 12)}`
    using c = await udpEnd(undefined, ip)
    c.send('', proxy.port)
    const text = (await c.datagram(1)).bytes.toString()
    if (answers.has(ip)) assert.is(answers.get(ip), text)
    answers.set(ip, text)
  }
  assert.equal(new Set(answers.values()), new Set(['1', '2']))
})

test('a reply leaves from the address that the client spoke to', async () => {
  // Node's own sockets leave the choice to the system.
  if (getKernel() === null) return
  using end = await echo()
  for (const listen of ['0.0.0.0:0', ':0']) {
    await using proxy = await startProxy(door([{ to: to(end) }], { listen }))
    using c = await udpEnd()
    for (const [i, address] of ['127.0.0.1', '127.0.0.9', '127.3.2.1'].entries()) {
      c.send('x', proxy.port, address)
      assert.equal([(await c.datagram(i + 1)).address, c.received[i]!.port], [address, proxy.port])
    }
    await proxy.open(3)
  }
})

test('IPv6 clients are served on the same port', async () => {
  using end = await echo()
  await using proxy = await startProxy(door([{ to: to(end) }], { listen: ':0' }))
  using c = await udpEnd(undefined, '::1')
  c.send('six', proxy.port, '::1')
  assert.equal([(await c.datagram(1)).address, c.texts], ['::1', ['six']])
  await proxy[Symbol.asyncDispose]()
  assert.is(proxy.tunnels[0]!.ip, '::1')
})

test('a session goes on through another plan, and what begins then goes by that one', async () => {
  using one = await echo('1 ')
  using two = await echo('2 ')
  await using proxy = await startProxy(door([{ to: to(one) }]))
  using a = await udpEnd()
  using b = await udpEnd()
  a.send('a', proxy.port)
  await a.datagram(1)
  proxy.use(door([{ to: to(two) }]))
  a.send('a', proxy.port)
  await a.datagram(2)
  b.send('b', proxy.port)
  await b.datagram(1)
  assert.equal([a.texts, b.texts], [['1 a', '1 a'], ['2 b']])
})

test('a drain reads no more, lets replies through, and is over once the endpoints are quiet', async () => {
  using end = await udpEnd()
  await using all = await startAt(door([{ to: to(end) }]))
  const { proxy, forward } = all
  using c = await udpEnd()
  c.send('question', proxy.port)
  const { port } = await end.datagram(1)
  let isDrained = false
  const drained = proxy.runtime.drain(30_000).then((cut) => {
    isDrained = true
    return cut
  })
  end.send('late answer', port)
  await c.datagram(1)
  c.send('more', proxy.port)
  forward(500)
  assert.not(isDrained)
  forward(1_000)
  forward(100)
  assert.is(await drained, 0)
  assert.equal([end.texts, proxy.tunnels[0]!.reason], [['question'], null])
})

test('a listener that no plan names any more ends its sessions', async () => {
  using end = await echo()
  await using proxy = await startProxy(door([{ to: to(end) }]))
  using c = await udpEnd()
  c.send('1', proxy.port)
  await c.datagram(1)
  proxy.use({ config: { listeners: { other: udp({ listen: '127.0.0.1:1', routes: [{ to: to(end) }] }) } } })
  assert.is((await proxy.tunnel()).reason, null)
  await proxy.open(0)
})

test.run()
