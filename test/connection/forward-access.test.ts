/** What a forward proxy lets nobody do: openings that are no request to a proxy, destinations out of bounds, and users it does not know. */
import { createHash, scryptSync } from 'node:crypto'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { basic, forwarding, local, strictly, timed } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const connecting = (target: string, lines = ''): string => `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`
const asking = (url: string, lines = ''): string => `GET ${url} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`

test('a bad opening gets its status, reaches nobody, and leaves nothing open', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  const { port } = origin
  const cases: readonly (readonly [number, string, string])[] = [
    // Targets of CONNECT.
    ...['localhost', 'localhost:', ':443', 'localhost:0', 'localhost:65536', 'localhost:99999999', `user@localhost:${port}`].map(
      (target) => [400, 'bad_host', connecting(target)] as const,
    ),
    ...[`http://localhost:${port}`, `/localhost:${port}`, '*', '[::1]', `[::1:${port}`, `::1:${port}`, `[fe80::1%25lo]:${port}`].map(
      (target) => [400, 'bad_host', connecting(target)] as const,
    ),
    ...[`127.1:${port}`, `2130706433:${port}`, `0x7f.1:${port}`, `localhost:${port}/`, `localhost:${port}?a`, `a,b:${port}`].map(
      (target) => [400, 'bad_host', connecting(target)] as const,
    ),
    [400, 'bad_request', `CONNECT local host:${port} HTTP/1.1\r\nHost: x\r\n\r\n`],
    [400, 'bad_request', `CONNECT  localhost:${port} HTTP/1.1\r\nHost: x\r\n\r\n`],
    [400, 'bad_request', `CONNECT localhost:${port}\r\nHost: x\r\n\r\n`],
    [400, 'bad_request', `CONNECT localhost:${port} HTTP/1.1\nHost: x\n\n`],
    [505, 'unsupported_version', `CONNECT localhost:${port} HTTP/2.0\r\nHost: x\r\n\r\n`],
    [400, 'bad_host', `CONNECT localhost:${port} HTTP/1.1\r\n\r\n`],
    [400, 'bad_host', connecting(`localhost:${port}`, 'Host: y\r\n')],
    [400, 'bad_framing', connecting(`localhost:${port}`, 'Content-Length: 5\r\n')],
    [400, 'bad_framing', connecting(`localhost:${port}`, 'Transfer-Encoding: chunked\r\n')],
    // URLs.
    [400, 'no_destination', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'no_destination', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'bad_request', `GET localhost HTTP/1.1\r\nHost: x\r\n\r\n`],
    [400, 'bad_request', 'GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'bad_request', `GET http://localhost:${port}/#a HTTP/1.1\r\nHost: x\r\n\r\n`],
    [501, 'unsupported_scheme', asking(`https://localhost:${port}/`)],
    [501, 'unsupported_scheme', asking(`ftp://localhost:${port}/`)],
    [501, 'unsupported_scheme', asking('file:///etc/passwd')],
    ...[`http://u:p@localhost:${port}/`, `http://localhost:${port}@evil.example/`, 'http://localhost:0/', 'http://localhost:65536/'].map(
      (url) => [400, 'bad_host', asking(url)] as const,
    ),
    ...['http://127.1/', 'http://0x7f000001/', 'http://[::1/', 'http://a..b/', `http://localhost\\@evil.example:${port}/`].map(
      (url) => [400, 'bad_host', asking(url)] as const,
    ),
  ]
  for (const [status, reason, opening] of cases) {
    using c = await proxy.connect()
    const response = await c.send(opening).response()
    assert.is(response.status, status, opening)
    assert.is((await proxy.exchange(proxy.ended.length)).reason, reason, opening)
  }
  await proxy.open(0)
  assert.equal([origin.connections.length, proxy.dialled], [0, []])
})

test('whatever follows CONNECT, the proxy answers or closes, and goes on serving', async () => {
  await using origin = await startOrigin(() => answer('alive'))
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  const piece = fc.oneof(
    fc.constantFrom('CONNECT', 'GET', 'http://', 'localhost', ':', '[::1]', '@', '/', ' ', '\r\n', 'HTTP/1.1', 'Host: x\r\n', '\r\n\r\n'),
    fc.string({ maxLength: 8 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      using c = await proxy.connect()
      c.send(`CONNECT ${pieces.join('')}\r\n\r\n`).end()
      await c.closed()
    }),
    { numRuns: 60 },
  )
  using c = await proxy.connect()
  assert.is((await c.send(asking(`http://${origin.address}/`)).response()).text, 'alive')
})

test('a CONNECT that does not become complete ends in time', async () => {
  await using proxy = await startProxy(timed({ requestHead: 20 }))
  using c = await proxy.connect()
  const response = await c.send('CONNECT localhost:443 HTTP/1.1\r\nHo').response()
  assert.is(response.status, 408)
  await c.closed()
  await proxy.open(0)
})

test('nothing local is reached by default, however it is spelt, nor by a name that leads there', async () => {
  await using origin = await startOrigin()
  const { port } = origin
  await using proxy = await startProxy(strictly({ allow: { ports: [port] } }))
  const hosts = [
    '127.0.0.1',
    '127.1.2.3',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '169.254.169.254',
  ]
  for (const host of [...hosts, 'localhost', 'a.localhost']) {
    for (const opening of [connecting(`${host}:${port}`), asking(`http://${host}:${port}/`)]) {
      using c = await proxy.connect()
      const response = await c.send(opening).response()
      assert.is(response.status, 403, opening)
      assert.match(response.text, /local to it.*\(allow\.networks\)\.\nreason: address_refused/)
      assert.match(response.headers['proxy-status']!, /error=destination_ip_prohibited$/)
    }
  }
  assert.is(origin.connections.length, 0)
  assert.match(String(proxy.ended.at(-1)!.detail), /^127\.0\.0\.1 is loopback$/)
})

test('each rule has an answer that says which it was', async () => {
  await using origin = await startOrigin()
  const { port } = origin
  const refused = async (options: Parameters<typeof strictly>[0], opening: string): Promise<string> => {
    await using proxy = await startProxy(strictly(options))
    using c = await proxy.connect()
    const { status, text } = await c.send(opening).response()
    return `${status} ${/reason: (\w+)/.exec(text)?.[1]}`
  }
  assert.is(await refused({ allow: local }, connecting(`localhost:${port}`)), '403 port_refused')
  assert.is(await refused({ allow: local }, connecting('localhost:80')), '403 port_refused')
  assert.is(await refused({ allow: local }, asking('http://localhost:25/')), '403 port_refused')
  assert.is(await refused({ allow: { ...local, hosts: ['example.com'] } }, asking(`http://localhost:${port}/`)), '403 host_refused')
  assert.is(await refused({ allow: { ...local, clients: ['10.0.0.0/8'] } }, asking(`http://localhost:${port}/`)), '403 client_refused')
  assert.is(origin.connections.length, 0)
})

test('without the right name and password nothing is reached, and the client may try again on the same connection', async () => {
  await using origin = await startOrigin()
  const hash = `{SHA}${createHash('sha1').update('böb').digest('base64')}`
  await using proxy = await startProxy(forwarding({ auth: { users: { ann: 'pw:1', bob: hash } } }, [origin.port]))
  using c = await proxy.connect()
  const url = `http://${origin.address}/`
  for (const lines of [
    '',
    basic('ann', 'pw'),
    basic('ann', ''),
    basic('nobody', 'pw:1'),
    basic('', ''),
    'Proxy-Authorization: Basic !!!\r\n',
    'Proxy-Authorization: Bearer abc\r\n',
    'Authorization: Basic YW5uOnB3OjE=\r\n',
    basic('ann', 'pw:1') + basic('bob', 'böb'),
    basic('constructor', 'x'),
    basic('__proto__', 'x'),
  ]) {
    for (const opening of [asking(url, lines), connecting(origin.address, lines)]) {
      const response = await c.send(opening).response()
      assert.is(response.status, 407, lines)
      assert.is(response.headers['proxy-authenticate'], 'Basic realm="sluice", charset="UTF-8"')
    }
  }
  assert.is(origin.connections.length, 0)
  for (const [user, password] of [
    ['ann', 'pw:1'],
    ['bob', 'böb'],
  ] as const) {
    assert.is((await c.send(asking(url, basic(user, password))).response()).status, 200)
    assert.is((await proxy.exchange(proxy.ended.length)).user, user)
  }
  assert.not('proxy-authorization' in (await origin.request()).headers)
  await c.send(connecting(origin.address, basic('ann', 'pw:1'))).until('\r\n\r\n')
  c.end()
  ;(await origin.connection(2)).end()
  await proxy.open(1)
  assert.equal([proxy.ended.at(-1)!.user, proxy.ended.at(-1)!.tunnel], ['ann', true])
})

test('a password may stand in the config as a hash of scrypt: looked at apart, then known again', async () => {
  await using origin = await startOrigin()
  const salt = Buffer.from('sixteen bytes it')
  const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
  const hash = `$scrypt$ln=4,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync('secret', salt, 32, { N: 16, r: 8, p: 1 }))}`
  await using proxy = await startProxy(forwarding({ auth: { users: { ann: hash } } }))
  using c = await proxy.connect()
  const url = `http://${origin.address}/`
  const statuses: number[] = []
  for (const password of ['wrong', 'secret', 'wrong', 'secret'])
    statuses.push((await c.send(asking(url, basic('ann', password))).response()).status)
  statuses.push((await c.send(asking(url, basic('nobody', 'secret'))).response()).status)
  assert.equal(statuses, [407, 200, 407, 200, 407])
  // Who leaves meanwhile is not answered.
  using gone = await proxy.connect()
  gone.send(asking(url, basic('ann', 'another'))).reset()
  assert.is((await c.send(asking(url, basic('ann', 'secret'))).response()).status, 200)
})

test('the proxy does not go to itself, whatever is open and however it is named, also when no Via would tell', async () => {
  await using origin = await startOrigin()
  for (const hosts of [undefined, ['127.0.0.1', 'localhost']]) {
    const allow = { networks: '127.0.0.0/8', hosts }
    await using proxy = await startProxy(strictly({ anonymity: 'high', socks: true, allow: { ...allow, ports: [1] } }))
    // Its port is known now: a tunnel to there is no matter of ports.
    await proxy.reload(strictly({ anonymity: 'high', socks: true, allow: { ...allow, ports: [proxy.port, origin.port] } }))
    for (const host of ['127.0.0.1', 'localhost'])
      for (const opening of [connecting(`${host}:${proxy.port}`), asking(`http://${host}:${proxy.port}/`)]) {
        using c = await proxy.connect()
        const response = await c.send(opening).response()
        assert.equal([response.status, proxy.ended.at(-1)!.reason], [403, 'address_refused'], opening)
        assert.match(String(proxy.ended.at(-1)!.detail), /^127\.0\.0\.1 at port \d+ is this proxy itself$/)
      }
    using c = await proxy.connect()
    assert.is((await c.send(asking(`http://${origin.address}/`)).response()).status, 200)
    assert.is(proxy.dialled.filter(({ ok }) => ok).length, 1)
  }
})

test('nobody is led to where the proxy is administered, whatever is open', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding({ socks: true }, [origin.port]))
  using c = await proxy.connect()
  assert.is((await c.send(asking(`http://${origin.address}/`)).response()).status, 200)
  const { config } = forwarding({ socks: true }, [origin.port])
  await proxy.reload({ config: { ...config, admin: { listen: origin.address } } })
  for (const opening of [connecting(`127.0.0.1:${origin.port}`), asking(`http://[::ffff:127.0.0.1]:${origin.port}/`)]) {
    using other = await proxy.connect()
    const said = await other.send(opening).response()
    assert.is(said.status, 403)
    assert.match(String(proxy.ended.at(-1)!.detail), / is this proxy itself$/)
  }
  assert.is(origin.requests.length, 1)
})

test('a request that was here before is not sent again', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  const url = `http://${origin.address}/`
  await c.send(asking(url, 'Via: 1.1 other, 1.0 sluice\r\n')).response()
  const via = (await origin.request()).headers.via!
  const [, name] = /^1\.1 other, 1\.0 sluice, 1\.1 (sluice-[0-9a-f]{10})$/.exec(via) ?? []
  assert.ok(name, via)
  for (const lines of [`Via: ${via}\r\n`, `Via: HTTP/1.1 ${name} (a comment)\r\n`]) {
    const response = await c.send(asking(url, lines)).response()
    assert.is(response.status, 502)
    assert.match(response.headers['proxy-status']!, /error=proxy_loop_detected$/)
  }
  assert.is(origin.requests.length, 1)
})

test.run()
