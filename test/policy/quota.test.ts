/** Quotas of users: who has how much left, until when, and what each worker counts where there is nothing to count in together. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compileQuota } from '../../core/plan/compile-user-limits.ts'
import { Counting } from '../../core/policy/counting.ts'
import { Quotas } from '../../core/policy/quota.ts'

const MB = 1024 ** 2
const MIDNIGHT = Date.UTC(2026, 8, 21)

test('what has passed counts for the user until the period ends, whatever connection it was on', () => {
  const it = new Clocked()
  const [first, second] = [it.quotas.meter('ann', '10.0.0.1')!, it.quotas.meter('ann', '10.0.0.2')!]
  assert.is(first.pass(600 * 1024), true)
  assert.is(second.pass(423 * 1024), true)
  assert.is(it.quotas.meter('bob', '10.0.0.1')!.refusal(), null)
  assert.is(second.pass(1024), true, 'parts are counted when there are 16 KiB of them')
  second.end(424 * 1024)
  assert.equal(first.refusal(), { code: 'quota_exceeded', detail: 'ann has used up 1mb in 1d, until 2026-09-22T00:00Z' })
  assert.is(first.pass(20_000), false)
  assert.is(first.secondsLeft, 12 * 3_600)
  it.now = MIDNIGHT + 24 * 3_600_000
  assert.is(first.refusal(), null)
  assert.is(first.pass(20_000), true)
})

test('some users have more, or as much as they like; without users the address counts, of IPv6 the network', () => {
  const { quotas } = new Clocked()
  quotas.meter('carl', '10.0.0.1')!.end(MB)
  assert.is(quotas.meter('carl', '10.0.0.1')!.refusal(), null)
  quotas.meter('carl', '10.0.0.1')!.end(MB)
  assert.is(quotas.meter('carl', '10.0.0.1')!.refusal()!.detail, 'carl has used up 2mb in 1d, until 2026-09-22T00:00Z')
  assert.is(quotas.meter('root', '10.0.0.1'), null)
  quotas.meter(null, '2001:db8::1')!.end(MB)
  assert.is(quotas.meter(null, '2001:db8::2')!.refusal()!.code, 'quota_exceeded')
  assert.is(quotas.meter(null, '2001:db8:0:1::1')!.refusal(), null)
})

test('the end tells of what was not told before, once', () => {
  const { quotas } = new Clocked()
  for (let i = 0; i < 10; i++) {
    const meter = quotas.meter('ann', '')!
    meter.pass(50 * 1024)
    meter.end(100 * 1024)
  }
  assert.is(quotas.meter('ann', '')!.refusal(), null)
  quotas.meter('ann', '')!.end(24 * 1024)
  assert.is(quotas.meter('ann', '')!.refusal()!.code, 'quota_exceeded')
})

test('where nothing is shared each worker has its part, and a quota goes on under another plan', () => {
  const parts = new Clocked(new Counting({ shared: null, workers: 4 }))
  parts.quotas.meter('ann', '')!.end(MB / 4)
  assert.is(parts.quotas.meter('ann', '')!.refusal()!.code, 'quota_exceeded')
  const counting = new Counting()
  new Clocked(counting).quotas.meter('ann', '')!.end(MB)
  assert.is(new Clocked(counting).quotas.meter('ann', '')!.refusal()!.code, 'quota_exceeded')
  assert.is(new Clocked(counting, 'other').quotas.meter('ann', '')!.refusal(), null)
})

test.run()

class Clocked {
  now = MIDNIGHT + 12 * 3_600_000
  readonly quotas: Quotas

  constructor(counting = new Counting(), salt = 'out') {
    const plan = compileQuota({ bytes: '1mb', per: '1d', byUser: { carl: '2mb', root: false } })
    this.quotas = new Quotas(plan, salt, counting, () => this.now)
  }
}
