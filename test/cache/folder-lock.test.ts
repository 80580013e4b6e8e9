/** A folder of answers belongs to one proxy at a time, whose workers share it; the next one has it when that is gone. One that is cleared is made anew. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Cache } from '../../core/cache/cache.ts'
import { FolderLock, ownerHere } from '../../core/cache/disk/folder-lock.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { fresh, startCached } from '../support/cache.ts'

class Folder implements Disposable {
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }

  readonly path = mkdtempSync(join(tmpdir(), 'sluice-lock-'))
}

test('a folder that another proxy uses is left alone, and taken once that has ended', async () => {
  using folder = new Folder()
  const base = join(folder.path, 'default')
  for (const name of ['1/new', 'used']) mkdirSync(join(base, name), { recursive: true })
  const coming = join(base, '1/new/7-4026531836-8-abc')
  writeFileSync(coming, 'half')
  // A worker of the other proxy, and one of a proxy that was killed.
  const other = FolderLock.take(join(folder.path, 'elsewhere'), '7-4026531836')
  renameSync(join(folder.path, 'elsewhere/used/7-4026531836.lock'), join(base, 'used/7-4026531836.lock'))
  writeFileSync(join(base, 'used/8-4026531836.lock'), '')
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
  const limits = { kind: 'disk', path: folder.path, bytes: 1e6, timeoutMs: 1000, largeBytes: 0 } as const
  cache.use({ plan: 1, bytes: 1e6, objectBytes: 1e5, variants: 4, shared: null, disk: limits, store: null })
  assert.equal([cache.tiers.length, existsSync(coming), told.length], [0, true, 1])
  assert.match(told[0]!, /keeps nothing on disk: .*: another proxy uses it \(process 7.*\), and each needs a folder of its own$/)
  other.release()
  now += 10_100
  deadlines.tick()
  assert.equal([cache.tiers.length, told.length], [1, 2])
  assert.equal(readdirSync(join(base, 'used')), [`${ownerHere()}.lock`])
  while (existsSync(coming)) await new Promise((resolve) => setImmediate(resolve))
  await cache.close()
})

test('workers that start at once have one folder together, and of several proxies one has it', () => {
  using folder = new Folder()
  const mine = [FolderLock.take(folder.path, '1-1'), FolderLock.take(folder.path, '1-1')]
  assert.throws(() => FolderLock.take(folder.path, '2-1'), /another proxy uses it \(process 1\)/)
  assert.throws(() => FolderLock.take(folder.path, '1-2'), /another proxy uses it \(process 1 of another container\)/)
  mine[0]!.release()
  assert.throws(() => FolderLock.take(folder.path, '2-1'), /another proxy/)
  mine[1]!.release()
  FolderLock.take(folder.path, '2-1').release()
})

// Who clears a cache by `rm -rf` found nothing of it on disk until the next start.
test('a folder that is removed while it is used is made anew after a while', async () => {
  using folder = new Folder()
  let now = 0
  const deadlines = new Deadlines(50, () => now)
  const told: string[] = []
  await using cached = await startCached(({ target }) => fresh(target), {
    disk: { path: folder.path },
    deadlines,
    warn: (text) => told.push(text),
  })
  const [cache] = cached.proxy.caches.of(null)
  const objects = async () => {
    await cache!.settled()
    return cache!.tiers[0]?.counts.objects ?? null
  }
  await cached.get('/a')
  assert.is(await objects(), 1)
  rmSync(folder.path, { recursive: true })
  assert.is((await cached.get('/b')).text, '/b')
  await objects()
  assert.is(await objects(), null)
  assert.is((await cached.get('/c')).text, '/c')
  now += 10_100
  deadlines.tick()
  await cached.get('/d')
  assert.is(await objects(), 1)
  assert.match(told.join('\n'), /^the folder of a cache cannot be written, .*ENOENT.*\nthe cache default keeps answers on disk now/)
})

test.run()
