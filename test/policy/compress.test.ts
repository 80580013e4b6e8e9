/** `compress`: who takes a coding gets it, whole and in time, and all that is said of the body stays true. */
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CompressOptions, compress } from '../../core/index.ts'
import type { HttpHooks } from '../../core/plugin.ts'
import { chooseEncoding } from '../../core/policy/accept-encoding.ts'
import { BodyEncoder } from '../../core/policy/body-encoder.ts'
import { answer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'

const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(200)
const HTML = ['Content-Type: text/html; charset=utf-8', 'ETag: "abc"', 'Accept-Ranges: bytes']
const decoders = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync } as const

/** What a client that takes these codings gets of that answer. */
async function fetched(reply: string, accept: string | null, { options = {}, lines = [], method = 'GET' }: Asked = {}) {
  await using origin = await startOrigin(() => reply)
  await using proxy = await startWith([compress(options)], origin)
  using c = await proxy.connect()
  const fields = [...(accept === null ? [] : [`Accept-Encoding: ${accept}`]), ...lines]
  const response = await c.send(get('/', fields, '10.0.0.1', method)).response({ to: method })
  const { headers: sent } = await origin.request()
  const coding = response.headers['content-encoding'] as keyof typeof decoders | undefined
  const body = coding === undefined || response.body.length === 0 ? response.body : decoders[coding](response.body)
  return { ...response, coding, plain: body.toString(), sent }
}

interface Asked {
  readonly options?: CompressOptions
  readonly lines?: readonly string[]
  readonly method?: string
}

for (const coding of ['gzip', 'br', 'zstd'] as const) {
  test(`a body that comes at once, by ${coding}`, async () => {
    const found = await fetched(answer(TEXT, 200, HTML), coding)
    assert.equal([found.coding, found.plain], [coding, TEXT])
    const { vary, etag, 'accept-ranges': ranges, 'content-length': length } = found.headers
    assert.equal([vary, etag, ranges, length], ['Accept-Encoding', 'W/"abc"', undefined, undefined])
    assert.is(found.sent['accept-encoding'], coding)
    assert.ok(found.body.length < TEXT.length / 4)
  })

  test(`pieces of any size, by ${coding}: what has come can be read before the rest comes`, async () => {
    const pieces = [Buffer.from('a'), Buffer.from(TEXT), Buffer.alloc(70_000, 'xyz'), Buffer.from('end')]
    const encoder = new BodyEncoder(coding)
    const parts: Buffer[] = []
    for (const [i, piece] of pieces.entries()) {
      const made = await new Promise<Buffer>((resolve, reject) =>
        encoder.encode(piece, i === pieces.length - 1, (error, bytes) => (error === null ? resolve(bytes) : reject(error))),
      )
      assert.ok(made.length > 0)
      parts.push(made)
    }
    assert.is(decoders[coding](Buffer.concat(parts)).toString(), Buffer.concat(pieces).toString())
  })
}

test('what is short, coded, partial, of another type or not to be changed stays as it is', async () => {
  const gzipped = zlib.gzipSync(TEXT).toString('latin1')
  const coded = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: ${gzipped.length}\r\n\r\n`
  const cases: readonly (readonly [string, string])[] = [
    ['short', answer('short', 200, HTML)],
    ['a picture', answer(TEXT, 200, ['Content-Type: image/png'])],
    ['no type', answer(TEXT, 200)],
    ['no-transform', answer(TEXT, 200, [...HTML, 'Cache-Control: public, no-transform'])],
    ['a part', answer(TEXT, 206, [...HTML, `Content-Range: bytes 0-8999/10000`])],
  ]
  for (const [what, reply] of cases) {
    const { coding, headers, text } = await fetched(reply, 'gzip')
    assert.equal([coding, headers.vary, headers['content-length']], [undefined, undefined, String(text.length)], what)
  }
  const again = await fetched(coded + gzipped, 'gzip')
  assert.equal([again.plain, again.headers.vary, again.headers['content-length']], [TEXT, undefined, String(gzipped.length)])
})

test('who takes none gets it plain, and caches are told that others do not', async () => {
  for (const accept of [null, '', 'identity', 'deflate', 'gzip;q=0', 'identity, gzip;q=0.5']) {
    const { coding, headers, text } = await fetched(answer(TEXT, 200, [...HTML, 'Vary: Origin']), accept)
    assert.equal([coding, headers.vary, text, headers.etag], [undefined, 'Origin, Accept-Encoding', TEXT, '"abc"'], String(accept))
  }
})

test('HEAD says what GET would, and a 304 has the tag that the client knows', async () => {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${TEXT.length}\r\n${HTML.join('\r\n')}\r\n\r\n`
  const asked = await fetched(head, 'br', { method: 'HEAD' })
  assert.equal(
    [asked.coding, asked.headers.etag, asked.headers['content-length'], asked.headers.vary],
    ['br', 'W/"abc"', undefined, 'Accept-Encoding'],
  )
  const unchanged = await fetched('HTTP/1.1 304 Not Modified\r\nETag: "abc"\r\n\r\n', 'br', { lines: ['If-None-Match: W/"abc"'] })
  assert.equal(
    [unchanged.status, unchanged.coding, unchanged.headers.etag, unchanged.headers.vary],
    [304, undefined, 'W/"abc"', 'Accept-Encoding'],
  )
  assert.is(unchanged.sent['if-none-match'], 'W/"abc"')
})

test('a part may be asked for, and is passed on', async () => {
  const { sent, status } = await fetched(answer('0123456789', 206, [...HTML, 'Content-Range: bytes 0-9/20000']), 'gzip', {
    lines: ['Range: bytes=0-9'],
  })
  assert.equal([sent.range, status], ['bytes=0-9', 206])
})

test('events are there as soon as the endpoint sends them', async () => {
  let events: OriginConnection | null = null
  await using origin = await startOrigin((_, connection) => {
    events = connection
    return 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: a\r\n'
  })
  await using proxy = await startWith([compress({ encodings: 'gzip' })], origin)
  using c = await proxy.connect()
  c.send(get('/', ['Accept-Encoding: gzip']))
  await c.until('\r\n\r\n')
  const first = await c.until('\r\n')
  const size = Number.parseInt(first, 16)
  const made = await c.bytes(size)
  assert.is(zlib.gunzipSync(made, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString(), 'data: a')
  events!.write('7\r\ndata: b\r\n0\r\n\r\n')
  await c.until('\r\n0\r\n\r\n')
  assert.is((await proxy.exchange()).reason, null)
})

test('a hook that changes the body comes before it, wherever it stands', async () => {
  const shout: HttpHooks = { onResponseBody: { mode: 'buffer', handle: (bytes) => Buffer.from(bytes).toString().toUpperCase() } }
  for (const use of [
    [shout, compress()],
    [compress(), shout],
  ]) {
    await using origin = await startOrigin(() => answer(TEXT, 200, HTML))
    await using proxy = await startWith(use, origin)
    using c = await proxy.connect()
    const { headers, body } = await c.send(get('/', ['Accept-Encoding: gzip'])).response()
    assert.is(headers['content-encoding'], 'gzip')
    assert.is(zlib.gunzipSync(body).toString(), TEXT.toUpperCase())
  }
})

test('an endpoint that breaks off does not look complete', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 20000\r\n\r\n${TEXT}`)
    connection.end()
    return undefined
  })
  await using proxy = await startWith([compress()], origin)
  using c = await proxy.connect()
  c.send(get('/', ['Accept-Encoding: gzip']))
  await c.closed()
  assert.not.match(Buffer.concat(c.received).toString('latin1'), /\r\n0\r\n\r\n$/)
  assert.is((await proxy.exchange()).reason, 'response_incomplete')
})

test('the coding that a client likes best is chosen; of two the first that is offered', () => {
  const choose = (field: string | null) => chooseEncoding(field, ['zstd', 'br', 'gzip'])
  const cases: readonly (readonly [string | null, string | null])[] = [
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, br', 'br'],
    ['gzip;q=1.0, br;q=0.5', 'gzip'],
    ['*', 'zstd'],
    ['zstd;q=0, *;q=0.1', 'br'],
    ['x-gzip', 'gzip'],
    ['GZIP ; Q=0.3', 'gzip'],
    ['identity;q=0.5, gzip;q=0.2', null],
    ['*;q=0', null],
    ['', null],
    [null, null],
  ]
  for (const [field, coding] of cases) assert.is(choose(field), coding, String(field))
  fc.assert(fc.property(fc.string(), (field) => [null, 'zstd', 'br', 'gzip'].includes(choose(field))))
})

test.run()
