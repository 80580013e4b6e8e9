/** Clauses of RFC 9110, 9111, 5861 and 9211 that are easily half kept: each with the endpoint, or client, that shows it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pointedUrls } from '../../core/cache/pointed-urls.ts'
import { makeHead } from '../../core/cache/stored-response.ts'
import { fresh, startCached } from '../support/cache.ts'
import { answer } from '../support/origin.ts'

const status = 'cache-status'

test('a 304 that another cache had for a while makes what is kept no fresher than it is itself (RFC 9111 §4.2.3)', async () => {
  await using cached = await startCached(({ headers }) =>
    headers['if-none-match'] === undefined
      ? fresh('kiwi', 60, ['ETag: "1"'])
      : 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nAge: 50\r\nCache-Control: max-age=60\r\n\r\n',
  )
  await cached.get()
  cached.pass(61)
  assert.is((await cached.get()).headers.age, '50')
  assert.is((await cached.get()).headers[status], 'sluice; hit; ttl=10')
  cached.pass(10)
  assert.match((await cached.get()).headers[status]!, 'fwd=stale')
})

test('a 304 that is not for keeping says so, and one of another version has the next request fetch that', async () => {
  let said = 'ETag: "1"\r\nCache-Control: private'
  await using cached = await startCached(({ headers }) =>
    headers['if-none-match'] === undefined ? fresh('kiwi', 60, ['ETag: "1"']) : `HTTP/1.1 304 Not Modified\r\n${said}\r\n\r\n`,
  )
  for (said of [said, 'ETag: "2"\r\nCache-Control: max-age=60']) {
    await cached.get()
    cached.pass(61)
    assert.is((await cached.get()).headers[status], 'sluice; fwd=stale; fwd-status=304', said)
    assert.is((await cached.get()).headers[status], 'sluice; fwd=uri-miss; stored', said)
  }
})

test('what an endpoint says of one range is not kept for who asks for another one, or for all', async () => {
  for (const partial of [true, false]) {
    await using cached = await startCached(
      ({ headers }) =>
        headers.range === undefined
          ? fresh('0123456789', 1)
          : answer('', headers.range === 'bytes=90-' ? 416 : 400, ['Content-Range: bytes */10', 'Cache-Control: max-age=600']),
      { partial },
    )
    for (const range of ['bytes=90-', 'bytes=4-5']) {
      // Of what is kept and stale a range is asked for, too.
      if (!partial) await cached.get()
      cached.pass(2)
      const part = await cached.get('/', [`Range: ${range}`])
      assert.match(part.headers[status]!, /detail=(status|range)$/)
      assert.is((await cached.get()).text, '0123456789')
      cached.pass(2)
    }
  }
})

test('a whole that says of which part it is keeps none of that, and none of what it says of trailers and to its proxy', async () => {
  const lines = ['Content-Range: bytes 0-9/99', 'Trailer: X-Sum', 'Proxy-Authenticate: Basic', 'TE: trailers']
  await using cached = await startCached(() => fresh('0123456789', 60, lines))
  await cached.get()
  const part = await cached.get('/', ['Range: bytes=2-3'])
  assert.equal([part.status, part.text, part.headers['content-range'], part.headers.trailer], [206, '23', 'bytes 2-3/10', undefined])
  assert.equal([part.headers['proxy-authenticate'], part.headers.te], [undefined, undefined])
})

test('without Last-Modified, If-Modified-Since is held against the Date (RFC 9111 §4.3.2)', async () => {
  await using cached = await startCached(() => fresh('kiwi', 60, ['Date: Thu, 01 Jan 2026 00:00:00 GMT']))
  await cached.get()
  const since = async (date: string) => (await cached.get('/', [`If-Modified-Since: ${date}`])).status
  assert.equal([await since('Thu, 01 Jan 2026 00:00:00 GMT'), await since('Wed, 31 Dec 2025 23:59:59 GMT')], [304, 200])
})

test('a client may take what is stale in the place of an error (RFC 5861 §4), but not against must-revalidate', async () => {
  let isDown = false
  await using cached = await startCached(({ target }) =>
    isDown ? answer('bad', 503) : fresh('kiwi', 60, [`Cache-Control: ${target.slice(1)}`]),
  )
  const paths = ['/max-age=60', '/must-revalidate', '/s-maxage=60']
  for (const path of paths) await cached.get(path)
  isDown = true
  cached.pass(70)
  const texts = async (control: string) => {
    const got = []
    for (const path of paths) got.push((await cached.get(path, [`Cache-Control: ${control}`])).text)
    return got
  }
  assert.equal(await texts('stale-if-error=5'), ['bad', 'bad', 'bad'])
  assert.equal(await texts('stale-if-error=30'), ['kiwi', 'bad', 'bad'])
})

test('also an answer that did not go on says what the cache made of it (RFC 9211)', async () => {
  await using cached = await startCached(() => fresh('kiwi'))
  for (const lines of [[], ['Authorization: a'], ['X-Original-URL: /b']]) {
    const none = await cached.get('/', ['Cache-Control: only-if-cached', ...lines])
    assert.equal([none.status, none.headers[status]], [504, 'sluice; detail=only-if-cached'])
  }
  assert.is(cached.asked, 0)
})

test('what is for all is kept also when it was asked for with credentials, and nothing else of that (RFC 9111 §3.5)', async () => {
  await using cached = await startCached(({ target, headers }) =>
    fresh(headers.authorization ?? 'nobody', 60, [`Cache-Control: ${target.slice(1)}`]),
  )
  const ask = async (path: string, ...lines: string[]) => {
    const { text, headers } = await cached.get(path, lines)
    return `${text} ${headers[status]}`
  }
  for (const path of ['/public', '/s-maxage=60', '/must-revalidate']) {
    assert.is(await ask(path, 'Authorization: ann'), 'ann sluice; fwd=uri-miss; stored')
    assert.is(await ask(path, 'Authorization: bob'), 'ann sluice; hit; ttl=60')
    assert.is(await ask(path), 'ann sluice; hit; ttl=60')
  }
  for (const path of ['/max-age=60', '/private,public', '/public,no-store']) {
    assert.match(await ask(path, 'Authorization: ann'), /^ann .*detail=/, path)
    assert.match(await ask(path, 'Authorization: bob'), /^bob .*detail=/, path)
  }
  // A key of another kind is no answer for all.
  assert.match(await ask('/public?', 'Authorization: ann', 'X-Original-URL: /b'), 'detail=unkeyed')
  assert.match(await ask('/public?', 'Authorization: ann', 'Range: bytes=0-1'), 'detail=authorization')
  assert.is(await ask('/public?'), 'nobody sluice; fwd=uri-miss; stored')
})

test('credentials are kept nowhere, not as what an answer varies by either', async () => {
  await using cached = await startCached(() => fresh('kiwi', 60, ['Cache-Control: public', 'Vary: Authorization']))
  for (let i = 0; i < 2; i++)
    assert.is((await cached.get('/', ['Authorization: ann'])).headers[status], 'sluice; fwd=uri-miss; detail=authorization')
})

test('who asks with credentials puts nothing out, and keeps nobody from waiting', async () => {
  let isDown = false
  await using cached = await startCached(({ headers }) =>
    headers.authorization === undefined ? fresh('kiwi', isDown ? 0 : 60, ['Cache-Control: public', 'ETag: "1"']) : answer('no', 401),
  )
  await cached.get()
  isDown = true
  assert.is((await cached.get('/', ['Authorization: bad', 'Cache-Control: no-cache'])).status, 401)
  assert.is((await cached.get()).headers[status], 'sluice; hit; ttl=60')
})

test('of what is not for keeping a client hears from the endpoint that it has it already', async () => {
  await using cached = await startCached(({ headers }) =>
    headers['if-none-match'] === '"1"'
      ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'
      : fresh('mine', 60, ['Cache-Control: private', 'ETag: "1"']),
  )
  // The first may bring what is for all, so all of it is asked for.
  assert.is((await cached.get('/', ['If-None-Match: "1"'])).status, 200)
  assert.is((await cached.get('/', ['If-None-Match: "1"'])).status, 304)
  assert.is((await cached.get('/', ['If-None-Match: "2"'])).text, 'mine')
  assert.is((await cached.get('/b', ['If-None-Match: "1"', 'Authorization: a'])).status, 304)
})

test('a clock that is set back makes nothing fresh again', async () => {
  let number = 0
  await using cached = await startCached(() => fresh(`${++number}`, 60, ['ETag: "1"']))
  await cached.get()
  cached.pass(-3600)
  assert.is((await cached.get()).headers[status], 'sluice; fwd=stale; fwd-status=200; stored')
  cached.pass(-30)
  // Clocks of machines that share a store differ by so much.
  assert.is((await cached.get()).headers[status], 'sluice; hit; ttl=60')
  await cached.proxy.caches.tell({ kind: 'purge', cache: null, purge: { kind: 'all', soft: true } })
  cached.pass(-20)
  assert.match((await cached.get()).headers[status]!, 'fwd=stale')
})

test('what an answer to a change points at is found however it is written, and of its own origin alone (RFC 9111 §4.4)', () => {
  const urls = (location: string, url = 'http://example.com/dir/a?x=1') =>
    [...pointedUrls(makeHead(201, `Location: ${location}\r\n`, 0), url, { kind: 'all' })].map((one) =>
      one.replace('http://example.com', ''),
    )
  assert.equal(urls('/b'), ['/b'])
  assert.equal(urls('b?y'), ['/dir/b?y'])
  assert.equal(urls('../b#part'), ['/b', '/dir/../b'])
  assert.equal(urls('/%62//c'), ['/b/c', '/%62//c'])
  assert.equal(urls('/it\'s|{x}?q="z'), ['/it\'s|{x}?q="z'])
  assert.equal(urls('?y'), ['/dir/a?y'])
  assert.equal(urls('#part'), ['/dir/a?x=1'])
  assert.equal(urls('HTTP://Example.com:80/b'), ['/b'])
  assert.equal(urls('//example.com'), ['/'])
  for (const other of [
    'https://example.com/b',
    'http://evil.example/b',
    '//evil.example/b',
    'http://example.com.evil.example/b',
    'http:b',
    'mailto:a@b',
  ])
    assert.equal(urls(other), [], other)
})

test.run()
