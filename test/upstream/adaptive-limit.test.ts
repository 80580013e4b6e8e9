/** A limit that is learnt: as many requests as an upstream answers in good time, whoever comes beyond that waits or is told to come again. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AdaptivePlan } from '../../core/plan/upstream-plan.ts'
import { AdaptiveLimit } from '../../core/upstream/adaptive-limit.ts'
import { GradientLimit } from '../../core/upstream/gradient-limit.ts'
import { answer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const plan: AdaptivePlan = { min: 4, max: 1_000, start: 20, tolerance: 1.5, pending: 0, maxWait: 1_000 }

/**
 * An upstream that answers `capacity` at a time in `ms`, and the others after them; asked for as many as it may be for so many seconds. Returns how many that
 * are at the end.
 */
function learnt(limit: GradientLimit, from: number, { seconds, capacity, ms, offered = Infinity, fails = false }: Load): number {
  const step = 10
  for (let now = from; now < from + seconds * 1000; now += step) {
    const underWay = Math.min(limit.limit, offered)
    const took = ms * Math.max(1, underWay / capacity)
    const answered = Math.max(1, Math.round((underWay / took) * step))
    for (let i = 0; i < answered; i++) limit.observe(fails ? Number.NaN : took, underWay, now)
  }
  return limit.limit
}

interface Load {
  readonly seconds: number
  readonly capacity: number
  readonly ms: number
  readonly offered?: number
  readonly fails?: boolean
}

test('it finds how many are answered in good time, from below and from above', () => {
  for (const start of [4, 20, 500]) {
    const limit = new GradientLimit({ ...plan, start })
    // What is slow from the first request on is taken for calm at first.
    if (start > 100) learnt(limit, 0, { seconds: 2, capacity: 50, ms: 20, offered: 30 })
    const found = learnt(limit, 2_000, { seconds: 30, capacity: 50, ms: 20 })
    assert.ok(found >= 50 && found <= 150, `from ${start}: ${found}`)
  }
})

test('an upstream that gets slower gets less, and as much as before when it is well again', () => {
  const limit = new GradientLimit(plan)
  const well = learnt(limit, 0, { seconds: 30, capacity: 100, ms: 20 })
  const slow = learnt(limit, 30_000, { seconds: 10, capacity: 10, ms: 20 })
  const again = learnt(limit, 40_000, { seconds: 60, capacity: 100, ms: 20 })
  assert.ok(slow < well / 3, `${slow} after ${well}`)
  assert.ok(again > well * 0.8, `${again} after ${well}`)
})

test('failures make it small, nothing makes it smaller or larger than it may be, and who asks for little teaches nothing', () => {
  const limit = new GradientLimit(plan)
  assert.is(learnt(limit, 0, { seconds: 20, capacity: 50, ms: 20, fails: true }), 4)
  const free = new GradientLimit({ ...plan, max: 60 })
  assert.is(learnt(free, 0, { seconds: 60, capacity: 5_000, ms: 20 }), 60)
  const idle = new GradientLimit(plan)
  assert.is(learnt(idle, 0, { seconds: 60, capacity: 5_000, ms: 20, offered: 5 }), 20)
})

test('who waits is let in in turn; what is said of it is said once', () => {
  const { deadlines, turn } = turnable()
  const told: string[] = []
  let waiting = 0
  const limit = new AdaptiveLimit({
    ...{ plan: { ...plan, min: 1, start: 1, max: 1, pending: 2 }, deadlines },
    counted: (change) => {
      waiting += change
    },
    moved: (to) => told.push(`moved ${to}`),
    changed: (isLimited) => told.push(isLimited ? 'limited' : 'unlimited'),
  })
  const request = (name: string) => ({ letIn: () => told.push(`${name} in`), late: () => told.push(`${name} late`) })
  assert.equal([limit.enter(), limit.enter()], [true, false])
  const leave = limit.wait(request('a'))
  limit.wait(request('b'))
  assert.equal([limit.wait(request('c')), limit.waiting, waiting], [null, 2, 2])
  leave!()
  limit.leave(5)
  assert.equal([limit.waiting, waiting, limit.underWay], [0, 0, 1])
  limit.wait(request('d'))
  turn(1_100)
  assert.equal(told, ['moved 1', 'limited', 'b in', 'd late'])
  turn(10_000)
  limit.leave(null)
  assert.equal([told.at(-1), limit.isLimited, waiting], ['unlimited', false, 0])
})

test('requests beyond it wait, or are answered 503 with a time to come again, and the log tells of it', async () => {
  const held: OriginConnection[] = []
  await using origin = await startOrigin((_, connection) => {
    held.push(connection)
    return undefined
  })
  const adaptive = { ...plan, min: 1, max: 1, start: 1, pending: 1 }
  await using proxy = await startProxy({ origin, adaptive })
  const [first, second, third] = [await proxy.connect(), await proxy.connect(), await proxy.connect()]
  first.send('GET /1 HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request(1)
  second.send('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
  await proxy.queued(1)
  const refused = await third.send('GET /3 HTTP/1.1\r\nHost: x\r\n\r\n').response()
  assert.equal([refused.status, refused.headers['retry-after']], [503, '1'])
  assert.equal([(await proxy.exchange()).reason, proxy.limit], ['concurrency_limit', 1])
  // The head is enough: the next one is asked while the body is still to come.
  held[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n')
  await origin.request(2)
  held[0]!.write('done')
  assert.is((await first.response()).text, 'done')
  held[1]!.write(answer('two'))
  assert.is((await second.response()).text, 'two')
  assert.equal(
    proxy.changes.map(({ state }) => state),
    ['limited'],
  )
  // A client that waits and leaves is not sent for.
  first.send('GET /4 HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request(3)
  second.send('GET /5 HTTP/1.1\r\nHost: x\r\n\r\n')
  await proxy.queued(1)
  second.reset()
  await proxy.queued(0)
  first.reset()
  await proxy.exchange(5)
  third.send('GET /6 HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await origin.request(4)).target, '/6')
  third.destroy()
})

test.run()
