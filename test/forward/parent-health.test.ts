/** Parents that fail are left out for a while, and come back: with a clock that is turned. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ParentHealth } from '../../core/forward/parent-health.ts'

function told(): { health: ParentHealth; changes: string[]; fail(now: number, times?: number): void } {
  const changes: string[] = []
  const health = new ParentHealth((isEjected, why) => changes.push(`${isEjected ? 'out' : 'in'}: ${why}`))
  const fail = (now: number, times = 1): void => {
    for (let i = 0; i < times; i++) health.settle(health.begin(now), 'failed', now, 'refused')
  }
  return { health, changes, fail }
}

test('three failures running leave it out for 10 s, then one dial tries it at a time', () => {
  const { health, changes, fail } = told()
  fail(0, 2)
  health.settle(health.begin(0), 'there', 0)
  fail(0, 2)
  assert.ok(health.mayAsk(0))
  fail(0)
  assert.not(health.mayAsk(9_999))
  assert.ok(health.mayAsk(10_000))
  const trial = health.begin(10_000)
  assert.not(health.mayAsk(10_000), 'one tries')
  assert.is(health.begin(10_000), 0)
  health.settle(trial, 'none', 10_000)
  assert.ok(health.mayAsk(10_000), 'its client left, so another may')
  health.settle(health.begin(10_000), 'there', 10_001)
  assert.ok(health.mayAsk(10_001))
  assert.equal(changes, ['out: for 10 s: it failed 3 times running, refused', 'in: it leads on again'])
})

test('each try that fails doubles the time, up to 2 minutes, and is not told again', () => {
  const { health, changes, fail } = told()
  fail(0, 3)
  let now = 0
  for (const ms of [10_000, 20_000, 40_000, 80_000, 120_000, 120_000]) {
    assert.not(health.mayAsk(now + ms - 1), String(ms))
    now += ms
    assert.ok(health.mayAsk(now), String(ms))
    fail(now)
  }
  // What was dialled before it was left out counts nothing.
  health.settle(0, 'failed', now)
  assert.ok(health.mayAsk(now + 120_000))
  health.settle(health.begin(now + 120_000), 'there', now)
  fail(now, 3)
  assert.ok(health.mayAsk(now + 10_000), 'it begins with 10 s again')
  assert.is(changes.length, 3)
  health.close()
  assert.is(changes.at(-1), 'in: the config does not name it any more')
})

test.run()
