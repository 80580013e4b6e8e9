/** One problem does not hide the others; and each has its exact place, whatever way the value went. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { check, type Files, lines } from './support.ts'

const errors = async (files: Files | string): Promise<string[]> => lines(await check(files)).filter((line) => !line.includes('warning'))

test('missing variables do not hide what is wrong elsewhere, and nothing is said of what depends on them', async () => {
  const text = `import { env, http, upstream } from 'sluice'
const api = upstream(env('SLUICE_NO_NAME'), { endpoints: [env('SLUICE_NO_HOST') + ':80'] })
export default { listeners: { web: http({ listen: Number(env('SLUICE_NO_PORT', '1')), rotues: 1, routes: [
  { host: env('SLUICE_NO_VHOST'), path: 'x', to: api },
] }) } }`
  assert.equal(await errors(text), [
    'proxy.config.ts:2:22 the environment variable SLUICE_NO_NAME is not set',
    'proxy.config.ts:2:59 the environment variable SLUICE_NO_HOST is not set',
    'proxy.config.ts:3:87 listeners.web.rotues: unknown key; did you mean routes?',
    'proxy.config.ts:4:11 the environment variable SLUICE_NO_VHOST is not set',
    "proxy.config.ts:4:41 listeners.web.routes[0].path: the path 'x' does not begin with '/'",
  ])
})

test('a misspelt helper does not hide what is wrong elsewhere, and nothing is said of what it would have returned', async () => {
  const text = `import { htp, http, respnd } from 'sluice'
export default { listeners: {
  a: htp({ listen: 'x' }).and.more(...[1]),
  b: http({ listen: ':x', routes: [{ respond: respnd(200) }, { to: new htp(), pth: '/' }] }),
} }`
  assert.equal(
    (await errors(text)).map((line) => line.replace(/: expected.*/, '')),
    [
      'proxy.config.ts:1:35 "sluice" has no export htp; did you mean http?',
      'proxy.config.ts:1:35 "sluice" has no export respnd; did you mean respond?',
      'proxy.config.ts:4:21 listeners.b.listen',
      'proxy.config.ts:4:79 listeners.b.routes[1].pth: unknown key; did you mean path?',
    ],
  )
})

test('a package that cannot be loaded is told with the rest; what its absence breaks is not', async () => {
  const files = {
    'node_modules/broken/package.json': '{ "name": "broken", "main": "index.js" }',
    'node_modules/broken/index.js': 'throw new Error("no disk")',
    'node_modules/broken/other.js': 'throw new Error("no net")',
  }
  const found = await errors({
    ...files,
    'proxy.config.ts': `import broken from 'broken'
import other from 'broken/other.js'
import { http } from 'sluice'
export default { listeners: { [broken.name]: other, web: http({ listen: ':1', routes: broken.routes() }), x: http({ listen: ':2', routes: 5 as any }) } }`,
  })
  assert.equal(
    found.map((line) => line.replace(/ listeners\.x.*/, ' listeners.x')),
    [
      'proxy.config.ts:1:20 "broken" could not be imported: no disk',
      'proxy.config.ts:2:19 "broken/other.js" could not be imported: no net',
      'proxy.config.ts:4:139 listeners.x',
    ],
  )
  const breaks = await errors({
    ...files,
    'proxy.config.ts': `import broken from 'broken'\nexport default Object.keys(broken.a).map((x) => x.b.c)[0].d`,
  })
  assert.equal(breaks, ['proxy.config.ts:1:20 "broken" could not be imported: no disk'])
})

test('process.env is just there', async () => {
  process.env.SLUICE_TEST_PORT = '8123'
  const text = `import { http } from 'sluice'\nconst { SLUICE_TEST_PORT: port } = process.env\nexport default { listeners: { web: http({ listen: ':' + port, routes: [{ pth: process.env.SLUICE_TEST_PORT, to: 'a:1' }] }) } }`
  const told = await errors(text)
  delete process.env.SLUICE_TEST_PORT
  assert.equal(told, ['proxy.config.ts:3:74 listeners.web.routes[0].pth: unknown key; did you mean path?'])
})

test('places: through functions of the config, map, spreads, concat, and functions of other files', async () => {
  const files = {
    'proxy.config.ts': `import { http, respond, redirect, split, upstream } from 'sluice'
import { service, limits } from './lib/service.ts'
import shared from './lib/shared.ts'

const simple = (path: string) => ({ path, to: 'a:1', pth1: 1 })
function group(host: string, ...routes: any[]) {
  return {
    host,
    pth2: 1,
    routes,
  }
}
const paths = ['/x', '/y']
const routes = [
  simple('/a'),
  group('b.example.com', { path: '/in', pth3: 1, to: 'a:1' }),
  ...paths.map((path) => ({ path, pth4: 1, to: 'a:1' })),
  ...service('one', 'a:1'),
  ...shared,
  { ...shared[0], path: 7 },
].concat([{ pth7: 1, to: 'a:1' } as any])

export default async () => ({
  listeners: {
    web: http({ listen: ':1', limits, routes: [...routes.filter(Boolean), { to: split([['a:1', -1], ['b:1', 1]]) }, { redirect: redirect('x', 399) }] }),
  },
})
`,
    'lib/service.ts': `// A generated part.
export const limits = {
  hed: '1kb',
}
export function service(name: string, to: string) {
  const base = { to, pth5: 1 }
  return ['v1', 'v2'].map((version) => ({
    ...base,
    path: name + version,
  }))
}
`,
    'lib/shared.ts': `export default [
  { path: '/s', to: 'a:1', pth6: 1 },
]
`,
  }
  const found = (await check(files)).filter(({ severity }) => severity === 'error')
  const places = lines(found).map((line) => line.split(' ').slice(0, 2).join(' ').replace(/:$/, ''))
  const at = (file: keyof typeof files, text: string): string => {
    const before = files[file].slice(0, files[file].indexOf(text)).split('\n')
    return `${file}:${before.length}:${before.at(-1)!.length + 1}`
  }
  const expected = [
    `${at('lib/service.ts', 'hed:')} listeners.web.limits.hed`,
    `${at('proxy.config.ts', 'pth1')} listeners.web.routes[0].pth1`,
    `${at('proxy.config.ts', 'pth2')} listeners.web.routes[1].pth2`,
    `${at('proxy.config.ts', 'pth3')} listeners.web.routes[1].routes[0].pth3`,
    `${at('proxy.config.ts', 'pth4')} listeners.web.routes[2].pth4`,
    `${at('lib/service.ts', 'pth5')} listeners.web.routes[4].pth5`,
    `${at('lib/service.ts', 'name + version')} listeners.web.routes[4].path`,
    `${at('lib/shared.ts', 'pth6')} listeners.web.routes[6].pth6`,
    `${at('proxy.config.ts', '7 },')} listeners.web.routes[7].path`,
    `${at('proxy.config.ts', 'pth7')} listeners.web.routes[8].pth7`,
    `${at('proxy.config.ts', '-1]')} listeners.web.routes[9].to[0][1]`,
    `${at('proxy.config.ts', "'x', 399")} listeners.web.routes[10].redirect.to`,
    `${at('proxy.config.ts', '399)')} listeners.web.routes[10].redirect.status`,
  ]
  for (const line of expected) assert.ok(places.includes(line), `${line}\nnot among\n${places.join('\n')}`)
})

test.run()
