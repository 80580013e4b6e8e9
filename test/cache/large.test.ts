/** Bodies that are too long for the memory: into a file while they come, out of it while they are sent, and never more of them in memory than some blocks. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LargeFile } from '../../core/cache/disk/large-file.ts'
import { compress } from '../../core/index.ts'
import { type Cached, type CachedOptions, fresh, requestOf, startCached } from '../support/cache.ts'

const status = 'cache-status'
const LONG = Array.from({ length: 400_000 }, (_, i) => String(i).padStart(7, '.')).join('')

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'sluice-large-'))

  filesIn(part: 'objects' | 'new'): string[] {
    const found = readdirSync(this.path, { recursive: true, withFileTypes: true })
    return found
      .filter((one) => one.isFile() && one.parentPath.includes(`/1/${part}`))
      .map(({ parentPath, name }) => join(parentPath, name))
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

function startOn({ path }: Folder, handler: Parameters<typeof startCached>[0], options: CachedOptions = {}): Promise<Cached> {
  const disk = { path, size: '100mb', timeout: '10s', maxObject: '20mb' } as const
  return startCached(handler, { disk, memory: '1mb', maxObject: '100kb', ...options })
}

function cacheOf(cached: Cached) {
  return cached.proxy.caches.of(null)[0]!
}

/** The one that is on its way. */
function comingIn(cached: Cached): LargeFile | null {
  const [record] = [...cacheOf(cached).store.records()]
  return record?.pending[0]?.response?.large ?? null
}

function headOf(length: number, lines: readonly string[] = []): string {
  return ['HTTP/1.1 200 OK', 'Cache-Control: max-age=60', `Content-Length: ${length}`, ...lines, '', ''].join('\r\n')
}

test('it is kept on disk alone and found there by all workers, whole and in part, with its head', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh(LONG, 60, ['ETag: "1"', 'X-A: b']))
  const miss = await first.get('/a')
  assert.ok(miss.text === LONG)
  assert.is(miss.headers[status], 'sluice; fwd=uri-miss; stored')
  await cacheOf(first).settled()
  assert.equal([folder.filesIn('objects').length, folder.filesIn('new').length, cacheOf(first).counts.objects], [1, 0, 0])
  await using second = await startOn(folder, () => undefined, { beside: first })
  for (const cached of [first, second]) {
    cached.pass(5)
    const hit = await cached.get('/a')
    assert.ok(hit.text === LONG)
    assert.equal([hit.headers['x-a'], hit.headers['content-length']], ['b', String(LONG.length)])
    assert.match(hit.headers[status]!, /^sluice; hit; ttl=5/)
    for (const [range, from, to] of [
      ['-6', LONG.length - 6, LONG.length],
      ['131071-131072', 131_071, 131_073],
      ['500000-1500000', 500_000, 1_500_001],
    ] as const) {
      const part = await cached.get('/a', [`Range: bytes=${range}`])
      assert.is(part.status, 206)
      assert.ok(part.text === LONG.slice(from, to), range)
    }
    assert.is((await cached.get('/a', ['If-None-Match: "1"'])).status, 304)
    assert.is((await cached.get('/a', [], 'HEAD')).headers['content-length'], String(LONG.length))
  }
  assert.equal([first.asked, cacheOf(first).counts.objects, cacheOf(second).counts.objects], [1, 0, 0])
})

/** An endpoint that has sent the head and so much, and a client that is sent it. */
async function startHalf(folder: Folder, lines: readonly string[] = [], options: CachedOptions = {}) {
  const cached = await startOn(
    folder,
    ({ method, target }) => {
      if (method === 'POST') return 'HTTP/1.1 204 No Content\r\n\r\n'
      return target === '/a' ? headOf(LONG.length, lines) + LONG.slice(0, 1_500_000) : fresh('kiwi')
    },
    options,
  )
  const client = await cached.proxy.connect()
  client.send(requestOf('/a'))
  const from = await cached.origin.connection(1)
  const file = await new Promise<LargeFile>((resolve) => {
    const look = (): void => {
      const coming = comingIn(cached)
      if (coming === null || coming.readable < 1_000_000) setImmediate(look)
      else resolve(coming)
    }
    look()
  })
  return { cached, client, from, file, [Symbol.asyncDispose]: () => cached[Symbol.asyncDispose]() }
}

test('who asks while it comes gets it as it comes, each at its own place, and it is fetched once', async () => {
  using folder = new Folder()
  await using half = await startHalf(folder)
  const { cached, client, from } = half
  using second = await cached.proxy.connect()
  using third = await cached.proxy.connect()
  second.send(requestOf('/a'))
  third.send(requestOf('/a', ['Range: bytes=100-200']))
  const part = await third.response()
  assert.equal([part.status, part.text, part.headers[status]], [206, LONG.slice(100, 201), 'sluice; fwd=uri-miss; collapsed'])
  from.write(LONG.slice(1_500_000))
  for (const one of [client, second]) assert.ok((await one.response()).text === LONG)
  assert.is(cached.asked, 1)
  await cacheOf(cached).settled()
  assert.is(folder.filesIn('objects').length, 1)
})

test('what is purged, or changed by a POST, while it comes is not kept, and nothing of it is left', async () => {
  for (const isPost of [true, false]) {
    using folder = new Folder()
    await using half = await startHalf(folder)
    const { cached, client, from } = half
    if (isPost) await cached.get('/a', [], 'POST')
    else await cacheOf(cached).purge({ kind: 'all', soft: false }, assert.unreachable)
    from.write(LONG.slice(1_500_000))
    assert.ok((await client.response()).text === LONG)
    await cacheOf(cached).settled()
    assert.equal([folder.filesIn('objects'), folder.filesIn('new')], [[], []])
  }
})

test('one that does not come whole is broken off for all, and nothing of it is left', async () => {
  using folder = new Folder()
  await using half = await startHalf(folder)
  const { cached, client, from } = half
  using second = await cached.proxy.connect()
  second.send(requestOf('/a'))
  await second.until('collapsed')
  from.reset()
  assert.equal([await client.closed(), await second.closed()], ['reset', 'reset'])
  await cacheOf(cached).settled()
  assert.equal([folder.filesIn('objects'), folder.filesIn('new')], [[], []])
  assert.is((await cached.get('/b')).text, 'kiwi')
})

test('a client that leaves does not take it from another who is sent it', async () => {
  using folder = new Folder()
  await using half = await startHalf(folder)
  const { cached, client, from } = half
  using second = await cached.proxy.connect()
  second.send(requestOf('/a'))
  await cached.proxy.settled()
  client.destroy()
  await cached.proxy.settled()
  from.write(LONG.slice(1_500_000))
  assert.ok((await second.response()).text === LONG)
  await cacheOf(cached).settled()
  assert.is(folder.filesIn('objects').length, 1)
})

test('when the disk fails in the midst, or from the beginning, who made it be fetched gets it all the same', async () => {
  {
    using folder = new Folder()
    await using half = await startHalf(folder)
    const { cached, client, from, file } = half
    file.break()
    from.write(LONG.slice(1_500_000))
    assert.ok((await client.response()).text === LONG)
    await cacheOf(cached).settled()
    assert.equal([folder.filesIn('objects'), folder.filesIn('new')], [[], []])
  }
  using folder = new Folder()
  const told: string[] = []
  await using cached = await startOn(folder, ({ target }) => fresh(target === '/a' ? LONG : 'kiwi'), { warn: (text) => told.push(text) })
  await cached.get('/b')
  await cacheOf(cached).settled()
  rmSync(join(folder.path, 'default', '1', 'new'), { recursive: true })
  for (let i = 0; i < 2; i++) assert.ok((await cached.get('/a')).text === LONG)
  assert.match(told[0]!, /cannot be written, so less is kept: .*ENOENT/)
  assert.is(told.length, 1)
  assert.is((await cached.get('/b')).text, 'kiwi')
})

test('what nobody is sent any more is held nowhere when the disk fails, and its endpoint is let go', async () => {
  using folder = new Folder()
  await using half = await startHalf(folder)
  const { cached, client, from, file } = half
  using second = await cached.proxy.connect()
  second.send(requestOf('/a'))
  await second.until('collapsed')
  client.destroy()
  await cached.proxy.settled()
  file.break()
  assert.is(await second.closed(), 'reset')
  await from.closed()
})

test('who made it be fetched for some of its bytes, and has them, is not held up when the disk fails', async () => {
  using folder = new Folder()
  await using cached = await startOn(
    folder,
    ({ target }) => {
      return target === '/a' ? headOf(LONG.length) + LONG.slice(0, 1_500_000) : fresh('kiwi')
    },
    { partial: true },
  )
  cached.client.send(requestOf('/a', ['Range: bytes=0-6']))
  const from = await cached.origin.connection(1)
  assert.is((await cached.client.response()).text, LONG.slice(0, 7))
  comingIn(cached)!.break()
  from.write(LONG.slice(1_500_000))
  assert.is((await cached.get('/b')).text, 'kiwi')
})

test('a file is open for as long as it is being read, whoever has left', async () => {
  using folder = new Folder()
  const path = join(folder.path, 'alone')
  const ended = Promise.withResolvers<unknown>()
  const made = LargeFile.create(path, LONG.length, ended.resolve)
  made.push(Buffer.from(LONG, 'latin1'), 0, LONG.length)
  made.finish()
  await ended.promise
  made.release()
  for (let i = 0; i < 50; i++) {
    const file = await new Promise<LargeFile>((resolve) => LargeFile.open(path, LONG.length, (_, opened) => resolve(opened!)))
    file.onDamage = assert.unreachable
    const reading = Array.from({ length: 8 }, (_, at) => new Promise((resolve) => file.read(at * 131_072, resolve)))
    file.release()
    for (const bytes of await Promise.all(reading)) assert.is((bytes as Buffer).length, 131_072)
  }
})

test('a block that is not what was written reaches nobody, and the next request fetches it anew', async () => {
  using folder = new Folder()
  await using cached = await startOn(folder, () => fresh(LONG), { warn: () => {} })
  await cached.get('/a')
  await cacheOf(cached).settled()
  const [path] = folder.filesIn('objects')
  const bytes = readFileSync(path!)
  bytes[1_000_000]! ^= 1
  writeFileSync(path!, bytes)
  using client = await cached.proxy.connect()
  client.send(requestOf('/a'))
  assert.is(await client.closed(), 'reset')
  const got = client.rest.slice(client.rest.indexOf('\r\n\r\n') + 4)
  assert.ok(LONG.startsWith(got))
  assert.ok(got.length < 1_000_000, `${got.length} bytes`)
  await cacheOf(cached).settled()
  const again = await cached.get('/a')
  assert.ok(again.text === LONG)
  assert.is(again.headers[status], 'sluice; fwd=uri-miss; stored')
})

test('what is stale is asked about, and a 304 makes what lies on disk fresh again', async () => {
  using folder = new Folder()
  await using cached = await startOn(folder, ({ headers }) =>
    headers['if-none-match'] === '"1"' ? 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n' : fresh(LONG, 60, ['ETag: "1"']),
  )
  await cached.get('/a')
  await cacheOf(cached).settled()
  cached.pass(61)
  const renewed = await cached.get('/a')
  assert.ok(renewed.text === LONG)
  assert.is(renewed.headers[status], 'sluice; fwd=stale; fwd-status=304; stored')
  await cacheOf(cached).settled()
  cached.pass(30)
  const part = await cached.get('/a', ['Range: bytes=-7'])
  assert.equal([part.text, part.headers[status], cached.asked], [LONG.slice(-7), 'sluice; hit; ttl=30', 2])
  assert.is(await cacheOf(cached).purge({ kind: 'url', url: 'http://example.com/a', soft: false }, assert.unreachable), 1)
  assert.is((await cached.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
})

test('with compress on the way it goes as it is, and says that it might be coded', async () => {
  using folder = new Folder()
  await using cached = await startOn(folder, () => fresh(LONG, 60, ['Content-Type: text/plain']), { inner: [compress()] })
  for (let i = 0; i < 2; i++) {
    const { text, headers } = await cached.get('/a', ['Accept-Encoding: gzip'])
    assert.ok(text === LONG)
    assert.equal([headers['content-encoding'], headers.vary], [undefined, 'Accept-Encoding'])
    await cacheOf(cached).settled()
  }
  assert.is(cached.asked, 1)
})

test('slow clients hold nothing up, and an endpoint is not read faster than the disk takes it', async () => {
  using folder = new Folder()
  await using half = await startHalf(folder)
  const { cached, client, from, file } = half
  client.pause()
  from.write(LONG.slice(1_500_000))
  await file.settled
  assert.is(folder.filesIn('objects').length, 1)
  client.resume()
  assert.ok((await client.response()).text === LONG)
  assert.is(cached.asked, 1)
  const path = join(folder.path, 'alone')
  const ended = Promise.withResolvers<unknown>()
  const alone = LargeFile.create(path, 3_000_000, ended.resolve)
  let rooms = 0
  alone.onRoom = () => rooms++
  const bytes = Buffer.from(LONG, 'latin1')
  alone.push(bytes, 0, 1_000_000)
  assert.is(alone.hasRoom, true)
  alone.push(bytes, 1_000_000, 1_100_000)
  assert.is(alone.hasRoom, false)
  while (rooms === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.is(alone.hasRoom, true)
  alone.push(bytes, 1_100_000, 2_800_000)
  alone.push(bytes, 0, 200_000)
  alone.finish()
  assert.is(await ended.promise, 'whole')
  alone.release()
})

test('a machine that is short of descriptors puts nothing out: it is a miss, and found again later', async () => {
  using folder = new Folder()
  await using cached = await startOn(folder, () => fresh(LONG), { warn: () => {} })
  await cached.get('/a')
  await cacheOf(cached).settled()
  const { open } = LargeFile
  LargeFile.open = (_path, _length, taker) => queueMicrotask(() => taker(Object.assign(new Error('too many'), { code: 'EMFILE' }), null))
  try {
    const miss = await cached.get('/a', ['Cache-Control: only-if-cached'])
    assert.is(miss.status, 504)
  } finally {
    LargeFile.open = open
  }
  await cacheOf(cached).settled()
  const hit = await cached.get('/a')
  assert.ok(hit.text === LONG)
  assert.match(hit.headers[status]!, 'hit')
})

test.run()
