/** Deadlines on a clock that the test turns: never early, within two ticks, whoever comes and goes meanwhile. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines, type Timed } from '../core/deadlines.ts'

const TICK = 50

class Clock {
  ms = 1_000
  readonly deadlines = new Deadlines(TICK, () => this.ms)
  turn(ms: number): void {
    for (const end = this.ms + ms; this.ms < end; ) {
      this.ms = Math.min(end, this.ms + TICK)
      this.deadlines.tick()
    }
  }
  /** Something due in `ms`; `fired` is when it was. */
  timed(ms: number, then: (self: Timed) => void = () => {}): Timed & { fired: number | null } {
    const one = {
      dueAt: this.deadlines.in(ms),
      slot: -1,
      fired: null as number | null,
      onDeadline: () => {
        one.fired = this.ms
        then(one)
      },
    }
    this.deadlines.add(one)
    return one
  }
  [Symbol.dispose](): void {
    this.deadlines.stop()
  }
}

test('a deadline is kept: not early, and within two ticks', () => {
  using clock = new Clock()
  for (const ms of [0, 1, 49, 50, 51, 1_000]) {
    const from = clock.ms
    const one = clock.timed(ms)
    clock.turn(ms)
    assert.ok(one.fired === null || one.fired - from >= ms, `${ms} early`)
    clock.turn(2 * TICK)
    assert.ok(one.fired !== null && one.fired - from <= ms + 2 * TICK, `${ms} late`)
    clock.deadlines.remove(one)
  }
})

test('it fires once, is without a deadline then, and may get another', () => {
  using clock = new Clock()
  let count = 0
  const one = clock.timed(10, () => count++)
  clock.turn(1_000)
  assert.equal([count, one.dueAt], [1, Number.POSITIVE_INFINITY])
  one.dueAt = clock.deadlines.in(10)
  clock.turn(1_000)
  assert.is(count, 2)
})

test('a deadline that is pushed back does not fire before', () => {
  using clock = new Clock()
  const one = clock.timed(100)
  for (let i = 0; i < 50; i++) {
    clock.turn(TICK)
    one.dueAt = clock.deadlines.in(100)
  }
  assert.is(one.fired, null)
})

test('what is removed does not fire, and may be removed again', () => {
  using clock = new Clock()
  const [a, b, c] = [clock.timed(10), clock.timed(10), clock.timed(10)]
  clock.deadlines.remove(b!)
  clock.deadlines.remove(b!)
  clock.turn(200)
  assert.equal([a!.fired !== null, b!.fired, c!.fired !== null], [true, null, true])
})

test('after it was empty, the next deadline counts from then, not from the last tick', () => {
  const clock = { ms: 0 }
  const deadlines = new Deadlines(TICK, () => clock.ms)
  const none: Timed = { dueAt: 0, slot: -1, onDeadline: () => deadlines.remove(none) }
  deadlines.add(none)
  deadlines.tick()
  clock.ms = 1_000_000
  let fired = false
  const one: Timed = { dueAt: deadlines.in(1_000), slot: -1, onDeadline: () => (fired = true) }
  deadlines.add(one)
  clock.ms += 900
  deadlines.tick()
  assert.is(fired, false)
  deadlines.stop()
})

test('any removals and additions while deadlines fire leave no one out and fire no one twice', () => {
  const plan = fc.array(
    fc.record({ ms: fc.integer({ min: 0, max: 300 }), removes: fc.array(fc.nat(19), { maxLength: 3 }), adds: fc.boolean() }),
    { minLength: 1, maxLength: 20 },
  )
  fc.assert(
    fc.property(plan, (steps) => {
      using clock = new Clock()
      const removed = new Set<Timed>()
      const all: (Timed & { fired: number | null })[] = []
      let extra = 0
      let extraFired = 0
      const counts = steps.map(() => 0)
      for (const [i, step] of steps.entries()) {
        all.push(
          clock.timed(step.ms, (self) => {
            counts[i]!++
            assert.not(removed.has(self), 'fired after it was removed')
            for (const index of step.removes) {
              const other = all[index]
              if (other === undefined) continue
              clock.deadlines.remove(other)
              removed.add(other)
            }
            if (!step.adds) return
            extra++
            clock.timed(10, () => extraFired++)
          }),
        )
      }
      clock.turn(1_000)
      for (const [i, one] of all.entries()) assert.ok(counts[i] === 1 || (counts[i] === 0 && removed.has(one)), `${i}: ${counts[i]}`)
      assert.is(extraFired, extra)
    }),
  )
})

test.run()
