/** `compress` and `cache` on one way: one answer of the endpoint, and each coding of it made once for all who take it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { removeShared } from '../../core/cache/disk/shared-memory-folder.ts'
import type { Policy } from '../../core/dsl/policies.ts'
import { type CompressOptions, compress } from '../../core/index.ts'
import { memoryFolder } from '../../core/net/memory-folder.ts'
import { compress as kind } from '../../core/policy/compress.ts'
import { type Cached, fresh, requestOf, startCached } from '../support/cache.ts'
import type { ClientResponse } from '../support/client.ts'
import type { OriginConnection } from '../support/origin.ts'

const status = 'cache-status'
const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(200)
const HTML = ['Content-Type: text/html', 'ETag: "abc"', 'Accept-Ranges: bytes']
const decoders = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync } as const

/** How often a coding was begun. */
let begun = 0
const { bind } = kind
kind.bind = (options: CompressOptions, context) => {
  const hook = bind(options, context)
  const { begin } = hook.onResponseBody!
  const counting = (coding: string) => {
    begun++
    return begin!(coding)
  }
  return { ...hook, onResponseBody: { ...hook.onResponseBody!, begin: counting } }
}

function plain({ headers, body }: ClientResponse): string {
  const coding = headers['content-encoding'] as keyof typeof decoders | undefined
  return (coding === undefined ? body : decoders[coding](body)).toString()
}

/** Until the coding is made, its length is not known. */
async function whole(cached: Cached, path: string, accept: string): Promise<ClientResponse> {
  for (;;) {
    const response = await cached.get(path, [`Accept-Encoding: ${accept}`])
    if (response.headers['content-length'] !== undefined) return response
  }
}

for (const [where, place] of [
  ['before', (use: Policy) => ({ outer: [use] })],
  ['behind', (use: Policy) => ({ inner: [use] })],
] as const) {
  test(`compress ${where} the cache: the endpoint is asked once, and each coding is made once`, async () => {
    begun = 0
    await using cached = await startCached(() => fresh(TEXT, 60, HTML), place(compress()) as object)
    const first = await cached.get('/a', ['Accept-Encoding: gzip'])
    assert.equal([plain(first), first.headers[status]], [TEXT, 'sluice; fwd=uri-miss; stored'])
    const { headers, body } = await whole(cached, '/a', 'gzip')
    const { 'content-encoding': coding, vary, etag, 'accept-ranges': ranges } = headers
    assert.equal([coding, vary, etag, ranges, headers[status]], ['gzip', 'Accept-Encoding', 'W/"abc"', undefined, 'sluice; hit; ttl=60'])
    assert.is(headers['content-length'], String(body.length))
    assert.is(zlib.gunzipSync(body).toString(), TEXT)
    assert.is(plain(await cached.get('/a', ['Accept-Encoding: deflate, gzip, br, zstd'])), TEXT)
    assert.is((await whole(cached, '/a', 'gzip, br, zstd')).headers['content-encoding'], 'zstd')
    assert.is((await whole(cached, '/a', 'br')).headers['content-encoding'], 'br')
    const { headers: none, text } = await cached.get('/a')
    assert.equal([none['content-encoding'], none.vary, none.etag, text], [undefined, 'Accept-Encoding', '"abc"', TEXT])
    assert.equal([cached.asked, begun], [1, 3])
  })
}

test('conditions hold for a coding, and ranges are of what is kept', async () => {
  await using cached = await startCached(() => fresh(TEXT, 60, HTML), { outer: [compress()] })
  await whole(cached, '/a', 'gzip')
  const unchanged = await cached.get('/a', ['Accept-Encoding: gzip', 'If-None-Match: W/"abc"'])
  assert.equal([unchanged.status, unchanged.headers.etag, unchanged.headers.vary], [304, 'W/"abc"', 'Accept-Encoding'])
  const part = await cached.get('/a', ['Accept-Encoding: gzip', 'Range: bytes=4-8', 'If-Range: "abc"'])
  assert.equal([part.status, part.text, part.headers['content-encoding']], [206, 'quick', undefined])
  const head = await cached.get('/a', ['Accept-Encoding: gzip'], 'HEAD')
  assert.equal([head.headers['content-encoding'], head.body.length], ['gzip', 0])
})

test('a coding goes out while the answer comes, and another one joins it', async () => {
  const waiting: OriginConnection[] = []
  await using cached = await startCached((_, connection) => void waiting.push(connection), { outer: [compress()] })
  const half = TEXT.length / 2
  const other = await cached.proxy.connect()
  cached.client.send(requestOf('/a', ['Accept-Encoding: gzip']))
  await cached.origin.request()
  other.send(requestOf('/a', ['Accept-Encoding: gzip']))
  await cached.proxy.settled()
  waiting[0]!.write(
    `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/html\r\nContent-Length: ${TEXT.length}\r\n\r\n${TEXT.slice(0, half)}`,
  )
  await cached.client.until('\r\n\r\n')
  await other.until('\r\n\r\n')
  waiting[0]!.write(TEXT.slice(half))
  const made = await whole(cached, '/a', 'gzip').catch(() => null)
  assert.ok(made === null || plain(made) === TEXT)
  assert.is(cached.asked, 1)
  other.destroy()
})

test('who makes an answer of no known length be fetched gets it plain, the next one in a coding', async () => {
  const chunked = `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n${TEXT.length.toString(16)}\r\n${TEXT}\r\n0\r\n\r\n`
  await using cached = await startCached(() => chunked, { outer: [compress()] })
  const first = await cached.get('/a', ['Accept-Encoding: gzip'])
  assert.equal([first.headers['content-encoding'], first.headers.vary, first.text], [undefined, 'Accept-Encoding', TEXT])
  const { headers } = await whole(cached, '/a', 'gzip')
  assert.equal([headers['content-encoding'], headers[status]], ['gzip', 'sluice; hit; ttl=60'])
})

test('an endpoint that breaks off breaks what is made of it, and nothing of it is kept', async () => {
  const waiting: OriginConnection[] = []
  await using cached = await startCached((_, connection) => void waiting.push(connection), { outer: [compress()] })
  cached.client.send(requestOf('/a', ['Accept-Encoding: gzip']))
  await cached.origin.request()
  waiting[0]!.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/html\r\nContent-Length: ${TEXT.length}\r\n\r\nhalf`)
  await cached.client.until('\r\n\r\n')
  waiting[0]!.destroy()
  await cached.client.closed()
  assert.is(cached.client.rest.includes('\r\n0\r\n\r\n'), false)
  assert.is(cached.proxy.caches.counts[0]!.objects, 0)
})

test('a 304 renews all codings, a purge takes all, and what they take is counted', async () => {
  begun = 0
  await using cached = await startCached(
    ({ headers }) =>
      headers['if-none-match'] === undefined ? fresh(TEXT, 60, HTML) : 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n',
    { outer: [compress()] },
  )
  await cached.get('/a')
  const { bytes } = cached.proxy.caches.counts[0]!
  const { body } = await whole(cached, '/a', 'gzip')
  const beside = cached.proxy.caches.counts[0]!.bytes - bytes - body.length
  // Its head is there twice, and it has been asked for.
  assert.ok(beside > 500 && beside < 2048, `${beside}`)
  cached.pass(61)
  const renewed = await cached.get('/a', ['Accept-Encoding: gzip'])
  assert.equal([renewed.headers[status], plain(renewed), begun], ['sluice; fwd=stale; fwd-status=304; stored', TEXT, 1])
  await cached.proxy.caches.tell({ kind: 'purge', cache: null, purge: { kind: 'all', soft: false } })
  assert.is(cached.proxy.caches.counts[0]!.bytes, 0)
})

// What clients say they accept was remembered beside each answer, however long, and counted nowhere: 45 KB an answer from a client that meant it.
test('what clients accept is remembered if it is short, and counts in the memory', async () => {
  await using cached = await startCached(() => fresh('kiwi', 60, HTML), { outer: [compress()] })
  await cached.get('/a')
  await cached.get('/a')
  const words = () => [...[...cached.proxy.caches.of(null)[0]!.store.records()][0]!.responses[0]!.encodings!.chosen.keys()]
  const { bytes } = cached.proxy.caches.counts[0]!
  for (let i = 0; i < 3; i++) await cached.get('/a', [`Accept-Encoding: gzip, ${`${i}`.repeat(5000)}`])
  assert.equal([words(), cached.proxy.caches.counts[0]!.bytes], [[''], bytes])
  for (let i = 0; i < 40; i++) await cached.get('/a', [`Accept-Encoding: gzip, x${i}`])
  assert.ok(words().length <= 16)
  assert.is(cached.proxy.caches.counts[0]!.bytes, bytes + (words().length - 1) * 96)
})

test('what is short, of another type, coded by its endpoint or not to be changed is kept as it came', async () => {
  const gzipped = zlib.gzipSync(TEXT).toString('latin1')
  const answers: Readonly<Record<string, string>> = {
    '/short': fresh('short', 60, HTML),
    '/picture': fresh(TEXT, 60, ['Content-Type: image/png']),
    '/coded': `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: ${gzipped.length}\r\n\r\n${gzipped}`,
  }
  await using cached = await startCached(({ target }) => Buffer.from(answers[target]!, 'latin1'), { outer: [compress()] })
  for (const path of Object.keys(answers)) {
    const first = await cached.get(path, ['Accept-Encoding: gzip'])
    const second = await cached.get(path, ['Accept-Encoding: gzip'])
    assert.equal([second.headers[status], second.headers.vary, second.body], ['sluice; hit; ttl=60', first.headers.vary, first.body], path)
  }
})

/** All that was to be kept behind the memories is. */
async function written(cached: Cached): Promise<void> {
  await Promise.all(cached.proxy.caches.of(null).map((cache) => cache.settled()))
}

test('a coding lies on disk beside what it was made of: it is made once for all workers and restarts, and goes with it', async () => {
  const path = mkdtempSync(join(tmpdir(), 'sluice-coded-'))
  try {
    begun = 0
    const options = { disk: { path, timeout: '10s' }, inner: [compress()] } as const
    let text = TEXT
    await using first = await startCached(({ headers }) => {
      const tag = `"${text.length}"`
      if (headers['if-none-match'] === tag) return 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n'
      return fresh(text, 60, ['Content-Type: text/html', `ETag: ${tag}`])
    }, options)
    // Made before the body it is of is in its file, and behind it.
    assert.is((await whole(first, '/a', 'gzip')).headers['content-encoding'], 'gzip')
    await written(first)
    assert.is((await whole(first, '/a', 'br')).headers['content-encoding'], 'br')
    await written(first)
    assert.is(begun, 2)
    await using second = await startCached(() => undefined, { ...options, beside: first })
    for (const coding of ['gzip', 'br']) {
      assert.is(plain(await second.get('/a', [`Accept-Encoding: ${coding}`])), TEXT)
      assert.is((await whole(second, '/a', coding)).headers['content-encoding'], coding)
    }
    assert.equal([begun, first.asked], [2, 1])
    assert.is(plain(await second.get('/a', ['Accept-Encoding: zstd'])), TEXT)
    assert.is(begun, 3)
    second.pass(61)
    await using third = await startCached(() => undefined, { ...options, beside: first })
    assert.is(plain(await third.get('/a', ['Accept-Encoding: gzip'])), TEXT)
    assert.equal([begun, first.asked], [3, 2])
    // Another version has codings of its own.
    third.pass(61)
    text = `${TEXT}!`
    assert.is(plain(await third.get('/a', ['Accept-Encoding: gzip'])), text)
    assert.is((await whole(third, '/a', 'gzip')).headers['content-encoding'], 'gzip')
    await written(third)
    await using fourth = await startCached(() => undefined, { ...options, beside: first })
    assert.is(plain(await fourth.get('/a', ['Accept-Encoding: gzip'])), text)
    assert.equal([begun, first.asked], [4, 3])
    await fourth.proxy.caches.of(null)[0]!.purge({ kind: 'url', url: 'http://example.com/a', soft: false }, assert.unreachable)
    await fourth.get('/a', ['Accept-Encoding: gzip'])
    assert.equal([begun, first.asked], [5, 4])
  } finally {
    rmSync(path, { recursive: true })
  }
})

const withMemory = memoryFolder() === null ? test.skip : test
withMemory('a coding that one worker has made another one has at once out of the memory that they share, with its length', async () => {
  begun = 0
  const options = { name: `coded-${process.pid}`, shared: '50mb', inner: [compress()] } as const
  await using first = await startCached(() => fresh(TEXT, 60, HTML), options)
  await whole(first, '/a', 'gzip')
  await written(first)
  await using second = await startCached(() => undefined, { ...options, beside: first })
  const { headers, body } = await second.get('/a', ['Accept-Encoding: gzip'])
  assert.equal([headers['content-encoding'], headers['content-length'], begun], ['gzip', String(body.length), 1])
  assert.is(zlib.gunzipSync(body).toString(), TEXT)
  await second.proxy.caches.close()
  await first.proxy.caches.close()
  removeShared(process.ppid)
})

test.run()
