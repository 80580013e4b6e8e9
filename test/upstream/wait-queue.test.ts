/** The queue for connections on a clock that the test turns: in order, in time, and no more than may wait. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { type Waiter, WaitQueue } from '../../core/upstream/wait-queue.ts'

class Clock {
  now = 1_000
  readonly deadlines = new Deadlines(50, () => this.now)
  turn(ms: number): void {
    this.now += ms
    this.deadlines.tick()
  }
  [Symbol.dispose](): void {
    this.deadlines.stop()
  }
}

test('in the order in which they came, whoever leaves in between', () => {
  using clock = new Clock()
  const queue = new WaitQueue<Waiter & { name: string }>({ most: 10, maxWaitMs: 1_000, deadlines: clock.deadlines })
  const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name, late() {} }))
  for (const one of [a, b, c]) assert.ok(queue.add(one!))
  assert.is(queue.first, a)
  assert.equal([queue.remove(b!), queue.remove(b!), queue.remove(a!)], [true, false, true])
  assert.equal([queue.first, queue.size], [c, 1])
})

test('with nobody in it there is no deadline', () => {
  using clock = new Clock()
  const queue = new WaitQueue({ most: 1, maxWaitMs: 100, deadlines: clock.deadlines })
  const one = { late() {} }
  queue.add(one)
  assert.ok(clock.deadlines.nextDueAt < Number.POSITIVE_INFINITY)
  queue.remove(one)
  assert.is(clock.deadlines.nextDueAt, Number.POSITIVE_INFINITY)
})

test('whatever happens: no more than may wait, nobody for longer than that, each once, in order', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add' as const) }),
    fc.record({ kind: fc.constant('leave' as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant('serve' as const) }),
    fc.record({ kind: fc.constant('turn' as const), ms: fc.nat(700) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 5 }), (steps, most) => {
      using clock = new Clock()
      const queue = new WaitQueue<Waiter & { at: number }>({ most, maxWaitMs: 500, deadlines: clock.deadlines })
      let waiting: (Waiter & { at: number })[] = []
      for (const one of steps) {
        if (one.kind === 'add') {
          const waiter = {
            at: clock.now,
            late() {
              assert.is(waiting[0], waiter, 'who came first is late first')
              assert.ok(clock.now - waiter.at >= 500, 'too early')
              waiting = waiting.slice(1)
            },
          }
          const isIn = queue.add(waiter)
          assert.is(isIn, waiting.length < most)
          if (isIn) waiting.push(waiter)
        } else if (one.kind === 'turn') clock.turn(one.ms)
        else {
          const waiter = one.kind === 'serve' ? queue.first : (waiting[one.which % Math.max(1, waiting.length)] ?? null)
          if (one.kind === 'serve') assert.is(waiter, waiting[0] ?? null)
          if (waiter === null) continue
          assert.ok(queue.remove(waiter))
          waiting = waiting.filter((other) => other !== waiter)
        }
        assert.is(queue.size, waiting.length)
      }
      clock.turn(700)
      assert.is(queue.size, 0)
    }),
  )
})

test.run()
