/** Answers on disk: one copy for all who share a folder, which outlives them, and nothing of it that is not what was written. */
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parsePurge } from '../../core/cache/asks.ts'
import { Cache } from '../../core/cache/cache.ts'
import { DiskIndex } from '../../core/cache/disk/disk-index.ts'
import { removeShared, sharedPath, sweepShared } from '../../core/cache/disk/shared-memory-folder.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { memoryFolder } from '../../core/net/memory-folder.ts'
import { type Cached, type CachedOptions, fresh, startCached } from '../support/cache.ts'

const status = 'cache-status'

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'sluice-disk-'))

  get files(): string[] {
    const found = readdirSync(this.path, { recursive: true, withFileTypes: true })
    return found.filter((one) => one.isFile() && one.parentPath.includes('objects')).map(({ parentPath, name }) => join(parentPath, name))
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

function startOn(folder: Folder, handler: Parameters<typeof startCached>[0], options: CachedOptions = {}): Promise<Cached> {
  return startCached(handler, { disk: { path: folder.path, timeout: '10s' }, ...options })
}

/** Another worker, or the same after a restart. */
function startBeside(folder: Folder, beside: Cached, options: CachedOptions = {}): Promise<Cached> {
  return startOn(folder, () => undefined, { beside, ...options })
}

function disk(cached: Cached) {
  return cached.proxy.caches.counts[0]!.tiers[0]!
}

async function written(cached: Cached): Promise<void> {
  await Promise.all(cached.proxy.caches.of(null).map((cache) => cache.settled()))
}

test('what one worker keeps another one finds, after a restart, too', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh('kiwi', 60, ['ETag: "1"', 'X-A: b']))
  await first.get('/a')
  await written(first)
  await using second = await startBeside(folder, first)
  second.pass(5)
  const { text, headers } = await second.get('/a')
  assert.equal([text, headers[status], headers.age, headers['x-a'], headers.etag], ['kiwi', 'sluice; hit; ttl=55', '5', 'b', '"1"'])
  assert.is((await second.get('/a', ['If-None-Match: "1"'])).status, 304)
  assert.equal([first.asked, disk(second).found, disk(second).objects, folder.files.length], [1, 1, 1, 1])
})

test('a large body comes in blocks, as whole as it was, to all who ask meanwhile', async () => {
  using folder = new Folder()
  const body = Array.from({ length: 50_000 }, (_, i) => `${i} `).join('')
  await using first = await startOn(folder, () => fresh(body))
  await first.get('/a')
  await written(first)
  await using second = await startBeside(folder, first)
  const [whole, part] = await Promise.all([
    second.get('/a'),
    (await second.proxy.connect()).send('GET /a HTTP/1.1\r\nHost: example.com\r\nRange: bytes=-6\r\n\r\n').response(),
  ])
  assert.ok(whole.text === body)
  assert.equal([part.status, part.text], [206, body.slice(-6)])
  assert.equal([first.asked, disk(second).found], [1, 1])
})

test('what varies is found by what it varies by', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, ({ headers }) => fresh(String(headers['accept-language']), 60, ['Vary: Accept-Language']))
  for (const language of ['de', 'fr']) await first.get('/a', [`Accept-Language: ${language}`])
  await written(first)
  await using second = await startBeside(folder, first)
  assert.is((await second.get('/a', ['Accept-Language: de'])).text, 'de')
  assert.is((await second.get('/a', ['Accept-Language: fr'])).text, 'fr')
  assert.is((await second.get('/a', ['Accept-Language: it'])).text, 'it')
  assert.is(first.asked, 3)
})

test('tags that a 304 tells are found on disk by a purge, and those of before are, too', async () => {
  for (const tag of ['a', 'b']) {
    using folder = new Folder()
    await using first = await startOn(folder, ({ headers }) =>
      headers['if-none-match'] === undefined
        ? fresh('kiwi', 60, ['ETag: "1"', 'Cache-Tag: a'])
        : 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nCache-Tag: b\r\n\r\n',
    )
    await first.get('/a')
    await written(first)
    first.pass(61)
    await first.get('/a')
    await written(first)
    await using second = await startBeside(folder, first)
    const [cache] = second.proxy.caches.of(null)
    assert.is(await cache!.purge({ kind: 'tag', tag, soft: false }, assert.unreachable), 1)
    assert.is((await second.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
  }
})

test('what one worker renewed the others do not ask about', async () => {
  using folder = new Folder()
  const handler = ({ headers }: { readonly headers: Readonly<Record<string, string>> }) =>
    headers['if-none-match'] === undefined
      ? fresh('kiwi', 60, ['ETag: "1"'])
      : 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nX-New: 1\r\n\r\n'
  await using first = await startOn(folder, handler)
  await first.get('/a')
  await written(first)
  await using second = await startBeside(folder, first)
  await second.get('/a')
  first.pass(61)
  await first.get('/a')
  await written(first)
  const { headers, text } = await second.get('/a')
  assert.equal([text, headers[status], headers['x-new'], first.asked], ['kiwi', 'sluice; hit; ttl=60', '1', 2])
  assert.is(folder.files.length, 1, 'the body is the same file')
})

for (const [what, damage] of [
  ['a changed byte', (file: string) => writeFileSync(file, readFileSync(file).fill(1, 29))],
  ['a missing end', (file: string) => truncateSync(file, readFileSync(file).length - 1)],
  ['a header of another', (file: string) => writeFileSync(file, readFileSync(file).fill(0, 8, 9))],
  ['nothing', (file: string) => truncateSync(file, 0)],
  ['no file', (file: string) => rmSync(file)],
] as const) {
  test(`with ${what} it is as if it had never been kept`, async () => {
    using folder = new Folder()
    await using first = await startOn(folder, () => fresh('kiwi'))
    await first.get('/a')
    await written(first)
    damage(folder.files[0]!)
    await using second = await startBeside(folder, first)
    const { text, headers } = await second.get('/a')
    assert.equal([text, headers[status]], ['kiwi', 'sluice; fwd=uri-miss; stored'])
    await written(second)
    await using third = await startBeside(folder, first)
    assert.is((await third.get('/a')).headers[status], 'sluice; hit; ttl=60')
    assert.is(first.asked, 2)
  })
}

test('an index that is none is left alone, and all begin anew', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh('kiwi'))
  await first.get('/a')
  await first.proxy.caches.close()
  writeFileSync(join(folder.path, 'default/1/index.db'), 'no index')
  rmSync(join(folder.path, 'default/1/index.db-wal'), { force: true })
  await using second = await startBeside(folder, first)
  assert.is((await second.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
  await written(second)
  await using third = await startBeside(folder, first)
  assert.is((await third.get('/a')).headers[status], 'sluice; hit; ttl=60')
})

test('an index that breaks while it is used is told of, and what is asked about it answered without', async () => {
  using folder = new Folder()
  const warned: string[] = []
  await using first = await startOn(folder, () => fresh('kiwi'), { warn: (text) => warned.push(text) })
  await first.get('/a')
  await written(first)
  const index = new DatabaseSync(join(folder.path, 'default/1/index.db'))
  index.exec('DROP TABLE objects')
  index.close()
  const { listed, counts } = await first.proxy.caches.tell({ kind: 'list', cache: null, prefix: 'http://', most: 100 })
  assert.equal([listed.map(({ where }) => where), counts.length], [['memory'], 1])
  assert.match(warned.join(), /has an index that cannot be used/)
})

test('a purge by URL, prefix, host, tag or of all reaches the disk, softly too', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, ({ target }) => fresh(target, 60, ['ETag: "1"', `Cache-Tag: t${target.slice(1)}`]))
  await using other = await startBeside(folder, first)
  const isKept = async (path: string): Promise<boolean> => {
    // Of its memory nothing is left.
    other.proxy.caches.of(null)[0]!.store.resize({ bytes: 0, objectBytes: 0, variants: 16 })
    other.proxy.caches.of(null)[0]!.store.resize({ bytes: 1e6, objectBytes: 1e6, variants: 16 })
    return (await other.get(path, ['Cache-Control: only-if-cached'])).status === 200
  }
  const purge = async (fields: Readonly<Record<string, unknown>>): Promise<number> => {
    const { purged } = await first.proxy.caches.tell(parsePurge(fields) as Exclude<ReturnType<typeof parsePurge>, string>)
    return purged
  }
  const fill = async () => {
    for (const path of ['/a', '/a?b', '/as', '/b/c']) await first.get(path)
    await written(first)
  }
  await fill()
  assert.is(await purge({ url: 'http://example.com/a' }), 1)
  assert.equal([await isKept('/a'), await isKept('/a?b'), await isKept('/as')], [false, true, true])
  assert.is(await purge({ prefix: 'http://example.com/a' }), 2)
  assert.equal([await isKept('/as'), await isKept('/b/c')], [false, true])
  assert.is(await purge({ tag: 'tb/c' }), 1)
  assert.is(await isKept('/b/c'), false)
  await fill()
  assert.is(await purge({ host: 'other.example' }), 0)
  assert.is(await purge({ host: 'example.com', soft: true }), 4)
  assert.equal([await isKept('/as'), disk(first).objects], [false, 4])
  assert.is(await purge({ all: true }), 4)
  assert.equal([disk(first).objects, disk(first).bytes], [0, 0])
  await written(first)
  assert.equal(folder.files, [])
})

test('what another worker wrote from before a purge is not taken after it', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh('kiwi'))
  await using second = await startBeside(folder, first)
  await second.proxy.caches.tell({ kind: 'purge', cache: null, purge: { kind: 'url', url: 'http://example.com/a', soft: false } })
  // The first has not been told yet.
  await first.get('/a')
  await written(first)
  assert.is((await second.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
})

test('a request that changes what is behind a URL puts it out on disk, too', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh('kiwi'))
  await first.get('/a')
  await written(first)
  await using second = await startBeside(folder, first)
  await second.get('/a', [], 'DELETE')
  await written(second)
  assert.is(disk(first).objects, 0)
})

test('there is never more on disk than may be, and what is asked for again stays', async () => {
  using folder = new Folder()
  const options = { disk: { path: folder.path, size: '200kb', timeout: '10s' }, warn: (text: string) => assert.unreachable(text) } as const
  await using first = await startOn(folder, () => fresh('k'.repeat(10_000)), options)
  await first.get('/kept')
  await written(first)
  for (let i = 0; i < 30; i++) {
    await first.get(`/${i}`)
    await written(first)
    await using other = await startBeside(folder, first, options)
    if (i % 4 === 0) assert.match((await other.get('/kept')).headers[status]!, /hit/)
    await written(other)
  }
  assert.ok(disk(first).bytes! <= 200 * 1024, `${disk(first).bytes}`)
  assert.ok(disk(first).evictions! >= 15, `${disk(first).evictions}`)
  assert.is(folder.files.length, disk(first).objects)
})

test('what processes that are gone were writing is deleted', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh('kiwi'))
  await first.get('/a')
  await written(first)
  const left = join(folder.path, 'default/1/new/999999999-abc')
  writeFileSync(left, 'half')
  await using second = await startBeside(folder, first)
  await second.get('/a')
  while (readdirSync(join(folder.path, 'default/1/new')).length > 0) await new Promise((resolve) => setImmediate(resolve))
})

test('a folder that cannot be used costs no answer, and is told of once', async () => {
  using folder = new Folder()
  writeFileSync(join(folder.path, 'file'), '')
  const told: string[] = []
  await using first = await startCached(() => fresh('kiwi'), { disk: { path: join(folder.path, 'file') }, warn: (text) => told.push(text) })
  for (const path of ['/a', '/a', '/b']) await first.get(path)
  assert.is(first.asked, 2)
  assert.is(told.length, 1)
  assert.match(told[0]!, /^the cache default keeps nothing on disk: .*ENOTDIR/)
})

test('a folder that could not be opened is tried again after a while', async () => {
  using folder = new Folder()
  const path = join(folder.path, 'file')
  writeFileSync(path, '')
  let now = 0
  const deadlines = new Deadlines(50, () => now)
  const told: string[] = []
  const cache = new Cache('default', {
    deadlines,
    clock: () => now,
    warn: (text) => told.push(text),
    onInvalidated() {},
    isSimulated: false,
  })
  const disk = { kind: 'disk', path, bytes: 1e6, timeoutMs: 1000, largeBytes: 0 } as const
  cache.use({ plan: 1, bytes: 1e6, objectBytes: 1e5, variants: 4, shared: null, disk, store: null })
  const pass = (ms: number) => {
    now += ms
    deadlines.tick()
    return cache.tiers.length
  }
  assert.is(pass(10_100), 0)
  rmSync(path)
  assert.equal([pass(9_000), pass(1_100)], [0, 1])
  assert.is(told.length, 2)
  assert.is(told[1], `the cache default keeps answers on disk now: ${path}`)
  assert.equal([pass(60_000), told.length, deadlines.nextDueAt], [1, 2, Number.POSITIVE_INFINITY])
  await cache.close()
})

// SQLite answers BUSY at once to who wants the log while another process is about to make the first table.
test('an index that another worker is making at the same time is waited for', async () => {
  using folder = new Folder()
  const file = join(folder.path, 'index.db')
  const gate = new Int32Array(new SharedArrayBuffer(4))
  const other = new Worker(
    `const { workerData: { file, gate }, parentPort } = require('node:worker_threads')
    const db = new (require('node:sqlite').DatabaseSync)(file)
    db.exec('BEGIN IMMEDIATE')
    parentPort.postMessage('begun')
    Atomics.wait(gate, 0, 0)
    Atomics.wait(gate, 0, 1, 30)
    db.exec('COMMIT')
    db.close()`,
    { eval: true, workerData: { file, gate } },
  )
  await once(other, 'message')
  const ended = once(other, 'exit')
  Atomics.store(gate, 0, 1)
  Atomics.notify(gate, 0)
  const index = new DiskIndex(file)
  assert.equal({ ...index.totals }, { objects: 0, bytes: 0, evictions: 0 })
  index.close()
  await ended
})

test('without the folder of the bodies nothing is kept, which is told once', async () => {
  using folder = new Folder()
  const told: string[] = []
  await using first = await startOn(folder, () => fresh('kiwi'), { warn: (text) => told.push(text) })
  rmSync(join(folder.path, 'default/1/new'), { recursive: true })
  for (const path of ['/a', '/b', '/c']) assert.is((await first.get(path)).text, 'kiwi')
  await written(first)
  assert.is(told.length, 1)
  assert.match(told[0]!, /^the folder of a cache cannot be written, so less is kept/)
  assert.is(disk(first).objects, 0)
})

const withMemory = memoryFolder() === null ? test.skip : test

withMemory('workers have memory in common: what one has fetched another one finds at once, and it goes with the proxy', async () => {
  const options = { name: `shared-${process.pid}`, memory: '1mb', shared: '50mb' } as const
  await using first = await startCached(({ target }) => fresh(target === '/large' ? 'k'.repeat(300_000) : 'kiwi'), options)
  for (const path of ['/a', '/large']) await first.get(path)
  await written(first)
  await using second = await startCached(() => undefined, { ...options, beside: first })
  assert.equal([(await second.get('/a')).text, (await second.get('/large')).text.length, first.asked], ['kiwi', 300_000, 2])
  const [tier] = second.proxy.caches.counts[0]!.tiers
  assert.equal([tier!.tier, tier!.found, tier!.objects], ['shared', 2, 2])
  await second.proxy.caches.close()
  await first.proxy.caches.close()
  assert.ok(existsSync(sharedPath(process.ppid)))
  removeShared(process.ppid)
  assert.not.ok(existsSync(sharedPath(process.ppid)))
})

withMemory('what the disk has comes into the memory that workers have in common, too', async () => {
  using folder = new Folder()
  await using first = await startOn(folder, () => fresh('kiwi'), { name: `both-${process.pid}` })
  await first.get('/a')
  await written(first)
  const options = { name: `both-${process.pid}`, shared: '50mb' } as const
  await using second = await startBeside(folder, first, options)
  await second.get('/a')
  await written(second)
  assert.equal(
    second.proxy.caches.counts[0]!.tiers.map(({ tier, objects, found }) => [tier, objects, found]),
    [
      ['shared', 1, 0],
      ['disk', 1, 1],
    ],
  )
  await second.proxy.caches.close()
  removeShared(process.ppid)
})

withMemory('what proxies that were killed had in memory is freed by the next one', () => {
  mkdirSync(join(sharedPath(999_999_999), 'default'), { recursive: true })
  sweepShared()
  assert.not.ok(existsSync(sharedPath(999_999_999)))
})

test.run()
