/** What stands in for upstreams: functions, ways to fail, and the clock that makes timeouts come. */
import { hangs, refused, reset, type Stub, simulate, unreachable } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { config, write } from './support.ts'

write('page.html', '<p>page</p>')
const file = config(
  `
  { path: '/site/*', to: files('.'), rewrite: '/*' },
  { path: '/pair/*', to: upstream('pair', { endpoints: ['10.0.0.1:80', '10.0.0.2:80'], retries: { attempts: 2, on: ['connect'] } }) },
  { path: '/api/*', to: upstream('api', { endpoints: ['api.internal:80'], timeouts: { connect: '2s', response: '30s' } }) },
  { path: '/ws', to: upstream('ws', { endpoints: ['10.0.0.3:80'] }) },
  { path: '/left', to: upstream('left', { endpoints: ['10.0.0.9:80'], retries: { attempts: 2, on: ['connect'] } }) },
  { path: '/right', to: upstream('right', { endpoints: ['10.0.0.9:80'] }) },
  { path: '/other', to: 'http://127.0.0.1:3000' },
  { path: '/bare', to: upstream('bare', { endpoints: ['10.0.0.4:80'] }) },
  { path: '/found', to: upstream('found', { discovery: { kind: 'discovery', name: 'file', options: { path: './no.json' } } }) },
`,
  { before: "import { files } from 'sluice'" },
)
const ok: Stub = (req) => new Response(`${req.endpoint} ${req.path}`)
const proxy = await simulate(file, { upstreams: { api: ok, ws: ok, 'http://127.0.0.1:3000': ok, '10.0.0.1:80': ok, '10.0.0.2:80': ok } })
test.after(() => proxy.close())
test.after.each(() => proxy.stub('api', ok))

test('a stub is told which endpoint it is, and a URL is a name as well', async () => {
  assert.is(await (await proxy.fetch('/api/x')).text(), 'api.internal:80 /api/x')
  assert.is(await (await proxy.fetch('/other')).text(), '127.0.0.1:3000 /other')
})

test('what would be discovered is stubbed by the name of its upstream: nothing is looked up', async () => {
  proxy.stub('found', ok)
  assert.is(await (await proxy.fetch('/found')).text(), 'discovered:1 /found')
})

test('files are those beside the config, and no endpoint is asked', async () => {
  const res = await proxy.fetch('/site/page.html')
  assert.equal(
    [res.status, await res.text(), res.headers.get('content-type'), res.sent],
    [200, '<p>page</p>', 'text/html; charset=utf-8', null],
  )
  assert.is((await proxy.fetch('/site/no.html')).reason, 'file_not_found')
})

test('an upstream without a stub answers 502, and says what is missing', async () => {
  const res = await proxy.fetch('/bare')
  assert.is(res.status, 502)
  assert.match(res.detail!, 'no stub for the upstream bare: give simulate(config, { upstreams: { bare: (req) =>')
  assert.match(await res.text(), 'no stub for the upstream bare')
})

test('a refused endpoint is left for the next', async () => {
  await proxy.stub('10.0.0.1:80', refused())
  for (let i = 0; i < 4; i++) {
    const res = await proxy.fetch('/pair/x')
    assert.is(await res.text(), '10.0.0.2:80 /pair/x')
    assert.is(res.endpoint, '10.0.0.2:80')
  }
  await proxy.stub('10.0.0.2:80', refused())
  const res = await proxy.fetch('/pair/x')
  assert.is(res.status, 502)
  assert.is(res.reason, 'connect_refused')
  assert.is(res.attempts, 2)
  assert.is(res.sent, null)
})

test('of two upstreams with one address each has its own stub', async () => {
  await proxy.stub('left', refused())
  await proxy.stub('right', ok)
  for (let i = 0; i < 2; i++) {
    assert.is(await (await proxy.fetch('/right')).text(), '10.0.0.9:80 /right')
    const res = await proxy.fetch('/left')
    assert.equal([res.status, res.reason, res.attempts, res.sent], [502, 'connect_refused', 2, null])
  }
})

test('a stub that throws is a connection that breaks, and its error is told', async () => {
  await proxy.stub('api', () => {
    throw new Error('out of coffee')
  })
  const res = await proxy.fetch('/api/x')
  assert.is(res.status, 502)
  assert.is(res.reason, 'upstream_closed')
  assert.match(res.detail!, 'the stub api threw: Error: out of coffee')
})

test('a stub may fail for some requests only', async () => {
  await proxy.stub('api', (req) => (req.method === 'POST' ? reset() : new Response('fine')))
  assert.is((await proxy.fetch('/api/x', { method: 'POST', body: 'x' })).status, 502)
  assert.is((await proxy.fetch('/api/x')).status, 200)
})

test('an endpoint that never answers is given up when the clock says so', async () => {
  await proxy.stub('api', hangs())
  const pending = proxy.fetch('/api/slow')
  await proxy.advance('29s')
  assert.is(await Promise.race([pending, 'nothing yet']), 'nothing yet')
  await proxy.advance('2s')
  const res = await pending
  assert.is(res.status, 504)
  assert.is(res.reason, 'response_timeout')
  assert.is(res.sent?.path, '/api/slow')
})

test('a stub whose promise never settles is the same', async () => {
  await proxy.stub('api', () => new Promise(() => {}))
  const pending = proxy.fetch('/api/slow')
  await proxy.advance('31s')
  assert.is((await pending).reason, 'response_timeout')
})

test('a stub that answers at once does so before the clock is put forward', async () => {
  await proxy.stub('api', async () => new Response('in time'))
  const pending = proxy.fetch('/api/fast')
  await proxy.advance('10m')
  assert.is(await (await pending).text(), 'in time')
})

test('an endpoint that cannot be reached is given up when the clock says so', async () => {
  await proxy.stub('api', unreachable())
  const pending = proxy.fetch('/api/x')
  await proxy.advance('3s')
  const res = await pending
  assert.is(res.status, 504)
  assert.is(res.reason, 'connect_timeout')
})

test('an upgrade reaches its endpoint, and ends there with 501', async () => {
  const res = await proxy.fetch('/ws', { headers: { connection: 'upgrade', upgrade: 'websocket' } })
  assert.is(res.status, 501)
  assert.is(res.sent?.headers.get('upgrade'), 'websocket')
  assert.match(res.detail!, 'no upgraded protocol')
})

test('requests that are under way at the same time are not mixed up', async () => {
  await proxy.stub('api', async (req) => {
    await new Promise((resolve) => setTimeout(resolve, Number(req.query.get('wait'))))
    return new Response(req.query.get('n'))
  })
  const numbers = Array.from({ length: 20 }, (_, n) => n)
  const all = await Promise.all(numbers.map((n) => proxy.fetch(`/api/x?n=${n}&wait=${(7 * n) % 11}`, { from: `10.1.0.${n}` })))
  for (const [n, res] of all.entries()) {
    assert.is(await res.text(), String(n))
    assert.is(res.sent?.headers.get('x-forwarded-for'), `10.1.0.${n}`)
    assert.is(res.sent?.query.get('n'), String(n))
  }
})

test('a client that goes away is seen to go', async () => {
  await proxy.stub('api', hangs())
  const abort = new AbortController()
  const pending = proxy.fetch('/api/x', { signal: abort.signal })
  await proxy.advance(0)
  abort.abort(new Error('enough'))
  const error = await pending.then(
    () => null,
    (reason: Error) => reason,
  )
  assert.is(error?.message, 'enough')
})

test('a stub for what is not there is refused, with the nearest name', async () => {
  const stub = async (): Promise<void> => await proxy.stub('apy', ok)
  const error = await stub().then(
    () => null,
    (reason: Error) => reason,
  )
  assert.match(error!.message, 'there is no upstream apy to stub; did you mean api?')
  assert.match(error!.stack!, /upstreams\.test\.ts:\d+:\d+/)
})

test('HTTP in a route of a TCP listener is asked by its name, or where there is no other', async () => {
  const edge = `edge: tcp({ listen: ':8443', routes: [{ sni: 'a.test', to: '10.0.0.1:443' }, { to: http({ routes: [{ respond: respond(200, 'inside') }] }) }] })`
  const more = config(`{ respond: respond(200, 'web') }`, { before: `import { tcp } from 'sluice'`, more: edge })
  const both = await simulate(more)
  try {
    assert.is(await (await both.fetch('/', { listener: 'edge[1]/web' })).text(), 'inside')
    assert.is(await (await both.fetch('/')).text(), 'web')
  } finally {
    await both.close()
  }
})

test.run()
