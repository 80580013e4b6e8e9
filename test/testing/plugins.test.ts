/** Plugins in a simulation really run in their sandbox, and a test sees what each of them did. */
import { simulate, simulatePlugin } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { config, write } from './support.ts'

const plugin = (name: string, hooks: string): string =>
  write(
    `${name}.ts`,
    `import { definePlugin, respond, routeTo } from 'sluice/plugin'
export default definePlugin({ name: '${name}', setup: (options: { word?: string }, host) => {
  let count = host.restore<number>() ?? 0
  return { ${hooks} }
} })
`,
  )

plugin(
  'tag',
  `onRequest(req) { req.headers.set('x-tag', 'v1'); req.headers.delete('x-secret'); req.path = '/in' + req.path; console.log('saw', req.path) },
  onResponse(res) { res.status = 201; res.headers.set('x-by', 'tag') }`,
)
plugin('later', `async onRequest(req) { await new Promise((done) => setTimeout(done, 5)); req.headers.set('x-late', 'yes') }`)
plugin(
  'choose',
  `onRequest(req) { if (req.path.startsWith('/other')) return routeTo('other'); if (req.path === '/no') return respond(418, 'teapot') }`,
)
plugin('loop', `onRequest() { for (;;); }`)
for (const [name, more] of [
  ['only', ''],
  ['first', 'onRequest() {},'],
]) {
  write(
    `${name}.ts`,
    `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: '${name}', match: { path: '/api/*', method: 'POST' }, permissions: ['request.body', 'response.body'], setup: () => ({
  ${more}
  onRequestBody: (chunk, _, body) => (body.last ? new TextDecoder().decode(chunk) + ' ${name}' : undefined),
  onResponse(res) { res.headers.append('x-by', '${name}') },
  onResponseBody: (chunk, _, body) => (body.last ? new TextDecoder().decode(chunk) + ' ${name}' : undefined),
}) })
`,
  )
}
plugin(
  'clock',
  `async onRequest(req) {
    const minutes = (n: number) => new Promise<void>((done) => setTimeout(done, n * 60_000))
    if (req.path === '/clock/late') await minutes(11)
    if (req.path === '/clock/steps') for (let i = 0; i < 3; i++) await minutes(1)
    return respond(200, [Date.now(), +new Date(), Date().slice(11, 15)].join())
  }`,
)
plugin('count', `onRequest(req) { count++; req.headers.set('x-count', String(count)) }, onReload: () => count`)

const file = config(
  `{ path: '/loop', use: [loop()], respond: respond(200, 'never') },
   { path: '/count', use: [count({}, patient)], to: api },
   { path: '/api/*', rewrite: '/*', use: [only({}, bodies), first({}, bodies), { onRequest(req) { if (req.path === '/api/put') req.method = 'PUT' } }], to: api },
   { path: '/clock/*', use: [clock({}, { ...patient, deadline: '10m' })], to: api },
   { path: '/*', use: [tag({}, patient), later({}, patient), choose({}, patient), { onRequest(req) { req.query.set('inline', '1') } }], to: api },`,
  {
    before: `${['tag', 'later', 'choose', 'loop', 'count', 'clock', 'only', 'first'].map((name) => `import ${name} from './${name}.ts'`).join('\n')}
// A busy machine may take its time for a first call.
const patient = { timeout: '500ms' } as const
const bodies = { ...patient, grant: ['request.body', 'response.body'] } as const
const api = upstream('api', { endpoints: ['10.0.0.1:80'] })
const other = upstream('other', { endpoints: ['10.0.0.2:80'] })`,
    more: `side: http({ listen: ':8081', routes: [{ to: other }] })`,
  },
)
const proxy = await simulate(file, { upstreams: { '*': (req) => new Response(`${req.upstream} ${req.path}`) } })
test.after(() => proxy.close())

test('every change is told, in order and with its author', async () => {
  const res = await proxy.fetch('/x', { headers: { 'x-secret': 'abc' } })
  assert.is(res.status, 201)
  assert.is(res.sent?.headers.get('x-tag'), 'v1')
  const texts = res.changes.map(({ by, hook, what }) => `${by} ${hook}: ${what}`)
  assert.equal(
    texts.filter((text) => !text.startsWith('sluice')),
    [
      'tag onRequest: rewrite path /x → /in/x',
      'tag onRequest: remove x-secret: abc',
      'tag onRequest: set x-tag: v1',
      'later onRequest: set x-late: yes',
      'web[4]/use[3] onRequest: rewrite path /in/x → /in/x?inline=1',
      'tag onResponse: change status 200 → 201',
      'tag onResponse: set x-by: tag',
    ],
  )
  assert.equal(res.changes[0], { by: 'tag', hook: 'onRequest', field: ':path', from: '/x', to: '/in/x', what: 'rewrite path /x → /in/x' })
})

test('what a plugin prints is at hand', async () => {
  const res = await proxy.fetch('/printed')
  assert.equal(
    res.logs.map(({ at, ...line }) => ({ ...line, at: at?.split('/').at(-1) })),
    [{ plugin: 'tag', level: 'info', text: 'saw /in/printed', at: 'tag.ts:4' }],
  )
  assert.ok(proxy.logs.some(({ text }) => text === 'saw /in/printed'))
})

test('a plugin that loops costs its own request, and no other', async () => {
  const res = await proxy.fetch('/loop')
  assert.is(res.status, 500)
  assert.is(res.reason, 'plugin_failed')
  assert.is(res.decidedBy, 'loop')
  assert.match(res.detail!, 'loop: onRequest ran longer than 5 ms (its timeout)')
  assert.is((await proxy.fetch('/next')).status, 201)
})

test('a reload hands over what a plugin remembers', async () => {
  const count = async () => (await proxy.fetch('/count')).sent?.headers.get('x-count')
  assert.is(await count(), '1')
  assert.is(await count(), '2')
  plugin('count', `onRequest(req) { count += 10; req.headers.set('x-count', String(count)) }, onReload: () => count`)
  await proxy.reload()
  assert.is(await count(), '12')
})

test('a reload that fails changes nothing', async () => {
  const broken = config(`{ path: '/x', respond: respond(200) }, { pth: '/y', respond: respond(200) }`)
  const error = await proxy.reload(broken).then(
    () => null,
    (reason: Error) => reason,
  )
  assert.match(error!.message, /pth/)
  assert.is((await proxy.fetch('/still')).status, 201)
})

test('hooks of the access log are asked when the clock is put forward, at once or later', async () => {
  const later = 'await new Promise((done) => setTimeout(done, 5))'
  const file = config(
    `{ path: '/now', use: [{ onLog(entries) { throw new Error('saw ' + entries[0].path) } }], respond: respond(200) },
     { path: '/later', use: [{ async onLog(entries) { ${later}; throw new Error('saw ' + entries[0].path) } }], respond: respond(200) }`,
  )
  await using logged = await simulate(file)
  const texts = () => logged.logs.map(({ plugin, level, text }) => `${plugin} ${level}: ${text}`)
  for (const path of ['/now', '/later']) {
    await logged.fetch(path)
    await logged.advance('1s')
  }
  assert.equal(texts(), [
    'web[0]/use[0] warn: onLog failed, so its access lines are written masked: saw /now',
    'web[1]/use[0] warn: onLog failed, so its access lines are written masked: saw /later',
  ])
})

// Mechanism: `match` was looked at anew for each hook, and a route's rewrite had taken the path away by the time of the body.
test('a plugin with a match is for a request as it was in its turn: for its body and its answer, too', async () => {
  for (const path of ['/api/x', '/api/put']) {
    const res = await proxy.fetch(path, { method: 'POST', body: 'sent' })
    assert.equal([res.sent?.path, await res.sent?.text()], [path.slice(4), 'sent only first'])
    assert.equal([res.headers.get('x-by'), await res.text()], ['first, only', `api ${path.slice(4)} first only`])
  }
  const other = await proxy.fetch('/api/x', { method: 'PUT', body: 'sent' })
  assert.equal([await other.sent?.text(), other.headers.get('x-by')], ['sent', null])
})

test('the clock of plugins is put forward with all others, and what they wait for comes in its order', async () => {
  const times = async () => (await (await proxy.fetch('/clock/now')).text()).split(',').map(Number)
  const [before = 0] = await times()
  await proxy.advance('1h')
  const [after = 0, made = 0] = await times()
  // Real time goes on as well.
  assert.ok(after - before >= 3_600_000 && after - before < 3_900_000 && made - after < 1000, `${before} ${after} ${made}`)
  const steps = proxy.fetch('/clock/steps')
  const late = proxy.fetch('/clock/late')
  await proxy.advance('9m')
  const { status } = await steps
  await proxy.advance('2m')
  assert.equal([status, (await late).status], [200, 500])
  const years = (await (await proxy.fetch('/clock/now')).text()).split(',')
  await proxy.advance(2 * 366 * 86_400_000)
  assert.ok(Number((await times())[2]) > Number(years[2]))
})

test('a plugin alone has an endpoint behind it', async () => {
  const url = new URL('../../plugins/block-bots/index.ts', import.meta.url)
  await using alone = await simulatePlugin(url, { options: { agents: ['evilbot'] } })
  const bot = await alone.fetch('/me', { headers: { 'user-agent': 'evilbot' } })
  assert.is(bot.status, 403)
  assert.is(bot.decidedBy, 'block-bots')
  assert.equal(
    bot.changes.map(({ what }) => what),
    ['answer 403', 'set x-proxy: sluice'],
  )
  const me = await alone.fetch('/me')
  assert.is(await me.text(), 'ok')
  assert.is(me.sent?.headers.get('x-tag'), 'v1-/me')
})

test('a plugin alone gets the limits and grants of a config, and another endpoint if asked for', async () => {
  const file = plugin('auth', `onRequest(req) { if (req.headers.get('authorization') !== options.word) return respond(401) }`)
  await using blind = await simulatePlugin(file, { options: { word: 'Bearer 1' } })
  assert.is((await blind.fetch('/', { headers: { authorization: 'Bearer 1' } })).status, 401)
  await using seeing = await simulatePlugin(file, {
    options: { word: 'Bearer 1' },
    grant: ['credentials'],
    upstream: () => new Response('in', { status: 202 }),
  })
  assert.is((await seeing.fetch('/', { headers: { authorization: 'Bearer 1' } })).status, 202)
})

test.run()
