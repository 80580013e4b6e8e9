import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TICKET_KEY_BYTES } from '../../core/net/ticket-keys.ts'
import { TicketRotation } from '../../core/process/ticket-rotation.ts'

test('each time there is a new key in front, and the one before stays', async () => {
  const { promise, resolve } = Promise.withResolvers<readonly (readonly Uint8Array[])[]>()
  const changes: (readonly Uint8Array[])[] = []
  const rotation = new TicketRotation(1, (keys) => {
    changes.push(keys)
    if (changes.length === 3) resolve(changes)
  })
  // Its own timer keeps nobody alive.
  const alive = setInterval(() => {}, 1_000)
  const [first] = rotation.keys
  const [a, b, c] = await promise
  clearInterval(alive)
  rotation.stop()
  assert.is(a![1], first)
  assert.is(b![1], a![0])
  assert.is(c![1], b![0])
  assert.is(new Set([first, a![0], b![0], c![0]].map((key) => Buffer.from(key!).toString('hex'))).size, 4)
  for (const keys of [a!, b!, c!])
    assert.equal(
      keys.map(({ length }) => length),
      [TICKET_KEY_BYTES, TICKET_KEY_BYTES],
    )
})

test.run()
