/** Which endpoints are used, whatever happens to them: counted alike by who tells of it, and never none that could be. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { UpstreamChange } from '../../core/events.ts'
import { upstream } from '../../core/index.ts'
import { UpstreamCompiler } from '../../core/plan/compile-upstream.ts'
import { Availability } from '../../core/upstream/availability.ts'
import { Endpoint } from '../../core/upstream/endpoint.ts'
import { turnable } from '../support/turnable.ts'

const outlier = { consecutiveFailures: 2, ejectFor: '10s', maxEjected: 0.7 } as const

/** The last one has no weight. */
function rig(count: number) {
  const addresses = [...Array.from({ length: count }, (_, i) => `a:${i + 1}`), { address: 'a:99', weight: 0 }]
  const plan = new UpstreamCompiler('/').compile(upstream('api', { endpoints: addresses, outlier, panic: 0.4 }))
  const endpoints = plan.endpoints.map((endpoint) => new Endpoint(endpoint, null as never))
  const { deadlines, turn } = turnable()
  const changes: UpstreamChange[] = []
  const environment = { deadlines, events: { upstreamChanged: (change: UpstreamChange) => void changes.push(change) } }
  return { plan, endpoints, turn, changes, environment, availability: new Availability(plan, endpoints, environment), deadlines }
}

/** How many are in that state by what was told. */
function told(changes: readonly UpstreamChange[], begun: UpstreamChange['state'], over: UpstreamChange['state']): number {
  return changes.reduce((sum, { state }) => sum + (state === begun ? 1 : state === over ? -1 : 0), 0)
}

test('what is told comes out even with how it is, and too few are never left alone', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('fail' as const), which: fc.nat(9) }),
    fc.record({ kind: fc.constant('serve' as const), which: fc.nat(9) }),
    fc.record({ kind: fc.constant('check' as const), which: fc.nat(9), isHealthy: fc.boolean() }),
    fc.record({ kind: fc.constant('turn' as const), ms: fc.nat(30_000) }),
    fc.record({ kind: fc.constant('use' as const), mask: fc.integer({ min: 1, max: 63 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { endpoints, availability, changes, turn, deadlines } = rig(5)
      let used = endpoints
      for (const one of steps) {
        // One that was let go of may still have requests under way, whose end is told.
        const endpoint = 'which' in one ? endpoints[one.which % endpoints.length]! : null
        if (one.kind === 'fail') availability.record(endpoint!, 'reset', 0)
        else if (one.kind === 'serve') availability.record(endpoint!, null, 1)
        else if (one.kind === 'check') availability.check(endpoint!, one.isHealthy, 'x')
        else if (one.kind === 'turn') turn(one.ms)
        else {
          used = endpoints.filter((_, i) => ((one.mask >> i) & 1) === 1)
          availability.use(used)
        }
        const ejected = used.filter(({ health }) => health!.isEjected).length
        const weighty = used.filter(({ weight }) => weight > 0)
        const available = weighty.filter(({ health }) => health!.isAvailable).length
        assert.is(told(changes, 'ejected', 'available'), ejected)
        assert.is(told(changes, 'unhealthy', 'healthy'), used.filter(({ health }) => health!.isHealthy === false).length)
        assert.is(availability.isPanicking, available / weighty.length < 0.4)
        assert.is(told(changes, 'panic', 'calm'), availability.isPanicking ? 1 : 0)
        assert.is(availability.narrows, available < weighty.length && !availability.isPanicking)
        if (availability.narrows) assert.ok(available > 0)
      }
      availability.close([])
      for (const [begun, over] of [
        ['ejected', 'available'],
        ['unhealthy', 'healthy'],
        ['panic', 'calm'],
      ] as const)
        assert.is(told(changes, begun, over), 0)
      assert.is(deadlines.nextDueAt, Number.POSITIVE_INFINITY)
    }),
  )
})

test('another plan finds its endpoints ejected as they were', () => {
  const { plan, endpoints, availability, changes, environment, turn } = rig(3)
  for (let i = 0; i < 2; i++) availability.record(endpoints[0]!, 'reset', 0)
  availability.close(endpoints)
  const next = new Availability({ ...plan, idleConnections: 1 }, endpoints, environment)
  assert.ok(next.narrows)
  assert.is(told(changes, 'ejected', 'available'), 1)
  turn(10_100)
  assert.is(told(changes, 'ejected', 'available'), 0)
  assert.not(next.narrows)
})

test.run()
