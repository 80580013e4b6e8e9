/** Endpoints that stand by, and endpoints that are slow to start. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BalancerKind } from '../../core/balancer/balancer.ts'
import { spread } from '../../core/balancer/hash.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { type EndpointOptions, http, type UpstreamOptions, upstream } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import type { UpstreamPlan } from '../../core/plan/upstream-plan.ts'
import { EndpointHealth } from '../../core/upstream/availability.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { Endpoint } from '../../core/upstream/endpoint.ts'
import { Pool } from '../../core/upstream/pool.ts'
import { Upstream } from '../../core/upstream/upstream.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

function planOf(endpoints: readonly (string | EndpointOptions)[], options: Partial<UpstreamOptions> = {}): UpstreamPlan {
  const to = upstream('api', { endpoints, ...options } as UpstreamOptions)
  const config = { listeners: { web: http({ listen: 0, routes: [{ to }] }) } }
  const plan = compilePlan(config, { generation: 1, folder: '/', bindUse: () => assert.unreachable() as never })
  return plan.upstreams.get('api')!
}

const HOUR = 3_600_000

/** With a clock that is put forward by hand. */
function start(plan: UpstreamPlan) {
  let now = 0
  let drawn = 0
  const deadlines = new Deadlines(50, () => now)
  const endpoints = plan.endpoints.map((endpoint) => {
    const options = { target: endpoint.target, tls: null, proxyProtocol: null, connectMs: 1, keepAliveMs: 1, maxIdle: 1 }
    return new Endpoint(endpoint, new Pool(options, { dns: new DnsCache(), deadlines, counted() {} }))
  })
  const events = { dialled() {}, upstreamClosed() {}, upstreamChanged() {}, limitMoved() {}, buffered() {}, queued() {} }
  const random = (): number => spread(drawn++) / 0x1_0000_0000
  const own = new Upstream(plan, endpoints, { events, deadlines, random, now: () => now, secret: new Uint8Array(32), verdictChanged() {} })
  const asked = (ip: string) => ({ ip, request: null, view: () => null })
  return {
    endpoints,
    upstream: own,
    pass: (ms: number) => {
      now += ms
      deadlines.now = now
    },
    choose: (ip = '', tried: readonly Endpoint[] | null = null) => own.choose(tried, asked(ip))?.address ?? null,
    count(picks: number): Record<string, number> {
      const counts: Record<string, number> = {}
      for (let i = 0; i < picks; i++) {
        const address = own.choose(null, asked(`10.0.${i >> 8}.${i & 255}`))!.address
        counts[address] = (counts[address] ?? 0) + 1
      }
      return counts
    },
  }
}

const [A, B, C, D] = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'] as const

test('endpoints fall into groups by priority, and in each by zone; without either there is one', () => {
  // In which order they are asked: the numbers themselves are nobody's business.
  const groups = ({ endpoints }: UpstreamPlan): number[] => {
    const ranks = [...new Set(endpoints.map(({ group }) => group))].sort((a, b) => a - b)
    return endpoints.map(({ group }) => ranks.indexOf(group))
  }
  assert.equal(groups(planOf([A, { address: B, weight: 2 }])), [0, 0])
  assert.equal(
    groups(
      planOf([
        { address: A, priority: 5 },
        { address: B, priority: 1 },
        { address: C, priority: 5 },
      ]),
    ),
    [1, 0, 1],
  )
  const zoned = [
    { address: A, zone: 'a' },
    { address: B, zone: 'b' },
    { address: C, zone: 'a', priority: 1 },
    { address: D, priority: 1 },
  ]
  assert.equal(groups(planOf(zoned)), [0, 0, 1, 1])
  assert.equal(groups(planOf(zoned, { zone: 'b' })), [1, 0, 2, 2])
  assert.equal(groups(planOf(zoned, { zone: 'a' })), [0, 1, 2, 3])
})

test('where endpoints stand by, they take over when none of the first is left, and not all of the failing ones are used again', () => {
  assert.is(planOf([A, B]).panic, 0.5)
  assert.is(planOf([A, { address: B, priority: 1 }]).panic, 0)
  assert.is(planOf([A, { address: B, priority: 1 }], { panic: 0.3 }).panic, 0.3)
})

test('the next group gets requests only when none of the first takes any', async () => {
  await using a = await startOrigin(({ target }) => answer('a', target === '/fail' ? 500 : 200))
  await using b = await startOrigin(({ target }) => answer('b', target === '/fail' ? 500 : 200))
  await using backup = await startOrigin(() => answer('backup'))
  const endpoints = [{ address: backup.address, priority: 1 }, a.address, b.address]
  const to = upstream('api', { endpoints, outlier: { consecutiveFailures: 1, ejectFor: '1h', maxEjected: 1 } })
  await using proxy = await startProxy({ config: { listeners: { web: http({ listen: 0, routes: [{ to }] }) } } })
  using c = await proxy.connect()
  const ask = async (path: string): Promise<string> => (await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()).text
  assert.equal([await ask('/'), await ask('/'), await ask('/'), await ask('/')].sort(), ['a', 'a', 'b', 'b'])
  const first = await ask('/fail')
  const left = first === 'a' ? 'b' : 'a'
  for (let i = 0; i < 4; i++) assert.is(await ask('/'), left)
  assert.is(await ask('/fail'), left)
  for (let i = 0; i < 4; i++) assert.is(await ask('/'), 'backup')
})

test('an attempt that failed in the first group is tried again in the next, if nothing else is left there', () => {
  const { endpoints, choose } = start(planOf([A, { address: B, priority: 1 }]))
  assert.is(choose(), A)
  assert.is(choose('', [endpoints[0]!]), B)
  assert.is(choose('', endpoints), A)
})

const kinds: readonly BalancerKind['kind'][] = ['roundRobin', 'random', 'leastRequest']
for (const kind of kinds)
  test(`${kind}: an endpoint that begins gets a tenth of its share, then more and more, then all of it`, () => {
    const balancer = { kind: 'balancer', name: kind, options: {} } as NonNullable<UpstreamOptions['balancer']>
    const { endpoints, count, pass } = start(planOf([A, B], { slowStart: '1h', balancer }))
    pass(HOUR)
    endpoints[1]!.availableSince = HOUR
    const shares: number[] = []
    for (const ms of [0, HOUR / 2, HOUR / 2]) {
      pass(ms)
      const counts = count(4000)
      shares.push((counts[B] ?? 0) / (counts[A] ?? 0))
    }
    for (const [i, wanted] of [0.1, 0.5, 1].entries()) assert.ok(Math.abs(shares[i]! - wanted) < 0.12, `${kind}: ${shares}`)
  })

test('ringHash: while an endpoint begins each client moves to it once and stays', () => {
  const balancer = { kind: 'balancer', name: 'ringHash', options: { key: 'ip' } } as const
  const { endpoints, choose, pass } = start(planOf([A, B], { slowStart: '1h', balancer }))
  pass(HOUR)
  endpoints[1]!.availableSince = HOUR
  const seen = new Map<string, string[]>()
  for (let step = 0; step <= 10; step++) {
    for (let i = 0; i < 100; i++) seen.set(`${i}`, [...(seen.get(`${i}`) ?? []), choose(`10.0.0.${i}`)!])
    pass(HOUR / 10)
  }
  const moves = [...seen.values()].map((addresses) => addresses.filter((address, i) => i > 0 && address !== addresses[i - 1]).length)
  assert.ok(moves.every((times) => times <= 1))
  assert.ok(moves.filter((times) => times === 1).length > 20)
})

test('one that is slow to start takes all if there is no other', () => {
  const { endpoints, choose } = start(planOf([A, B], { slowStart: '1h' }))
  for (const endpoint of endpoints) endpoint.availableSince = 0
  for (let i = 0; i < 20; i++) assert.ok(choose() !== null)
})

test('what was there from the beginning starts at once; what a reload adds, or what was ejected, is slow to start', async () => {
  await using a = await startOrigin(({ target }) => answer('a', target === '/fail' ? 500 : 200))
  await using b = await startOrigin(() => answer('b'))
  const config = (endpoints: readonly string[]) => ({
    listeners: {
      web: http({ listen: 0, routes: [{ to: upstream('api', { endpoints, slowStart: '1h', balancer: (all) => all.at(-1)!.address }) }] }),
    },
  })
  await using proxy = await startProxy({ config: config([a.address]) })
  using c = await proxy.connect()
  const ask = async (): Promise<string> => (await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).text
  assert.is(await ask(), 'a')
  proxy.use({ config: config([a.address, b.address]) })
  const texts: string[] = []
  for (let i = 0; i < 40; i++) texts.push(await ask())
  // The function takes the last that it is shown: b, where it was not too early for it.
  const share = texts.filter((text) => text === 'b').length
  assert.ok(share < 20, `${share} of 40`)
})

test('health that comes back begins a slow start', () => {
  const { endpoints, upstream: own, pass } = start(planOf([A, B], { slowStart: '1h', outlier: { consecutiveFailures: 1, ejectFor: '1m' } }))
  assert.instance(endpoints[1]!.health, EndpointHealth)
  own.safeguards!.availability!.record(endpoints[1]!, 'status 500', 1)
  assert.ok(endpoints[1]!.health!.isEjected)
  pass(60_001)
  own.safeguards!.availability!.onDeadline()
  assert.is(endpoints[1]!.availableSince, 60_001)
  assert.is(endpoints[0]!.availableSince, Number.NEGATIVE_INFINITY)
})

test.run()
