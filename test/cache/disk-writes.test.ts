/** Changes of an index that another process does not let be written: they wait, and no more of them than are allowed. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DiskIndex } from '../../core/cache/disk/disk-index.ts'
import { DiskWrites } from '../../core/cache/disk/disk-writes.ts'

const MOST = 16_384

test('what waits for another process is bounded, what is too much is told to who asked, and the rest is made in its order', async () => {
  let isBusy = true
  let dropped = 0
  const index = {
    write<T>(work: () => T): T {
      if (isBusy) throw Object.assign(new Error('database is locked'), { errcode: 5 })
      return work()
    },
  } as DiskIndex
  const writes = new DiskWrites({
    index,
    delete: async () => {},
    excess: () => null,
    onError: (error) => assert.unreachable(String(error)),
    onDropped: () => dropped++,
  })
  const made: number[] = []
  const refused: number[] = []
  const make = (number: number): void =>
    writes.make(
      () => {
        made.push(number)
        return []
      },
      (isMade) => isMade || refused.push(number),
    )
  for (let i = 0; i < MOST + 3; i++) make(i)
  assert.equal([dropped, refused], [3, [MOST, MOST + 1, MOST + 2]])
  writes.mayMake(
    () => {
      throw new Error('nor what may as well not happen')
    },
    (isMade) => refused.push(isMade ? 1 : 0),
  )
  writes.mustMake(() => {
    made.push(-1)
    return []
  })
  isBusy = false
  await writes.settled()
  assert.equal([made.length, made[0], made[MOST - 1], made.at(-1), refused.length], [MOST + 1, 0, MOST - 1, -1, 4])
})

test.run()
