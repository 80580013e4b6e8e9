/** What is told of endpoints that change: one line of the log for each change, and counters that come out even. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { changeLine } from '../../core/observe/upstream-changes.ts'
import { Told } from '../support/told.ts'

test('each change is one line that says who, what and why', () => {
  const change = {
    upstream: 'api',
    endpoint: '10.0.0.1:80',
    state: 'ejected',
    why: 'for 30 s: 5 failures in a row, the last: connect_refused',
    isShared: false,
  } as const
  assert.equal(changeLine(change), {
    level: 'warn',
    text: 'endpoint 10.0.0.1:80 of api is ejected for 30 s: 5 failures in a row, the last: connect_refused',
    fields: { upstream: 'api', endpoint: '10.0.0.1:80', state: 'ejected' },
  })
  assert.equal(changeLine({ upstream: 'api', endpoint: null, state: 'panic', why: '1 of 3 endpoints are available', isShared: false }), {
    level: 'warn',
    text: 'upstream api uses all its endpoints, for only 1 of 3 endpoints are available',
    fields: { upstream: 'api', state: 'panic' },
  })
})

test('counters say how often endpoints were ejected, and how many are kept off now', () => {
  using told = new Told()
  const change = (endpoint: string | null, state: Parameters<typeof changeLine>[0]['state']): void =>
    told.traffic.upstreamChanged({ upstream: 'api', endpoint, state, why: 'x', isShared: false })
  for (const endpoint of ['a', 'b']) change(endpoint, 'ejected')
  change('a', 'unhealthy')
  change(null, 'panic')
  const counted = () => [told.count('upstream_ejections_total'), told.count('upstream_unavailable'), told.count('upstream_panic')]
  assert.equal(counted(), [2, 3, 1])
  for (const endpoint of ['a', 'b']) change(endpoint, 'available')
  change('a', 'healthy')
  change(null, 'calm')
  assert.equal(counted(), [2, 0, 0])
  assert.is(told.changes.length, 8)
})

test('what is counted first of a series is counted, wherever its place is', () => {
  using told = new Told()
  for (let i = 0; i < 300; i++) {
    told.traffic.retryRefused(`refused ${i}`)
    told.traffic.queued(`queued ${i}`, 1)
    told.traffic.upstreamChanged({ upstream: `open ${i}`, endpoint: null, state: 'open', why: 'x', isShared: false })
    told.traffic.pluginFailed(`plugin ${i}`, 'threw', 'x')
  }
  const families = ['upstream_retries_refused_total', 'upstream_waiting', 'upstream_circuit_open', 'plugin_failures_total']
  assert.equal(
    families.map((family) => told.count(family)),
    [300, 300, 300, 300],
  )
})

test('endpoints that come and go do not make the counters grow without end', () => {
  using told = new Told()
  for (let i = 0; i < 5_000; i++)
    for (const state of ['ejected', 'available'] as const)
      told.traffic.upstreamChanged({ upstream: 'api', endpoint: `e${i}`, state, why: 'x', isShared: false })
  assert.equal([told.count('upstream_ejections_total'), told.count('upstream_unavailable')], [5_000, 0])
  assert.ok(told.series < 2_100, `${told.series} series`)
})

test('a source that fails is counted until it answers, or until its upstream is gone', () => {
  using told = new Told()
  const change = (upstream: string, state: 'discovered' | 'undiscovered' | 'open'): void =>
    told.traffic.upstreamChanged({ upstream, endpoint: null, state, why: 'x', isShared: false })
  const counted = () => [told.count('upstream_undiscovered'), told.count('upstream_circuit_open')]
  for (const name of ['a', 'b']) change(name, 'undiscovered')
  change('b', 'open')
  change('b', 'undiscovered')
  assert.equal(counted(), [2, 1])
  change('a', 'discovered')
  assert.equal(counted(), [1, 1])
  told.traffic.keepOnly([])
  assert.equal(counted(), [0, 0])
})

test('a parent is told as the one of its listener', () => {
  const change = { upstream: 'parents of out', endpoint: 'http://a:1', why: 'for 10 s: it is away', isShared: false }
  assert.is(changeLine({ ...change, state: 'ejected' }).text, 'parent http://a:1 of out is ejected for 10 s: it is away')
})

test.run()
