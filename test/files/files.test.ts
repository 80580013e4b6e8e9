/** Files as answers: which one a path names and which it never does, what of it is sent, and what becomes of one that changes or of a client that is slow. */
// Runs alone: it looks at the memory of its process.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import * as http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compress, type FilesOptions, files, type HttpUse, http } from '../../core/index.ts'
import { namesOf } from '../../core/net/file-names.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { eventually, within } from '../support/deadline.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const made = mkdtempSync(join(tmpdir(), 'sluice-files-'))
const root = join(made, 'public')
const CHANGED = new Date('2026-01-02T03:04:05.250Z')
const big = randomBytes(3_000_000)

test.before(() => {
  const put = (name: string, content: string | Buffer): void => {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), content)
    utimesSync(join(root, name), CHANGED, CHANGED)
  }
  put('index.html', '<h1>home</h1>')
  put('a.txt', '0123456789')
  put('app.js', 'plain()'.repeat(300))
  put('app.js.br', brotliCompressSync('plain()'.repeat(300)))
  put('big.bin', big)
  put('docs/index.html', 'docs')
  put('docs/über uns.html', 'umlaut')
  put('empty/none.dat', '')
  put('.env', 'SECRET')
  put('.well-known/security.txt', 'contact')
  put('docs/.git/config', 'SECRET')
  writeFileSync(join(made, 'secret.txt'), 'SECRET')
  symlinkSync(join(made, 'secret.txt'), join(root, 'out.txt'))
  symlinkSync(made, join(root, 'up'))
  symlinkSync('a.txt', join(root, 'in.txt'))
  symlinkSync(join(made, 'secret.txt'), join(root, 'a.txt.br'))
})
test.after(() => rmSync(made, { recursive: true }))

interface ServedOptions extends FilesOptions {
  readonly from?: string
  readonly path?: string
  readonly rewrite?: string
  readonly use?: readonly HttpUse[]
  readonly encodedSlashes?: boolean
}

function served({
  from = root,
  path = '/*',
  rewrite,
  use = [],
  encodedSlashes = false,
  ...options
}: ServedOptions = {}): Promise<RunningProxy> {
  const route = { path, use, to: files(from, options), ...(rewrite === undefined ? {} : { rewrite }) }
  return startProxy({ config: { listeners: { web: http({ listen: '127.0.0.1:0', encodedSlashes, routes: [route] }) } } })
}

type Fields = Readonly<Record<string, string>>
function ask(proxy: RunningProxy, path: string, fields: Fields = {}, method = 'GET'): Promise<ClientResponse> {
  const lines = Object.entries({ host: 'x', connection: 'close', ...fields }).map(([name, value]) => `${name}: ${value}\r\n`)
  return request(proxy.port, `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, { to: method })
}

test('a file is sent with its type, its length and what it is told apart by', async () => {
  await using proxy = await served()
  const { status, headers, text } = await ask(proxy, '/a.txt')
  assert.equal([status, text, headers['content-type'], headers['content-length']], [200, '0123456789', 'text/plain; charset=utf-8', '10'])
  assert.equal([headers['last-modified'], headers['accept-ranges'], headers.vary], ['Fri, 02 Jan 2026 03:04:05 GMT', 'bytes', undefined])
  assert.match(headers.etag!, /^"a-[0-9a-z]+"$/)
  assert.ok(headers.date)
  const head = await ask(proxy, '/a.txt', {}, 'HEAD')
  assert.equal([head.status, head.text, head.headers['content-length'], head.headers.etag], [200, '', '10', headers.etag])
  const { route, upstream, bytesOut, reason } = await proxy.exchange()
  assert.equal([route, upstream, bytesOut, reason], ['web[0]', null, 10, null])
})

test('types are by extension, and a config may say others', async () => {
  await using proxy = await served({ types: { '.DAT': 'application/x-own', '.js': 'application/javascript' } })
  const types: string[] = []
  for (const path of ['/index.html', '/app.js', '/empty/none.dat', '/big.bin'])
    types.push((await ask(proxy, path)).headers['content-type']!)
  assert.equal(types, ['text/html; charset=utf-8', 'application/javascript', 'application/x-own', 'application/octet-stream'])
})

test('conditions: what the client has is not sent again, and what it does not have is not mistaken for it', async () => {
  await using proxy = await served()
  const etag = (await ask(proxy, '/a.txt')).headers.etag!
  const same = 'Fri, 02 Jan 2026 03:04:05 GMT'
  const before = 'Fri, 02 Jan 2026 03:04:04 GMT'
  const cases: readonly (readonly [Fields, number])[] = [
    [{ 'if-none-match': etag }, 304],
    [{ 'if-none-match': `"x", W/${etag}` }, 304],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-none-match': '"x"' }, 200],
    [{ 'if-modified-since': same }, 304],
    [{ 'if-modified-since': before }, 200],
    [{ 'if-none-match': '"x"', 'if-modified-since': same }, 200],
    [{ 'if-match': etag }, 200],
    [{ 'if-match': `"x", ${etag}` }, 200],
    [{ 'if-match': '*' }, 200],
    [{ 'if-match': `W/${etag}` }, 412],
    [{ 'if-match': '"x"' }, 412],
    [{ 'if-unmodified-since': same }, 200],
    [{ 'if-unmodified-since': before }, 412],
    [{ 'if-unmodified-since': 'nonsense' }, 200],
    [{ 'if-match': etag, 'if-unmodified-since': before }, 200],
  ]
  const found: (readonly [Fields, number])[] = []
  for (const [fields] of cases) found.push([fields, (await ask(proxy, '/a.txt', fields)).status])
  assert.equal(found, cases)
  const unchanged = await ask(proxy, '/a.txt', { 'if-none-match': etag })
  assert.equal([unchanged.headers.etag, unchanged.headers['content-length'], unchanged.text], [etag, undefined, ''])
})

test('ranges: one is cut out, several are answered whole, one behind the end is refused with the length', async () => {
  await using proxy = await served()
  const etag = (await ask(proxy, '/a.txt')).headers.etag!
  const told: unknown[] = []
  for (const fields of [
    { range: 'bytes=2-4' },
    { range: 'bytes=7-' },
    { range: 'bytes=-3' },
    { range: 'bytes=0-0,5-6' },
    { range: 'bytes=2-4', 'if-range': etag },
    { range: 'bytes=2-4', 'if-range': '"x"' },
    { range: 'bytes=2-4', 'if-range': 'Fri, 02 Jan 2026 03:04:05 GMT' },
    { range: 'lines=2-4' },
  ] as readonly Fields[]) {
    const { status, text, headers } = await ask(proxy, '/a.txt', fields)
    told.push([status, text, headers['content-range'], headers['content-length']])
  }
  const whole = [200, '0123456789', undefined, '10']
  const part = [206, '234', 'bytes 2-4/10', '3']
  assert.equal(told, [part, [206, '789', 'bytes 7-9/10', '3'], [206, '789', 'bytes 7-9/10', '3'], whole, part, whole, part, whole])
  const behind = await ask(proxy, '/a.txt', { range: 'bytes=10-' })
  assert.equal([behind.status, behind.headers['content-range']], [416, 'bytes */10'])
  assert.is((await ask(proxy, '/empty/none.dat', { range: 'bytes=0-' })).status, 416)
  assert.is((await ask(proxy, '/empty/none.dat')).headers['content-length'], '0')
  const middle = await ask(proxy, '/big.bin', { range: 'bytes=100000-1899999' })
  assert.ok(middle.body.equals(big.subarray(100_000, 1_900_000)))
})

test('no path leads out of the folder, and none to what is hidden', async () => {
  await using proxy = await served({ encodedSlashes: true })
  const paths = [
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/..%2Fsecret.txt',
    '/docs/..%2f..%2fsecret.txt',
    '/..%5csecret.txt',
  ]
  for (const path of [
    ...paths,
    '/.env',
    '/%2eenv',
    '/docs/.git/config',
    '/a.txt/',
    '/a.txt/x',
    '/%ff',
    '/nothing',
    `/${'a'.repeat(300)}`,
    '/a.txt%00',
  ]) {
    const { status, text } = await ask(proxy, path)
    assert.ok(status === 404 || status === 400, `${path}: ${status}`)
    assert.not.match(text, 'SECRET')
  }
  for (const path of ['/out.txt', '/up/secret.txt']) assert.is((await ask(proxy, path)).status, 403, path)
  assert.is((await ask(proxy, '/in.txt')).text, '0123456789')
  assert.is((await ask(proxy, '/.well-known/security.txt')).text, 'contact')
  assert.is((await ask(proxy, '/docs/%C3%BCber%20uns.html')).text, 'umlaut')
  assert.match((await proxy.exchange(16)).detail!, 'leads out of')
  await using open = await served({ dotfiles: true, links: true })
  const texts: string[] = []
  for (const path of ['/.env', '/out.txt', '/up/secret.txt']) texts.push((await ask(open, path)).text)
  assert.equal(texts, ['SECRET', 'SECRET', 'SECRET'])
})

test('whatever a path is, the names in it lead down', () => {
  const part = fc.constantFrom('/', '.', '..', '%2e', '%2F', '%5c', '%00', 'a', '%c3%bc', '%ff', '\\', ';')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const names = namesOf(`/${parts.join('')}`)
      if (names === null) return
      const path = join('/root', ...names)
      assert.ok(path === '/root' || path.startsWith('/root/'), path)
      assert.ok(names.every((name) => name !== '' && !/[/\0]/.test(name)))
    }),
    { numRuns: 500 },
  )
})

test('other methods are refused with those that there are', async () => {
  await using proxy = await served()
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await ask(proxy, '/a.txt', method === 'POST' ? { 'content-length': '0' } : {}, method)
    assert.equal([status, headers.allow], [405, 'GET, HEAD'])
  }
  assert.is((await proxy.exchange()).reason, 'method_not_allowed')
})

test('a folder is its index; without the slash the client is sent there, wherever the proxy stands', async () => {
  await using proxy = await served()
  assert.equal([(await ask(proxy, '/')).text, (await ask(proxy, '/docs/')).text], ['<h1>home</h1>', 'docs'])
  const { status, headers } = await ask(proxy, '/docs?a=1')
  assert.equal([status, headers.location], [301, './docs/?a=1'])
  assert.equal([(await ask(proxy, '/empty/')).status, (await ask(proxy, '/empty')).headers.location], [404, './empty/'])
  await using none = await served({ index: false })
  assert.equal([(await ask(none, '/docs/')).status, (await ask(none, '/docs')).status], [404, 404])
  await using inside = await served({ path: '/site/*', rewrite: '/*' })
  assert.equal([(await ask(inside, '/site')).headers.location, (await ask(inside, '/site/')).text], ['./site/', '<h1>home</h1>'])
  assert.equal([(await ask(inside, '/site/a.txt')).text, (await ask(inside, '/site/site/a.txt')).status], ['0123456789', 404])
})

test('a listing is there if it is asked for, in which names are text and nothing is hidden', async () => {
  const folder = join(made, 'listed')
  mkdirSync(join(folder, 'sub'), { recursive: true })
  for (const name of ['b.txt', '<img src=x onerror=alert(1)>"&', '.hidden', 'a#b?c%41']) writeFileSync(join(folder, name), '')
  await using proxy = await served({ from: folder, listing: true })
  const { status, headers, text } = await ask(proxy, '/')
  assert.equal([status, headers['content-type']], [200, 'text/html; charset=utf-8'])
  assert.not.match(text, '<img')
  assert.not.match(text, '.hidden')
  const links = [...text.matchAll(/href="([^"]*)"/g)].map(([, link]) => link)
  assert.equal(links, ['./sub/', './%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%22%26', './a%23b%3Fc%2541', './b.txt'])
  assert.match((await ask(proxy, '/sub/')).text, 'href="../"')
})

test('a fallback stands for what no file is for, but for what is asked for as a file of a known type', async () => {
  await using proxy = await served({ fallback: 'index.html' })
  const told: unknown[] = []
  for (const path of ['/users/7', '/users/john.doe', '/users/', '/nothing.js', '/app.js', '/.env']) {
    const { status, text } = await ask(proxy, path)
    told.push([status, text.slice(0, 13)])
  }
  const home = [200, '<h1>home</h1>']
  assert.equal(
    told.map((one) => (one as unknown[])[0]),
    [200, 200, 200, 404, 200, 404],
  )
  assert.equal(told.slice(0, 3), [home, home, home])
})

test('one file answers whatever path', async () => {
  await using proxy = await served({ from: join(root, 'a.txt') })
  for (const path of ['/', '/x/y', '/a.txt']) assert.is((await ask(proxy, path)).text, '0123456789')
})

test('what is stored in a coding goes to those who take it, and caches are told so', async () => {
  await using proxy = await served({ precompressed: true })
  const told: unknown[] = []
  for (const accepts of ['br, gzip', 'gzip', 'br;q=0', 'identity', 'gzip;q=1, br;q=0.5']) {
    const { headers, body } = await ask(proxy, '/app.js', { 'accept-encoding': accepts })
    told.push([headers['content-encoding'], headers['content-type'], headers.vary, body.length < 1000])
  }
  const type = 'text/javascript; charset=utf-8'
  const plain = [undefined, type, 'Accept-Encoding', false]
  assert.equal(told, [['br', type, 'Accept-Encoding', true], plain, plain, plain, ['br', type, 'Accept-Encoding', true]])
  const coded = (await ask(proxy, '/app.js', { 'accept-encoding': 'br' })).headers.etag!
  assert.not.equal(coded, (await ask(proxy, '/app.js')).headers.etag)
  assert.is((await ask(proxy, '/app.js', { 'accept-encoding': 'br', 'if-none-match': coded })).headers.vary, 'Accept-Encoding')
  // What stands beside it leads out of the folder.
  const { headers, text } = await ask(proxy, '/a.txt', { 'accept-encoding': 'br' })
  assert.equal([headers.vary, headers['content-encoding'], text], ['Accept-Encoding', undefined, '0123456789'])
  await using one = await served({ from: join(root, 'app.js'), precompressed: 'br' })
  assert.is((await ask(one, '/', { 'accept-encoding': 'br' })).headers['content-encoding'], 'br')
})

test('hooks see a file as any answer: compress gives it a coding, others read and change it', async () => {
  await using proxy = await served({ use: [compress({ minSize: '100b' as never })] })
  const { headers, body } = await ask(proxy, '/app.js', { 'accept-encoding': 'gzip' })
  assert.equal([headers['content-encoding'], headers.etag!.slice(0, 2), headers.vary], ['gzip', 'W/', 'Accept-Encoding'])
  assert.is(gunzipSync(body).toString(), 'plain()'.repeat(300))
  assert.is((await ask(proxy, '/app.js', { 'accept-encoding': 'gzip', 'if-none-match': headers.etag! })).status, 304)
  const part = await ask(proxy, '/app.js', { 'accept-encoding': 'gzip', range: 'bytes=0-6' })
  assert.equal([part.status, part.headers['content-encoding'], part.text], [206, undefined, 'plain()'])
  const head = await ask(proxy, '/app.js', { 'accept-encoding': 'gzip' }, 'HEAD')
  assert.equal([head.headers['content-encoding'], head.headers['content-length'], head.headers.etag], ['gzip', undefined, headers.etag])
  let seen = 0
  const counting: HttpUse = {
    onResponse: (res) => res.headers.set('x-type', res.headers.get('content-type')!),
    onResponseBody: (chunk) => {
      seen += chunk.length
      return chunk
    },
  }
  await using hooked = await served({ use: [counting] })
  const all = await ask(hooked, '/big.bin', { range: 'bytes=0-3' })
  assert.equal([all.status, all.headers['x-type'], seen, all.body.equals(big)], [200, 'application/octet-stream', big.length, true])
  await using late = await served({ use: [{ onResponse: () => new Promise((resolve) => setImmediate(resolve)) }] })
  assert.ok((await ask(late, '/big.bin')).body.equals(big))
  await using instead = await served({ use: [{ onResponse: () => ({ status: 418, body: 'no' }) }] })
  assert.equal([(await ask(instead, '/big.bin')).status, (await ask(instead, '/nothing')).status], [418, 418])
})

test('a connection goes on to be used, and pipelined requests are answered in turn', async () => {
  await using proxy = await served()
  using c = await proxy.connect()
  const get = (path: string, method = 'GET'): string => `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  c.send(get('/a.txt') + get('/big.bin') + get('/a.txt', 'HEAD') + get('/nothing') + get('/docs/'))
  assert.is((await c.response()).text, '0123456789')
  assert.ok((await c.response()).body.equals(big))
  assert.is((await c.response({ to: 'HEAD' })).status, 200)
  assert.is((await c.response()).status, 404)
  assert.is((await c.response()).text, 'docs')
})

test('a client that reads slowly costs one piece of the file and holds nobody up; one that goes away frees it', async () => {
  const file = join(made, 'huge.bin')
  writeFileSync(file, '')
  truncateSync(file, 4 * 2 ** 30)
  await using proxy = await served({ from: file })
  using c = await proxy.connect()
  c.socket.pause()
  const before = process.memoryUsage().arrayBuffers
  await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').sent()
  await eventually(() => c.socket.bytesRead > 0 || undefined, 'the head')
  assert.is((await ask(proxy, '/', { range: `bytes=${4 * 2 ** 30 - 3}-` })).body.length, 3)
  assert.ok(process.memoryUsage().arrayBuffers - before < 20_000_000)
  c.socket.destroy()
  const gone = await proxy.exchange(proxy.ended.length + 1)
  assert.is(gone.reason, 'client_gone')
})

test('a file that becomes shorter while it is sent ends as broken, one that is replaced goes on to its end', async () => {
  const file = join(made, 'changing.bin')
  const content = Buffer.alloc(16_000_000, 'a')
  for (const how of ['replaced', 'cut'] as const) {
    writeFileSync(file, content)
    await using proxy = await served({ from: file })
    using c = await proxy.connect({ deadlineMs: 5000 })
    c.socket.pause()
    await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').sent()
    await eventually(() => c.socket.bytesRead > 0 || undefined, 'the head')
    if (how === 'cut') truncateSync(file, 1000)
    else {
      writeFileSync(`${file}.new`, 'b')
      renameSync(`${file}.new`, file)
    }
    c.socket.resume()
    if (how === 'replaced') assert.ok((await c.response()).body.equals(content))
    else {
      await c.closed()
      assert.is((await proxy.exchange()).reason, 'file_failed')
    }
  }
})

test('a folder that is exchanged by its link is served within the same request', async () => {
  const link = join(made, 'current')
  for (const name of ['one', 'two']) {
    mkdirSync(join(made, name))
    writeFileSync(join(made, name, `${name}.txt`), name)
  }
  symlinkSync('one', link)
  await using proxy = await served({ from: link })
  assert.is((await ask(proxy, '/one.txt')).text, 'one')
  symlinkSync('two', `${link}.new`)
  renameSync(`${link}.new`, link)
  assert.is((await ask(proxy, '/two.txt')).text, 'two')
  rmSync(link)
  assert.equal([(await ask(proxy, '/three.txt')).status, (await ask(proxy, '/two.txt')).status], [404, 404])
})

test('over HTTP/2 the same, many at once', async () => {
  await using proxy = await served()
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`)
  try {
    const bodies = await within(
      Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const stream = session.request({ ':path': i % 2 === 0 ? '/big.bin' : '/a.txt', ...(i === 3 ? { ':method': 'HEAD' } : {}) })
          const pieces: Buffer[] = []
          for await (const piece of stream) pieces.push(piece)
          return Buffer.concat(pieces)
        }),
      ),
      'all bodies',
    )
    assert.equal(
      bodies.map((body) => body.length),
      [big.length, 10, big.length, 0, big.length, 10, big.length, 10],
    )
    assert.ok(bodies[0]!.equals(big))
    const cut = session.request({ ':path': '/big.bin' })
    cut.once('response', () => cut.close(http2.constants.NGHTTP2_CANCEL))
    assert.is((await proxy.exchange(9)).reason, 'client_gone')
  } finally {
    session.destroy()
  }
})

test('a pipe is refused at once, and nobody waits for who writes into it', async () => {
  const { status } = spawnSync('mkfifo', [join(root, 'pipe')])
  assert.is(status, 0)
  await using proxy = await served()
  assert.is((await ask(proxy, '/pipe')).status, 403)
})

test.run()
