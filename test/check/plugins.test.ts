import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadConfig } from '../../core/check/loader.ts'
import { describeUses } from '../../core/check/plugins.ts'
import { run } from '../../core/config/evaluate.ts'
import type { Config } from '../../core/index.ts'
import { bundle, type Files, lines, load, makeFolder } from '../config/support.ts'

const plugin = (name: string, rest: string): string =>
  `import { definePlugin } from 'sluice/plugin'\n\nexport default definePlugin({\n  name: '${name}',\n  ${rest}\n})\n`

const SCHEMA = `options: { '~standard': { version: 1, vendor: 'test', validate: (value: any) => {
    const issues = []
    if (!Array.isArray(value.agents)) issues.push({ message: 'expected a list', path: ['agents'] })
    else value.agents.forEach((one, i) => typeof one !== 'string' && issues.push({ message: 'expected text', path: ['agents', i] }))
    if (value.limit < 0) issues.push({ message: 'expected 0 or more', path: [{ key: 'limit' }] })
    return issues.length > 0 ? { issues } : { value }
  } } },
  setup: () => ({ onRequest() {} }),`

const FILES: Files = {
  'fine.ts': plugin('fine', `sees: ['User-Agent'], match: { path: '/x/*' }, setup: () => ({ onRequest() {}, onReload: () => 1 })`),
  'options.ts': plugin('options', SCHEMA),
  'zod.ts': `import * as z from '${fileURLToPath(import.meta.resolve('zod/mini'))}'\n${plugin(
    'zod',
    `options: z.strictObject({ agents: z.array(z.string()), mode: z.optional(z.enum(['strict', 'loose'])), rules: z.optional(z.array(z.strictObject({ score: z.number() }))) }),
  setup: () => ({ onRequest() {} }),`,
  )}`,
  'setup.ts': plugin('setup', `setup() {\n    const it: any = null\n    return it.no\n  }`),
  'hook.ts': plugin('hook', `setup: () => ({\n    onRequst() {},\n  })`),
  'grant.ts': plugin('grant', `permissions: ['credentials'],\n  setup() { throw new Error('oh') }`),
  'sees.ts': plugin('sees', `sees: ['cookie'], setup: () => ({ onRequest() {} })`),
  'first.ts': `import { definePlugin } from 'sluice/plugin'\nconst x: any = undefined\nx.y()\nexport default definePlugin({ name: 'first', setup: () => ({}) })\n`,
}

const config = (uses: string): string => `import { http, upstream } from 'sluice'
import fine from './fine.ts'
import options from './options.ts'
import setup from './setup.ts'
import hook from './hook.ts'
import grant from './grant.ts'
import sees from './sees.ts'; import zod from './zod.ts'
import first from './first.ts'
const any = (x: unknown): any => x
export default { listeners: { web: http({ listen: ':1', use: [
${uses}
], routes: [{ host: 'a.example.com', routes: [{ path: '/a', to: 'a:1', use: [any(options)({ agents: 1 })] }] }, { to: 'a:1' }] }) } }
`

const found = async (uses: string): Promise<string[]> => lines((await load({ ...FILES, 'proxy.config.ts': config(uses) })).problems)

test('every use of a plugin is tried; each problem is told, in the plugin or where it is used', async () => {
  const problems = await found(`  any(fine)({}),
  any(options)({
    agents: ['a', 5],
    limit: -1,
  }),
  any(setup)({}),
  any(hook)({}),
  any(grant)({}),
  any(sees)({}, { timeout: '9ms' }),
  any(first)({}),`)
  assert.equal(problems.sort(), [
    "first.ts:3:3 listeners.web.use[6]: plugin first: Cannot read properties of undefined (reading 'y')",
    'grant.ts:6:19 listeners.web.use[4]: plugin grant: oh',
    'hook.ts:6:5 listeners.web.use[3]: plugin hook: there is no hook onRequst; did you mean onRequest?',
    'proxy.config.ts:13:19 listeners.web.use[1].options.agents[1]: plugin options: expected text',
    'proxy.config.ts:14:12 listeners.web.use[1].options.limit: plugin options: expected 0 or more',
    "proxy.config.ts:18:3 listeners.web.use[4]: plugin grant: it asks for the permission credentials: { grant: ['credentials'] } beside its options gives it",
    "proxy.config.ts:19:17 listeners.web.use[5]: plugin sees: it wants to see cookie, which takes the permission credentials: { grant: ['credentials'] } beside its options gives it",
    'proxy.config.ts:21:101 listeners.web.routes[0].routes[0].use[0].options.agents: plugin options: expected a list',
    "setup.ts:7:15 listeners.web.use[2]: plugin setup: Cannot read properties of null (reading 'no')",
  ])
})

test('an unknown option of a plugin is told where it stands, with the one that was meant', async () => {
  const uses = `  any(zod)({
    agents: [],
    agnets: [],
    mode: 'lose',
    rules: [{ score: 1 }, { score: 2, scroe: 3 }],
    colour: 'red',
  }),`
  assert.equal((await found(uses)).filter((line) => !line.includes('routes[0]')).sort(), [
    'proxy.config.ts:13:5 listeners.web.use[0].options.agnets: plugin zod: unknown option; did you mean agents?',
    'proxy.config.ts:14:11 listeners.web.use[0].options.mode: plugin zod: expected "strict" or "loose"',
    'proxy.config.ts:15:39 listeners.web.use[0].options.rules[1].scroe: plugin zod: unknown option; did you mean score?',
    'proxy.config.ts:16:5 listeners.web.use[0].options.colour: plugin zod: unknown option; known are agents, mode, rules',
  ])
})

test('a problem of the config does not hide those of its plugins', async () => {
  const problems = await found('  any(hook)({}), { onRequst() {} } as any,')
  assert.equal(
    problems.map((line) => line.split(' ').slice(0, 2).join(' ')),
    [
      'proxy.config.ts:11:20 listeners.web.use[1].onRequst:',
      'proxy.config.ts:12:101 listeners.web.routes[0].routes[0].use[0].options.agents:',
      'hook.ts:6:5 listeners.web.use[0]:',
    ],
  )
})

test('two plugins of one name cannot both be granted kv', async () => {
  const problems = lines(
    (
      await load({
        ...FILES,
        'fine2.ts': FILES['fine.ts']!,
        'proxy.config.ts': config("  any(fine)({}, { grant: ['kv'] }),\n  any(fine2)({}, { grant: ['kv'] }),\n  any(fine2)({}),").replace(
          'import options',
          "import fine2 from './fine2.ts'\nimport options",
        ),
      })
    ).problems,
  )
  assert.match(
    problems.join('\n'),
    /^proxy\.config\.ts:13:\d+ listeners\.web\.use\[1\]\S*: plugin fine: it is granted kv, and so is the plugin of that name in \S+fine\.ts: .*$/m,
  )
  assert.is(problems.filter((line) => line.includes('kv')).length, 1)
})

test('what one use does, and what limits it', async () => {
  const made = await bundle({
    ...FILES,
    'proxy.config.ts': `import { http } from 'sluice'
import fine from './fine.ts'
import setup from './setup.ts'
export default { use: [fine({})], listeners: { web: http({ listen: ':1', use: [(setup as any)({})], routes: [{ name: 'a', to: 'a:1', use: [(fine as any)({}, { timeout: '9ms', grant: ['credentials'], onFailure: 'continue' })] }] }) } }`,
  })
  const facts = await describeUses((await run(made)) as Config, made)
  const fine = {
    ...{ name: 'fine', hooks: ['onRequest', 'onReload'], sees: ['user-agent'], match: { path: ['/x/*'] }, permissions: [] },
    ...{ package: null, deadlineMs: 1000, memoryMb: 64, kvBytes: null, isolation: 'worker' },
  }
  assert.equal(
    facts.map(({ file, id: _, ...rest }) => rest),
    [
      { ...fine, key: 'use[0]', grant: [], timeoutMs: 5, onFailure: 'deny' },
      { ...fine, key: 'web/a/use[0]', grant: ['credentials'], timeoutMs: 9, onFailure: 'continue' },
    ],
  )
  assert.match(facts[0]!.file, /\/fine\.ts$/)
})

test('a plugin that never comes back from its setup, or takes the process along, is named', async () => {
  const base = `import { http } from 'sluice'\nimport bad from './bad.ts'\nexport default { listeners: { web: http({ listen: ':1', use: [bad({})], routes: [] }) } }`
  const loop = await load({ 'proxy.config.ts': base, 'bad.ts': plugin('bad', 'setup() { for (;;) {} }') }, { deadlineMs: 10_000 })
  assert.match(lines(loop.problems).join('\n'), /plugin bad/)
  assert.is(loop.bundle, null)
})

test('a plugin that the text of the config does not show is tried, too', async () => {
  const text = config('any(setup)({})').replace("from './setup.ts'", "from /* not seen */ './setup.ts'")
  const alone = text.replace(/^import (?!setup|\{ http).*\n/gm, '').replace('any(options)({ agents: 1 })', '')
  assert.not.match(alone, /(from|import) '\./)
  const problems = lines((await load({ ...FILES, 'proxy.config.ts': alone })).problems)
  assert.is(problems.length, 1)
  assert.match(problems[0]!, /^setup\.ts:\d+/)
})

test('a reload leaves the plugins to the workers', async () => {
  const folder = makeFolder({ ...FILES, 'proxy.config.ts': config('  any(hook)({}),').replace('any(options)({ agents: 1 })', '') })
  const { bundle, problems } = await loadConfig(join(folder, 'proxy.config.ts'), { plugins: false })
  assert.equal(lines(problems), [])
  assert.is(bundle?.plugins.length, 1)
})

test.run()
