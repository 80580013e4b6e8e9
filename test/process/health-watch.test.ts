/** Which worker checks for all: always one that carries traffic, never two, and nobody comes without knowing what is known. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Checking, HealthWatch } from '../../core/process/health-watch.ts'
import type { EndpointVerdict } from '../../core/upstream/health-checks.ts'

class Worker implements Checking {
  isLive = true
  isOn = false
  told: readonly EndpointVerdict[] | null = null
  checkHealth(isOn: boolean): void {
    this.isOn = isOn
  }
  tellHealth(verdicts: readonly EndpointVerdict[]): void {
    this.told = verdicts
  }
}

const verdicts: readonly EndpointVerdict[] = [{ upstream: 'api', endpoint: 'a:1', key: 'k', isHealthy: false, why: 'x' }]

test('the first that is live checks, and goes on whoever else comes', () => {
  const watch = new HealthWatch<Worker>()
  const [a, b] = [new Worker(), new Worker()]
  a.isLive = false
  watch.appoint([a, b])
  assert.equal([a.isOn, b.isOn], [false, true])
  a.isLive = true
  watch.appoint([a, b])
  assert.equal([a.isOn, b.isOn], [false, true])
})

test('when it ends or drains, the next one does; when none is left, nobody', () => {
  const watch = new HealthWatch<Worker>()
  const [a, b] = [new Worker(), new Worker()]
  watch.appoint([a, b])
  a.isLive = false
  watch.appoint([a, b])
  assert.equal([a.isOn, b.isOn], [false, true])
  watch.appoint([])
  assert.is(b.isOn, false)
  a.isLive = true
  watch.appoint([a])
  assert.is(a.isOn, true)
})

test('what it finds is told to all others, and to who comes later', () => {
  const watch = new HealthWatch<Worker>()
  const [a, b, late] = [new Worker(), new Worker(), new Worker()]
  watch.greet(late)
  assert.is(late.told, null)
  watch.appoint([a, b])
  watch.heard(a, verdicts, [a, b])
  assert.equal([a.told, b.told], [null, verdicts])
  watch.greet(late)
  assert.is(late.told, verdicts)
})

test('what one says that does not check any more counts for nothing', () => {
  const watch = new HealthWatch<Worker>()
  const [a, b] = [new Worker(), new Worker()]
  watch.appoint([b])
  watch.heard(a, verdicts, [a, b])
  assert.equal([b.told, watch.verdicts], [null, []])
})

test.run()
