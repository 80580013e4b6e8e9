/** Answers leave a cache by URL, host, prefix or tag, in all their variants, and what is on its way meanwhile does not come back. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mergeTold, parseCacheAsk, parsePurge } from '../../core/cache/asks.ts'
import { formatTold, noCache } from '../../core/cli/cache-commands.ts'
import { type Cached, fresh, requestOf, startCached } from '../support/cache.ts'
import type { OriginConnection } from '../support/origin.ts'

const status = 'cache-status'

async function purge(cached: Cached, fields: Readonly<Record<string, unknown>>): Promise<number> {
  const ask = parsePurge(fields)
  assert.type(ask, 'object', String(ask))
  return (await cached.proxy.caches.tell(ask as Exclude<typeof ask, string>)).purged
}

async function isKept(cached: Cached, path: string, lines: readonly string[] = []): Promise<boolean> {
  return (await cached.get(path, ['Cache-Control: only-if-cached', ...lines])).status === 200
}

test('a key that a purge does not know is told, with the one that was meant', () => {
  assert.is(parsePurge({ tag: 'a', sotf: true }), 'unknown key sotf; did you mean soft?')
  assert.is(parsePurge({ urls: [] }), 'unknown key urls; did you mean url?')
  assert.match(parseCacheAsk({ kind: 'purge', purge: { kind: 'everything' } }) as string, /^unknown key everything; known are url, prefix/)
})

test('by URL in all variants, by prefix, host and tag, and all', async () => {
  await using cached = await startCached(({ target }) =>
    fresh(target, 60, ['Vary: Accept-Language', target === '/tagged' ? 'Cache-Tag: news, a b' : 'Surrogate-Key: sport news2']),
  )
  const fill = async () => {
    for (const path of ['/a', '/a?b', '/assets/x', '/assets/y', '/tagged']) await cached.get(path)
    await cached.get('/a', ['Accept-Language: de'])
    await cached.get('/a', ['Host: other.example'])
  }
  await fill()
  assert.is(await purge(cached, { url: 'http://Example.com:80/a' }), 2)
  assert.equal(
    [await isKept(cached, '/a'), await isKept(cached, '/a', ['Accept-Language: de']), await isKept(cached, '/a?b')],
    [false, false, true],
  )
  assert.is(await purge(cached, { prefix: 'http://example.com/assets/' }), 2)
  assert.equal([await isKept(cached, '/assets/x'), await isKept(cached, '/tagged')], [false, true])
  assert.is(await purge(cached, { tag: 'news' }), 1)
  assert.is(await purge(cached, { tag: 'a b' }), 0)
  assert.is(await purge(cached, { host: 'Other.example' }), 1)
  await fill()
  assert.is(await purge(cached, { tag: 'sport' }), 6)
  assert.is(await purge(cached, { all: true, cache: 'other' }), 0)
  assert.is(await purge(cached, { all: true }), 1)
})

test('softly, it is asked about, and stands in for an error', async () => {
  let isDown = false
  await using cached = await startCached(
    ({ headers }) => {
      if (isDown) return 'HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n'
      return headers['if-none-match'] === undefined ? fresh('kiwi', 60, ['ETag: "1"']) : 'HTTP/1.1 304 Not Modified\r\n\r\n'
    },
    { staleIfError: '1m' },
  )
  await cached.get()
  await cached.get()
  assert.is(await purge(cached, { all: true, soft: true }), 1)
  const renewed = await cached.get()
  assert.equal([renewed.text, renewed.headers[status]], ['kiwi', 'sluice; fwd=stale; fwd-status=304; stored'])
  assert.match((await cached.get()).headers[status]!, 'hit')
  await purge(cached, { all: true, soft: true })
  isDown = true
  assert.is((await cached.get()).text, 'kiwi')
})

test('what is on its way is not kept, but those who wait for it get it', async () => {
  const waiting: OriginConnection[] = []
  await using cached = await startCached((_, connection) => {
    waiting.push(connection)
    return undefined
  })
  cached.client.send(requestOf('/a'))
  await cached.origin.request()
  await purge(cached, { url: 'http://example.com/a' })
  using other = await cached.proxy.connect()
  other.send(requestOf('/a'))
  await cached.origin.request(2)
  waiting[0]!.write(fresh('old'))
  assert.is((await cached.client.response()).text, 'old')
  waiting[1]!.write(fresh('new'))
  assert.is((await other.response()).text, 'new')
  assert.is((await cached.get('/a')).text, 'new')
})

test('a URL is purged as it is copied out of a browser', () => {
  const url = (text: string) => {
    const ask = parsePurge({ url: text })
    return typeof ask !== 'string' && ask.purge.kind === 'url' ? ask.purge.url : ask
  }
  assert.is(url('HTTPS://Example.com:443/News?a=B#top'), 'https://example.com/News?a=B')
  assert.is(url('http://example.com:80?a#b'), 'http://example.com/?a')
  assert.is(url('https://example.com/über?q=ß'), 'https://example.com/%C3%BCber?q=%C3%9F')
  assert.match(String(parsePurge({ url: 'example.com/a' })), 'a whole URL')
})

test('what comes over a socket is read strictly', () => {
  for (const wrong of [
    undefined,
    {},
    { kind: 'purge' },
    { kind: 'purge', purge: { kind: '__proto__' } },
    { kind: 'list', most: 0 },
    { kind: 'stat', cache: 1 },
  ])
    assert.type(parseCacheAsk(wrong), 'string')
  const ask = parsePurge({ tag: 'a', cache: 'b', soft: true })
  assert.equal(parseCacheAsk(JSON.parse(JSON.stringify(ask))), ask)
})

test('what the workers tell is told as one', () => {
  const one = { name: 'default', objects: 2, bytes: 2048, maxBytes: 4 << 20, evictions: 1, purged: 0, tiers: [] }
  const told = mergeTold([
    { counts: [one], purged: 1, listed: [], names: ['default'], problems: [] },
    { counts: [{ ...one, name: 'big' }, one], purged: 2, listed: [], names: ['big', 'default'], problems: [] },
  ])
  assert.is(told.purged, 3)
  assert.is(
    formatTold({ kind: 'stat', cache: null }, told),
    'big: 2 answers, 2.0 KB of 4.0 MB, 1 evicted, 0 purged\ndefault: 4 answers, 4.0 KB of 8.0 MB, 2 evicted, 0 purged\n',
  )
  assert.is(noCache('bog', told.names), 'there is no cache bog; did you mean big?')
  assert.is(noCache('x', told.names), 'there is no cache x; there is big, default')
  assert.is(noCache('x', []), 'there is no cache x; the config has none')
  assert.is(formatTold({ kind: 'purge', cache: null, purge: { kind: 'all', soft: true } }, told), '3 answers made stale\n')
})

test('what workers share is told once', () => {
  const disk = { tier: 'disk', objects: 3, bytes: 2048, maxBytes: 4 << 20, evictions: 1, found: 2, failed: 0 } as const
  const one = { name: 'default', objects: 0, bytes: 0, maxBytes: 4 << 20, evictions: 0, purged: 0, tiers: [disk] }
  const listed = { url: 'http://x/a', status: 200, bytes: 9, age: 1, ttl: 2, hits: 0, variant: '', tags: [], where: 'disk' } as const
  const inMemory = { ...listed, where: 'memory' } as const
  const worker = { counts: [one], purged: 0, listed: [listed, inMemory], names: ['default'], problems: [] }
  const told = mergeTold([worker, worker])
  assert.equal(told.listed, [listed, inMemory, inMemory])
  assert.is(
    formatTold({ kind: 'stat', cache: null }, told),
    'default: 0 answers, 0 B of 8.0 MB, 0 evicted, 0 purged\n  disk: 3 answers, 2.0 KB of 4.0 MB, 1 evicted, 4 found there, 0 failures\n',
  )
  assert.is(
    formatTold({ kind: 'list', cache: null, prefix: '', most: 9 }, { ...told, listed: [listed] }),
    '200      9 B fresh 2 s      0 hits  disk    http://x/a\n',
  )
})

test.run()
