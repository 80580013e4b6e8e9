/** What explain says of how an upstream is kept in service. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { safeguardsOf } from '../../core/explain/safeguards.ts'
import { type UpstreamOptions, upstream } from '../../core/index.ts'
import { UpstreamCompiler } from '../../core/plan/compile-upstream.ts'

const explained = (options: Partial<UpstreamOptions>): string[] =>
  safeguardsOf(new UpstreamCompiler('/').compile(upstream('api', { endpoints: ['a:1'], ...options })))

test('an upstream that asks for nothing has nothing to tell', () => {
  assert.equal(explained({}), [])
})

test('all that it asks for is a line each, defaults filled in', () => {
  assert.equal(
    explained({
      retries: { attempts: 3, on: ['connect', 'timeout', 503] },
      healthCheck: { path: '/healthz', interval: '500ms' },
      outlier: { failureRatio: 0.25, latency: '2s' },
      circuitBreaker: {},
      limits: { connections: 512, pending: 256 },
    }),
    [
      'up to 3 tries, on connect, timeout, 503',
      'each endpoint is checked each 500ms: GET /healthz',
      'an endpoint is ejected for 30s after 5 failures in a row, or 25% of failures, or answers that take 2s',
      'left alone for 10s when 50% of 20 requests or more fail',
      'connections a worker: up to 512; 256 requests wait for one, up to 5s',
    ],
  )
})

test('second tries, and a limit that is learnt', () => {
  assert.equal(explained({ hedging: {}, limits: { adaptive: { max: 200 }, pending: 50 } }), [
    'a second endpoint is asked, too, when later than 95% of the latest answers',
    'requests under way a worker: 4 to 200, as many as are answered in 1.5 times the time of calm; 50 requests wait, up to 5s',
  ])
  assert.equal(explained({ hedging: { after: '80ms' }, limits: { adaptive: {} } }), [
    'a second endpoint is asked, too, after 80ms',
    'requests under way a worker: 4 to 1000, as many as are answered in 1.5 times the time of calm; nobody waits',
  ])
})

test('a check of gRPC', () => {
  assert.equal(explained({ healthCheck: { type: 'grpc', service: 'shop.Orders' } }), [
    'each endpoint is checked each 5s: grpc.health.v1.Health/Check of shop.Orders',
  ])
})

test('connections without a queue, and checks that only connect', () => {
  assert.equal(explained({ healthCheck: { type: 'tcp' }, limits: { connections: 1 } }), [
    'each endpoint is checked each 5s: tcp',
    'connections a worker: up to 1; nobody waits for one',
  ])
})

test.run()
