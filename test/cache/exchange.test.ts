/** A cache on the way of requests: what is kept answers them, and says so. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fresh, requestOf, startCached } from '../support/cache.ts'
import { answer } from '../support/origin.ts'

const status = 'cache-status'

test('what is fresh is answered without the endpoint, with its age, and says so', async () => {
  await using cached = await startCached(() => fresh('kiwi', 60, ['ETag: "1"', 'X-Own: a']))
  const first = await cached.get('/a?b=1')
  assert.equal([first.status, first.text, first.headers[status]], [200, 'kiwi', 'sluice; fwd=uri-miss; stored'])
  cached.pass(20)
  const second = await cached.get('/a?b=1')
  assert.equal([second.status, second.text, second.headers[status]], [200, 'kiwi', 'sluice; hit; ttl=40'])
  assert.equal([second.headers.age, second.headers['x-own'], second.headers.etag], ['20', 'a', '"1"'])
  assert.is(cached.asked, 1)
  assert.equal([(await cached.proxy.exchange(1)).cache, (await cached.proxy.exchange(2)).cache], ['miss', 'hit'])
  assert.equal([(await cached.proxy.exchange(2)).bytesOut, (await cached.proxy.exchange(2)).upstream], [4, null])
})

test('another path, query, host or scheme is another answer', async () => {
  let number = 0
  await using cached = await startCached(() => fresh(`${++number}`))
  for (const [path, host] of [
    ['/a', 'x.example'],
    ['/a?', 'x.example'],
    ['/a?b', 'x.example'],
    ['/a', 'y.example'],
    ['/a', 'x.example:8080'],
  ] as const) {
    await cached.get(path, [`Host: ${host}`])
  }
  assert.is(cached.asked, 5)
  assert.is((await cached.get('/a', ['Host: X.Example:80'])).text, '1')
  assert.is((await cached.get('/./b/../a', ['Host: x.example'])).text, '1')
  assert.is(cached.asked, 5)
})

test('what is stale is asked about with its validators, and a 304 makes it fresh again (RFC 9111 §4.3)', async () => {
  await using cached = await startCached(({ headers }) =>
    headers['if-none-match'] === '"1"'
      ? 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nX-New: b\r\nContent-Type: wrong/one\r\n\r\n'
      : fresh('kiwi', 60, ['ETag: "1"', 'X-New: a', 'Content-Type: text/plain', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT']),
  )
  await cached.get()
  cached.pass(61)
  const renewed = await cached.get()
  assert.equal([renewed.status, renewed.text, renewed.headers['x-new'], renewed.headers['content-type']], [200, 'kiwi', 'b', 'text/plain'])
  assert.is(renewed.headers[status], 'sluice; fwd=stale; fwd-status=304; stored')
  assert.is(cached.origin.requests[1]!.headers['if-modified-since'], 'Thu, 01 Jan 2015 00:00:00 GMT')
  cached.pass(30)
  const hit = await cached.get()
  assert.equal([hit.text, hit.headers[status], hit.headers['x-new']], ['kiwi', 'sluice; hit; ttl=30', 'b'])
  assert.is(cached.asked, 2)
  assert.is(cached.origin.connections.length, 1)
})

test('a 304 that speaks of another version renews nothing (RFC 9111 §4.3.4)', async () => {
  await using cached = await startCached(({ headers }) =>
    headers['if-none-match'] === undefined
      ? fresh('kiwi', 60, ['ETag: "1"'])
      : 'HTTP/1.1 304 Not Modified\r\nETag: "2"\r\nCache-Control: max-age=60\r\n\r\n',
  )
  await cached.get()
  cached.pass(61)
  assert.match((await cached.get()).headers[status]!, 'fwd=stale')
  assert.is((await cached.get()).headers[status], 'sluice; fwd=uri-miss; stored')
})

test('another version takes the place of what was stale', async () => {
  let version = 0
  await using cached = await startCached(() => fresh(`v${++version}`, 60, [`ETag: "${version}"`]))
  await cached.get()
  cached.pass(61)
  const second = await cached.get()
  assert.equal([second.text, second.headers[status]], ['v2', 'sluice; fwd=stale; fwd-status=200; stored'])
  assert.is((await cached.get()).text, 'v2')
})

test('a client that has it already gets 304, of a hit and of a miss', async () => {
  await using cached = await startCached(() =>
    fresh('kiwi', 60, ['ETag: "1"', 'X-Own: a', 'Vary: X-A', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT']),
  )
  for (const lines of [
    ['If-None-Match: "0", W/"1"'],
    ['If-None-Match: *'],
    ['If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT'],
    ['If-Modified-Since: Fri, 02 Jan 2015 00:00:00 GMT'],
  ]) {
    const { status: code, text, headers } = await cached.get('/', lines)
    assert.equal([code, text, headers.etag, headers.vary, headers['x-own']], [304, '', '"1"', 'X-A', undefined], lines[0])
  }
  assert.is(cached.asked, 1)
  assert.is(cached.origin.requests[0]!.headers['if-none-match'], undefined)
  for (const lines of [
    ['If-None-Match: "2"'],
    ['If-Modified-Since: Thu, 01 Jan 2014 00:00:00 GMT'],
    ['If-None-Match: "2"', 'If-Modified-Since: Fri, 02 Jan 2015 00:00:00 GMT'],
  ])
    assert.is((await cached.get('/', lines)).text, 'kiwi', lines[0])
  assert.is(cached.asked, 1)
})

test('a range of what is kept is 206, one behind its end 416, several are all of it', async () => {
  await using cached = await startCached(() => fresh('0123456789', 60, ['ETag: "1"']))
  await cached.get()
  const part = async (range: string, lines: readonly string[] = []) => {
    const { status: code, text, headers } = await cached.get('/', [`Range: ${range}`, ...lines])
    return `${code} ${text} ${headers['content-range'] ?? ''} ${headers['content-length']}`.trim()
  }
  assert.is(await part('bytes=2-4'), '206 234 bytes 2-4/10 3')
  assert.is(await part('bytes=8-'), '206 89 bytes 8-9/10 2')
  assert.is(await part('bytes=-3'), '206 789 bytes 7-9/10 3')
  assert.is(await part('bytes=5-100'), '206 56789 bytes 5-9/10 5')
  assert.is(await part('bytes=10-'), '416  bytes */10 0')
  assert.is(await part('bytes=-0'), '416  bytes */10 0')
  assert.is(await part('bytes=4-2'), '200 0123456789  10')
  assert.is(await part('bytes=0-1,4-5'), '200 0123456789  10')
  assert.is(await part('lines=0-1'), '200 0123456789  10')
  assert.is(await part('bytes=2-4', ['If-Range: "1"']), '206 234 bytes 2-4/10 3')
  assert.is(await part('bytes=2-4', ['If-Range: "2"']), '200 0123456789  10')
  assert.is(await part('bytes=2-4', ['If-Range: W/"1"']), '200 0123456789  10')
  assert.is(cached.asked, 1)
})

test('a range of what is being fetched comes from there once that has come so far, and else from the endpoint', async () => {
  await using cached = await startCached(({ headers }) =>
    headers.range === undefined
      ? 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n012345'
      : answer('89', 206, ['Content-Range: bytes 8-9/10']),
  )
  using first = await cached.proxy.connect()
  first.send(requestOf())
  await first.until('012345')
  const there = await cached.get('/', ['Range: bytes=2-4'])
  assert.equal([there.status, there.text, there.headers[status]], [206, '234', 'sluice; fwd=uri-miss; collapsed'])
  const behind = await cached.get('/', ['Range: bytes=8-9'])
  assert.equal([behind.status, behind.text, behind.headers[status]], [206, '89', 'sluice; fwd=uri-miss; detail=range'])
  assert.is(cached.asked, 2)
})

test('a range of what is not kept goes to the endpoint and stays there, but for all of it', async () => {
  await using cached = await startCached(({ headers }) =>
    headers.range === undefined ? fresh('0123456789') : answer('01', 206, ['Content-Range: bytes 0-1/10', 'Cache-Control: max-age=60']),
  )
  const part = await cached.get('/', ['Range: bytes=0-1'])
  assert.equal([part.status, part.text, part.headers[status]], [206, '01', 'sluice; fwd=uri-miss; detail=range'])
  const all = await cached.get('/', ['Range: bytes=0-'])
  assert.equal([all.status, all.text], [206, '0123456789'])
  assert.is((await cached.get()).headers[status], 'sluice; hit; ttl=60')
  assert.is(cached.asked, 2)
})

test('HEAD is answered from what GET brought; its own answer is not kept', async () => {
  await using cached = await startCached(({ method }) =>
    method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\n' : fresh('kiwi'),
  )
  assert.is((await cached.get('/', [], 'HEAD')).headers[status], 'sluice; fwd=uri-miss')
  await cached.get()
  const head = await cached.get('/', [], 'HEAD')
  assert.equal([head.status, head.text, head.headers['content-length'], head.headers[status]], [200, '', '4', 'sluice; hit; ttl=60'])
  assert.is(cached.asked, 2)
})

test('Vary keeps the answers apart, and equal ones together whatever their spelling (RFC 9111 §4.1)', async () => {
  await using cached = await startCached(({ headers }) => fresh(`${headers['accept-encoding']}`, 60, ['Vary: Accept-Encoding']))
  const get = async (coding: string) => cached.get('/', [`Accept-Encoding: ${coding}`])
  assert.is((await get('gzip, br')).headers[status], 'sluice; fwd=uri-miss; stored')
  assert.is((await get('br;q=0.5,GZIP')).headers[status], 'sluice; hit; ttl=60')
  assert.is((await get('br, gzip, snappy')).headers[status], 'sluice; fwd=vary-miss; stored')
  assert.is((await get('br')).headers[status], 'sluice; fwd=vary-miss; stored')
  assert.is((await get('br;q=0, gzip')).headers[status], 'sluice; fwd=vary-miss; stored')
  assert.is((await get('br, gzip')).text, 'gzip, br')
  assert.is(cached.asked, 4)
})

test('Vary: * is not kept', async () => {
  await using cached = await startCached(() => fresh('kiwi', 60, ['Vary: X-A, *']))
  assert.is((await cached.get()).headers[status], 'sluice; fwd=uri-miss; detail=vary')
  assert.is((await cached.get()).headers[status], 'sluice; fwd=uri-miss; detail=vary')
})

test('what is not to be kept is not, and the answer says why', async () => {
  const cases: readonly [lines: readonly string[], detail: string, asked?: readonly string[]][] = [
    [[], 'no-freshness'],
    [['Cache-Control: no-store, max-age=60'], 'no-store'],
    [['Cache-Control: private, max-age=60'], 'private'],
    [['Cache-Control: max-age=60, private="set-cookie"'], 'private'],
    [['Cache-Control: max-age=60', 'Set-Cookie: a=b'], 'set-cookie'],
    [['Cache-Control: max-age=60'], 'authorization', ['Authorization: Basic eDp5']],
    [['Cache-Control: max-age=60'], 'request-no-store', ['Cache-Control: no-store']],
    [['Cache-Control: max-age=60'], 'unkeyed', ['X-Original-URL: /admin']],
    [['Cache-Control: max-age=0'], 'no-freshness'],
    [['Expires: 0'], 'no-freshness'],
    [['Cache-Control: max-age=60', 'CDN-Cache-Control: no-store'], 'no-store'],
  ]
  await using cached = await startCached(({ target }) => answer('kiwi', 200, cases[Number(target.slice(1))]![0]))
  for (const [i, [lines, detail, asked = []]] of cases.entries()) {
    assert.is((await cached.get(`/${i}`, asked)).headers[status], `sluice; fwd=uri-miss; detail=${detail}`, lines.join())
    assert.is((await cached.get(`/${i}`, asked)).headers[status], `sluice; fwd=uri-miss; detail=${detail}`, lines.join())
  }
  assert.is(cached.asked, 2 * cases.length)
})

test('clients that ask for it get another one (RFC 9111 §5.2.1), if that is not switched off', async () => {
  let number = 0
  const handler = () => fresh(`${++number}`, 60)
  await using cached = await startCached(handler)
  await cached.get()
  cached.pass(30)
  const ask = async (control: string) => {
    const { text, headers } = await cached.get('/', [`Cache-Control: ${control}`])
    return `${text} ${headers[status]}`
  }
  assert.is(await ask('max-age=30'), '1 sluice; hit; ttl=30')
  assert.is(await ask('min-fresh=30'), '1 sluice; hit; ttl=30')
  assert.is(await ask('only-if-cached'), '1 sluice; hit; ttl=30')
  assert.is(await ask('min-fresh=31'), '2 sluice; fwd=request; fwd-status=200; stored')
  cached.pass(30)
  assert.is(await ask('max-age=29'), '3 sluice; fwd=request; fwd-status=200; stored')
  assert.is(await ask('no-cache'), '4 sluice; fwd=request; fwd-status=200; stored')
  assert.is((await cached.get('/', ['Pragma: no-cache'])).text, '5')
  cached.pass(70)
  assert.is(await ask('max-stale=10'), '5 sluice; hit; ttl=-10; detail=max-stale')
  assert.is(await ask('max-stale'), '5 sluice; hit; ttl=-10; detail=max-stale')
  assert.is(await ask('max-stale=9'), '6 sluice; fwd=stale; fwd-status=200; stored')
  await using deaf = await startCached(handler, { obeyClients: false })
  await deaf.get()
  assert.match((await deaf.get('/', ['Cache-Control: no-cache', 'Pragma: no-cache'])).headers[status]!, 'hit')
})

test('only-if-cached without anything kept is 504', async () => {
  await using cached = await startCached(() => fresh('kiwi'))
  assert.is((await cached.get('/', ['Cache-Control: only-if-cached'])).status, 504)
  assert.is((await cached.proxy.exchange()).reason, 'not_cached')
  assert.is(cached.asked, 0)
})

test('a request that changes something puts out what is kept of its URL and of where it points (RFC 9111 §4.4)', async () => {
  let number = 0
  await using cached = await startCached(({ method, target }) => {
    if (method === 'GET') return fresh(`${++number}`)
    if (target === '/fails') return answer('no', 500)
    return answer('done', 201, ['Location: /new', 'Content-Location: http://example.com/other', 'Content-Location: http://evil.example/a'])
  })
  for (const path of ['/a', '/new', '/other', '/else', '/fails']) await cached.get(path)
  assert.is((await cached.get('/a', [], 'POST')).headers[status], 'sluice; fwd=method')
  await cached.get('/fails', [], 'DELETE')
  const again = []
  for (const path of ['/a', '/new', '/else', '/fails']) again.push((await cached.get(path)).text)
  assert.equal(again, ['6', '7', '4', '5'])
})

test('where a change points is found under the name that it is kept by, whatever of its query counts', async () => {
  let number = 0
  const moved = answer('', 303, ['Location: /new?utm_source=a&b=2&a=1'])
  await using cached = await startCached(({ method }) => (method === 'GET' ? fresh(`${++number}`) : moved), {
    query: { without: ['utm_*'] },
  })
  await cached.get('/new?a=1&b=2')
  await cached.get('/a', [], 'POST')
  assert.is((await cached.get('/new?b=2&a=1')).text, '2')
})

test('a 304 that comes late does not bring back what another one has taken the place of', async () => {
  let release = (): void => {}
  let version = 1
  await using cached = await startCached(
    async ({ headers }) => {
      const tag = `"${version}"`
      if (headers['if-none-match'] === undefined) return fresh(`v${version}`, 60, [`ETag: ${tag}`])
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return `HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nETag: ${tag === '"2"' ? '"1"' : tag}\r\n\r\n`
    },
    { bypass: (req) => req.headers.get('x-fresh') === '1' },
  )
  await cached.get()
  cached.pass(61)
  using slow = await cached.proxy.connect()
  slow.send(requestOf('/'))
  await cached.origin.request(2)
  version = 2
  assert.is((await cached.get('/', ['X-Fresh: 1'])).text, 'v2')
  release()
  assert.is((await slow.response()).text, 'v1')
  const after = await cached.get()
  assert.equal([after.text, after.headers[status]], ['v2', 'sluice; hit; ttl=60'])
})

test('who shows credentials gets what is for all, and nothing else (RFC 9111 §3.5)', async () => {
  await using cached = await startCached(({ target, headers }) =>
    answer(headers.authorization ?? 'nobody', 200, [`Cache-Control: ${target === '/all' ? 'public, ' : ''}max-age=60`]),
  )
  await cached.get('/')
  await cached.get('/all')
  const credentials = ['Authorization: Basic eDp5']
  assert.equal([(await cached.get('/', credentials)).text, (await cached.get('/all', credentials)).text], ['Basic eDp5', 'nobody'])
  assert.is((await cached.get('/')).text, 'nobody')
})

test('a body of no known length is kept once it is complete', async () => {
  await using cached = await startCached(
    () => 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nkiw\r\n1;x=y\r\ni\r\n0\r\n\r\n',
  )
  const first = await cached.get()
  assert.equal([first.text, first.headers['transfer-encoding']], ['kiwi', 'chunked'])
  const second = await cached.get()
  assert.equal([second.text, second.headers['content-length'], second.headers['transfer-encoding']], ['kiwi', '4', undefined])
})

test('a body that ends with its connection, or before its end, is not kept', async () => {
  await using cached = await startCached(({ target }, connection) => {
    connection.end(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${target === '/cut' ? 'Content-Length: 9\r\n' : ''}\r\nkiwi`)
    return undefined
  })
  const whole = await cached.get('/close')
  assert.equal([whole.text, whole.headers[status]], ['kiwi', 'sluice; fwd=uri-miss; detail=no-length'])
  assert.is((await cached.get('/close')).headers[status], 'sluice; fwd=uri-miss; detail=no-length')
  using other = await cached.proxy.connect()
  other.send('GET /cut HTTP/1.1\r\nHost: example.com\r\n\r\n')
  assert.is(await other.closed(), 'reset')
  using third = await cached.proxy.connect()
  third.send('GET /cut HTTP/1.1\r\nHost: example.com\r\n\r\n')
  await third.closed()
  assert.is(cached.asked, 4)
})

test('requests that are sent at once are answered in their order, however large the answers', async () => {
  const large = 'z'.repeat(700_000)
  await using cached = await startCached(({ target }) => fresh(target === '/large' ? large : target))
  for (const path of ['/a', '/large', '/b']) await cached.get(path)
  using client = await cached.proxy.connect()
  client.pause()
  for (const path of ['/a', '/large', '/b', '/large', '/a']) client.send(requestOf(path))
  await cached.proxy.settled()
  client.resume()
  const lengths: number[] = []
  for (let i = 0; i < 5; i++) lengths.push((await client.response()).text.length)
  assert.equal(lengths, [2, 700_000, 2, 700_000, 2])
  assert.is(cached.asked, 3)
})

test('a client of HTTP/1.0 gets a hit with its length, and a miss of no known length to the end of the connection', async () => {
  await using cached = await startCached(
    () => 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nkiwi\r\n0\r\n\r\n',
  )
  const old = 'GET / HTTP/1.0\r\nHost: example.com\r\n\r\n'
  using first = await cached.proxy.connect()
  first.send(old)
  await first.closed()
  assert.match(first.rest, /\r\n\r\nkiwi$/)
  assert.not.match(first.rest, /transfer-encoding/i)
  using second = await cached.proxy.connect()
  second.send(old)
  await second.closed()
  assert.match(second.rest, /Content-Length: 4\r\n.*hit.*\r\n\r\nkiwi$/s)
  assert.is(cached.asked, 1)
})

test.run()
