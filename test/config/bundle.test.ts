// Runs alone: it looks at the memory of its process.
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Bundle } from '../../core/config/bundle.ts'
import { evaluate } from '../../core/config/evaluate.ts'
import { bundleForUrl } from '../../core/config/for-url.ts'
import { ConfigError } from '../../core/config/problems.ts'
import type { Config } from '../../core/index.ts'
import { collectGarbage } from '../support/garbage.ts'
import { bundle, type Files, lines } from './support.ts'

const PLUGIN =
  "import { definePlugin } from 'sluice/plugin'\nexport default definePlugin({ name: 'tag', setup: () => ({ onRequest() {} }) })\n"

test('a value, a function and an async function are configs', async () => {
  for (const text of [
    '{ listeners: {} }',
    '() => ({ listeners: {} })',
    'async () => ({ listeners: {} })',
    'await Promise.resolve({ listeners: {} })',
  ]) {
    assert.equal(await config({ 'proxy.config.ts': `export default ${text}` }), { listeners: {} }, text)
  }
})

test('sluice is the running program, wherever the config lies', async () => {
  const made = await config({
    'proxy.config.ts': "import { http } from 'sluice'\nexport default { listeners: { web: http({ listen: ':1', routes: [] }) } }",
  })
  assert.equal(made, { listeners: { web: { kind: 'http', options: { listen: ':1', routes: [] } } } })
})

test('a bundle is plain data: it means the same after a journey as JSON', async () => {
  const made = await bundle({ 'proxy.config.ts': "import { tmpdir } from 'node:os'\nexport default { listeners: { x: tmpdir } }" })
  const { listeners } = await evaluate(JSON.parse(JSON.stringify(made)))
  assert.type((listeners as Record<string, unknown>).x, 'function')
})

test('other files come in, and all of them are known', async () => {
  const made = await bundle({
    'proxy.config.ts': "import { a } from './lib/a.ts'\nimport data from './data.json'\nexport default { listeners: { a, data } }",
    'lib/a.ts': 'enum Kind { One = 1 }\nexport const a: number = Kind.One',
    'data.json': '{ "x": 2 }',
  })
  assert.equal(await evaluate(made), { listeners: { a: 1, data: { x: 2 } } })
  assert.equal(made.files.map((file) => file.replace(/^.*sluice-config-[^/]*\//, '')).sort(), ['data.json', 'lib/a.ts', 'proxy.config.ts'])
})

test('tables and lists come in as text, in a config and in a plugin', async () => {
  const made = await bundle({
    'proxy.config.ts': "import table from './geo.csv'\nimport tag from './tag.ts'\nexport default { listeners: { table, tag: tag() } }",
    'geo.csv': '192.0.2.0/24,DE\n2001:db8::/32,FR\n',
    'tag.ts': `import words from './words.txt'\n${PLUGIN.replace("'tag'", 'words.trim()')}`,
    'words.txt': 'früh\n',
  })
  const { listeners } = (await evaluate(made)) as { listeners: Record<string, unknown> }
  assert.is(listeners.table, '192.0.2.0/24,DE\n2001:db8::/32,FR\n')
  assert.ok(made.plugins[0]!.code.includes('früh'))
  const files = made.files.map((file) => file.replace(/^.*sluice-config-[^/]*\//, '')).sort()
  assert.equal(files, ['geo.csv', 'proxy.config.ts', 'tag.ts', 'words.txt'])
})

test('import.meta says in each file what it would say there', async () => {
  const text = 'export default { listeners: { url: import.meta.url, here: import.meta.dirname, other } }'
  const made = await bundle({
    'proxy.config.ts': `import { other } from './lib/a.ts'\n${text}`,
    'lib/a.ts': 'export const other = import.meta.filename',
  })
  const folder = join(made.file, '..')
  assert.equal(await evaluate(made), { listeners: { url: `file://${made.file}`, here: folder, other: join(folder, 'lib/a.ts') } })
})

test('packages are imported as Node would: ESM, CommonJS, defaults and names', async () => {
  const made = await config({
    'proxy.config.ts':
      "import esm, { named } from 'esm-only'\nimport cjs from 'cjs'\nimport * as all from 'cjs'\nconst late = await import('esm-only')\nexport default { listeners: { esm, named, cjs, all: all.default, late: late.named } }",
    'node_modules/esm-only/package.json': '{ "name": "esm-only", "type": "module", "exports": { "import": "./a.js" } }',
    'node_modules/esm-only/a.js': "export default 'default'\nexport const named = 'named'",
    'node_modules/cjs/package.json': '{ "name": "cjs", "main": "./main.js", "module": "./wrong.js" }',
    'node_modules/cjs/main.js': 'module.exports = { x: 1 }',
  })
  assert.equal(made, { listeners: { esm: 'default', named: 'named', cjs: { x: 1 }, all: { x: 1 }, late: 'named' } })
})

test('a CommonJS file of the project may require', async () => {
  const made = await config({
    'proxy.config.ts': "import x from './lib.cjs'\nexport default { listeners: { x } }",
    'lib.cjs': "const { sep } = require('node:path')\nmodule.exports = sep + require('cjs').x",
    'node_modules/cjs/package.json': '{ "name": "cjs" }',
    'node_modules/cjs/index.js': 'module.exports = { x: 1 }',
  })
  assert.equal(made, { listeners: { x: '/1' } })
})

const ways: Readonly<Record<string, Files>> = {
  directly: { 'proxy.config.ts': use("import tag from './tag.ts'"), 'tag.ts': PLUGIN },
  'under another name': {
    'proxy.config.ts': use("import tag from './tag.ts'"),
    'tag.ts': PLUGIN.replace('{ definePlugin }', '{ definePlugin as make }').replace('default definePlugin', 'default make'),
  },
  'by import *': {
    'proxy.config.ts': use("import tag from './tag.ts'"),
    'tag.ts': PLUGIN.replace('{ definePlugin }', '* as door').replace('default definePlugin', 'default door.definePlugin'),
  },
  'by a computed name': {
    'proxy.config.ts': use("import tag from './tag.ts'"),
    'tag.ts': PLUGIN.replace('{ definePlugin }', '* as door').replace('default definePlugin', "default door['define' + 'Plugin']"),
  },
  'by a barrel of plugins': {
    'proxy.config.ts': use("import { tag } from './all.ts'"),
    'all.ts': "export { default as tag } from './tag.ts'",
    'tag.ts': PLUGIN,
  },
  'by a barrel of the door': {
    'proxy.config.ts': use("import tag from './tag.ts'"),
    'tag.ts': PLUGIN.replace('sluice/plugin', './door.ts'),
    'door.ts': "export * from 'sluice/plugin'",
  },
  'by a barrel that renames': {
    'proxy.config.ts': use("import tag from './tag.ts'"),
    'tag.ts': PLUGIN.replace('{ definePlugin }', '{ dp as definePlugin }').replace('sluice/plugin', './door.ts'),
    'door.ts': "import { definePlugin } from 'sluice/plugin'\nexport { definePlugin as dp }",
  },
  'by a barrel of a space': {
    'proxy.config.ts': use("import tag from './tag.ts'"),
    'tag.ts': PLUGIN.replace('{ definePlugin }', '{ door }')
      .replace('sluice/plugin', './door.ts')
      .replace('default definePlugin', 'default door.definePlugin'),
    'door.ts': "export * as door from 'sluice/plugin'",
  },
  'by a package with the keyword': {
    'proxy.config.ts': use("import tag from 'sluice-plugin-tag'"),
    'node_modules/sluice-plugin-tag/package.json':
      '{ "name": "sluice-plugin-tag", "exports": "./index.js", "keywords": ["sluice-plugin"] }',
    'node_modules/sluice-plugin-tag/index.js': PLUGIN,
  },
  'by a package that depends on sluice': {
    'proxy.config.ts': use("import tag from '@x/tag'"),
    'node_modules/@x/tag/package.json': '{ "name": "@x/tag", "main": "index.js", "type": "module", "peerDependencies": { "sluice": "*" } }',
    'node_modules/@x/tag/index.js': PLUGIN,
  },
}

for (const [way, files] of Object.entries(ways)) {
  test(`a plugin stays outside: ${way}`, async () => {
    const made = await bundle(files)
    assert.is(made.plugins.length, 1)
    assert.not.match(made.code, /setup/)
    assert.ok(made.files.includes(made.plugins[0]!.file))
    const { listeners } = await evaluate(made)
    const { tag } = listeners as unknown as { tag: Record<string, unknown> }
    assert.equal(tag, {
      kind: 'plugin',
      layer: 'http',
      name: way.includes('package') ? tag.name : 'tag',
      plugin: made.plugins[0]!.id,
      options: { a: 1 },
      use: { timeout: '9ms' },
    })
    assert.is(made.plugins[0]!.isolation, way.includes('package') ? 'process' : 'worker')
  })
}

test('one that only takes types, or respond, is no plugin', async () => {
  const made = await bundle({
    'proxy.config.ts':
      "import { respond } from './lib.ts'\nimport type { definePlugin } from 'sluice/plugin'\nexport default { listeners: { x: respond(200) } }",
    'lib.ts':
      "import { definePlugin, respond } from 'sluice/plugin'\nimport * as door from 'sluice/plugin'\nexport type X = typeof definePlugin\nexport { respond }\nexport const r = door.respond",
  })
  assert.is(made.plugins.length, 0)
})

test('a plugin that nobody recognised does not run in the host', async () => {
  const made = await bundle({
    'proxy.config.ts': "import tag from './tag.ts'\nexport default { listeners: { tag } }",
    'tag.ts': "const name = ['sluice', 'plugin'].join('/')\nconst door = await import(name)\nexport default door.definePlugin({})",
  })
  await rejects(evaluate(made), /definePlugin was called outside the sandbox/)
})

test('a config that defines a plugin itself is told so', async () => {
  await rejects(bundle({ 'proxy.config.ts': PLUGIN }), /put it into a file of its own/)
})

test('problems of bundling: all of them, each at its place', async () => {
  const problems = await rejects(
    bundle({
      'proxy.config.ts':
        "import a from './nowhere.ts'\nimport b from 'no-such-package'\nimport t from 'sluice/testing'\nexport default [a, b, t]",
    }),
    /nowhere/,
  )
  assert.equal(
    problems.map((line) => line.split(' ')[0]),
    ['proxy.config.ts:1:15', 'proxy.config.ts:2:15', 'proxy.config.ts:3:15'],
  )
  assert.equal(await rejects(bundle({ 'proxy.config.ts': 'export default {\n  é: "é", x: [1,,, }\n}' }), /Unexpected/), [
    'proxy.config.ts:2:20 Unexpected "}"',
  ])
  const inPlugin = { 'proxy.config.ts': use("import tag from './tag.ts'"), 'tag.ts': `import fs from 'node:fs'\n${PLUGIN}fs` }
  assert.match((await rejects(bundle(inPlugin), /node:fs/))[0]!, /^tag\.ts:1:16 /)
  assert.match(
    (
      await rejects(
        bundle({ ...inPlugin, 'proxy.config.ts': "import { other } from './tag.ts'\nexport default other", 'tag.ts': PLUGIN }),
        /other/,
      )
    )[0]!,
    /^proxy\.config\.ts:1:10 /,
  )
})

test('problems of evaluating have the place in the source', async () => {
  const thrown = {
    'proxy.config.ts': "import { f } from './lib/a.ts'\nexport default f()",
    'lib/a.ts': '\ninterface X {}\nexport function f(): X {\n  throw new TypeError("oh")\n}',
  }
  assert.equal(await rejects(bundle(thrown).then(evaluate), /oh/), ['lib/a.ts:4:9 TypeError: oh'])
  assert.equal(await rejects(config({ 'proxy.config.ts': 'export const x = 1' }), /default export/), [
    'proxy.config.ts the config has no default export: export default defineConfig({ … })',
  ])
  const misspelt = { 'proxy.config.ts': "// the first line\nimport { htp } from 'sluice'\nexport default htp" }
  assert.equal(await rejects(config(misspelt), /http/), ['proxy.config.ts:2:21 "sluice" has no export htp; did you mean http?'])
})

test('all missing variables are told at once, each where it was asked for', async () => {
  const text =
    "import { env } from 'sluice'\nexport default { listeners: {\n  a: env('SLUICE_NO_A'), b: env('SLUICE_NO_B', 'x'),\n  c: env('SLUICE_NO_C'),\n} }"
  assert.equal(await rejects(config({ 'proxy.config.ts': text }), /SLUICE_NO_A/), [
    'proxy.config.ts:3:6 the environment variable SLUICE_NO_A is not set',
    'proxy.config.ts:4:6 the environment variable SLUICE_NO_C is not set',
  ])
})

test('evaluating again and again leaves nothing behind', async () => {
  const made = await bundle({
    'proxy.config.ts': `const big = new Array(50_000).fill(1)\nexport default { listeners: { big: () => big } }`,
  })
  for (let i = 0; i < 50; i++) await evaluate(made)
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 300; i++) await evaluate(made)
  collectGarbage()
  const grown = process.memoryUsage().heapUsed - before
  assert.ok(grown < 5_000_000, `${grown} bytes for 300 evaluations of 400 KB`)
})

test('no config at all: a bundle for a URL', async () => {
  const { listeners, log } = await evaluate(bundleForUrl('http://localhost:3000'))
  assert.equal(listeners, { web: { kind: 'http', options: { listen: ':8080', routes: [{ to: 'http://localhost:3000' }] } } })
  assert.equal(log, { format: 'pretty' })
  assert.throws(() => bundleForUrl('http://localhost:3000/x'), /without a path/)
})

function use(statement: string): string {
  return `${statement}\nexport default { listeners: { tag: (tag as any)({ a: 1 }, { timeout: '9ms' }) } }`
}

async function config(files: Files): Promise<Config> {
  return evaluate(await bundle(files))
}

async function rejects(promise: Promise<Bundle | Config>, message: RegExp): Promise<string[]> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, ConfigError)
    const { problems } = error as ConfigError
    assert.match(lines(problems).join('\n'), message)
    return lines(problems)
  }
  assert.unreachable('it was accepted')
  return []
}

test.run()
