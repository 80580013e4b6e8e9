/** What an endpoint is told of the client and of this hop, and what neither side can make it believe. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet } from '../../core/net/cidr.ts'
import { connect } from '../support/client.ts'
import { answer, type OriginRequest, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, startProxy } from '../support/proxy.ts'

const trust = new CidrSet(['127.0.0.0/8', '10.0.0.0/8'])

/** What the origin gets of a request with these lines. */
async function received(
  lines: readonly string[],
  options: ProxyOptions = {},
  start = 'GET /p?q=1 HTTP/1.1',
): Promise<OriginRequest & { ip: string; peer: string }> {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, ...options })
  using c = await proxy.connect()
  await c.send(`${[start, ...lines].join('\r\n')}\r\n\r\n`).response()
  const { ip, peer } = await proxy.exchange()
  return { ...(await origin.request()), ip, peer }
}

test('the endpoint is told who asked, how, for what, and by whom it was passed on', async () => {
  const { headers } = await received(['Host: Example.com:81'])
  assert.equal(
    [headers['x-forwarded-for'], headers['x-forwarded-proto'], headers['x-forwarded-host'], headers.via, headers.forwarded],
    ['127.0.0.1', 'http', 'Example.com:81', '1.1 sluice', undefined],
  )
  const more = await received(['Host: x', 'Via: 1.0 a'], { listener: { forwarded: true, via: 'edge' } }, 'GET / HTTP/1.0')
  assert.equal([more.headers.forwarded, more.headers.via], ['for=127.0.0.1;proto=http;host="x"', '1.0 a, 1.0 edge'])
  assert.is((await received(['Host: x'], { listener: { via: null } })).headers.via, undefined)
})

test('who comes by a unix socket is unknown, and not trusted', async () => {
  await using origin = await startOrigin()
  const path = join(mkdtempSync(join(tmpdir(), 'sluice-')), 's')
  for (const listener of [{ forwarded: true }, { forwarded: true, trust }]) {
    await using _proxy = await startProxy({ origin, path, listener })
    using c = await connect(path)
    await c.send('GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n').response()
    const { headers } = origin.requests.at(-1)!
    assert.equal([headers['x-forwarded-for'], headers.forwarded], ['unknown', 'for=unknown;proto=http;host="x"'])
  }
})

test('nobody chooses who it is: identity fields of strangers, and their twins with underscores, are replaced', async () => {
  const spoofed = [
    'X-Forwarded-For',
    'x_forwarded_for',
    'X-Forwarded_For',
    'X-FORWARDED-PROTO',
    'X_Forwarded_Host',
    'X-Forwarded-Port',
    'X-Real-IP',
    'X_REAL_IP',
    'x-real_ip',
    'Forwarded',
    'X-Forwarded',
    'X-Forwarded-Client-Cert',
  ]
  const seen = await received(['Host: x', ...spoofed.map((name) => `${name}: 6.6.6.6`)])
  assert.not.match(seen.head, /6\.6\.6\.6/)
  assert.is(seen.lines.filter((line) => /^x[-_]forwarded[-_]for/i.test(line)).length, 1)
  assert.is(seen.ip, '127.0.0.1')
})

test('a trusted peer is believed: the client is the rightmost address that is not trusted', async () => {
  const cases: readonly (readonly [string, string])[] = [
    ['6.6.6.6, 7.7.7.7, 10.1.1.1', '7.7.7.7'],
    ['7.7.7.7', '7.7.7.7'],
    ['10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['6.6.6.6, unknown, 10.1.1.1', '10.1.1.1'],
    ['6.6.6.6, <script>', '127.0.0.1'],
    ['::ffff:7.7.7.7', '7.7.7.7'],
    ['2001:db8::1', '2001:db8::1'],
    ['', '127.0.0.1'],
    [',', '127.0.0.1'],
  ]
  for (const [chain, client] of cases) {
    const seen = await received(['Host: x', `X-Forwarded-For: ${chain}`], { listener: { trust } })
    assert.equal([seen.ip, seen.peer], [client, '127.0.0.1'], chain)
  }
  const two = await received(
    ['Host: x', 'X-Forwarded-For: 6.6.6.6', 'X-Forwarded-For: 7.7.7.7', 'X-Forwarded-Proto: https', 'Via: 1.1 a'],
    { listener: { trust, forwarded: true } },
  )
  assert.equal(
    [two.headers['x-forwarded-for'], two.headers['x-forwarded-proto'], two.headers['x-forwarded-host'], two.headers.via],
    ['6.6.6.6, 7.7.7.7, 127.0.0.1', 'https', 'x', '1.1 a, 1.1 sluice'],
  )
  assert.is(two.headers.forwarded, 'for=127.0.0.1;proto=http;host="x"')
  const bare = await received(['Host: x'], { listener: { trust } })
  assert.equal([bare.headers['x-forwarded-for'], bare.headers['x-forwarded-proto'], bare.headers.via], ['127.0.0.1', 'http', '1.1 sluice'])
})

test('twins with underscores are taken out behind a trusted peer too: no proxy writes them', async () => {
  // Mechanism: an endpoint that reads `-` and `_` alike (CGI, WSGI) joined what the client had sent to the chain of its proxies.
  const twins = ['X_Forwarded_For: 6.6.6.6', 'x-forwarded_for: 6.6.6.6', 'X-Real_IP: 6.6.6.6', 'X-Forwarded_Client-Cert: 6.6.6.6']
  const seen = await received(['Host: x', 'X_Y: kept', 'X-Forwarded-For: 7.7.7.7', ...twins, 'X-Real-IP: 7.7.7.7'], { listener: { trust } })
  assert.not.match(seen.head, /6\.6\.6\.6/)
  assert.equal(
    [seen.headers['x-forwarded-for'], seen.headers['x-real-ip'], seen.headers.x_y, seen.ip],
    ['7.7.7.7, 127.0.0.1', '7.7.7.7', 'kept', '7.7.7.7'],
  )
})

test('a peer outside the trusted networks is not believed', async () => {
  const seen = await received(['Host: x', 'X-Forwarded-For: 6.6.6.6', 'X_Real_IP: 6.6.6.6'], {
    listener: { trust: new CidrSet(['10.0.0.0/8']) },
  })
  assert.equal([seen.ip, seen.headers['x-forwarded-for']], ['127.0.0.1', '127.0.0.1'])
  assert.not.match(seen.head, /6\.6\.6\.6/)
})

test('the Host field: kept, the endpoint’s, or a name', async () => {
  const host = async (options: ProxyOptions) => {
    const seen = await received(['Host: a.example', 'X: y'], options)
    assert.is(seen.lines.filter((line) => /^host:/i.test(line)).length, 1)
    return seen.headers.host
  }
  assert.is(await host({}), 'a.example')
  assert.is(await host({ host: 'name', hostName: 'b.example:444' }), 'b.example:444')
  assert.match(String(await host({ host: 'endpoint' })), /^127\.0\.0\.1:\d+$/)
})

test('an absolute-form target is sent as a path, and its authority is the Host', async () => {
  const seen = await received(['Host: other'], {}, 'GET http://Real.example/%61?b HTTP/1.1')
  assert.equal([seen.target, seen.headers.host, seen.headers['x-forwarded-host']], ['/a?b', 'Real.example', 'Real.example'])
  assert.is((await received(['Host: x'], {}, 'OPTIONS * HTTP/1.1')).target, '*')
})

test('fields of one hop, and those that Connection names, do not pass, in either direction', async () => {
  const hop = [
    'Connection: X-Mine, close',
    'X-Mine: 1',
    'Keep-Alive: timeout=5',
    'Proxy-Connection: keep-alive',
    'Upgrade: x',
    'X-Stays: 2',
  ]
  await using origin = await startOrigin(() => answer('ok', 200, [...hop, 'Via: 1.1 origin']))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const response = await c
    .send(`${['GET / HTTP/1.1', 'Host: x', 'TE: trailers, deflate', 'Proxy-Authorization: secret', ...hop].join('\r\n')}\r\n\r\n`)
    .response()
  const seen = await origin.request()
  for (const { headers } of [seen, response]) {
    for (const name of ['x-mine', 'keep-alive', 'proxy-connection', 'upgrade', 'proxy-authorization'])
      assert.is(headers[name], undefined, name)
    assert.is(headers['x-stays'], '2')
  }
  assert.equal([seen.headers.te, seen.headers.connection], ['trailers', 'te'])
  assert.is(response.headers.connection, 'close')
})

test('fields that stay, stay as they were: names, order, doubles, bytes', async () => {
  const lines = ['Host: x', 'ACCEPT:a', 'accept:   b  ', 'Cookie: a=1', 'X-Bytes: \xe9\xff', 'Empty:', 'Cookie: b=2']
  const seen = await received(lines)
  assert.equal(seen.lines.slice(0, lines.length), lines)
})

test('errors of the proxy itself say so: Proxy-Status, and JSON for those who prefer it', async () => {
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'] })
  using c = await proxy.connect()
  const text = await c.send('GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html, application/json\r\n\r\n').response()
  assert.equal(
    [text.status, text.headers['proxy-status'], text.headers['content-type'], text.headers['cache-control']],
    [502, 'sluice; error=connection_refused', 'text/plain; charset=utf-8', 'no-store'],
  )
  for (const accept of ['application/json', 'application/problem+json, text/html;q=0.5']) {
    const json = await c.send(`GET /secret HTTP/1.1\r\nHost: x\r\nAccept: ${accept}\r\n\r\n`).response()
    assert.is(json.headers['content-type'], 'application/problem+json')
    const problem = JSON.parse(json.text)
    assert.equal([problem.status, problem.reason, problem.request], [502, 'connect_refused', proxy.ended.at(-1)!.id])
    assert.not.match(json.text, /secret/)
  }
  const head = await c.send('HEAD / HTTP/1.1\r\nHost: x\r\n\r\n').response({ to: 'HEAD' })
  assert.equal([head.status, head.headers['content-length']! > '0'], [502, true])
  assert.is(new Set(proxy.ended.map((one) => one.id)).size, 4)
})

test('a route’s rewrite and redirect are in the normal form of a path', async () => {
  await using origin = await startOrigin((req) => answer(req.target))
  const routes = [
    { path: '/old/*', to: { kind: 'redirect', to: '/new/*', status: 308 } as const },
    { path: '/strip/*', rewrite: '/*' },
  ]
  await using proxy = await startProxy({ origin, routes })
  using c = await proxy.connect()
  const moved = await c.send('GET /old//a/./b?c=1 HTTP/1.1\r\nHost: x\r\n\r\n').response()
  assert.equal([moved.status, moved.headers.location, moved.headers['content-length']], [308, '/new/a/b?c=1', '0'])
  assert.is((await c.send('GET /strip/x/%2e./y?z HTTP/1.1\r\nHost: x\r\n\r\n').response()).text, '/y?z')
})

test.run()
