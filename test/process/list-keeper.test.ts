/** When block lists are asked for, and what becomes of the schedule when they do not come. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FetchedListPlan } from '../../core/plan/forward-plan.ts'
import { type Fetched, ListKeeper } from '../../core/process/list-keeper.ts'

const HOUR = 3_600_000
const ads: FetchedListPlan = { url: 'https://lists.test/ads.txt?key=s3cr3t', file: '/lists/ads', everyMs: 24 * HOUR }
const adult: FetchedListPlan = { url: 'https://lists.test/adult', file: '/lists/adult', everyMs: HOUR }

test('what is not there is asked for at once, then as often as it says; one that did not change is nothing new', async () => {
  const it = new Kept()
  it.keeper.set([ads, adult])
  await it.pass(0)
  assert.equal(it.asked, ['/lists/ads', '/lists/adult'])
  assert.equal(it.new, ['/lists/ads', '/lists/adult'])
  it.answer = () => ({ isNew: false, names: 3 })
  for (let i = 0; i < 26; i++) await it.pass(HOUR)
  assert.is(it.asked.filter((file) => file === '/lists/ads').length, 2)
  assert.is(it.asked.filter((file) => file === '/lists/adult').length, 27)
  assert.is(it.new.length, 2)
})

test('what is on disk from before is asked for when its time has come, not at a start', async () => {
  const it = new Kept()
  it.at.set(ads.file, it.now - 23 * HOUR)
  it.keeper.set([ads])
  await it.pass(0)
  assert.equal(it.asked, [])
  await it.pass(HOUR)
  assert.equal(it.asked, ['/lists/ads'])
})

test('after failures it is asked for later and later, and said what is blocked meanwhile; no key is told', async () => {
  const it = new Kept()
  it.answer = () => new Error('the server answered 503')
  it.keeper.set([ads])
  await it.pass(0)
  assert.match(it.lines[0]!, /^warn a block list did not come: the server answered 503; nothing of it is blocked until it comes /)
  assert.not.match(it.lines.join(), 's3cr3t')
  const gaps: number[] = []
  let last = it.now
  while (it.asked.length < 12) {
    const before = it.asked.length
    await it.pass(60_000)
    if (it.asked.length === before) continue
    gaps.push((it.now - last) / 60_000)
    last = it.now
  }
  assert.equal(gaps, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360])
  assert.is(it.keeper.states[0]!.problem, 'the server answered 503')
  it.answer = () => ({ isNew: true, names: 3 })
  await it.pass(6 * HOUR)
  assert.equal([it.new, it.keeper.states[0]!.problem], [['/lists/ads'], null])
  it.answer = () => new Error('gone')
  await it.pass(24 * HOUR)
  assert.match(it.lines.at(-1)!, 'gone; the last good one stays')
})

test('a plan that names it no more ends it, one that says the same leaves it as it was, and nothing is asked after the end', async () => {
  const it = new Kept()
  it.keeper.set([ads, adult])
  await it.pass(0)
  it.keeper.set([ads])
  it.keeper.set([{ ...ads }])
  await it.pass(2 * HOUR)
  assert.equal(it.asked, ['/lists/ads', '/lists/adult'])
  it.keeper.close()
  await it.pass(48 * HOUR)
  assert.is(it.asked.length, 2)
})

test.run()

class Kept {
  now = Date.UTC(2026, 0, 1)
  readonly asked: string[] = []
  readonly new: string[] = []
  readonly lines: string[] = []
  readonly at = new Map<string, number>()
  answer: () => Fetched | Error = () => ({ isNew: true, names: 3 })
  readonly #timers = new Map<() => void, number>()
  readonly keeper = new ListKeeper({
    fetch: async ({ file }) => {
      this.asked.push(file)
      const answer = this.answer()
      if (answer instanceof Error) throw answer
      this.at.set(file, this.now)
      return answer
    },
    fetchedAt: ({ file }) => this.at.get(file) ?? null,
    kept: ({ file }) => void this.new.push(file),
    log: (level, text, fields) => void this.lines.push(`${level} ${text} ${JSON.stringify(fields)}`),
    now: () => this.now,
    after: (ms, act) => {
      this.#timers.set(act, this.now + ms)
      return () => this.#timers.delete(act)
    },
  })

  async pass(ms: number): Promise<void> {
    this.now += ms
    for (let due = this.#due(); due !== null; due = this.#due()) {
      this.#timers.delete(due)
      due()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #due(): (() => void) | null {
    for (const [act, at] of this.#timers) if (at <= this.now) return act
    return null
  }
}
