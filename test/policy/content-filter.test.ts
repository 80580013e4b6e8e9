/** `contentFilter`: what does not pass gets a page that says why, wherever it is found, and what passes is not touched. */
import * as zlib from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ContentFilterOptions, contentFilter, http, respond } from '../../core/index.ts'
import type { HttpHooks } from '../../core/plugin.ts'
import { answer, type OriginAnswer, startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'
import { startProxy } from '../support/proxy.ts'

const TEXT = ['Content-Type: text/html; charset=utf-8']
const PAGE = `<p>${'All is well here. '.repeat(40)}</p>`

/** What a client gets of that answer, and what is told of it. */
async function asked(
  options: ContentFilterOptions,
  reply: OriginAnswer,
  { path = '/', lines = [] as readonly string[], method = 'GET' } = {},
) {
  await using origin = await startOrigin(() => reply)
  await using proxy = await startWith([contentFilter(options)], origin)
  using c = await proxy.connect()
  const response = await c.send(get(path, lines, '10.0.0.1', method)).response({ to: method })
  const { reason, detail, decidedBy } = await proxy.exchange()
  return { status: response.status, text: response.text, headers: response.headers, reason, detail, decidedBy, requests: origin.requests }
}

test('a file by the end of its URL: nobody is asked for it, and page and log say why', async () => {
  const options = { extensions: ['exe', '.tar.gz'] }
  const found = await asked(options, answer('x'), { path: '/a/Setup.EXE?v=1' })
  assert.equal([found.status, found.reason, found.detail, found.decidedBy], [403, 'content_blocked', 'extension exe', 'contentFilter'])
  assert.match(found.text, 'The content filter of this proxy blocks this.\nextension exe\nreason: content_blocked')
  assert.is(found.requests.length, 0)
  assert.is((await asked(options, answer('x'), { path: '/a.tar.gz' })).detail, 'extension tar.gz')
  assert.is((await asked(options, answer('x'), { path: '/exe/a.gz' })).status, 200)
  const named = answer('x', 200, ["Content-Disposition: attachment; filename*=UTF-8''a%2Eexe"])
  assert.equal([(await asked(options, named)).status, (await asked(options, named)).detail], [403, 'extension exe'])
})

test('a type, as it is said; what the proxy says itself passes', async () => {
  const options = { types: ['video/*', 'text/plain', '*+zip'] }
  for (const [type, rule] of [
    ['Video/MP4; x=1', 'type video/mp4'],
    ['application/epub+zip', 'type application/epub+zip'],
  ]) {
    const found = await asked(options, answer('secret', 200, [`Content-Type: ${type}`]))
    assert.equal([found.status, found.detail], [403, rule])
    assert.not.match(found.text, 'secret')
  }
  assert.is((await asked(options, answer(PAGE, 200, TEXT))).text, PAGE)
  const routes = [{ path: '/', to: respond(200, 'own') }]
  await using proxy = await startProxy({ config: { listeners: { web: http({ listen: ':8080', use: [contentFilter(options)], routes }) } } })
  using c = await proxy.connect()
  assert.is((await c.send(get()).response()).text, 'own')
})

test('a type, by how a body begins, however small its pieces', async () => {
  const options = { types: 'application/vnd.microsoft.portable-executable', sniff: true }
  const program = `MZ${'\0'.repeat(900)}`
  assert.is(
    (await asked(options, answer(program, 200, TEXT))).detail,
    'type application/vnd.microsoft.portable-executable, by how it begins',
  )
  const chunked = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n1\r\nM\r\n1\r\nZ\r\n1\r\n!\r\n0\r\n\r\n`
  assert.is((await asked(options, chunked)).status, 403)
  assert.is((await asked({ types: options.types }, answer(program, 200, TEXT))).status, 200)
  assert.is((await asked(options, answer(PAGE, 200, TEXT))).text, PAGE)
  assert.is((await asked(options, answer('', 200, TEXT))).status, 200)
})

test('a size, as announced, also of the whole that a part is of; and as counted', async () => {
  const options = { maxSize: '1kb' } as const
  assert.equal(
    [(await asked(options, answer('x'.repeat(1025)))).status, (await asked(options, answer('x'.repeat(1024)))).status],
    [403, 200],
  )
  const part = 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/5000\r\nContent-Length: 2\r\n\r\nxx'
  assert.equal([(await asked(options, part)).status, (await asked(options, part)).detail], [403, 'more than 1kb'])
  const chunks = (count: number): string => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`
  const whole = await asked(options, chunks(1024))
  assert.equal([whole.status, whole.text.length, whole.reason], [200, 1024, null])
  await using origin = await startOrigin(() => chunks(5000))
  await using proxy = await startWith([contentFilter(options)], origin)
  using c = await proxy.connect()
  c.send(get())
  await c.closed()
  const { reason, detail } = await proxy.exchange()
  assert.equal([reason, detail], ['content_blocked', 'a body of more than 1024 bytes'])
  await proxy.settled()
  assert.is(proxy.ended.length, 1, 'it ends once, whatever else came in the same read')
})

test('a size that a hook gathers, and all of which would go on at once, ends the exchange once', async () => {
  const gather: HttpHooks = { onResponseBody: { mode: 'buffer', handle: (bytes) => bytes } }
  await using origin = await startOrigin(({ target }) =>
    target === '/short' ? answer('short') : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n${'x'.repeat(5)}\r\n0\r\n\r\n`,
  )
  await using proxy = await startWith([contentFilter({ maxSize: '4b' }), gather], origin)
  using c = await proxy.connect()
  c.send(get('/long'))
  await c.closed()
  using next = await proxy.connect()
  await next.send(get('/short')).response()
  const [long, short] = [await proxy.exchange(1), await proxy.exchange(2)]
  assert.equal([long.path, long.reason, short.path], ['/long', 'content_blocked', '/short'])
})

test('a range and a coding of the endpoint stay as long as only sizes, types and names are looked at', async () => {
  const options = { maxSize: '1mb', types: 'video/*', extensions: 'exe' } as const
  const { requests, text } = await asked(options, answer(PAGE, 200, TEXT), { lines: ['Accept-Encoding: br', 'Range: bytes=0-9'] })
  assert.equal([requests[0]!.headers['accept-encoding'], requests[0]!.headers.range, text], ['br', 'bytes=0-9', PAGE])
})

for (const [coding, encode] of [
  ['identity', (bytes: Buffer) => bytes],
  ['gzip', zlib.gzipSync],
  ['deflate', zlib.deflateSync],
  ['br', zlib.brotliCompressSync],
  ['zstd', zlib.zstdCompressSync],
] as const)
  test(`a word in a text that comes as ${coding}, and none in what is no text`, async () => {
    const options = { keywords: ['casino', 'online poker'] }
    const reply = (text: string, type = 'text/html'): Buffer => {
      const body = encode(Buffer.from(text))
      const field = coding === 'identity' ? '' : `Content-Encoding: ${coding}\r\n`
      return Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${field}Content-Length: ${body.length}\r\n\r\n`),
        body,
      ])
    }
    const found = await asked(options, reply(`${PAGE}<b>Online\n Poker</b>`))
    assert.equal([found.status, found.reason, found.detail], [403, 'content_blocked', 'keyword online poker'])
    assert.not.match(found.text, 'well here')
    const passed = await asked(options, reply(PAGE))
    assert.equal([passed.status, passed.text, passed.headers['content-encoding']], [200, PAGE, undefined])
    if (coding === 'identity') assert.is((await asked(options, reply('casino', 'image/png'))).status, 200)
  })

test('a word in what says no type, which browsers take for a page', async () => {
  const options = { keywords: 'casino' }
  const untold = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  assert.is((await asked(options, untold('<p>Casino</p>'))).detail, 'keyword casino')
  assert.is((await asked(options, untold(PAGE))).text, PAGE)
})

test('a word in what says a type that browsers cannot read, or several, of which they take the last', async () => {
  const options = { keywords: 'casino' }
  const typed = (lines: readonly string[]): string =>
    answer(
      '<p>Casino</p>',
      200,
      lines.map((line) => `Content-Type: ${line}`),
    ) as string
  const looked = [
    'html',
    'text',
    '/',
    'image/',
    'a b/c',
    'ima(ge/png',
    '*/*',
    'unknown/unknown',
    'image/png;, text/html',
    'image/png; x="a, image/png, b", text/html',
  ]
  for (const type of looked) assert.is((await asked(options, typed([type]))).detail, 'keyword casino', type)
  assert.is((await asked(options, typed(['image/png', 'text/html']))).detail, 'keyword casino')
  assert.is((await asked(options, typed(['text/html', '*/*']))).detail, 'keyword casino')
  for (const type of ['image/png', 'Image/PNG ; q=1', 'text/html, image/png', 'image/png, nothing'])
    assert.is((await asked(options, typed([type]))).status, 200, type)
})

test('a word behind the first 256 KiB breaks the answer off; before, it is a page; a long page without it passes whole', async () => {
  const options = { keywords: 'casino' }
  const long = PAGE.repeat(600)
  assert.ok(long.length > 400_000)
  assert.is((await asked(options, answer(`casino ${long}`, 200, TEXT))).status, 403)
  assert.is((await asked(options, answer(long, 200, TEXT))).text, long)
  await using origin = await startOrigin(() => answer(`${long} casino `, 200, TEXT))
  await using proxy = await startWith([contentFilter(options)], origin)
  using c = await proxy.connect()
  c.send(get())
  await c.closed()
  assert.not.match(Buffer.concat(c.received).latin1Slice(), 'casino')
  const { status, reason, detail } = await proxy.exchange()
  assert.equal([status, reason, detail], [200, 'content_blocked', 'keyword casino'])
})

test('events come as they are sent, until one has the word', async () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
  await using origin = await startOrigin((_, connection) => void connection.write(`${head}data: one\n\n`))
  await using proxy = await startWith([contentFilter({ keywords: 'casino' })], origin)
  using c = await proxy.connect()
  c.send(get())
  await c.until('data: one')
  ;(await origin.connection()).write('data: ca')
  ;(await origin.connection()).write('sino!\n\n')
  await c.closed()
  assert.is((await proxy.exchange()).detail, 'keyword casino')
})

test('what swells when it is decoded is cut where the size ends, and is never held as a whole', async () => {
  const packed = zlib.gzipSync(Buffer.alloc(64 << 20))
  const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`
  await using origin = await startOrigin(() => Buffer.concat([Buffer.from(head), packed]))
  await using proxy = await startWith([contentFilter({ keywords: 'casino', maxSize: '1mb' })], origin)
  using c = await proxy.connect()
  c.send(get())
  await c.closed()
  const { reason, bytesOut } = await proxy.exchange()
  assert.is(reason, 'content_blocked')
  assert.ok(bytesOut < 2 << 20, String(bytesOut))
})

test.run()
