/** Endpoints that come, drain and go while requests are served: who gets what, and what the upstream goes on to know. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Config, http, type Sticky, upstream } from '../../core/index.ts'
import type { EndpointChange } from '../../core/upstream/endpoint-changes.ts'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

interface Options {
  readonly sticky?: Sticky
  readonly more?: object
}

function configOf(origins: readonly Origin[], { sticky, more }: Options = {}): Config {
  const to = upstream('api', { endpoints: origins.map(({ address }) => address), sticky, ...more })
  return { listeners: { web: http({ listen: 0, routes: [{ to }] }) } }
}

/** They tell their names, and how they fare. */
async function startThree(status: Record<string, number> = {}): Promise<[Origin, Origin, Origin]> {
  const start = (name: string): Promise<Origin> => startOrigin(() => answer(name, status[name] ?? 200))
  return [await start('a'), await start('b'), await start('c')]
}

async function closeAll(origins: readonly Origin[]): Promise<void> {
  for (const origin of origins) await origin.close()
}

function changeOf({ address }: Origin, change: Partial<EndpointChange>): EndpointChange {
  return { upstream: 'api', address, added: null, isRemoved: false, drain: null, until: null, ...change }
}

const ADDED = { weight: 1, priority: 0, zone: null }

async function ask(c: Client, cookie = ''): Promise<{ text: string; status: number; cookie: string }> {
  const line = cookie === '' ? '' : `Cookie: ${cookie}\r\n`
  const { text, status, headers } = await c.send(`GET / HTTP/1.1\r\nHost: x\r\n${line}\r\n`).response()
  return { text, status, cookie: headers['set-cookie']?.split(';')[0] ?? cookie }
}

async function names(c: Client, count: number): Promise<string> {
  const found = new Set<string>()
  for (let i = 0; i < count; i++) found.add((await ask(c)).text)
  return [...found].sort().join('')
}

function stateOf(proxy: RunningProxy) {
  return proxy.runtime.upstreamStates[0]!
}

test('one that is added gets requests, one that is removed gets none and its idle connections go', async () => {
  const [a, b, c] = await startThree()
  await using proxy = await startProxy({ config: configOf([a, b]) })
  using client = await proxy.connect()
  assert.is(await names(client, 4), 'ab')
  proxy.runtime.changeEndpoints([changeOf(c, { added: ADDED }), changeOf(a, { isRemoved: true })])
  assert.is(await names(client, 4), 'bc')
  assert.ok(await a.connections[0]!.closed())
  assert.equal(
    [stateOf(proxy).removed, stateOf(proxy).endpoints.map(({ address, isAdded }) => [address, isAdded])],
    [
      [a.address],
      [
        [b.address, false],
        [c.address, true],
      ],
    ],
  )
  // Another plan changes nothing about that, and one that names the added one has it once.
  proxy.use({ config: configOf([a, b, c], { more: { idleConnections: 10 } }) })
  assert.equal(
    stateOf(proxy).endpoints.map(({ address, isAdded }) => [address, isAdded]),
    [
      [b.address, false],
      [c.address, false],
    ],
  )
  proxy.runtime.changeEndpoints([])
  assert.is(await names(client, 6), 'abc')
  await closeAll([a, b, c])
})

test('one that drains finishes what runs and gets nothing new, but of those that stay with it, until they are let go', async () => {
  const [a, b, c] = await startThree()
  await using proxy = await startProxy({ config: configOf([a, b], { sticky: { cookie: 'lb' } }) })
  using client = await proxy.connect()
  const first = await ask(client)
  const [mine, other] = first.text === 'a' ? [a, b] : [b, a]
  proxy.runtime.changeEndpoints([changeOf(mine, { drain: 'sticky', until: 1 })])
  assert.is(await names(client, 4), first.text === 'a' ? 'b' : 'a')
  assert.equal(await ask(client, first.cookie), { text: first.text, status: 200, cookie: first.cookie })
  proxy.runtime.changeEndpoints([changeOf(mine, { drain: 'all' })])
  const moved = await ask(client, first.cookie)
  assert.is.not(moved.text, first.text)
  assert.is.not(moved.cookie, first.cookie)
  assert.is((await proxy.exchange(7)).moved, 'drained')
  // Nobody comes any more: what was kept open is closed.
  assert.ok(await mine.connections[0]!.closed())
  proxy.runtime.changeEndpoints([])
  assert.is((await ask(client, first.cookie)).text, first.text)
  assert.ok(other.requests.length > 0)
  await closeAll([a, b, c])
})

test('where the only endpoint drains its clients stay, and for others there is nobody', async () => {
  const [a, b, c] = await startThree()
  await using proxy = await startProxy({ config: configOf([a], { sticky: { cookie: 'lb' } }) })
  using client = await proxy.connect()
  const { cookie } = await ask(client)
  proxy.runtime.changeEndpoints([changeOf(a, { drain: 'sticky' })])
  assert.equal([(await ask(client, cookie)).text, (await ask(client)).status], ['a', 503])
  proxy.runtime.changeEndpoints([changeOf(a, { drain: 'all' })])
  assert.is((await ask(client, cookie)).status, 503)
  await closeAll([a, b, c])
})

test('the circuit, ejections and the retry budget outlive a change of the endpoints', async () => {
  const status: Record<string, number> = { a: 500, b: 500 }
  const { deadlines } = turnable()
  const [a, b, c] = await startThree(status)
  const more = {
    circuitBreaker: { failureRatio: 0.5, minRequests: 4, openFor: '10s' },
    outlier: { consecutiveFailures: 2 },
    retries: { attempts: 2, on: ['connect'] },
  } as const
  await using proxy = await startProxy({ config: configOf([a, b], { more }), deadlines })
  using client = await proxy.connect()
  for (let i = 0; i < 4; i++) await ask(client)
  const states = (): (string | boolean)[] => [stateOf(proxy).circuit!, ...stateOf(proxy).endpoints.map(({ isEjected }) => isEjected)]
  assert.equal(states(), ['open', true, false])
  const { budget } = proxy.runtime.upstream('api')!.safeguards!
  proxy.runtime.changeEndpoints([changeOf(c, { added: ADDED })])
  assert.equal(states(), ['open', true, false, false])
  assert.is((await ask(client)).status, 503)
  assert.is(proxy.runtime.upstream('api')!.safeguards!.budget, budget)
  // Of a set of which nobody stays, nothing is known.
  proxy.runtime.changeEndpoints([changeOf(a, { isRemoved: true }), changeOf(b, { isRemoved: true })])
  proxy.runtime.changeEndpoints([changeOf(a, { isRemoved: true }), changeOf(b, { isRemoved: true }), changeOf(c, { added: ADDED })])
  assert.equal(states(), ['closed', false])
  assert.is((await ask(client)).text, 'c')
  await closeAll([a, b, c])
})

test('who waits for a connection gets one of an endpoint that has come meanwhile', async () => {
  let release = (): void => {}
  await using slow = await startOrigin(() => new Promise((resolve) => (release = () => resolve(answer('slow')))))
  await using quick = await startOrigin(() => answer('quick'))
  const more = { limits: { connections: 1, pending: 10, maxWait: '60s' } }
  await using proxy = await startProxy({ config: configOf([slow], { more }) })
  using one = await proxy.connect()
  using two = await proxy.connect()
  one.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await slow.request()
  two.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => (proxy.waiting === 1 ? true : undefined), 'nobody waits')
  proxy.runtime.changeEndpoints([changeOf(quick, { added: ADDED })])
  release()
  assert.is((await one.response()).text, 'slow')
  // It chose before the other was there.
  await slow.request(2)
  release()
  assert.is((await two.response()).text, 'slow')
  assert.is(proxy.waiting, 0)
})

test.run()
