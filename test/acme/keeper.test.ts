/** When certificates are ordered, with a clock that the test turns and an authority that does what the test says. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CertificateKeeper, renewalOf } from '../../core/acme/keeper.ts'
import { issueCertificate, makeAuthority } from '../../core/net/certificate.ts'
import type { AcmePlan } from '../../core/plan/plan.ts'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

class Rig implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-keeper-'))
  now = Date.UTC(2026, 0, 1)
  readonly ordered: string[] = []
  readonly kept: string[] = []
  readonly told: string[] = []
  /** What the next order ends with. */
  refusal: string | null = null
  #due: { at: number; act: () => void } | null = null
  readonly keeper = new CertificateKeeper({
    order: async ({ names }) => {
      this.ordered.push(names.join())
      if (this.refusal !== null) throw new Error(this.refusal)
      return this.pem(names)
    },
    kept: ({ names }) => void this.kept.push(names.join()),
    log: (level, text) => void this.told.push(`${level} ${text}`),
    now: () => this.now,
    after: (ms, act) => {
      const due = { at: this.now + ms, act }
      this.#due = due
      return () => {
        if (this.#due === due) this.#due = null
      }
    },
  })

  plan(...names: string[]): AcmePlan {
    const file = join(this.folder, `${names[0]}.pem`)
    const rest = { directoryCa: null, email: null, challenge: 'http-01', externalAccount: null, dnsWait: 0 } as const
    return { names, file, accountFile: join(this.folder, 'account.key'), directory: 'https://authority.test/dir', ...rest }
  }

  /** Good for 90 days. */
  pem(names: readonly string[], days = 90): string {
    const period = { from: new Date(this.now), to: new Date(this.now + days * DAY_MS) }
    const issuer = makeAuthority({ name: 'authority', ...period })
    const { key, cert } = issueCertificate({ name: names[0]!, issuer, use: 'server', hosts: names, ...period })
    return key + cert
  }

  /** Turns the clock, step by step, as timers are due. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms
    for (let due = this.#due; due !== null && due.at <= end; due = this.#due) {
      this.#due = null
      this.now = Math.max(this.now, due.at)
      due.act()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.now = end
  }

  [Symbol.dispose](): void {
    this.keeper.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

test('what is not there is ordered at once, and kept for the owner alone', async () => {
  using rig = new Rig()
  const plan = rig.plan('a.test', 'b.test')
  rig.keeper.set([plan])
  await rig.pass(0)
  assert.equal(rig.ordered, ['a.test,b.test'])
  assert.equal(rig.kept, ['a.test,b.test'])
  assert.match(readFileSync(plan.file, 'utf8'), /PRIVATE KEY[\s\S]*BEGIN CERTIFICATE/)
  assert.is(statSync(plan.file).mode & 0o777, 0o600)
  const [state] = rig.keeper.states
  assert.is(state!.until!.getTime(), rig.now + 90 * DAY_MS)
})

test('it is renewed when two thirds of its time are over, and the certificate before stays until then', async () => {
  using rig = new Rig()
  rig.keeper.set([rig.plan('a.test')])
  await rig.pass(59 * DAY_MS)
  assert.is(rig.ordered.length, 1)
  await rig.pass(2 * DAY_MS)
  assert.is(rig.ordered.length, 2)
})

test('what is there and in date is not ordered, unless it is for other names', async () => {
  using rig = new Rig()
  const plan = rig.plan('a.test')
  writeFileSync(plan.file, rig.pem(['a.test']))
  rig.keeper.set([plan])
  await rig.pass(DAY_MS)
  assert.equal(rig.ordered, [])
  const wider = { ...plan, names: ['a.test', 'b.test'] }
  rig.keeper.set([wider])
  await rig.pass(0)
  assert.equal(rig.ordered, ['a.test,b.test'])
})

test('after a failure it waits a minute, then two, then four, and a reload does not begin anew', async () => {
  using rig = new Rig()
  rig.refusal = 'too many orders'
  const plan = rig.plan('a.test')
  rig.keeper.set([plan])
  await rig.pass(0)
  await rig.pass(MINUTE_MS)
  rig.keeper.set([{ ...plan }])
  await rig.pass(MINUTE_MS)
  assert.is(rig.ordered.length, 2)
  await rig.pass(MINUTE_MS)
  assert.is(rig.ordered.length, 3)
  assert.is(rig.keeper.states[0]!.problem, 'too many orders')
  assert.not(existsSync(plan.file))
  rig.refusal = null
  await rig.pass(4 * MINUTE_MS)
  assert.is(rig.ordered.length, 4)
  assert.is(rig.keeper.states[0]!.problem, null)
  assert.is(rig.told.filter((line) => line.startsWith('error')).length, 3)
})

test('a failure of one does not keep the others waiting, and it is tried four times a day at the least', async () => {
  using rig = new Rig()
  rig.refusal = 'no'
  const plans = [rig.plan('a.test'), rig.plan('b.test')]
  rig.keeper.set(plans)
  await rig.pass(0)
  assert.equal(rig.ordered, ['a.test', 'b.test'])
  await rig.pass(3 * DAY_MS)
  rig.ordered.length = 0
  await rig.pass(DAY_MS)
  assert.is(rig.ordered.filter((name) => name === 'a.test').length, 4)
})

test('a certificate that somebody else renews is not ordered', async () => {
  using rig = new Rig()
  const plan = rig.plan('a.test')
  rig.keeper.set([plan])
  await rig.pass(50 * DAY_MS)
  writeFileSync(plan.file, rig.pem(['a.test']))
  await rig.pass(20 * DAY_MS)
  assert.is(rig.ordered.length, 1)
})

test('what is not wanted any more is forgotten, and a closed keeper orders nothing', async () => {
  using rig = new Rig()
  rig.keeper.set([rig.plan('a.test')])
  rig.keeper.set([])
  await rig.pass(DAY_MS)
  rig.keeper.set([rig.plan('b.test')])
  rig.keeper.close()
  await rig.pass(DAY_MS)
  assert.equal(rig.ordered, [])
})

test('a short life is renewed in proportion', () => {
  const from = new Date(0)
  assert.is(renewalOf({ names: ['a'], from, to: new Date(6 * DAY_MS) }, ['a']), 4 * DAY_MS)
  assert.is(renewalOf(null, ['a']), 0)
})

test.run()
