import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TypeCheck, type TypeErrors } from '../../core/check/typecheck.ts'
import { checkWhole } from '../../core/check/whole.ts'
import { ownTypeRoots, sandboxTypes, typeFiles } from '../../core/cli/installation.ts'
import { type Files, lines, makeFolder } from '../config/support.ts'
import { root } from '../support/process.ts'

const types = { doors: typeFiles, typeRoots: ownTypeRoots, sandboxTypes }

const PLUGIN = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({
  name: 'tag',
  setup({ value }: { value: string }) {
    return { onRequest: (req) => req.headers.set('x-tag', value) }
  },
})
`
const CONFIG = `import { defineConfig, http } from 'sluice'
import tag from './plugins/tag.ts'
export default defineConfig({ listeners: { web: http({ listen: ':8080', use: [tag({ value: 'a' })], routes: [{ to: '127.0.0.1:1' }] }) } })
`

/** A folder with this repository's TypeScript, unless `typescript` is a version of it that is made up. */
function makeProject(files: Files, typescript?: string): string {
  const folder = makeFolder({ 'proxy.config.ts': CONFIG, 'plugins/tag.ts': PLUGIN, ...files })
  const installed = join(folder, 'node_modules/typescript')
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  if (typescript === undefined) symlinkSync(join(root, 'node_modules/typescript'), installed)
  else {
    mkdirSync(installed)
    writeFileSync(join(installed, 'package.json'), JSON.stringify({ version: typescript }))
  }
  return folder
}

async function check(folder: string, deadlineMs = 90_000): Promise<TypeErrors> {
  const file = join(folder, 'proxy.config.ts')
  const plugin = join(folder, 'plugins/tag.ts')
  const compiler = new TypeCheck({ ...types, file, deadlineMs })
  try {
    return await compiler.finish([file, plugin], { files: [plugin], entries: [plugin] })
  } finally {
    compiler.close()
  }
}

async function errorsOf(files: Files): Promise<string[]> {
  const { problems, skipped } = await check(makeProject(files))
  assert.is(skipped, null)
  return lines(problems)
}

test('a config and a plugin without mistakes have no type errors, in a folder that does not know sluice', async () => {
  assert.equal(await errorsOf({}), [])
})

test('the text of a table or a list has a type, in the config and in a plugin', async () => {
  const config = `import table from './geo.csv'\n${CONFIG.replace("value: 'a'", 'value: table, other: table')}`
  const plugin = `import words from './words.txt'\n${PLUGIN.replace('value)', 'words.nope)')}`
  assert.equal(await errorsOf({ 'proxy.config.ts': config, 'geo.csv': 'a', 'plugins/tag.ts': plugin, 'plugins/words.txt': 'b' }), [
    "proxy.config.ts:4:99 Object literal may only specify known properties, and 'other' does not exist in type '{ value: string; }'. (TS2353)",
    "plugins/tag.ts:6:65 Property 'nope' does not exist on type 'string'. (TS2339)",
  ])
})

test('wrong options of a plugin are told where they are given, wrong fields of a request in the plugin', async () => {
  const config = CONFIG.replace("value: 'a'", 'value: 5')
  const plugin = PLUGIN.replace('req.headers.set', 'req.headres.set')
  assert.equal(await errorsOf({ 'proxy.config.ts': config, 'plugins/tag.ts': plugin }), [
    "proxy.config.ts:3:85 Type 'number' is not assignable to type 'string'. (TS2322)",
    "plugins/tag.ts:5:38 Property 'headres' does not exist on type 'Request'. Did you mean 'headers'? (TS2551)",
  ])
})

test('a config has the types of Node, a plugin those of the sandbox alone', async () => {
  const config = CONFIG.replace("':8080'", "process.env.LISTEN ?? ':8080'")
  assert.equal(await errorsOf({ 'proxy.config.ts': config, 'plugins/tag.ts': PLUGIN.replace("'x-tag'", "process.env.TAG ?? 'x-tag'") }), [
    "plugins/tag.ts:5:50 Cannot find name 'process': a plugin runs in the sandbox, which has nothing of Node. (TS2591)",
  ])
})

test('a plugin may await a timer, as everybody writes it', async () => {
  const wait = 'export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))\n'
  const wrong = "setTimeout((word: string) => word, 5, 'x')\nsetTimeout((word: string) => word, 5, 6)\n"
  assert.equal(await errorsOf({ 'plugins/tag.ts': `${PLUGIN}${wait}` }), [])
  const [error, ...others] = await errorsOf({ 'plugins/tag.ts': `${wrong}${PLUGIN}` })
  assert.match(error!, /^plugins\/tag\.ts:2:/)
  assert.equal(others, [])
})

test('where nobody has types of Node, what a config uses of it is no mistake', async () => {
  const config = `import { hostname } from 'node:os'\n${CONFIG.replace("':8080'", 'process.env.LISTEN ?? hostname()')}`
  const file = join(makeProject({ 'proxy.config.ts': config }), 'proxy.config.ts')
  const compiler = new TypeCheck({ ...types, file, typeRoots: [] })
  assert.equal((await compiler.finish([file], { files: [], entries: [] })).problems, [])
})

test("the project's own tsconfig counts, its paths too; what it says of output does not", async () => {
  const tsconfig = JSON.stringify({
    compilerOptions: {
      strict: false,
      noImplicitReturns: true,
      composite: true,
      outDir: 'dist',
      rootDir: 'src',
      module: 'commonjs',
      paths: { '@lib/*': ['./lib/*'] },
    },
    include: ['src'],
  })
  const config = `import { port } from '@lib/port.ts'\nfunction half(n: number) { if (n > 1) return n / 2 }\nconst untyped = (x) => half(x)\n${CONFIG.replace("':8080'", 'untyped(port)!')}`
  assert.equal(
    await errorsOf({ 'tsconfig.json': tsconfig, 'lib/port.ts': 'export const port: number = 8080', 'proxy.config.ts': config }),
    ['proxy.config.ts:2:10 Not all code paths return a value. (TS7030)'],
  )
})

test('files that the config is not built from are not looked at', async () => {
  assert.equal(await errorsOf({ 'other.ts': "const a: number = 'b'" }), [])
})

test('without TypeScript, or with an older one, it says so', async () => {
  const { skipped } = await check(makeFolder({ 'proxy.config.ts': CONFIG }))
  assert.is(skipped, 'this project has no TypeScript 7 (npm i -D typescript)')
  assert.is((await check(makeProject({}, '5.9.2'))).skipped, 'this project has TypeScript 5.9.2, not 7 (npm i -D typescript@7)')
})

test('a compiler that is too slow is ended, and nothing is left in the project', async () => {
  const folder = makeProject({})
  assert.equal(await check(folder, 1), { problems: [], skipped: 'the compiler did not finish in time' })
  await check(folder)
  assert.equal(readdirSync(join(folder, 'node_modules')), ['typescript'])
})

test('what the schema says already is not said again by the compiler', async () => {
  const config = CONFIG.replace('routes: [', "timeouts: { keepAlive: '5 s' }, routes: [{ pth: '/', to: '127.0.0.1:1' }, ").replace(
    'export default',
    'const n: number = "x"\nexport default',
  )
  const folder = makeProject({ 'proxy.config.ts': config })
  const { problems, typesSkipped } = await checkWhole(join(folder, 'proxy.config.ts'), { types })
  assert.is(typesSkipped, null)
  assert.equal(
    lines(problems).map((line) => line.replace(/ .*: /, ' ')),
    [
      "proxy.config.ts:3:7 Type 'string' is not assignable to type 'number'. (TS2322)",
      "proxy.config.ts:4:124 expected a duration such as '250ms', '5s' or '2m', got '5 s'; did you mean '5s'?",
      'proxy.config.ts:4:144 unknown key; did you mean path?',
    ],
  )
})

test('of a route with a wrong key the compiler does not also say that it has two destinations', async () => {
  const routes = "[{ pth: '/a', redirect: redirect('/b') }, { to: '127.0.0.1:1' }]"
  const text = CONFIG.replace('{ defineConfig,', '{ defineConfig, redirect,').replace("[{ to: '127.0.0.1:1' }]", routes)
  const { problems } = await checkWhole(join(makeProject({ 'proxy.config.ts': text }), 'proxy.config.ts'), { types })
  assert.equal(
    problems.map(({ message }) => message),
    ['unknown key; did you mean path?'],
  )
})

test('what cannot be parsed is told once', async () => {
  const folder = makeProject({
    'proxy.config.ts': "import { http } from 'sluice'\nexport default { listeners: { web: http({ listen: 1 routes: [] }) } }",
  })
  const { problems } = await checkWhole(join(folder, 'proxy.config.ts'), { types })
  assert.equal(lines(problems), ['proxy.config.ts:2:53 Expected "}" but found "routes"'])
})

test.run()
