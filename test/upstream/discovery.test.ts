/** Endpoints that are discovered: what becomes of those that come, stay and go, and of sources that fail. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import type { Config, Discovery as DiscoveryOption, EndpointOptions } from '../../core/index.ts'
import { dns, file, http, poll, type UpstreamOptions, upstream } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import { discoveredEndpoints } from '../../core/plan/endpoints.ts'
import type { EndpointPlan } from '../../core/plan/upstream-plan.ts'
import { Discovery } from '../../core/upstream/discovery/discovery.ts'
import { dnsSource, srvSource } from '../../core/upstream/discovery/dns.ts'
import { fileSource } from '../../core/upstream/discovery/file.ts'
import type { Found, Source } from '../../core/upstream/discovery/source.ts'
import { eventually } from '../support/deadline.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

type Written = readonly (string | EndpointOptions)[]
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

function configOf(discovery: DiscoveryOption, options: Partial<UpstreamOptions> = {}): Config {
  const to = upstream('api', { discovery, ...options } as never)
  return { listeners: { web: http({ listen: 0, routes: [{ to }] }) } }
}

function addressesOf(proxy: RunningProxy): string[] {
  return proxy.runtime.upstream('api')!.endpoints.map(({ address }) => address)
}

async function startThree(): Promise<Origin[]> {
  return Promise.all(['a', 'b', 'c'].map((name) => startOrigin(() => answer(name))))
}

test('endpoints come and go while requests are served: those that stay keep their connections and what is known of them', async () => {
  const [a, b, c] = (await startThree()) as [Origin, Origin, Origin]
  let now: Written = [a.address, b.address]
  await using proxy = await startProxy({ config: configOf(poll(() => now, { interval: '50ms' })) })
  await eventually(() => (addressesOf(proxy).length === 2 ? true : undefined), 'nothing was found')
  using client = await proxy.connect()
  const ask = async (): Promise<string> => (await client.send(GET).response()).text
  assert.equal([await ask(), await ask()].sort(), ['a', 'b'])
  const kept = proxy.runtime.upstream('api')!.endpoints.find(({ address }) => address === b.address)
  now = [b.address, c.address]
  await eventually(() => (addressesOf(proxy).includes(c.address) ? true : undefined), 'the new one was not found')
  assert.equal([await ask(), await ask()].sort(), ['b', 'c'])
  assert.is(proxy.runtime.upstream('api')!.endpoints.includes(kept!), true)
  assert.equal([b.connections.length, c.connections.length], [1, 1])
  assert.ok(await a.connections[0]!.closed())
  for (const one of [a, b, c]) await one.close()
})

test('a request that is under way at an endpoint that goes is answered by it', async () => {
  let respond = (): void => {}
  await using slow = await startOrigin(() => new Promise((resolve) => (respond = () => resolve(answer('slow')))))
  await using other = await startOrigin(() => answer('other'))
  let now: Written = [slow.address]
  await using proxy = await startProxy({ config: configOf(poll(async () => now, { interval: '50ms' })) })
  await eventually(() => (addressesOf(proxy).length === 1 ? true : undefined), 'nothing was found')
  using client = await proxy.connect()
  client.send(GET)
  await slow.request()
  now = [other.address]
  await eventually(() => (addressesOf(proxy)[0] === other.address ? true : undefined), 'the new one was not found')
  respond()
  assert.is((await client.response()).text, 'slow')
  assert.is((await client.send(GET).response()).text, 'other')
})

test('a source that fails, or tells nonsense, leaves the endpoints as they were; an empty list is believed', async () => {
  await using a = await startOrigin(() => answer('a'))
  let find = (): unknown => [a.address]
  await using proxy = await startProxy({ config: configOf(poll(() => find() as Written, { interval: '50ms' })) })
  await eventually(() => (addressesOf(proxy).length === 1 ? true : undefined), 'nothing was found')
  using client = await proxy.connect()
  for (const next of [
    () => {
      throw new Error('the registry is down')
    },
    () => 'a:1',
    () => ['nonsense'],
    () => Promise.reject(new Error('late')),
  ]) {
    let asked = 0
    find = () => {
      asked++
      return next()
    }
    await eventually(() => (asked >= 2 ? true : undefined), 'it was not asked')
    assert.is((await client.send(GET).response()).text, 'a')
    assert.match(proxy.runtime.upstreamStates[0]!.undiscovered, /^the function of its discovery: /)
  }
  find = () => []
  await eventually(() => (addressesOf(proxy).length === 0 ? true : undefined), 'the empty list was not taken')
  assert.is((await client.send(GET).response()).status, 503)
  assert.is(proxy.runtime.upstreamStates[0]!.undiscovered, '')
})

test('a name that cannot be resolved takes down nothing else', async () => {
  await using a = await startOrigin(() => answer('a'))
  const retries = { attempts: 2, on: ['connect'] } as const
  const one = upstream('one', { discovery: dns('nobody.invalid:80') })
  const half = upstream('half', { endpoints: ['nobody.invalid:1', a.address], retries, outlier: { consecutiveFailures: 1 } })
  const routes = [{ path: '/one', to: one }, { path: '/half', to: half }, { to: a.address }]
  const config = { listeners: { web: http({ listen: 0, routes }) } }
  await using proxy = await startProxy({ origin: a })
  await proxy.runtime.prepare(planOf(config))
  proxy.use({ config })
  using client = await proxy.connect()
  const ask = async (path: string): Promise<string> => {
    const { status, text } = await client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    return status === 200 ? text : String(status)
  }
  assert.equal([await ask('/'), await ask('/half'), await ask('/half'), await ask('/half')], ['a', 'a', 'a', 'a'])
  assert.match(await ask('/one'), /^50[234]$/)
  assert.equal(
    proxy.changes.filter(({ state }) => state === 'undiscovered').map(({ upstream: name }) => name),
    ['one'],
  )
  assert.is(await ask('/'), 'a')
})

test('a plan that was prepared begins with what was found', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using proxy = await startProxy({ origin: a })
  const config = configOf(poll(async () => [a.address], { interval: '1h' }))
  await proxy.runtime.prepare(planOf(config))
  proxy.use({ config })
  // Not the plan that was prepared, but one of the same source.
  assert.equal(addressesOf(proxy), [a.address])
})

test('a name of DNS: from the first request on, and by its addresses as soon as they are known', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using proxy = await startProxy({ config: configOf(dns(`localhost:${a.port}`)) })
  using client = await proxy.connect()
  assert.equal(addressesOf(proxy), [`localhost:${a.port}`])
  assert.is((await client.send(GET).response()).text, 'a')
  await eventually(() => (addressesOf(proxy)[0] === a.address ? true : undefined), 'its address was not found')
  assert.is((await client.send(GET).response()).text, 'a')
})

test('DNS: of both families IPv4 is taken, the order of answers is no change, and what fails is said in words', async () => {
  const answers: [readonly string[] | null, string | null][] = [
    [['10.0.0.2', '10.0.0.1', 'fd00::1'], null],
    [['10.0.0.1', 'fd00::1', '10.0.0.2'], null],
    [['fd00::1'], null],
    [null, 'dns_error'],
    [null, 'dns_timeout'],
  ]
  const cache = { resolve: (_: string, done: (...answer: [readonly string[] | null, string | null]) => void) => done(...answers.shift()!) }
  const source = dnsSource({ kind: 'dns', host: 'api', port: 80, zone: null }, cache as never)
  assert.equal(addresses(await asked(source)), ['10.0.0.1:80', '10.0.0.2:80'])
  assert.equal(addresses(await asked(source)), ['10.0.0.1:80', '10.0.0.2:80'])
  assert.equal(addresses(await asked(source)), ['[fd00::1]:80'])
  assert.is(await asked(source), 'there is no such name, or no address')
  assert.is(await asked(source), 'nobody answers')
})

test('SRV: hosts, ports, weights and priorities of the records; `.` says that there are none', async () => {
  const records = [
    { name: 'b.internal', port: 2, priority: 20, weight: 5 },
    { name: 'a.internal', port: 1, priority: 10, weight: 0 },
  ]
  const answers = [records, [{ name: '.', port: 0, priority: 0, weight: 0 }], [{ name: 'no name', port: 1, priority: 0, weight: 0 }]]
  const cache = { resolveServices: (_: string, done: (records: unknown, error: string) => void) => done(answers.shift(), '') }
  const source = srvSource({ kind: 'srv', name: '_http._tcp.api', zone: null }, cache as never)
  assert.equal(await asked(source), [
    { address: 'a.internal:1', target: { kind: 'name', host: 'a.internal', port: 1 }, weight: 1, group: 20, drain: null },
    { address: 'b.internal:2', target: { kind: 'name', host: 'b.internal', port: 2 }, weight: 5, group: 40, drain: null },
  ])
  assert.equal(await asked(source), [])
  assert.match(String(await asked(source)), /is no endpoint: its address is none$/)
})

test('a file is read when it is another one; half a file changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-discovery-'))
  const path = join(folder, 'endpoints.json')
  const source = fileSource({ kind: 'file', path, zone: 'a' })
  const write = (text: string): void => {
    writeFileSync(`${path}.next`, text)
    renameSync(`${path}.next`, path)
  }
  try {
    assert.match(String(await asked(source)), /ENOENT/)
    write('["10.0.0.1:80", { "address": "10.0.0.2:80", "weight": 3, "zone": "a" }]')
    const first = await asked(source)
    assert.equal(
      (first as EndpointPlan[]).map(({ address, weight, group }) => [address, weight, group]),
      [
        ['10.0.0.1:80', 1, 1],
        ['10.0.0.2:80', 3, 0],
      ],
    )
    assert.is(await asked(source), first)
    write('["10.0.0.1:80", ')
    assert.match(String(await asked(source)), /JSON/)
    write('["10.0.0.3:80"]')
    assert.equal(addresses(await asked(source)), ['10.0.0.3:80'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a source that never answers has failed after half a minute; what it says then does not count', () => {
  let now = 0
  const deadlines = new Deadlines(50, () => now)
  const asks: Found[] = []
  const told: string[] = []
  const source = { name: 'x', everyMs: 1000, ask: (done: Found) => void asks.push(done) }
  const events = {
    changed: (found: readonly EndpointPlan[]) => told.push(...addresses(found)),
    failed: (why: string) => told.push(why),
    recovered: () => told.push('recovered'),
    leftOut: (what: string) => told.push(`without ${what}`),
  }
  const discovery = new Discovery(source, { deadlines, events, before: null })
  const pass = (ms: number): void => {
    now += ms
    deadlines.now = now
    if (discovery.dueAt <= now) discovery.onDeadline()
  }
  discovery.start()
  pass(1100)
  pass(29_000)
  assert.is(asks.length, 1)
  pass(2000)
  assert.equal(told, ['no answer in 30 s'])
  asks[0]!(discoveredEndpoints(['10.0.0.1:80'], null))
  assert.is(discovery.endpoints, null)
  pass(2000)
  asks[1]!(discoveredEndpoints(['10.0.0.2:80'], null))
  asks[1]!('twice')
  assert.equal(told, ['no answer in 30 s', '10.0.0.2:80'])
  // The same again is nothing new, unless it could not be had in between.
  for (const found of [['10.0.0.2:80'], 'away', ['10.0.0.2:80']] as const) {
    pass(2000)
    asks.at(-1)!(typeof found === 'string' ? found : discoveredEndpoints([...found], null))
  }
  assert.equal(told.slice(2), ['away', 'recovered'])
  discovery.stop()
  deadlines.stop()
})

test('whatever is told, it is a list of endpoints or one sentence', () => {
  const endpoint = fc.record({ address: fc.oneof(fc.string(), fc.constant('10.0.0.1:80')), weight: fc.anything() }, { requiredKeys: [] })
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.array(fc.oneof(endpoint, fc.string(), fc.anything()))), (found) => {
      try {
        for (const { address, weight, target } of discoveredEndpoints(found, null))
          assert.ok(typeof address === 'string' && Number.isInteger(weight) && weight >= 0 && target.kind !== undefined)
      } catch (error) {
        assert.match((error as Error).message, /^it told |is no endpoint: /)
      }
    }),
  )
  assert.is(discoveredEndpoints(['10.0.0.1:80', '10.0.0.1:80'], null).length, 1)
  assert.throws(() => discoveredEndpoints(['https://10.0.0.1'], null), /has no scheme/)
  assert.throws(() => discoveredEndpoints(new Array(10_001).fill('10.0.0.1:80'), null), /10000 are the most/)
})

test('TLS to what was found by a name asks for that name', () => {
  const plan = (discovery: DiscoveryOption, tls: UpstreamOptions['tls']) => planOf(configOf(discovery, { tls })).upstreams.get('api')!
  assert.is(plan(dns('api.internal:443'), true).tls!.servername, 'api.internal')
  assert.is(plan(dns('api.internal:443'), { servername: 'other' }).tls!.servername, 'other')
  assert.is(plan(file('./e.json'), true).tls!.servername, null)
  assert.equal(plan(file('./e.json'), false).discovery, { kind: 'file', path: '/e.json', zone: null })
})

function planOf(config: Config) {
  return compilePlan(config, { generation: 1, folder: '/', bindUse: () => assert.unreachable() as never })
}

function addresses(found: readonly EndpointPlan[] | string): string[] {
  return typeof found === 'string' ? [found] : found.map(({ address }) => address)
}

function asked(source: Source): Promise<readonly EndpointPlan[] | string> {
  return new Promise((resolve) => source.ask(resolve))
}

test.run()
