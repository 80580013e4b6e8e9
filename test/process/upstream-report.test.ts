/** What is told of upstreams: what each worker says, taken together, and in a few lines for people. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatEndpoints } from '../../core/cli/endpoint-commands.ts'
import { linesAbout } from '../../core/cli/explain.ts'
import { reportUpstreams, upstreamLines, withoutHealthy } from '../../core/process/upstream-report.ts'
import type { EndpointState, UpstreamState } from '../../core/upstream/upstream-state.ts'

const endpoint = (address: string, state: Partial<EndpointState> = {}): EndpointState => ({
  ...{
    address,
    weight: 1,
    isEjected: false,
    isHealthy: null,
    why: '',
    connections: 2,
    inFlight: 1,
    isAdded: false,
    drain: null,
    until: null,
  },
  ...state,
})
const upstream = (name: string, endpoints: readonly EndpointState[], isPanicking = false): UpstreamState => ({
  name,
  isPanicking,
  waiting: 3,
  circuit: isPanicking ? 'open' : null,
  limit: null,
  endpoints,
  removed: [],
  isSticky: false,
  isDiscovered: false,
  undiscovered: '',
  leftOut: '',
})

const UNCHANGED = { inFlight: 2, added: false, drain: null, until: null }

test('an endpoint is as it is in the worker that thinks worst of it, and it is said in how many', () => {
  const ejected = { isEjected: true, why: 'for 30 s: 5 failures in a row' }
  const unhealthy = { isHealthy: false, why: 'status 503' }
  const reports = reportUpstreams([
    [upstream('api', [endpoint('a', ejected), endpoint('b', unhealthy), endpoint('c', { isHealthy: true })])],
    [upstream('api', [endpoint('a'), endpoint('b', unhealthy), endpoint('c', { isHealthy: true })], true)],
  ])
  assert.equal(reports, [
    {
      ...{ name: 'api', endpoints: 3, available: 1, panic: 1, open: 1, workers: 2, waiting: 6, removed: [], limit: null },
      ...{ undiscovered: '', leftOut: '' },
      list: [
        {
          address: 'a',
          weight: 1,
          ejected: 1,
          state: 'ejected',
          healthy: null,
          why: 'for 30 s: 5 failures in a row',
          connections: 4,
          ...UNCHANGED,
        },
        { address: 'b', weight: 1, ejected: 0, state: 'unhealthy', healthy: false, why: 'status 503', connections: 4, ...UNCHANGED },
        { address: 'c', weight: 1, ejected: 0, state: 'available', healthy: true, why: '', connections: 4, ...UNCHANGED },
      ],
    },
  ])
  assert.equal(upstreamLines(reports), [
    'api: 1 of 3 endpoints available; all are used, for too few are available; its circuit is open in 1 of 2 workers',
    '  a ejected in 1 of 2 workers: for 30 s: 5 failures in a row',
    '  b unhealthy: status 503',
  ])
})

test('what was changed at run time is said', () => {
  const until = Date.UTC(2026, 0, 1, 12)
  const draining = endpoint('b', { drain: 'sticky', until })
  const state = {
    ...upstream('api', [endpoint('a', { isAdded: true }), draining, endpoint('c', { drain: 'all' }), endpoint('e', { drain: 'sticky' })]),
    removed: ['d'],
    undiscovered: 'etcd /api/: connect ECONNREFUSED',
    leftOut: 'etcd /api/: the key /api/1 is left out: its address is none',
  }
  const [report] = reportUpstreams([[state], [state]])
  assert.equal([report!.endpoints, report!.available, report!.removed, report!.list[1]!.until], [1, 1, ['d'], '2026-01-01T12:00:00.000Z'])
  const time = new Date(until).toTimeString().slice(0, 8)
  assert.equal(upstreamLines([report!]), [
    'api: 1 of 1 endpoints available',
    '  a available (added)',
    `  b draining: only clients that stay with it, until ${time}`,
    '  c draining: no more requests',
    '  e draining: only clients that stay with it',
    '  it goes on with the endpoints it has: etcd /api/: connect ECONNREFUSED',
    '  it does not use all that it discovers: etcd /api/: the key /api/1 is left out: its address is none',
    '  removed: d',
  ])
  assert.equal(formatEndpoints({ did: null, upstreams: [report!] }).split('\n'), [
    'api: 1 of 1 endpoints available',
    '  a  weight 1  2 under way  4 connections  available (added)',
    `  b  weight 1  2 under way  4 connections  draining: only clients that stay with it, until ${time}`,
    '  c  weight 1  2 under way  4 connections  draining: no more requests',
    '  e  weight 1  2 under way  4 connections  draining: only clients that stay with it',
    '  d  removed',
    '',
  ])
  // What `explain REQUEST-ID` shows of it.
  assert.equal(linesAbout('api', ['other: x', ...upstreamLines([report!]), 'more: y']), upstreamLines([report!]))
  assert.equal([linesAbout('apx', upstreamLines([report!])), linesAbout(null, ['null: x'])], [[], []])
  assert.is(formatEndpoints({ did: 'endpoint a of api is added', upstreams: [report!] }), 'endpoint a of api is added\n')
})

test('an upstream that could not be discovered yet has none to go on with', () => {
  const report = reportUpstreams([[{ ...upstream('api', []), undiscovered: 'Kubernetes api: connect ECONNREFUSED' }]])
  assert.equal(upstreamLines(report), ['api: 0 of 0 endpoints available', '  it has no endpoints: Kubernetes api: connect ECONNREFUSED'])
})

test('a limit that is learnt is told, and who waits where requests run into it', () => {
  const limited = (most: number, isReached: boolean): UpstreamState => ({
    ...upstream('api', [endpoint('a')]),
    limit: { most, underWay: most, isReached },
  })
  const reports = reportUpstreams([[limited(12, true)], [limited(8, false)]])
  assert.equal(reports[0]!.limit, { most: 20, underWay: 20, reached: 1 })
  assert.equal(upstreamLines(reports), ['api: 1 of 1 endpoints available; 20 requests under way, of at most 20; 6 wait'])
  assert.equal(upstreamLines(reportUpstreams([[limited(12, false), upstream('b', [endpoint('y')])]])), [
    '2, every endpoint is available',
    'api: 1 of 1 endpoints available; 12 requests under way, of at most 12',
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

test('parents of a listener are told where one is left out, and are no upstreams', () => {
  const parents = (ejected: boolean): UpstreamState => ({
    ...upstream('parents of out', [
      { ...endpoint('http://a:1'), isEjected: ejected, why: ejected ? 'connection refused' : '' },
      endpoint('http://b:2'),
    ]),
    isParents: true,
  })
  assert.equal(upstreamLines(reportUpstreams([[parents(false)]])), [])
  assert.equal(upstreamLines(reportUpstreams([[parents(true)], [parents(false)]])), [
    'parents of out: 1 of 2 available',
    '  http://a:1 ejected in 1 of 2 workers: connection refused',
  ])
})

test.run()
