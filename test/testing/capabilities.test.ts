/** `fetch` and `kv` of plugins in a simulation: answered by the test, kept by the simulation, on the simulation's clock. */
import { simulate, simulatePlugin } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { askFetchStub, type FetchRequest } from '../../core/testing/fetch-stub.ts'
import type { FetchedRequest } from '../../core/testing/messages.ts'
import { SimulatedCapabilities } from '../../core/testing/simulated-capabilities.ts'
import { SimulationClock } from '../../core/testing/simulation-clock.ts'
import { config, write } from './support.ts'

const grant = ['kv', 'net:auth.internal:8080']
const url = 'http://auth.internal:8080/check'

/** The simulation's part, with the test's part right behind it. */
function simulated(kv: Record<string, Record<string, string>>, stub?: Parameters<typeof askFetchStub>[0]) {
  const clock = new SimulationClock()
  const asked: FetchedRequest[] = []
  const capabilities = new SimulatedCapabilities({
    now: () => clock.now,
    kv,
    onFetch(call, request) {
      asked.push(request)
      void askFetchStub(stub, structuredClone(request)).then((answer) => capabilities.answer(call, answer))
    },
  })
  const perform = async (method: string, args: object, plugin = 'auth'): Promise<unknown> =>
    JSON.parse(await capabilities.perform({ plugin, method, args: JSON.stringify(args), grant }))
  return { clock, asked, capabilities, perform }
}

const reasonOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'answered',
    (error: Error) => error.message,
  )

test('a stub answers what a plugin fetches', async () => {
  const seen: FetchRequest[] = []
  const { perform } = simulated({}, (request) => {
    seen.push(request)
    return Response.json({ user: 'ann' }, { status: 203, headers: { 'x-by': 'stub' } })
  })
  const headers = [['x-token', 't']]
  const answer = (await perform('fetch', { url, method: 'post', headers, body: { text: 'body' } })) as Record<string, unknown>
  const [request] = seen
  assert.equal([request!.method, request!.url, request!.headers.get('X-Token')], ['POST', url, 't'])
  assert.is(new TextDecoder().decode(request!.body), 'body')
  assert.equal([answer.status, answer.url, answer.body], [203, url, { text: '{"user":"ann"}' }])
  assert.ok((answer.headers as string[][]).some(([name, value]) => name === 'x-by' && value === 'stub'))
})

test('without a stub, and with one that fails, fetch rejects and says so', async () => {
  assert.is(
    await reasonOf(simulated({}).perform('fetch', { url })),
    'fetch to auth.internal:8080: no stub for fetch: { fetch: (request) => new Response(…) } gives one',
  )
  const failing = simulated({}, () => {
    throw new Error('the auth service is down')
  })
  assert.is(await reasonOf(failing.perform('fetch', { url })), 'fetch to auth.internal:8080: the auth service is down')
  const odd = simulated({}, () => 'ok' as unknown as Response)
  assert.match(
    await reasonOf(odd.perform('fetch', { url })),
    /the stub for fetch returned no Response, but ok; one that throws lets fetch fail/,
  )
})

test('a stub is asked about what was granted only, redirects included', async () => {
  const { perform, asked } = simulated({}, () => Response.redirect('http://other.internal/'))
  assert.match(await reasonOf(perform('fetch', { url: 'http://other.internal/' })), /takes the permission net:other\.internal:80/)
  assert.match(await reasonOf(perform('fetch', { url, redirect: 'follow' })), /takes the permission net:other\.internal:80/)
  assert.is(asked.length, 1)
})

test('a stub that never answers leaves the fetch to its timeout', async () => {
  const { perform } = simulated({}, () => new Promise(() => {}))
  const alive = setInterval(() => {}, 1000)
  assert.match(await reasonOf(perform('fetch', { url, timeout: '30ms' })), /no complete answer within 30 ms/)
  clearInterval(alive)
})

test('kv begins with what the test gave, and its ttl goes by the clock of the simulation', async () => {
  const { perform, clock, capabilities } = simulated({ auth: { seen: '1' }, other: { a: 'b' } })
  assert.is(await perform('kv.get', { key: 'seen' }), '1')
  await perform('kv.incr', { key: 'hits', ttl: '1m' })
  assert.equal(capabilities.contents(), { auth: { seen: '1', hits: '1' }, other: { a: 'b' } })
  await clock.advance(59_000, async () => {})
  assert.is(await perform('kv.incr', { key: 'hits' }), 2)
  await clock.advance(2000, async () => {})
  assert.equal(capabilities.contents(), { auth: { seen: '1' }, other: { a: 'b' } })
  assert.is(await perform('kv.get', { key: 'hits' }), null)
})

test('kv keeps as much as the config allots, and nothing more', async () => {
  const { perform, capabilities } = simulated({})
  capabilities.allot([
    { name: 'auth', kvBytes: 262_144 },
    { name: 'other', kvBytes: null },
  ])
  await perform('kv.set', { key: 'own', value: '1' }, 'other')
  for (let i = 0; i < 6; i++) await perform('kv.set', { key: `k${i}`, value: 'x'.repeat(65_000) })
  assert.equal(Object.keys(capabilities.contents().auth!), ['k2', 'k3', 'k4', 'k5'])
  assert.equal(capabilities.contents().other, { own: '1' })
})

test('a plugin by itself needs no name', async () => {
  const { perform, capabilities } = simulated({ '': { a: '1' } })
  assert.is(await perform('kv.get', { key: 'a' }, 'whatever'), '1')
  await perform('kv.set', { key: 'b', value: '2' }, 'whatever')
  assert.equal(capabilities.contents(), { '': { a: '1', b: '2' } })
})

test('a test reads what is in kv, of one plugin or by name', async () => {
  const plugin = write(
    'idle.ts',
    `import { definePlugin } from 'sluice/plugin'\nexport default definePlugin({ name: 'idle', setup: () => ({}) })`,
  )
  await using alone = await simulatePlugin(plugin, { kv: { seen: 'yes' }, grant: ['kv'] })
  assert.equal(await alone.kv(), { seen: 'yes' })
  assert.equal(await alone.kv('idle'), { seen: 'yes' })

  const routes = config(`{ path: '/*', respond: respond(200, 'ok') }`)
  await using proxy = await simulate(routes, { kv: { a: { n: '1' }, b: { n: '2' } } })
  assert.equal(await proxy.kv('b'), { n: '2' })
  assert.equal(await proxy.kv('c'), {})
  assert.match(await reasonOf(proxy.kv()), /several plugins have stored something: name one, kv\('a'\)/)
})

test.run()
