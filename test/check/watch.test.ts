import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { FSWatcher } from 'chokidar'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FileWatch } from '../../core/check/watch.ts'
import { eventually, Waiting } from '../support/deadline.ts'

/** A folder with files, some of them watched, and what was told of them. */
class Rig {
  readonly folder = mkdtempSync(join(realpathSync(tmpdir()), 'sluice-watch-'))
  readonly told: string[][] = []
  readonly errors: string[] = []
  readonly watch: FileWatch
  readonly #waiting = new Waiting()
  toldAt = 0

  constructor(options: Partial<ConstructorParameters<typeof FileWatch>[0]> = {}) {
    this.watch = new FileWatch({
      onChange: (files) => {
        this.toldAt = performance.now()
        this.told.push(files.map((file) => file.slice(this.folder.length + 1)).sort())
        this.#waiting.poke()
      },
      onError: (error) => {
        this.errors.push(error.message)
        this.#waiting.poke()
      },
      ...options,
    })
  }

  write(name: string, text: string): string {
    const file = this.path(name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Watches these, and waits until that has begun. */
  async set(...names: string[]): Promise<void> {
    this.watch.set(names.map((name) => this.path(name)))
    await this.settled()
  }

  /** What happened before is over: a file made for this purpose was told of, and taken out again. */
  async settled(): Promise<void> {
    await eventually(
      () => (this.watch.isIdle ? true : undefined),
      () => 'the watch does not come to rest',
    )
  }

  /** The files of the next call, and that there was no more than one. */
  async change(): Promise<string[]> {
    await this.#waiting.until(
      () => (this.told.length > 0 ? true : undefined),
      () => 'no change was told',
    )
    await this.settled()
    assert.is(this.told.length, 1, JSON.stringify(this.told))
    return this.told.pop()!
  }

  async error(): Promise<string> {
    return this.#waiting.until(() => this.errors[0], 'no error was told')
  }

  /** A change that comes after all that was done so far; nothing else is told before. */
  async nothing(marker: string): Promise<void> {
    this.write(marker, `${performance.now()}`)
    assert.equal(await this.change(), [marker])
  }

  async close(): Promise<void> {
    await this.watch.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

async function withRig(run: (rig: Rig) => Promise<void>, options: ConstructorParameters<typeof Rig>[0] = {}): Promise<void> {
  const rig = new Rig(options)
  try {
    await run(rig)
  } finally {
    await rig.close()
  }
}

test('a file written in place, also one that is truncated first and filled in pieces', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    await rig.set('a.ts')
    rig.write('a.ts', 'two')
    assert.equal(await rig.change(), ['a.ts'])
    const fd = openSync(rig.path('a.ts'), 'w')
    for (const piece of ['th', 'r', 'ee']) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      writeSync(fd, piece)
    }
    closeSync(fd)
    assert.equal(await rig.change(), ['a.ts'])
    appendFileSync(rig.path('a.ts'), ' more')
    assert.equal(await rig.change(), ['a.ts'])
  }))

test('a file saved by an editor that renames over it, with swap and backup files beside it', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    await rig.set('a.ts')
    for (const text of ['two', 'three']) {
      rig.write('.a.ts.swp', 'x')
      rig.write('4913', '')
      rmSync(rig.path('4913'))
      renameSync(rig.path('a.ts'), rig.path('a.ts~'))
      rig.write('a.ts', text)
      rmSync(rig.path('a.ts~'))
      rmSync(rig.path('.a.ts.swp'))
      assert.equal(await rig.change(), ['a.ts'])
      rig.write('.a.ts.tmp', `${text}, again`)
      renameSync(rig.path('.a.ts.tmp'), rig.path('a.ts'))
      assert.equal(await rig.change(), ['a.ts'])
    }
  }))

test('what changes nothing in the content is not told: touch, rights, the same text again, other files', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    rig.write('marker', '')
    await rig.set('a.ts', 'marker')
    utimesSync(rig.path('a.ts'), new Date(), new Date())
    chmodSync(rig.path('a.ts'), 0o600)
    rig.write('a.ts', 'one')
    rig.write('b.ts', 'another file')
    rig.write('.a.ts.tmp', 'one')
    renameSync(rig.path('.a.ts.tmp'), rig.path('a.ts'))
    await rig.nothing('marker')
  }))

test('a file that is deleted and made again at once is one change; one that stays away is told as gone, then as back', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    await rig.set('a.ts')
    rmSync(rig.path('a.ts'))
    await new Promise((resolve) => setTimeout(resolve, 40))
    rig.write('a.ts', 'two')
    assert.equal(await rig.change(), ['a.ts'])
    rmSync(rig.path('a.ts'))
    assert.equal(await rig.change(), ['a.ts'])
    rig.write('a.ts', 'three')
    assert.equal(await rig.change(), ['a.ts'])
  }))

test('a file that was never there, and whose folder was never there', () =>
  withRig(async (rig) => {
    await rig.set('lib/deep/a.ts')
    rig.write('lib/b.ts', '')
    rig.write('lib/deep/a.ts', 'one')
    assert.equal(await rig.change(), ['lib/deep/a.ts'])
    rig.write('lib/deep/a.ts', 'two')
    assert.equal(await rig.change(), ['lib/deep/a.ts'])
  }))

// What was missing was the file before and after, so the folder that had come was not watched.
test('a file whose folders come long before it', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    await rig.set('a.ts', '.kept/deep/b.pem')
    rig.write('.kept/deep/other.key', 'x')
    await rig.nothing('a.ts')
    rig.write('.kept/deep/b.pem', 'two')
    assert.equal(await rig.change(), ['.kept/deep/b.pem'])
  }))

test('a link: what it points at changes, and where it points', () =>
  withRig(async (rig) => {
    rig.write('one/real.pem', 'one')
    rig.write('two/real.pem', 'two')
    mkdirSync(rig.path('etc'))
    symlinkSync('../one/real.pem', rig.path('etc/c.pem'))
    await rig.set('etc/c.pem')
    rig.write('one/real.pem', 'one, renewed')
    assert.equal(await rig.change(), ['etc/c.pem'])
    symlinkSync('../two/real.pem', rig.path('etc/c.new'))
    renameSync(rig.path('etc/c.new'), rig.path('etc/c.pem'))
    assert.equal(await rig.change(), ['etc/c.pem'])
    rig.write('two/real.pem', 'two, renewed')
    assert.equal(await rig.change(), ['etc/c.pem'])
  }))

test('a volume of Kubernetes: ..data is swapped to a new folder, and the old one is removed', () =>
  withRig(async (rig) => {
    rig.write('cfg/..1/proxy.config.ts', 'one')
    rig.write('cfg/..1/tls.crt', 'same')
    symlinkSync('..1', rig.path('cfg/..data'))
    for (const name of ['proxy.config.ts', 'tls.crt']) symlinkSync(`..data/${name}`, rig.path(`cfg/${name}`))
    await rig.set('cfg/proxy.config.ts', 'cfg/tls.crt')
    for (const [before, now] of [
      [1, 2],
      [2, 3],
      [3, 4],
    ]) {
      rig.write(`cfg/..${now}/proxy.config.ts`, `version ${now}`)
      rig.write(`cfg/..${now}/tls.crt`, 'same')
      symlinkSync(`..${now}`, rig.path('cfg/..data_tmp'))
      renameSync(rig.path('cfg/..data_tmp'), rig.path('cfg/..data'))
      rmSync(rig.path(`cfg/..${before}`), { recursive: true })
      // Both are elsewhere now: what they import by a relative name may be another file, too.
      assert.equal(await rig.change(), ['cfg/proxy.config.ts', 'cfg/tls.crt'])
      assert.is(readFileSync(rig.path('cfg/proxy.config.ts'), 'utf8'), `version ${now}`)
    }
  }))

test('a whole folder is replaced, and the folder above it', () =>
  withRig(async (rig) => {
    rig.write('site/cfg/a.ts', 'one')
    await rig.set('site/cfg/a.ts')
    rig.write('site/cfg.new/a.ts', 'two')
    renameSync(rig.path('site/cfg'), rig.path('site/cfg.old'))
    renameSync(rig.path('site/cfg.new'), rig.path('site/cfg'))
    assert.equal(await rig.change(), ['site/cfg/a.ts'])
    rig.write('site/cfg/a.ts', 'three')
    assert.equal(await rig.change(), ['site/cfg/a.ts'])
    rig.write('site.new/cfg/a.ts', 'four')
    renameSync(rig.path('site'), rig.path('site.old'))
    renameSync(rig.path('site.new'), rig.path('site'))
    assert.equal(await rig.change(), ['site/cfg/a.ts'])
    rmSync(rig.path('site/cfg'), { recursive: true })
    assert.equal(await rig.change(), ['site/cfg/a.ts'])
    rig.write('site/cfg/a.ts', 'five')
    assert.equal(await rig.change(), ['site/cfg/a.ts'])
  }))

test('a burst of saves of several files is one call', () =>
  withRig(async (rig) => {
    const names = Array.from({ length: 20 }, (_, i) => `lib${i % 3}/${i}.ts`).sort()
    for (const name of names) rig.write(name, 'one')
    await rig.set(...names)
    for (let round = 0; round < 5; round++) for (const name of names) rig.write(name, `round ${round}`)
    assert.equal(await rig.change(), names)
  }))

test('the set of files may change: what is new is watched, what is left out is not', () =>
  withRig(async (rig) => {
    for (const name of ['a.ts', 'x/b.ts', 'y/c.ts', 'marker']) rig.write(name, 'one')
    await rig.set('a.ts', 'x/b.ts', 'marker')
    await rig.set('a.ts', 'y/c.ts', 'marker')
    rig.write('x/b.ts', 'two')
    rig.write('y/c.ts', 'two')
    assert.equal(await rig.change(), ['y/c.ts'])
    await rig.set('a.ts', 'x/b.ts', 'marker')
    rig.write('y/c.ts', 'three')
    rig.write('x/b.ts', 'three')
    assert.equal(await rig.change(), ['x/b.ts'])
    await rig.nothing('marker')
  }))

test('what changed while it was being loaded is told as soon as it is watched', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    rig.watch.set([rig.path('a.ts')], Date.now() - 1_000)
    assert.equal(await rig.change(), ['a.ts'])
  }))

test('from the save to the call: 35 ms at the median', () =>
  withRig(async (rig) => {
    rig.write('a.ts', 'one')
    await rig.set('a.ts')
    const times: number[] = []
    for (let i = 0; i < 15; i++) {
      const at = performance.now()
      rig.write('a.ts', `save ${i}`)
      await rig.change()
      times.push(rig.toldAt - at)
    }
    times.sort((a, b) => a - b)
    console.log(`  median ${times[7]!.toFixed(1)} ms, longest ${times[14]!.toFixed(1)} ms`)
    assert.ok(times[0]! < 50, 'on a machine that others use, too')
  }))

test('a folder that becomes a link to itself is one that is gone, until it is back', () =>
  withRig(async (rig) => {
    rig.write('conf/a.ts', 'one')
    await rig.set('conf/a.ts')
    renameSync(rig.path('conf'), rig.path('away'))
    symlinkSync('conf', rig.path('conf'))
    assert.equal(await rig.change(), ['conf/a.ts'])
    rig.watch.set([rig.path('conf/a.ts'), rig.path('conf/b.ts')])
    await rig.settled()
    rmSync(rig.path('conf'))
    renameSync(rig.path('away'), rig.path('conf'))
    assert.equal(await rig.change(), ['conf/a.ts'])
  }))

test('other files again and again leave no watcher behind', () => {
  const open = new Set<FSWatcher>()
  const createWatcher = (): FSWatcher => {
    const watcher = new FSWatcher({ ignored: () => true })
    const close = watcher.close.bind(watcher)
    watcher.close = () => {
      open.delete(watcher)
      return close()
    }
    open.add(watcher)
    return watcher
  }
  return withRig(
    async (rig) => {
      for (const name of ['a', 'b', 'c', 'd']) rig.write(`${name}/${name}/${name}/f.ts`, 'one')
      for (const name of ['a', 'b', 'c', 'd', 'a']) rig.watch.set([rig.path(`${name}/${name}/${name}/f.ts`)])
      await rig.settled()
      assert.is(open.size, 1)
    },
    { createWatcher },
  )
})

test('thousands of files', () =>
  withRig(async (rig) => {
    const names = Array.from({ length: 3_000 }, (_, i) => `many${i % 20}/${i}.txt`)
    for (const name of names) rig.write(name, 'one')
    await rig.set(...names)
    rig.write(names[1_234]!, 'two')
    assert.equal(await rig.change(), [names[1_234]])
  }))

test('where the system cannot watch, this is told once, and the files are looked at by themselves', () => {
  let created: FSWatcher | null = null
  const createWatcher = (): FSWatcher => {
    created = new FSWatcher({ ignored: () => true })
    return created
  }
  return withRig(
    async (rig) => {
      rig.write('a.ts', 'one')
      await rig.set('a.ts')
      const full = Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' })
      created?.emit('error', full)
      created?.emit('error', full)
      assert.match(await rig.error(), /fs\.inotify\.max_user_watches/)
      rig.write('a.ts', 'two')
      assert.equal(await rig.change(), ['a.ts'])
      assert.is(rig.errors.length, 1)
    },
    { createWatcher },
  )
})

test('files that are set while the watch of others is being given up are watched', () =>
  withRig(async (rig) => {
    for (const name of ['a/one', 'b/two', 'c/three']) rig.write(name, '1')
    await rig.set('a/one', 'b/two')
    // A folder fewer: the watcher is replaced.
    rig.watch.set([rig.path('a/one')])
    for (let turn = 0; turn < 20; turn++) {
      rig.watch.set([rig.path('a/one'), ...(turn % 2 === 0 ? [rig.path('c/three')] : [])])
      await new Promise((resolve) => setImmediate(resolve))
    }
    await rig.set('a/one', 'c/three')
    rig.write('c/three', '2')
    await eventually(() => (rig.told.flat().includes('c/three') ? true : undefined), 'the change was not told')
  }))

test('what is found when watching begins is no stir; what happens then is', async () => {
  const stirs: number[] = []
  await withRig(
    async (rig) => {
      rig.write('a.ts', 'one')
      await rig.set('a.ts')
      const before = stirs.length
      rig.write('a.ts', 'two')
      await rig.change()
      assert.ok(stirs.length > before)
    },
    { onStir: () => stirs.push(performance.now()) },
  )
  const quiet: number[] = []
  await withRig(
    async (rig) => {
      rig.write('a.ts', 'one')
      rig.watch.set([rig.path('a.ts')])
      rig.write('b.ts', 'not watched')
      await eventually(() => (rig.watch.isIdle ? true : undefined), 'it does not come to rest')
      assert.equal(quiet, [])
    },
    { onStir: () => quiet.push(performance.now()) },
  )
})

test.run()
