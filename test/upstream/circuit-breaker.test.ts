/** The circuit breaker on a clock that the test turns: closed, open, half-open, and back. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CircuitBreakerPlan } from '../../core/plan/upstream-plan.ts'
import { CircuitBreaker, type Outcome } from '../../core/upstream/circuit-breaker.ts'

const plan: CircuitBreakerPlan = { failureRatio: 0.5, minRequests: 4, window: 10_000, openFor: 10_000 }

function rig(options: Partial<CircuitBreakerPlan> = {}) {
  const told: string[] = []
  const breaker = new CircuitBreaker({ ...plan, ...options }, (state, why) => told.push(`${state}: ${why}`))
  const end = (outcome: Outcome, now: number): void => breaker.settle(breaker.admit(now), outcome, now)
  return { breaker, told, end }
}

test('the time line: it opens, lets nobody pass, lets one try, opens again, and closes', () => {
  const { breaker, told, end } = rig()
  for (const outcome of ['served', 'failed', 'served', 'failed'] as const) end(outcome, 1_000)
  assert.equal(told, ['open: for 10 s: 2 of 4 requests failed'])
  assert.equal([breaker.admit(1_000), breaker.admit(10_999), breaker.waitMs(9_000)], [0, 0, 2_000])
  assert.equal([breaker.mayPass(10_999), breaker.mayPass(11_000), breaker.state], [false, true, 'open'])
  const first = breaker.admit(11_000)
  assert.ok(first > 0)
  assert.equal([breaker.state, breaker.admit(11_000), breaker.admit(60_000)], ['half-open', 0, 0], 'one tries, nobody else')
  assert.is(breaker.mayPass(60_000), false)
  breaker.settle(first, 'failed', 12_000)
  assert.equal([breaker.state, breaker.admit(21_999)], ['open', 0])
  end('served', 22_000)
  assert.is(breaker.state, 'closed')
  assert.equal(told.slice(1), [
    'half-open: one request tries',
    'open: for 10 s: a request that tried has failed',
    'half-open: one request tries',
    'closed: a request was served',
  ])
  for (let i = 0; i < 3; i++) end('failed', 22_000)
  assert.is(breaker.state, 'closed', 'what was before is forgotten')
})

test('too few requests say nothing, nor do failures that are long past', () => {
  const { breaker, end } = rig()
  for (let i = 0; i < 3; i++) end('failed', 0)
  for (let i = 0; i < 3; i++) end('failed', 20_000)
  assert.is(breaker.state, 'closed')
  end('failed', 20_000)
  assert.is(breaker.state, 'open')
})

test('a client that leaves is no verdict: the next one tries', () => {
  const { breaker, end } = rig()
  for (let i = 0; i < 4; i++) end('failed', 0)
  end('none', 10_000)
  assert.is(breaker.state, 'half-open')
  end('served', 10_001)
  assert.is(breaker.state, 'closed')
})

test('what began before it opened says nothing of what is now', () => {
  const { breaker, end } = rig()
  const old = breaker.admit(0)
  for (let i = 0; i < 4; i++) end('failed', 0)
  breaker.settle(old, 'served', 1)
  assert.is(breaker.state, 'open')
  const trying = breaker.admit(10_000)
  breaker.settle(old, 'failed', 10_000)
  breaker.settle(old, 'served', 10_000)
  assert.is(breaker.state, 'half-open')
  breaker.settle(trying, 'served', 10_001)
  breaker.settle(trying, 'failed', 10_002)
  assert.is(breaker.state, 'closed')
})

test('whatever happens: nobody passes while it is open, one at most while it is half-open, and it opens only with reason', () => {
  const outcome = fc.constantFrom<Outcome>('served', 'failed', 'none')
  const step = fc.record({ ms: fc.nat(4_000), ends: fc.option(fc.record({ which: fc.nat(20), outcome })) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      let now = 0
      let openedAt = Number.NEGATIVE_INFINITY
      let failures = 0
      const under: { ticket: number; state: string }[] = []
      const breaker = new CircuitBreaker(plan, (state) => {
        if (state !== 'open') return
        assert.ok(failures > 0, 'it opened though nothing had failed')
        openedAt = now
        failures = 0
      })
      for (const { ms, ends } of steps) {
        now += ms
        const before = breaker.state
        const ticket = breaker.admit(now)
        if (ticket > 0) under.push({ ticket, state: breaker.state })
        if (before === 'open' && now < openedAt + plan.openFor) assert.is(ticket, 0)
        if (before === 'closed') assert.ok(ticket > 0)
        assert.ok(under.filter((one) => one.state === 'half-open' && one.ticket === ticket && ticket > 0).length <= 1)
        if (ends === null || under.length === 0) continue
        const [one] = under.splice(ends.which % under.length, 1)
        if (ends.outcome === 'failed') failures++
        breaker.settle(one!.ticket, ends.outcome, now)
      }
    }),
  )
})

test.run()
