/** When a dead worker is replaced. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { delayAfter, Restarts } from '../../core/process/restarts.ts'

test('the first early deaths are replaced at once, then ever later, but never later than ten seconds', () => {
  assert.equal([0, 1, 5, 6, 7, 8, 11, 12, 40].map(delayAfter), [0, 0, 0, 250, 500, 1_000, 8_000, 10_000, 10_000])
})

test('a worker that lived long enough forgives the early deaths before it', () => {
  const restarted: number[] = []
  const told: string[] = []
  const restarts = new Restarts({
    slots: 2,
    restart: (slot) => restarted.push(slot),
    tell: ({ text }) => told.push(text),
    now: () => 10_000,
  })
  const dies = (bornAt: number): void => restarts.ended({ slot: 1, pid: 7, bornAt, killedFor: null }, 'SIGKILL')
  for (let i = 0; i < 5; i++) dies(9_900)
  dies(1_000)
  for (let i = 0; i < 5; i++) dies(9_900)
  assert.is(restarted.length, 11)
  dies(9_900)
  assert.is(restarted.length, 11)
  assert.match(told.at(-1)!, /6 died soon after their start, the next one starts in 0.25 s/)
  assert.equal(restarts.counts, { SIGKILL: 12 })
  restarts.stop()
})

test.run()
