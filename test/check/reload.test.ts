/** One loader, many loads: what it gives to watch, what it keeps, and what it leaves behind. */
// Runs alone: it looks at the memory of its process.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigLoader, type Loaded } from '../../core/check/loader.ts'
import { FileWatch } from '../../core/check/watch.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import { type Files, lines, makeFolder } from '../config/support.ts'
import { certificates, withCertificates } from '../support/certificates.ts'
import { eventually } from '../support/deadline.ts'
import { collectGarbage } from '../support/garbage.ts'

const PLUGIN = (name: string): string =>
  `import { definePlugin } from 'sluice/plugin'\nimport { x } from './${name}-lib.ts'\nexport default definePlugin({ name: '${name}', setup: () => ({ onRequest() { void x } }) })\n`

const CONFIG = `import { http } from 'sluice'
import { routes } from './lib/routes.ts'
import tag from './plugins/tag.ts'
import list from './list.json'
export default { listeners: { web: http({ listen: ':1', use: [tag({})], routes: [...routes, ...list] }) } }
`
const FILES: Files = {
  'proxy.config.ts': CONFIG,
  'lib/routes.ts': "export const routes = [{ path: '/a', to: 'a:1' }]\n",
  'list.json': '[{ "path": "/b", "to": "a:1" }]',
  'plugins/tag.ts': PLUGIN('tag'),
  'plugins/tag-lib.ts': 'export const x = 1\n',
}

class Rig {
  readonly folder: string
  readonly loader: ConfigLoader
  readonly bundled: string[] = []

  constructor(files: Files = FILES, options: ConstructorParameters<typeof ConfigLoader>[1] = {}) {
    this.folder = realpathSync(makeFolder(files))
    this.loader = new ConfigLoader(join(this.folder, 'proxy.config.ts'), {
      bundlePlugin: (file) => {
        this.bundled.push(file.slice(this.folder.length + 1))
        return bundlePlugin(file)
      },
      ...options,
    })
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(join(this.folder, name)), { recursive: true })
    writeFileSync(join(this.folder, name), text)
  }

  /** As the supervisor reloads. */
  async load(): Promise<Loaded & { readonly watched: string[] }> {
    const loaded = await this.loader.load({ plugins: false })
    const watched = loaded.watch.filter((file) => file.startsWith(this.folder)).map((file) => file.slice(this.folder.length + 1))
    return { ...loaded, watched: watched.sort() }
  }
}

async function withRig(files: Files, run: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = new Rig(files)
  try {
    await run(rig)
  } finally {
    await rig.loader.close()
  }
}

test('every load sees what is there now; a plugin is bundled again only if it has changed', () =>
  withRig(FILES, async (rig) => {
    const all = Object.keys(FILES).sort()
    const first = await rig.load()
    assert.equal(lines(first.problems), [])
    assert.equal(first.watched, all)
    const same = await rig.load()
    assert.is(same.bundle?.dataHash, first.bundle?.dataHash)
    assert.equal(same.bundle?.plugins, first.bundle?.plugins)
    rig.write('lib/routes.ts', "export const routes = [{ path: '/c', to: 'a:1' }]\n")
    const other = await rig.load()
    assert.is.not(other.bundle?.dataHash, first.bundle?.dataHash)
    assert.equal(other.watched, all)
    assert.equal(rig.bundled, ['plugins/tag.ts'])
    rig.write('plugins/tag-lib.ts', 'export const x = 2\n')
    const next = await rig.load()
    assert.is.not(next.bundle?.plugins[0]?.id, first.bundle?.plugins[0]?.id)
    assert.equal(rig.bundled, ['plugins/tag.ts', 'plugins/tag.ts'])
    rig.write('proxy.config.ts', "import { http } from 'sluice'\nexport default { listeners: { web: http({ listen: ':1', routes: [] }) } }")
    assert.equal((await rig.load()).watched, ['proxy.config.ts'])
  }))

test('a plugin that is saved again while it is being bundled is bundled again', async () => {
  let duringBundling = (): void => {}
  const rig = new Rig(FILES, {
    bundlePlugin: async (file) => {
      const source = await bundlePlugin(file)
      duringBundling()
      return source
    },
  })
  try {
    duringBundling = () => rig.write('plugins/tag-lib.ts', "export const x = 'saved late'\n")
    await rig.load()
    duringBundling = () => {}
    assert.match((await rig.load()).bundle!.plugins[0]!.code, /saved late/)
  } finally {
    await rig.loader.close()
  }
})

test('whoever closes it does not wait for a config that loops', () =>
  withRig(FILES, async (rig) => {
    await rig.load()
    rig.write('proxy.config.ts', `${CONFIG}for (;;);`)
    const loading = rig.load()
    const startedAt = performance.now()
    setTimeout(() => void rig.loader.close(), 300)
    assert.match(lines((await loading).problems).join(), /was not checked to its end/)
    await rig.loader.close()
    assert.ok(performance.now() - startedAt < 5_000)
  }))

for (const [by, noFfi] of [
  ['the kernel', '0'],
  ['a thread', '1'],
] as const) {
  test(`a process that loops ahead of time ends with the one that started it, by ${by}`, async () => {
    const program = `import { ConfigLoader } from ${JSON.stringify(new URL('../../core/check/loader.ts', import.meta.url).href)}
  const loader = new ConfigLoader(process.argv[1])
  loader.warm()
  await loader.load()`
    const pidFile = join(makeFolder({}), 'pid')
    const config = `import { writeFileSync } from 'node:fs'\nwriteFileSync(${JSON.stringify(pidFile)}, String(process.pid))\nfor (;;);\n`
    const file = join(makeFolder({ 'proxy.config.ts': config }), 'proxy.config.ts')
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program, file], {
      env: { ...process.env, SLUICE_NO_FFI: noFfi },
      stdio: 'inherit',
    })
    const pid = await eventually(
      () => (existsSync(pidFile) && Number(readFileSync(pidFile, 'utf8'))) || undefined,
      () => 'the config does not run',
      15_000,
    )
    parent.kill('SIGKILL')
    await eventually(
      () => (isRunning(pid) ? undefined : true),
      () => `process ${pid} is still there`,
      10_000,
    )
  })
}

test('a bundler whose process was killed is replaced', () =>
  withRig(FILES, async (rig) => {
    await rig.load()
    await rig.load()
    const children = execFileSync('ps', ['--ppid', String(process.pid), '-o', 'pid=,comm='], { encoding: 'utf8' })
    const [, pid] = /^\s*(\d+) esbuild$/m.exec(children) ?? []
    process.kill(Number(pid), 'SIGKILL')
    rig.write('list.json', '[]')
    assert.equal(lines((await rig.load()).problems), [])
  }))

test('a config that is broken keeps on watching what it was made of, and what it looked for', () =>
  withRig(FILES, async (rig) => {
    await rig.load()
    rig.write(
      'proxy.config.ts',
      `import { more } from './lib/more.js'\nimport 'not-there'\nimport bad from './plugins/bad.ts'\nvoid [more, bad]\n${CONFIG}`,
    )
    rig.write('plugins/bad.ts', PLUGIN('bad'))
    const broken = await rig.load()
    assert.is(broken.bundle, null)
    assert.equal(
      lines(broken.problems)
        .map((line) => line.split(' ')[0])
        .sort(),
      ['plugins/bad.ts:2:19', 'proxy.config.ts:1:22', 'proxy.config.ts:2:8'],
    )
    for (const file of [
      ...Object.keys(FILES),
      'lib/more.js',
      'lib/more.ts',
      'plugins/bad.ts',
      'plugins/bad-lib.ts',
      'node_modules/not-there/package.json',
    ])
      assert.ok(broken.watched.includes(file), file)
    rig.write('proxy.config.ts', `syntax error here\n${CONFIG}`)
    assert.ok((await rig.load()).watched.includes('lib/routes.ts'))
    rig.write('proxy.config.ts', `throw new Error('oh')\n${CONFIG}`)
    assert.ok((await rig.load()).watched.includes('lib/routes.ts'))
    rmSync(join(rig.folder, 'proxy.config.ts'))
    const gone = await rig.load()
    assert.match(lines(gone.problems).join(), /there is no file/)
    assert.ok(gone.watched.includes('proxy.config.ts'))
    rig.write('proxy.config.ts', CONFIG)
    assert.equal((await rig.load()).watched, Object.keys(FILES).sort())
  }))

test('a file that was missing is told by the watch as soon as it is there', () =>
  withRig({ 'proxy.config.ts': `import { routes } from './lib/routes.ts'\nexport default { routes }` }, async (rig) => {
    const changes: string[] = []
    const watch = new FileWatch({ onChange: (files) => changes.push(...files) })
    try {
      const { watch: files, startedAt } = await rig.load()
      watch.set(files, startedAt)
      await eventually(() => (watch.isIdle ? true : undefined), 'not idle')
      rig.write('lib/routes.ts', 'export const routes = []')
      await eventually(() => (changes.length > 0 ? true : undefined), 'no change')
      assert.equal(changes, [join(rig.folder, 'lib/routes.ts')])
    } finally {
      await watch.close()
    }
  }))

withCertificates(test)('files that values name are watched: certificates and keys, but no PEM text', async () => {
  const { cert, key } = certificates!.server
  const text = `import { readFileSync } from 'node:fs'
import { http, upstream } from 'sluice'
const cert = readFileSync(import.meta.dirname + '/tls/c.pem', 'utf8')
export default { listeners: {
  web: http({ listen: ':1', tls: { cert: './tls/c.pem', key: 'tls/k.pem' }, routes: [{ to: upstream('u', { endpoints: ['a:1'], tls: { ca: './ca.pem' } }) }] }),
  two: http({ listen: ':2', tls: { cert, key: './tls/../tls/k.pem' }, routes: [] }),
} }`
  await withRig({ 'proxy.config.ts': text, 'tls/c.pem': cert, 'tls/k.pem': key, 'ca.pem': cert }, async (rig) => {
    const { problems, bundle, watched } = await rig.load()
    assert.equal(lines(problems.filter(({ severity }) => severity === 'error')), [])
    assert.equal(
      bundle?.named.toSorted(),
      ['ca.pem', 'tls/c.pem', 'tls/k.pem'].map((name) => join(rig.folder, name)),
    )
    assert.equal(watched, ['ca.pem', 'proxy.config.ts', 'tls/c.pem', 'tls/k.pem'])
    rmSync(join(rig.folder, 'tls/k.pem'))
    const broken = await rig.load()
    assert.is(broken.bundle, null)
    assert.ok(broken.watched.includes('tls/k.pem'), 'its coming back is noticed')
  })
})

test('another version of a package is another stamp, and is watched', () => {
  const files = {
    'proxy.config.ts': `import { port } from 'ports'\nimport { http } from 'sluice'\nexport default { listeners: { web: http({ listen: port, routes: [] }) } }`,
    'node_modules/ports/package.json': '{ "name": "ports", "version": "1.0.0", "main": "index.js" }',
    'node_modules/ports/index.js': 'exports.port = 8080',
  }
  return withRig(files, async (rig) => {
    const first = await rig.load()
    assert.equal(lines(first.problems), [])
    assert.equal(first.watched, Object.keys(files).sort())
    assert.is((await rig.load()).bundle?.packagesStamp, first.bundle?.packagesStamp)
    rig.write('node_modules/ports/package.json', '{ "name": "ports", "version": "1.0.1", "main": "index.js" }')
    const second = await rig.load()
    assert.is.not(second.bundle?.packagesStamp, first.bundle?.packagesStamp)
    rig.write('node_modules/ports/index.js', 'exports.port = 80812')
    assert.is.not((await rig.load()).bundle?.packagesStamp, second.bundle?.packagesStamp)
  })
})

test('a config behind a link that is swapped to another folder is read anew', () =>
  withRig(
    {
      '1/proxy.config.ts':
        "import { http } from 'sluice'\nimport { p } from './p.ts'\nexport default { listeners: { web: http({ listen: p, routes: [] }) } }",
      '1/p.ts': 'export const p = 1',
    },
    async (rig) => {
      symlinkSync('1', join(rig.folder, 'current'))
      const loader = new ConfigLoader(join(rig.folder, 'current/proxy.config.ts'))
      try {
        const first = await loader.load()
        assert.equal(lines(first.problems), [])
        mkdirSync(join(rig.folder, '2'))
        writeFileSync(join(rig.folder, '2/proxy.config.ts'), readFileSync(join(rig.folder, '1/proxy.config.ts')))
        writeFileSync(join(rig.folder, '2/p.ts'), 'export const p = 2')
        rmSync(join(rig.folder, 'current'))
        symlinkSync('2', join(rig.folder, 'current'))
        const second = await loader.load()
        assert.is.not(second.bundle?.dataHash, first.bundle?.dataHash)
        assert.ok(second.watch.includes(join(rig.folder, 'current/p.ts')), second.watch.join())
      } finally {
        await loader.close()
      }
    },
  ))

test('a loop in the config is ended at its deadline, and the next load is none the worse', async () => {
  // It does not let go of its thread, but leaves the processor to others.
  const loop = 'for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)'
  const rig = new Rig({ 'proxy.config.ts': `${loop}\nexport default {}` }, { deadlineMs: 5_000 })
  try {
    assert.equal(lines((await rig.load()).problems), ['proxy.config.ts the config did not finish within 5 s'])
    rig.write(
      'proxy.config.ts',
      "import { http } from 'sluice'\nexport default async () => ({ listeners: { web: http({ listen: ':1', routes: [] }) } })",
    )
    assert.equal(lines((await rig.load()).problems), [])
    rig.write('proxy.config.ts', `import 'broken'\n${loop}\nexport default {}`)
    rig.write('node_modules/broken/package.json', '{ "name": "broken", "main": "index.js" }')
    rig.write('node_modules/broken/index.js', 'throw new Error("no disk")')
    assert.equal(lines((await rig.load()).problems), [
      'proxy.config.ts the config did not finish within 5 s',
      'proxy.config.ts:1:8 "broken" could not be imported: no disk',
    ])
  } finally {
    await rig.loader.close()
  }
})

test('data that are another each time are told at their place, before any worker refuses them', () =>
  withRig(
    {
      'proxy.config.ts': `import { http, respond } from 'sluice'
export default { listeners: { web: http({ listen: ':1', routes: [
  { path: '/', respond: respond(200, String(Math.random())) },
] }) } }`,
    },
    async (rig) => {
      const { bundle, problems } = await rig.loader.load()
      assert.is(bundle, null)
      assert.match(
        lines(problems).join('\n'),
        /^proxy\.config\.ts:3:38 listeners\.web\.routes\[0\]\.respond\.body: this is another each time/,
      )
    },
  ))

test('the process that has checked a config checks the next one, too', () =>
  withRig(FILES, async (rig) => {
    await rig.load()
    const first = await checkerAfter(rig, 'x')
    assert.is(await checkerAfter(rig, 'y'), first)
    rig.write('lib/routes.ts', "export const routes = [{ pth: '/x', to: 'a:1' }]\n")
    assert.match(lines((await rig.load()).problems).join(), /pth/)
    assert.is.not(await checkerAfter(rig, 'z'), first, 'one that found an error may have seen anything')
  }))

test('a process in which a config left something is not asked again', () =>
  withRig(FILES, async (rig) => {
    await rig.load()
    const first = await checkerAfter(rig, 'x')
    assert.is.not(await checkerAfter(rig, 'y', 'globalThis.left = 1'), first)
  }))

/** The process that a load of valid files leaves to be asked next. */
async function checkerAfter(rig: Rig, path: string, code = ''): Promise<number> {
  rig.write('lib/routes.ts', `${code}\nexport const routes = [{ path: '/${path}', to: 'a:1' }]\n`)
  const { bundle, problems } = await rig.load()
  assert.ok(bundle?.code.includes(`/${path}`), lines(problems).join())
  const [checker, ...others] = childrenOf(process.pid).filter((pid) => commandOf(pid).includes('checker-process'))
  assert.equal(others, [])
  return checker!
}

test('loading again and again leaves nothing behind, and closing leaves no process', async () => {
  const rig = new Rig()
  const before = childrenOf(process.pid)
  const load = async (i: number): Promise<void> => {
    rig.write('lib/routes.ts', `export const routes = [{ path: '/a${i}', to: 'a:1' }] // ${'x'.repeat(200_000)}\n`)
    rig.write('plugins/tag-lib.ts', `export const x = ${i} // ${'x'.repeat(200_000)}\n`)
    if (i % 3 === 0) rig.write('proxy.config.ts', `${CONFIG}// ${i % 2 === 0 ? '' : '\n syntax error'}`)
    await rig.load()
  }
  for (let i = 0; i < 4; i++) await load(i)
  collectGarbage()
  const heap = process.memoryUsage().heapUsed
  for (let i = 4; i < 12; i++) await load(i)
  collectGarbage()
  const grown = process.memoryUsage().heapUsed - heap
  console.log(`  ${(grown / 8 / 1024).toFixed(0)} KB a load of 400 KB of sources`)
  assert.ok(grown < 8 * 200_000, `${grown} bytes`)
  await rig.loader.close()
  await eventually(
    () => (childrenOf(process.pid).length <= before.length ? true : undefined),
    () => `left: ${childrenOf(process.pid).join()}`,
  )
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test.run()

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        const stat = readFileSync(`/proc/${child}/stat`, 'latin1')
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return parent === String(pid) && state !== 'Z'
      } catch {
        return false
      }
    })
}
