/**
 * The tarball of `npm pack`, extracted into `node_modules`, where Node strips no types: it runs, types a project, and simulates. Packed
 * from a copy of this checkout, for package.json is exchanged meanwhile.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/deadline.ts'
import { freePort, root } from '../support/process.ts'
import { Project } from '../support/project.ts'

const checkout = new Project()
const project = new Project()
const installed = project.path('node_modules/sluice')
let files: readonly string[] = []

test.before(() => {
  for (const path of ['package.json', 'tsconfig.json', 'LICENSE', 'README.md', 'core'])
    cpSync(join(root, path), checkout.path(path), { recursive: true })
  for (const path of ['test', 'bench']) checkout.write(`${path}/x.ts`, '')
  symlinkSync(join(root, 'node_modules'), checkout.path('node_modules'))
  const { status, stdout, stderr } = npmPack()
  // uvu says nothing of what fails here.
  if (status !== 0) console.log(stderr)
  assert.is(status, 0)
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  files = packed.files.map(({ path }) => path)
  mkdirSync(installed, { recursive: true })
  spawnSync('tar', ['-xzf', checkout.path(packed.filename), '-C', installed, '--strip-components=1'])
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  for (const name of [...Object.keys(dependencies), '@types/node', 'typescript']) project.link(name)
  project.program = join(installed, 'dist/main.js')
})

test.after(() => {
  checkout[Symbol.dispose]()
  project[Symbol.dispose]()
})

function npmPack(cwd = checkout.folder): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, npm_config_update_notifier: 'false', npm_config_offline: 'true', npm_config_loglevel: 'error' }
  return spawnSync('npm', ['pack', '--json'], { cwd, env, encoding: 'utf8' })
}

test('holds what runs, what types it and the templates, and nothing else', () => {
  const others = files.filter((path) => !/^dist\/.*\.(js|d\.ts)$/.test(path) && !path.startsWith('dist/cli/templates/'))
  assert.equal(others.sort(), ['LICENSE', 'README.md', 'package.json'])
  assert.not(files.some((path) => path.startsWith('dist/package/')))
  for (const path of ['dist/main.js', 'dist/testing.d.ts', 'dist/sandbox/globals.d.ts', 'dist/cli/templates/reverse/proxy.config.ts']) {
    assert.ok(files.includes(path), path)
  }
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  assert.is(manifest.scripts, undefined)
  assert.is(manifest.devDependencies, undefined)
  for (const door of Object.values<Record<string, string>>(manifest.exports)) {
    for (const path of typeof door === 'string' ? [door] : Object.values(door)) assert.ok(existsSync(join(installed, path)), path)
  }
})

test('leaves package.json as it was', () => {
  assert.is(checkout.read('package.json'), readFileSync(join(root, 'package.json'), 'utf8'))
  assert.not(checkout.has('dist/checkout.json'))
})

test('an npm that dies before postpack leaves package.json as it was', async () => {
  const before = checkout.read('package.json')
  // Little to compile: this is about package.json. Nobody packs this copy again.
  checkout.write('core/main.ts', 'export {}\n')
  checkout.write(
    'core/package/tsconfig.json',
    checkout.read('core/package/tsconfig.json').replace('"../**/*.ts"', '"../main.ts", "../plugin.ts"'),
  )
  // Stands for npm: it runs the script in a shell, and is killed once that is done.
  const code = `require('node:child_process').execSync('node core/package/prepack.ts; true'); console.log('packing'); setInterval(() => {}, 1000)`
  const npm: ChildProcess = spawn(process.execPath, ['-e', code], { cwd: checkout.folder, stdio: ['ignore', 'pipe', 'inherit'] })
  await once(npm.stdout!, 'data')
  assert.match(checkout.read('package.json'), '"./dist/index.js"')
  npm.kill('SIGKILL')
  await eventually(() => (checkout.read('package.json') === before ? true : undefined), 'package.json is still that of the package')
})

test('tells its version, and refuses an old Node with one line', () => {
  const { version } = JSON.parse(checkout.read('package.json'))
  assert.equal(project.sluice('--version'), { code: 0, output: `sluice ${version}\n` })
  const old = `Object.defineProperty(process, 'versions', { value: { node: '20.20.2' } })`
  const refused = project.node('--import', `data:text/javascript,${encodeURIComponent(old)}`, project.program, '--version')
  assert.is(refused.code, 1)
  assert.match(refused.output, /^sluice needs Node\.js 26\.9 or newer; this is .*\n$/)
})

test('a project of init is valid, typed and tested', () => {
  assert.is(project.sluice('init').code, 0)
  const { dependencies } = JSON.parse(project.read('package.json'))
  assert.match(dependencies.sluice, /^\^\d/)
  for (const args of [[], ['-p', 'plugins'], ['--module', 'nodenext'], ['--skipLibCheck', 'false']]) {
    assert.equal(project.tsc('-p', '.', ...args), { code: 0, output: '' }, args.join(' '))
  }
  const checked = project.sluice('check')
  assert.is(checked.code, 0, checked.output)
  const tested = project.node('--test')
  assert.is(tested.code, 0, tested.output)
})

test('starts, answers through a plugin of each engine, and ends', async () => {
  const port = await freePort()
  project.write(
    'two.config.ts',
    `import { defineConfig, http, respond } from 'sluice'
import blockBots from './plugins/block-bots/index.ts'
const use = [blockBots({ agents: ['one'] }), blockBots({ agents: ['two'] }, { isolation: 'process', timeout: '500ms' })]
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:${port}', use, routes: [{ respond: respond(200, 'ok') }] }) } })\n`,
  )
  const sluice = await project.start({}, '-c', 'two.config.ts')
  for (const [agent, status] of [
    ['curl', 200],
    ['one', 403],
    ['two', 403],
  ] as const) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'user-agent': agent, connection: 'close' } })
    assert.is(answer.status, status, agent)
  }
  assert.match(project.sluice('status').output, /two\.config\.ts/)
  assert.is(await sluice.stop(), 0)
})

test('a plugin that npm packed is typed, answers, and tells its version', async () => {
  using app = new Project()
  app.program = project.program
  app.link('sluice', installed)
  for (const name of ['@types/node', 'typescript']) app.link(name)
  assert.is(app.sluice('plugin', 'new', 'geo', '--dir', 'made').code, 0)
  const { stdout } = npmPack(app.path('made'))
  const [{ filename, files: packed }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  assert.equal(packed.map(({ path }) => path).sort(), ['README.md', 'index.ts', 'package.json'])
  mkdirSync(app.path('node_modules/sluice-plugin-geo'))
  spawnSync('tar', ['-xzf', app.path('made', filename), '-C', app.path('node_modules/sluice-plugin-geo'), '--strip-components=1'])

  const port = await freePort()
  const configWith = (options: string): string => `import { defineConfig, http, respond } from 'sluice'
import geo from 'sluice-plugin-geo'
const echo = { onRequest: (req: { headers: { get(name: string): string | null } }) => respond(200, req.headers.get('x-geo') ?? '') }
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:${port}', use: [geo(${options}, { timeout: '500ms' }), echo], routes: [{ respond: respond(404) }] }) },
})\n`
  app.write('proxy.config.ts', configWith("{ value: 'yes' }"))
  assert.is(app.sluice('types').code, 0)
  assert.equal(app.tsc('-p', '.'), { code: 0, output: '' })
  const { code, output } = app.sluice('check')
  assert.is(code, 0, output)
  assert.match(output, /^ {2}geo \(sluice-plugin-geo 0\.1\.0\) {2}listeners\.web\.use\[0\] {2}in a process {2}onRequest {2}no grants$/m)
  {
    await using sluice = await app.start({})
    assert.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'yes')
    await sluice.line(/plugin geo \(sluice-plugin-geo 0\.1\.0\) is loaded/)
  }
  app.write('proxy.config.ts', configWith('{ value: 5 }'))
  assert.match(app.tsc('-p', '.').output, /proxy\.config\.ts\(5,.*'number' is not assignable to type 'string'/)
})

test('simulates from plain JavaScript', () => {
  project.write(
    'plain.mjs',
    `import { simulate } from 'sluice/testing'
const proxy = await simulate('./proxy.config.ts', { upstreams: { app: () => new Response('hi') } })
const res = await proxy.fetch('/x')
console.log(res.status, res.route, await res.text())
await proxy.close()\n`,
  )
  assert.equal(project.node('plain.mjs'), { code: 0, output: '200 web/app hi\n' })
})

test('types a bare folder by its own declarations', () => {
  using bare = new Project()
  bare.program = project.program
  bare.write('proxy.config.ts', project.read('proxy.config.ts'))
  bare.write('plugins/block-bots/index.ts', project.read('plugins/block-bots/index.ts'))
  assert.is(bare.sluice('types').code, 0)
  for (const args of [[], ['-p', 'plugins']]) assert.equal(bare.tsc(...args), { code: 0, output: '' })
  assert.match(bare.read('tsconfig.json'), /"sluice": \["\/.*\/dist\/index\.d\.ts"\]/)
})

test.run()
