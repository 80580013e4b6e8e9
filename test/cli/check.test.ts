import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Whole } from '../../core/check/whole.ts'
import { githubOf, jsonOf, judge, scopesOf, summaryOf, usesOf } from '../../core/cli/check-output.ts'
import { errorProblem, type Problem, placeIn, wholeFile } from '../../core/config/problems.ts'
import { makeFolder } from '../config/support.ts'
import { runCommand } from '../support/process.ts'

const file = '/work/app/proxy.config.ts'
const wrong = errorProblem('expected text,\nnot 100%', placeIn('first\nsecond line\nthird\n', file, 2, 8), 'listeners.web.via')
const soon: Problem = { severity: 'warning', path: null, message: 'soon', place: wholeFile('/elsewhere/a,b:c.ts') }
const facts = {
  counts: { listeners: 2, routes: 14, upstreams: 3, plugins: 1 },
  plugins: ['block-bots'],
  hosts: [],
  listens: [],
  scopes: [],
}
const use: Whole['uses'][number] = {
  ...{ key: 'web/use[0]', id: 'f0', name: 'geo', file: '/work/app/node_modules/geo/index.ts', where: 'listeners.web.use[0]' },
  ...{ package: { name: 'sluice-plugin-geo', version: '2.1.0', builtFor: null }, isolation: 'process', hooks: ['onRequest'], sees: null },
  ...{
    grant: ['credentials'],
    permissions: ['credentials'],
    timeoutMs: 5,
    deadlineMs: 1000,
    memoryMb: 64,
    kvBytes: null,
    onFailure: 'deny',
  },
}
const whole = (problems: readonly Problem[], more: Partial<Whole> = {}): Whole => ({
  file,
  problems,
  facts,
  uses: [],
  typesSkipped: null,
  ...more,
})

test('the last line counts what is wrong, or what there is', () => {
  const summary = (problems: readonly Problem[], strict = false): string =>
    summaryOf(whole(problems), judge(problems, strict), 'proxy.config.ts')
  assert.is(summary([]), 'proxy.config.ts is valid: 2 listeners, 14 routes, 3 upstreams, 1 plugin')
  assert.is(summary([soon]), 'proxy.config.ts is valid: 2 listeners, 14 routes, 3 upstreams, 1 plugin; 1 warning')
  assert.is(summary([wrong, wrong, wrong, soon]), '3 errors, 1 warning')
  assert.is(summary([soon, soon], true), '2 warnings')
  const bare = { counts: { listeners: 1, routes: 1, upstreams: 0, plugins: 0 }, plugins: [], hosts: [], listens: [], scopes: [] }
  assert.is(summaryOf(whole([], { facts: bare }), judge([], false), 'x.ts'), 'x.ts is valid: 1 listener, 1 route')
})

test('warnings fail only when they are asked to', () => {
  assert.equal(judge([soon], false), { errors: 0, warnings: 1, isOk: true })
  assert.equal(judge([soon], true), { errors: 0, warnings: 1, isOk: false })
  assert.is(judge([wrong], false).isOk, false)
})

test('a line for each use of a plugin: what it is, where, and what it may do', () => {
  assert.is(usesOf(whole([])), '')
  const own = { ...use, name: 'tag', package: null, where: 'use[0]', isolation: 'worker', grant: [] } as const
  assert.is(
    usesOf(whole([], { uses: [use, own] })),
    `  geo (sluice-plugin-geo 2.1.0)  listeners.web.use[0]  in a process  onRequest  granted credentials
  tag                            use[0]                in a worker   onRequest  no grants`,
  )
})

test('a line for each policy that counts or keeps something: over what', () => {
  const scopes = [
    { what: 'rateLimit', path: 'listeners.web.use[0]', over: 'counters', tiers: [] },
    { what: 'rateLimit', path: 'use[1]', over: 'store', tiers: [] },
    { what: 'bandwidth', path: 'use[3]', over: 'connection', tiers: [] },
    { what: 'cache', path: 'use[2]', over: 'cache', tiers: ['shared', 'disk'] },
  ] as const
  const told = (isShared: boolean): string => scopesOf(whole([], { facts: { ...facts, scopes } }), () => isShared)
  assert.is(
    told(true),
    `  rateLimit  listeners.web.use[0]  exact over all workers
  rateLimit  use[1]                exact over all proxies that use its store
  bandwidth  use[3]                exact for each connection
  cache      use[2]                in the memory of each worker, then one copy for all workers in shared memory, then one copy for all workers on disk`,
  )
  assert.match(told(false), /use\[0\] +each worker lets its part through: no memory can be shared here/)
  assert.is(
    scopesOf(whole([]), () => assert.unreachable('nothing counts') as never),
    '',
  )
})

test('a grant of kv says how much', () => {
  assert.match(
    usesOf(whole([], { uses: [{ ...use, grant: ['kv', 'stream'], kvBytes: 32 * 1024 ** 2 }] })),
    /granted kv up to 32mb, stream$/,
  )
})

test('JSON has the documented shape', () => {
  assert.equal(JSON.parse(jsonOf(whole([wrong, soon], { uses: [use] }), judge([wrong, soon], false))), {
    ok: false,
    file,
    problems: [
      {
        severity: 'error',
        path: 'listeners.web.via',
        message: 'expected text,\nnot 100%',
        file,
        line: 2,
        column: 8,
        frame: '  1 | first\n> 2 | second line\n    |        ^\n  3 | third',
      },
      { severity: 'warning', path: null, message: 'soon', file: '/elsewhere/a,b:c.ts', line: null, column: null },
    ],
    types: 'checked',
    plugins: ['block-bots'],
    counts: facts.counts,
    scopes: [],
    uses: [
      {
        ...{ name: 'geo', package: 'sluice-plugin-geo', version: '2.1.0', file: use.file, where: use.where, isolation: 'process' },
        ...{ hooks: ['onRequest'], sees: null, grants: ['credentials'], permissions: ['credentials'] },
        ...{ timeoutMs: 5, deadlineMs: 1000, memoryMb: 64, kvBytes: null, onFailure: 'deny' },
      },
    ],
  })
  const skipped = whole([errorProblem('there is no file')], { facts: null, typesSkipped: 'no TypeScript' })
  assert.equal(JSON.parse(jsonOf(skipped, judge(skipped.problems, false))), {
    ok: false,
    file,
    problems: [{ severity: 'error', path: null, message: 'there is no file', file: null, line: null, column: null }],
    types: 'skipped: no TypeScript',
    plugins: [],
    counts: null,
    uses: [],
    scopes: [],
  })
})

test('annotations are escaped, with files relative to the checkout', () => {
  assert.equal(githubOf(whole([wrong, soon, errorProblem('there is no file')]), '/work').split('\n'), [
    '::error file=app/proxy.config.ts,line=2,col=8::listeners.web.via: expected text,%0Anot 100%25',
    '::warning file=/elsewhere/a%2Cb%3Ac.ts::soon',
    '::error file=app/proxy.config.ts::there is no file',
  ])
})

const VALID =
  "import { http } from 'sluice'\nexport default { listeners: { web: http({ listen: ':8080', routes: [{ to: '127.0.0.1:1' }] }) } }\n"
const LOOP = VALID.replace("to: '127.0.0.1:1'", "redirect: redirect('/*')").replace('{ http }', '{ http, redirect }')
const folder = makeFolder({ 'valid.ts': VALID, 'loop.ts': LOOP, 'wrong.ts': VALID.replace('routes:', 'rotues: 1, routes:') })

function check(args: readonly string[], env: Readonly<Record<string, string>> = {}): ReturnType<typeof runCommand> {
  return runCommand(['check', ...args], { folder, env: { GITHUB_ACTIONS: '', ...env } })
}

test('what is found and what the exit code is', async () => {
  const [valid, loop, strict, missing, told] = await Promise.all([
    check(['-c', 'valid.ts']),
    check(['-c', 'loop.ts', '--no-types']),
    check(['-c', 'loop.ts', '--no-types', '--strict']),
    check(['-c', 'none.ts']),
    check(['-c', 'none.ts', '--json']),
  ])
  assert.equal([valid.code, valid.stdout], [0, 'valid.ts is valid: 1 listener, 1 route, 1 upstream'])
  assert.is(valid.stderr, 'types were not checked: this project has no TypeScript 7 (npm i -D typescript)')
  assert.equal([loop.code, loop.stdout], [0, 'loop.ts is valid: 1 listener, 1 route; 1 warning'])
  assert.match(loop.stderr, /^loop\.ts:2:\d+: warning: listeners\.web\.routes\[0\]\.redirect\.to: this redirects to itself/)
  assert.equal([strict.code, strict.stdout, strict.stderr.split('\n').at(-1)], [1, '', '1 warning'])
  assert.equal([missing.code, missing.stderr.split('\n').at(-1)], [1, '1 error'])
  assert.not.match(missing.stderr, /types/)
  const { ok, problems } = JSON.parse(told.stdout) as { ok: boolean; problems: { message: string }[] }
  assert.equal([ok, problems[0]?.message], [false, `there is no file ${join(folder, 'none.ts')}`])
})

test('colour and annotations are chosen by the environment, and by options before it', async () => {
  const [coloured, actions, json, unknown] = await Promise.all([
    check(['-c', 'wrong.ts', '--no-types'], { FORCE_COLOR: '1' }),
    check(['-c', 'wrong.ts', '--no-types'], { GITHUB_ACTIONS: 'true', GITHUB_WORKSPACE: folder }),
    check(['-c', 'wrong.ts', '--no-types', '--json'], { GITHUB_ACTIONS: 'true' }),
    check(['--format', 'xml']),
  ])
  assert.ok(coloured.stderr.includes('\x1b[31merror\x1b[0m'))
  assert.equal(actions.stdout.split('\n'), [
    '::error file=wrong.ts,line=2,col=60::listeners.web.rotues: unknown key; did you mean routes?',
    '1 error',
  ])
  assert.is((JSON.parse(json.stdout) as { ok: boolean }).ok, false)
  assert.equal([coloured.code, actions.code, json.code, unknown.code], [1, 1, 1, 2])
})

test.run()
