/** What is refused is answered, closes the connection, and never reaches an endpoint: not whole, not in part, not what follows it. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const NEXT = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'

const cases: readonly (readonly [status: number, reason: string, text: string])[] = [
  [400, 'bad_host', 'GET / HTTP/1.1\r\n\r\n'],
  [400, 'bad_host', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  [400, 'bad_host', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
  [400, 'bad_framing', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  [400, 'bad_framing', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde'],
  [400, 'bad_framing', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde'],
  [400, 'bad_framing', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
  [400, 'bad_framing', 'POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  [501, 'unsupported_transfer_coding', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n'],
  [400, 'bad_request', 'GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n'],
  [400, 'bad_request', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n fold\r\n\r\n'],
  [400, 'bad_request', 'GET / HTTP/1.1\nHost: x\n\n'],
  [400, 'bad_request', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n'],
  [400, 'bad_request', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n'],
  [400, 'bad_request', 'GET  / HTTP/1.1\r\nHost: x\r\n\r\n'],
  [400, 'bad_request', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
  [400, 'bad_path', 'GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n'],
  [400, 'bad_path', 'GET /admin/..;/ HTTP/1.1\r\nHost: x\r\n\r\n'],
  [400, 'bad_path', 'GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n'],
  [400, 'bad_body', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
  [400, 'bad_body', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;\0\r\na\r\n0\r\n\r\n'],
  [501, 'unsupported_method', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n'],
  [505, 'unsupported_version', 'GET / HTTP/2.0\r\nHost: x\r\n\r\n'],
  [505, 'unsupported_version', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  [417, 'unsupported_expectation', 'POST / HTTP/1.1\r\nHost: x\r\nExpect: y\r\nContent-Length: 1\r\n\r\na'],
  [414, 'uri_too_long', `GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  [414, 'uri_too_long', `GET /${'a'.repeat(200_000)}`],
  [431, 'head_too_large', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(40_000)}\r\n\r\n`],
  [431, 'head_too_large', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(200_000)}`],
  [431, 'head_too_large', `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(101)}\r\n`],
]

for (const [status, reason, text] of cases) {
  test(`${status} ${reason}: ${JSON.stringify(text.slice(0, 70))}`, async () => {
    await using origin = await startOrigin()
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    c.send(`GET /before HTTP/1.1\r\nHost: x\r\n\r\n`)
    assert.is((await c.response()).status, 200)
    c.send(text + NEXT)
    const response = await c.response()
    assert.equal([response.status, response.headers.connection], [status, 'close'])
    assert.match(response.headers['proxy-status']!, /^sluice; error=http_request_error$/)
    assert.is(await c.closed(), 'fin')
    assert.is(c.rest, '')
    assert.equal(
      origin.requests.map((one) => one.target),
      ['/before'],
    )
    assert.equal(
      proxy.ended.map((one) => one.reason),
      [null, reason],
    )
  })
}

test('a path never slips past the route that protects it', async () => {
  await using origin = await startOrigin()
  const routes = [{ path: '/admin/*', to: { kind: 'respond', status: 403, body: 'no', headers: {} } as const }, {}]
  await using proxy = await startProxy({ origin, routes })
  const spellings = [
    '/admin',
    '/admin/',
    '/admin/x',
    '//admin',
    '/./admin',
    '/x/../admin',
    '/%61dmin',
    '/%61%64min/x',
    '/x/%2e%2e/admin',
    '/x/..//admin/',
    '/admin/../admin/x',
    '/ADMIN/../admin',
  ]
  spellings.push(
    '/admin/..;/',
    '/admin%2fx',
    '/%2fadmin',
    '/admin\\x',
    '/x/..;/admin',
    '/admin%00',
    '/x/..%3b/admin',
    'http://x//admin',
    'http://x/%61dmin',
  )
  for (const path of spellings) {
    using c = await proxy.connect()
    const response = await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    assert.ok(response.status === 403 || response.status === 400, `${path}: ${response.status}`)
  }
  assert.is(origin.requests.length, 0)
})

test('whatever bytes a client sends, the endpoint receives well-formed messages or nothing', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, times: { halfClosed: 50 } })
  const start = fc.constantFrom('GET / HTTP/1.1\r\n', 'POST /p HTTP/1.1\r\n', 'POST /p HTTP/1.0\r\n', 'GET /\n')
  const field = fc.constantFrom(
    ...[
      'Content-Length: 3\r\n',
      'Content-Length: 0\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Transfer-Encoding : chunked\r\n',
      'A: b\r\n c\r\n',
    ],
    ...[
      'Connection: close\r\n',
      'A: b\r\n',
      'A: \0\r\n',
      'A: b\n',
      'Expect: 100-continue\r\n',
      'Connection: upgrade\r\nUpgrade: h2c\r\n',
      'TE: trailers\r\n',
    ],
  )
  const body = fc.constantFrom(
    'abc',
    'ab',
    '3\r\nabc\r\n',
    '3;x=y\r\nabc\r\n',
    '0\r\n\r\n',
    '0\r\nX: 1\r\n\r\n',
    '0\r\nX : 1\r\n\r\n',
    'ff',
    '\r\n',
    '\n',
  )
  const request = fc
    .tuple(start, fc.array(field, { maxLength: 2 }), fc.array(body, { maxLength: 3 }))
    .map(([first, fields, rest]) => `${first}Host: x\r\n${fields.join('')}\r\n${rest.join('')}`)
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), fc.nat(), async (requests, cut) => {
      const text = requests.join('')
      using c = await proxy.connect({ deadlineMs: 5_000 })
      const at = cut % (text.length + 1)
      c.send(text.slice(0, at))
      await c.sent()
      c.send(text.slice(at)).end()
      await c.closed()
      assert.equal(origin.malformed, [], JSON.stringify(text))
    }),
    { numRuns: 300 },
  )
  assert.ok(origin.requests.length > 10, `${origin.requests.length} requests`)
  for (const request of origin.requests) assert.ok(['/', '/p'].includes(request.target))
})

test.run()
