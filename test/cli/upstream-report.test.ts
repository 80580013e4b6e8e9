/** What is told of upstreams: what each worker says, taken together, and in a few lines for people. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { reportUpstreams, upstreamLines, withoutHealthy } from '../../core/cli/upstream-report.ts'
import type { EndpointState, UpstreamState } from '../../core/upstream/upstream-state.ts'

const endpoint = (address: string, state: Partial<EndpointState> = {}): EndpointState => ({
  ...{ address, weight: 1, isEjected: false, isHealthy: null, why: '', connections: 2 },
  ...state,
})
const upstream = (name: string, endpoints: readonly EndpointState[], isPanicking = false): UpstreamState => ({
  name,
  isPanicking,
  waiting: 3,
  circuit: isPanicking ? 'open' : null,
  endpoints,
})

test('an endpoint is as it is in the worker that thinks worst of it, and it is said in how many', () => {
  const ejected = { isEjected: true, why: 'for 30 s: 5 failures in a row' }
  const unhealthy = { isHealthy: false, why: 'status 503' }
  const reports = reportUpstreams([
    [upstream('api', [endpoint('a', ejected), endpoint('b', unhealthy), endpoint('c', { isHealthy: true })])],
    [upstream('api', [endpoint('a'), endpoint('b', unhealthy), endpoint('c', { isHealthy: true })], true)],
  ])
  assert.equal(reports, [
    {
      ...{ name: 'api', endpoints: 3, available: 1, panic: 1, open: 1, workers: 2, waiting: 6 },
      list: [
        { address: 'a', weight: 1, ejected: 1, state: 'ejected', healthy: null, why: 'for 30 s: 5 failures in a row', connections: 4 },
        { address: 'b', weight: 1, ejected: 0, state: 'unhealthy', healthy: false, why: 'status 503', connections: 4 },
        { address: 'c', weight: 1, ejected: 0, state: 'available', healthy: true, why: '', connections: 4 },
      ],
    },
  ])
  assert.equal(upstreamLines(reports), [
    'api: 1 of 3 endpoints available; all are used, for too few are available; its circuit is open in 1 of 2 workers',
    '  a ejected in 1 of 2 workers: for 30 s: 5 failures in a row',
    '  b unhealthy: status 503',
  ])
})

test('when all is well that is one line, and without upstreams there is none', () => {
  assert.equal(upstreamLines(reportUpstreams([[upstream('a', [endpoint('x')]), upstream('b', [endpoint('y')])]])), [
    '2, every endpoint is available',
  ])
  assert.equal(upstreamLines(reportUpstreams([[]])), [])
  assert.equal(upstreamLines(reportUpstreams([])), [])
})

test('a thousand that are wrong are no thousand lines', () => {
  const bad = Array.from({ length: 1_000 }, (_, i) => endpoint(`e${i}`, { isEjected: true, why: 'x' }))
  const states = Array.from({ length: 1_000 }, (_, i) => upstream(`u${i}`, i === 0 ? bad : bad.slice(0, 1)))
  const lines = upstreamLines(reportUpstreams([states]))
  assert.ok(lines.length < 50, `${lines.length} lines`)
  assert.is(lines.at(-1), 'and 990 more: see /api/upstreams')
})

test('an upstream is down when every check of it has failed, not while one has still to say', () => {
  const verdict = (name: string, isHealthy: boolean | null) => ({ upstream: name, endpoint: '', key: '', isHealthy, why: '' })
  const all = [verdict('a', false), verdict('a', false), verdict('b', false), verdict('b', null), verdict('c', true), verdict('c', false)]
  assert.equal(withoutHealthy(all), ['upstream a: no endpoint is healthy'])
})

test.run()
