/** Parents: one proxy asks another, by whole URLs, by CONNECT and by SOCKS5, and what it says no to is told as its own. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseParent } from '../../core/forward/parent.ts'
import { makeDestination } from '../../core/net/destination.ts'
import { SocksOpening } from '../../core/net/socks.ts'
import { socksConnect, socksUser } from '../../core/net/socks-client.ts'
import { forwarding } from '../support/forward.ts'
import { answer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { socksTo } from '../support/socks.ts'

const asking = (url: string, lines = ''): string => `GET ${url} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`
const connecting = (target: string): string => `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`

test('an HTTP parent is asked by the whole URL, with the credentials for it and without those of the client', async () => {
  await using origin = await startOrigin((request) => answer(request.target))
  await using parent = await startProxy(forwarding({ auth: { users: { 'a n': 'p@w' } } }, [origin.port]))
  await using proxy = await startProxy(
    forwarding({ listen: 'localhost:0', parent: `http://a%20n:p%40w@127.0.0.1:${parent.port}` }, [origin.port]),
  )
  using c = await proxy.connect()
  const url = `http://localhost:${origin.port}/a//b?c`
  for (let i = 0; i < 2; i++) {
    const response = await c.send(asking(url, 'Proxy-Authorization: Basic eDp5\r\n')).response()
    assert.equal([response.status, response.text], [200, '/a//b?c'])
  }
  assert.match((await origin.request()).headers.via!, /^1\.1 sluice-\w+, 1\.1 sluice-\w+$/)
  assert.not('proxy-authorization' in (await origin.request()).headers)
  const [first, second] = [await parent.exchange(1), await parent.exchange(2)]
  assert.equal([first.user, first.method, first.host], ['a n', 'GET', `localhost:${origin.port}`])
  assert.is(second.status, 200)
  assert.is(parent.dialled.length, 1)
  assert.is(proxy.dialled.length, 1, 'one connection to the parent for both')
})

test('an HTTP parent leads a tunnel on, and what comes with its answer is not lost', async () => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => 'first words' })
  await using parent = await startProxy(forwarding({}, [origin.port]))
  await using proxy = await startProxy(forwarding({ parent: `http://127.0.0.1:${parent.port}` }, [origin.port]))
  using c = await proxy.connect()
  const got = await c.send(`${connecting(`localhost:${origin.port}`)}early`).until('words')
  assert.is(got, 'HTTP/1.1 200 Connection established\r\n\r\nfirst words')
  const connection = await origin.connection()
  await connection.until('early')
  c.end()
  connection.end()
  await proxy.open(0)
  assert.equal([(await proxy.exchange()).tunnel, (await proxy.exchange()).bytesOut], [true, 11])
})

test('a SOCKS5 parent carries tunnels and plain requests, and resolves the names', async () => {
  await using origin = await startOrigin((request) => answer(request.target))
  await using parent = await startProxy(socksTo([origin.port], { auth: { users: { ann: 'pw' } } }))
  await using proxy = await startProxy(forwarding({ parent: `socks5://ann:pw@127.0.0.1:${parent.port}` }, [origin.port]))
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) {
    assert.is((await c.send(asking(`http://localhost:${origin.port}/x`)).response()).text, '/x')
  }
  const get = `GET /in HTTP/1.1\r\nHost: y\r\n\r\n`
  await c.send(connecting(`127.0.0.1:${origin.port}`) + get).until('/in')
  c.end()
  await proxy.open(1)
  assert.equal([...new Set(parent.tunnels.map(({ user }) => user))], ['ann'])
  assert.is(origin.connections.length, 2, 'the plain requests had one connection')
})

test('a name that leads here is the parent’s to judge; an address is not asked of it', async () => {
  await using parent = await startProxy(forwarding({ allow: { networks: ['192.0.2.0/24'] } }, [443]))
  await using proxy = await startProxy(
    forwarding({ parent: `http://127.0.0.1:${parent.port}`, allow: { networks: ['192.0.2.0/24'] } }, [443]),
  )
  using c = await proxy.connect()
  assert.is((await c.send(connecting('127.0.0.1:443')).response()).status, 403)
  assert.is(parent.ended.length, 0)
  assert.is((await c.send(connecting('localhost:443')).response()).status, 502)
  assert.equal([parent.ended[0]?.reason, proxy.ended[1]?.reason], ['address_refused', 'parent_refused'])
  assert.match(String(proxy.ended[1]?.detail), /^parent http:\/\/127\.0\.0\.1:\d+: it answered 403$/)
})

/** A parent that says what it is told to, and nothing of its own. */
async function reasonsOf(scheme: 'http' | 'socks5', says: (connection: OriginConnection) => void, opening = connecting('example.com:443')) {
  await using parent = await startOrigin(undefined, {
    raw: true,
    onConnection(connection) {
      says(connection)
      return undefined
    },
  })
  await using proxy = await startProxy(forwarding({ parent: `${scheme}://u:p@${parent.address}` }, [443]))
  using c = await proxy.connect()
  const { status, headers } = await c.send(opening).response()
  const { reason, detail } = await proxy.exchange()
  await proxy.open(1)
  assert.not('proxy-authenticate' in headers)
  return `${status} ${reason}: ${String(detail).replace(/^parent \S+: /, '')}`
}

test('a parent that refuses, speaks something else, or leaves, is told as such, and its challenge stays here', async () => {
  const after = (mark: string, text: string) => (connection: OriginConnection) => {
    void connection.until(mark).then(() => connection.write(text))
  }
  const challenge = 'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="parent"\r\nContent-Length: 0\r\n\r\n'
  assert.is(await reasonsOf('http', after('\r\n\r\n', challenge)), '502 parent_refused: it wants another name and password')
  assert.is(await reasonsOf('http', after('\r\n\r\n', 'HTTP/1.1 503 No\r\n\r\n')), '502 parent_refused: it answered 503')
  assert.is(await reasonsOf('http', after('\r\n\r\n', 'SSH-2.0-x\r\n\r\n')), '502 parent_refused: its answer is malformed')
  assert.is(await reasonsOf('http', after('\r\n\r\n', 'x'.repeat(20_000))), '502 parent_refused: its answer is malformed')
  assert.is(await reasonsOf('http', after('\r\n\r\n', `HTTP/1.1 200 ${'x'.repeat(20_000)}`)), '502 parent_refused: it said too much')
  assert.is(await reasonsOf('http', (connection) => connection.end()), '502 parent_refused: it closed the connection')
  const plain = asking('http://example.com/')
  assert.is(
    await reasonsOf('http', after('\r\n\r\n', challenge), plain),
    '502 parent_refused: it answered 407: it wants another name and password',
  )
  for (const [said, told] of [
    ['\x04\x00', '502 parent_refused: it does not speak SOCKS5'],
    ['\x05\xff', '502 parent_refused: it wants to know who asks, in another way'],
    ['\x05\x01', '502 parent_refused: it chose what was not offered'],
    ['\x05\x02\x01\x01', '502 parent_refused: it wants another name and password'],
    ['\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00', '502 connect_refused: the connection was refused'],
    ['\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00', '502 parent_refused: its rules do not allow it'],
    ['\x05\x00\x05\x06\x00\x01', '504 connect_timeout: the host did not answer in time'],
    ['\x05\x00\x05\x00\x00\x09\x00\x00\x00', '502 parent_refused: its answer is malformed'],
  ] as const) {
    assert.is(await reasonsOf('socks5', after('\x05', said)), told)
  }
})

test('a client that leaves while the parent is silent leaves nothing behind', async () => {
  await using parent = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(forwarding({ parent: `socks5://${parent.address}` }, [443]))
  using c = await proxy.connect()
  c.send(connecting('example.com:443'))
  await (await parent.connection()).until('\x05')
  await proxy.open(2)
  c.reset()
  await (await parent.connection()).closed()
  await proxy.open(0)
  assert.is((await proxy.exchange()).reason, 'client_gone')
  // Counted once, also after another round.
  using other = await proxy.connect()
  await other.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').response()
  await other.closed()
  await proxy.open(0)
})

test('a parent is written as a URL, and nothing of its password is repeated', () => {
  assert.equal(parseParent('http://ann:p%40w@[2001:DB8::1]:3128/'), {
    ...{ kind: 'http', target: { kind: 'ip', host: '2001:db8::1', port: 3128 }, name: 'http://[2001:db8::1]:3128' },
    credentials: { name: 'ann', password: 'p@w' },
  })
  assert.equal((parseParent('socks5h://proxy.example') as { name: string }).name, 'socks5://proxy.example:1080')
  for (const wrong of [
    '',
    'ftp://a',
    'http://',
    'http://a:0',
    'http://a:65536',
    'http://a/b',
    'http://u:%zz@d',
    'http://-a-',
    'http://a b',
  ]) {
    const told = parseParent(wrong)
    assert.type(told, 'string', wrong)
    assert.not(String(told).includes('%zz'))
  }
})

test('what the client of SOCKS5 says, its server reads', () => {
  fc.assert(
    fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65535 }), (host, port) => {
      const destination = makeDestination(host, port)
      fc.pre(destination !== null)
      const request = socksConnect(destination!)
      const reader = new SocksOpening({ wantsUser: false, udp: false })
      assert.is(reader.push(Buffer.from([5, 1, 0]))?.kind, 'answer')
      const step = reader.push(request)
      assert.equal(step?.kind === 'request' && step.command === 'connect' ? step.destination : step, destination)
    }),
  )
  assert.equal([...socksUser({ name: 'ä', password: 'p' })], [1, 2, 0xc3, 0xa4, 1, 0x70])
})

test.run()
