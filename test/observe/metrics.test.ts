/** What workers count and what a scrape shows of it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Counters } from '../../core/observe/counters.ts'
import { LineSink } from '../../core/observe/line-sink.ts'
import { Metrics } from '../../core/observe/metrics.ts'
import { StoreNews } from '../../core/observe/store-news.ts'
import { Traffic } from '../../core/observe/traffic.ts'
import type { UpstreamState } from '../../core/upstream/upstream-state.ts'
import { anExchange } from '../support/exchange.ts'

test('exchanges of two workers add up', async () => {
  const metrics = newMetrics()
  for (const pid of [1, 2]) {
    const worker = newWorker()
    for (let i = 0; i < 3; i++) worker.traffic.exchangeEnded(anExchange())
    worker.traffic.exchangeEnded(anExchange({ status: 502, reason: 'connect_refused', upstreamMs: Number.NaN, attempts: 2 }))
    metrics.absorb(pid, worker.counters.snapshot())
  }
  const shown = await scrape(metrics)
  assert.is(shown.get('sluice_requests_total{listener="web",route="web[0]",status="2xx"}'), 6)
  assert.is(shown.get('sluice_requests_total{listener="web",route="web[0]",status="5xx"}'), 2)
  assert.is(shown.get('sluice_errors_total{reason="connect_refused"}'), 2)
  assert.is(shown.get('sluice_sent_bytes_total{listener="web",route="web[0]"}'), 8 * 95)
  assert.is(shown.get('sluice_upstream_requests_total{upstream="api",endpoint="127.0.0.1:3001",outcome="2xx"}'), 6)
  assert.is(shown.get('sluice_upstream_requests_total{upstream="api",endpoint="127.0.0.1:3001",outcome="failed"}'), 2)
  assert.is(shown.get('sluice_upstream_retries_total{upstream="api"}'), 2)
  assert.is(shown.get('sluice_log_dropped_total'), 0)
})

test('stores that cannot be reached are told with the workers that miss them, and no others', () => {
  const metrics = newMetrics()
  const workers = [1, 2].map((pid) => ({ pid, ...newWorker() }))
  const absorb = (): void => {
    for (const { pid, counters } of workers) metrics.absorb(pid, counters.snapshot())
  }
  for (const { counters } of workers) {
    const news = new StoreNews(counters, () => {})
    news.changed('redis://a', true, 'x')
    news.changed('redis://b', true, 'x')
    news.changed('redis://b', false, '')
  }
  absorb()
  assert.equal([...metrics.awayStores()], [['redis://a', 2]])
})

test('what plugins keep in kv is told for each', async () => {
  const shown = await scrape(newMetrics())
  const told = ['bytes', 'max_bytes', 'keys', 'evictions_total'].map((name) => shown.get(`sluice_plugin_kv_${name}{plugin="geo"}`))
  assert.equal(told, [1000, 5000, 3, 4])
})

test('a histogram counts each exchange in its bucket and all above', async () => {
  const metrics = newMetrics()
  const { traffic, counters } = newWorker()
  for (const durationMs of [0.5, 1, 3, 700, 60_000]) traffic.exchangeEnded(anExchange({ durationMs }))
  metrics.absorb(1, counters.snapshot())
  const shown = await scrape(metrics)
  const bucket = (le: string): number | undefined =>
    shown.get(`sluice_request_duration_seconds_bucket{listener="web",route="web[0]",le="${le}"}`)
  assert.equal(
    [bucket('0.001'), bucket('0.0025'), bucket('0.005'), bucket('0.5'), bucket('1'), bucket('30'), bucket('+Inf')],
    [2, 2, 3, 3, 4, 4, 5],
  )
  assert.is(shown.get('sluice_request_duration_seconds_count{listener="web",route="web[0]"}'), 5)
  assert.ok(Math.abs(shown.get('sluice_request_duration_seconds_sum{listener="web",route="web[0]"}')! - 60.7045) < 1e-6)
})

test('what an ended worker counted stays counted, what it had open does not', async () => {
  const metrics = newMetrics()
  const first = newWorker()
  first.traffic.connectionOpened('web')
  first.traffic.exchangeEnded(anExchange())
  metrics.absorb(1, first.counters.snapshot())
  metrics.retire(1)
  const second = newWorker()
  second.traffic.connectionOpened('web')
  second.traffic.connectionOpened('web')
  second.traffic.connectionClosed('web')
  second.traffic.exchangeEnded(anExchange())
  metrics.absorb(2, second.counters.snapshot())
  const shown = await scrape(metrics)
  assert.is(shown.get('sluice_requests_total{listener="web",route="web[0]",status="2xx"}'), 2)
  assert.is(shown.get('sluice_request_duration_seconds_count{listener="web",route="web[0]"}'), 2)
  assert.is(shown.get('sluice_connections_total{listener="web"}'), 3)
  assert.is(shown.get('sluice_connections{listener="web"}'), 1)
})

test('no series is named by what a client can choose, and routes beyond the limit share one', async () => {
  const metrics = newMetrics()
  const { traffic, counters } = newWorker()
  for (let i = 0; i < 2_500; i++)
    traffic.exchangeEnded(anExchange({ route: `web[${i}]`, path: `/${i}`, host: `h${i}`, upstream: null, endpoint: null }))
  metrics.absorb(1, counters.snapshot())
  const shown = await scrape(metrics)
  assert.is(shown.get('sluice_requests_total{listener="web",route="other",status="2xx"}'), 500)
  assert.ok(shown.size < 2_100 * 21)
})

test('series of endpoints that are gone go, their place is used again, and no sum goes back', async () => {
  const metrics = newMetrics()
  const { traffic, counters } = newWorker()
  const state = (...addresses: string[]): UpstreamState[] =>
    [{ name: 'api', endpoints: addresses.map((address) => ({ address })) }] as never
  const ask = (endpoint: string): void => {
    traffic.dialled('api', endpoint, true)
    traffic.exchangeEnded(anExchange({ endpoint }))
    traffic.upstreamChanged({ upstream: 'api', endpoint, state: 'ejected', why: 'x', isShared: false })
    traffic.upstreamChanged({ upstream: 'api', endpoint, state: 'available', why: 'x', isShared: false })
    traffic.upstreamClosed('api', endpoint)
  }
  const scraped = async () => {
    metrics.absorb(1, counters.snapshot())
    return scrape(metrics)
  }
  const told = (shown: Map<string, number>, endpoint: string) =>
    ['requests_total', 'dials_total', 'ejections_total'].map((family) => {
      const rest = { requests_total: ',outcome="2xx"', dials_total: ',outcome="ok"', ejections_total: '' }[family]
      return shown.get(`sluice_upstream_${family}{upstream="api",endpoint="${endpoint}"${rest}}`)
    })
  for (const endpoint of ['a', 'b', 'b']) ask(endpoint)
  traffic.dialled('api', 'b', true)
  const before = await scraped()
  assert.equal(
    [told(before, 'a'), told(before, 'b')],
    [
      [1, 1, 1],
      [2, 3, 2],
    ],
  )
  traffic.keepOnly(state('c'))
  // Something of it is still open.
  const between = await scraped()
  assert.equal(
    [told(between, 'a'), told(between, 'b'), told(between, 'other')],
    [
      [undefined, undefined, undefined],
      [2, 3, undefined],
      [1, 1, 3],
    ],
  )
  traffic.upstreamClosed('api', 'b')
  traffic.keepOnly(state('c'))
  ask('c')
  const after = await scraped()
  assert.equal(
    [told(after, 'b'), told(after, 'c'), told(after, 'other')],
    [
      [undefined, undefined, undefined],
      [1, 1, 1],
      [3, 4, 3],
    ],
  )
  assert.ok(![...after.keys()].some((series) => /endpoint="[ab]"/.test(series)), [...after.keys()].join('\n'))
  // Weeks of it.
  const { length } = counters.snapshot().values
  for (let i = 0; i < 5_000; i++) {
    ask(`e${i}`)
    if (i % 500 === 0) traffic.keepOnly(state('c'))
  }
  assert.ok(counters.snapshot().values.length < length + 500 * 15, `${counters.snapshot().values.length} slots`)
  // Another worker has none of these names.
  metrics.absorb(1, counters.snapshot())
  traffic.keepOnly(state('c'))
  assert.equal(told(await scraped(), 'other'), [5_003, 5_004, 5_003])
})

test('of workers that have ended so much is kept, and what was counted of endpoints that are gone is in `other`', async () => {
  const metrics = newMetrics()
  for (let worker = 1; worker <= 30; worker++) {
    const { traffic, counters } = newWorker()
    for (let i = 0; i < 200; i++) traffic.exchangeEnded(anExchange({ endpoint: `${worker}.${i}` }))
    metrics.absorb(worker, counters.snapshot())
    metrics.retire(worker)
  }
  const shown = await scrape(metrics)
  const sum = [...shown].reduce((all, [name, value]) => all + (name.startsWith('sluice_upstream_requests_total') ? value : 0), 0)
  assert.is(sum, 6_000)
  assert.ok(shown.size < 20_000, String(shown.size))
  assert.ok(shown.get('sluice_upstream_requests_total{upstream="api",endpoint="other",outcome="2xx"}')! > 0)
})

test('plugins are counted by call, crossing, time and failure', async () => {
  const metrics = newMetrics()
  const { traffic, counters, lines } = newWorker()
  traffic.pluginCalled('tag', 20, 3)
  traffic.pluginCalled('tag', 5, 1)
  traffic.pluginFailed('tag', 'timeout', 'onRequest took 5 ms')
  metrics.absorb(1, counters.snapshot())
  const shown = await scrape(metrics)
  assert.is(shown.get('sluice_plugin_calls_total{plugin="tag"}'), 25)
  assert.is(shown.get('sluice_plugin_crossings_total{plugin="tag"}'), 2)
  assert.is(shown.get('sluice_plugin_seconds_total{plugin="tag"}'), 0.004)
  assert.is(shown.get('sluice_plugin_failures_total{plugin="tag",why="timeout"}'), 1)
  assert.equal(lines, ['took too long: onRequest took 5 ms'])
})

test('counters and their names still fit together after the array has grown', () => {
  const counters = new Counters()
  const slots = Array.from({ length: 1_000 }, (_, i) => counters.add('connections_total', `l${i}`))
  for (const slot of slots) counters.values[slot]! += 1
  const { delta, values } = counters.snapshot()
  assert.is(delta.length, 1_000)
  assert.is(values.length, 1_000)
  assert.ok(values.every((value) => value === 1))
  assert.equal(counters.snapshot().delta, [])
})

test.run()

function newMetrics(): Metrics {
  const reloading = { reloads: { ok: 3, failed: 1 }, lastReloadOk: false, loadedAt: 1_790_000_000 }
  return new Metrics(() => ({
    version: '1',
    workers: 2,
    generation: 1,
    restarts: { SIGKILL: 1 },
    pluginCrashes: { geo: 2 },
    kv: [{ plugin: 'geo', bytes: 1000, maxBytes: 5000, keys: 3, evictions: 4 }],
    ...reloading,
    memoryBytes: 1,
  }))
}

function newWorker(): { traffic: Traffic; counters: Counters; lines: string[] } {
  const counters = new Counters()
  counters.add('log_dropped_total')
  const lines: string[] = []
  const sink = new LineSink({ path: '/dev/null', onDrops: () => {} })
  const traffic = new Traffic({ counters, sink, onChangeLine: () => {}, onPluginLine: ({ text }) => lines.push(text) })
  return { traffic, counters, lines }
}

/** Series with their labels, and values. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const text = await metrics.text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}
