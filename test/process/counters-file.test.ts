/** Processes that count in the same memory: each has a seat of its own until it has ended, the old worker of a slot beside its successor. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CountersFile, isMemoryShared, openCounting } from '../../core/process/counters-file.ts'

const unwanted = (text: string): never => assert.unreachable(text) as never

test('of two workers and those that they take the place of each has a seat, one too many has none, and one that has ended leaves its own', () => {
  const file = new CountersFile(2)
  const seats = Array.from({ length: 8 }, () => file.takeSeat())
  assert.is(new Set(seats).size, 8)
  assert.ok(seats.every((seat) => seat !== null && seat < 8))
  assert.is(file.takeSeat(), null)
  file.endSeat(seats[3]!)
  assert.is(file.takeSeat(), seats[3])
  file.close()
  assert.is(file.takeSeat(), null)
})

if (isMemoryShared()) {
  test('what a process held is free when it has ended, and what others hold is not', () => {
    const file = new CountersFile(2)
    const seats = [file.takeSeat()!, file.takeSeat()!] as const
    // Each maps it by itself, as processes do.
    const [old, successor] = seats.map((seat) => openCounting({ countersFd: file.fd, workers: 2, slot: 0, seat }, unwanted).held!)
    const take = (table = successor!): boolean => table.take(1, 2, 1, 3) >= 0
    assert.equal([take(old), take(old), take(), take(), take(old)], [true, true, true, false, false])
    file.endSeat(seats[0])
    assert.equal([take(), take(), take()], [true, true, false])
    file.close()
  })
} else console.log('SKIPPED: no memory can be shared here')

test('a process without a seat, and one without memory, has its part', () => {
  const file = new CountersFile(2)
  assert.is(openCounting({ countersFd: file.fd, workers: 2, slot: 0, seat: null }, () => {}).held, null)
  file.close()
  const told: string[] = []
  const counting = openCounting({ countersFd: null, workers: 2, slot: 0, seat: null }, (text) => told.push(text))
  assert.equal([counting.held, counting.held, counting.table.passes, counting.parts], [null, null, false, 2])
  assert.equal(told, ['no memory can be shared here: each worker lets its part of a limit through, and refuses more'])
})

test.run()
