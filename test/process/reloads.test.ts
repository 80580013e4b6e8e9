/** Which reload runs when: one at a time, the latest wins, and everybody who asked is told once. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Attempt, type Ended, Reloads } from '../../core/process/reloads.ts'

test('one that is asked for while nothing runs begins at once', async () => {
  const { reloads, attempts } = rig()
  const result = reloads.request(7)
  assert.equal([reloads.state, attempts.length, attempts[0]!.noticedAt], ['running', 1, 7])
  attempts[0]!.end('live')
  assert.is(await result, 'live')
  assert.is(reloads.state, 'idle')
})

test('one that is asked for while another runs makes that one stale, and runs after it', async () => {
  const { reloads, attempts } = rig()
  const first = reloads.request(1)
  assert.is(attempts[0]!.isStale(), false)
  const second = reloads.request(2)
  assert.equal([attempts[0]!.isStale(), attempts.length, reloads.state], [true, 1, 'queued'])
  attempts[0]!.end('first is live')
  assert.is(await first, 'first is live')
  await Promise.resolve()
  assert.equal([attempts.length, attempts[1]!.noticedAt, attempts[1]!.isStale()], [2, 2, false])
  attempts[1]!.end('second is live')
  assert.is(await second, 'second is live')
})

test('who waited for one that gave up is told how the latest ended, counted from when the first was noticed', async () => {
  const { reloads, attempts } = rig()
  const first = reloads.request(1)
  const second = reloads.request(2)
  attempts[0]!.end('stale')
  await settled()
  assert.is(attempts[1]!.noticedAt, 1)
  attempts[1]!.end('live')
  assert.equal(await Promise.all([first, second]), ['live', 'live'])
})

test('many that are asked for while one runs are one', async () => {
  const { reloads, attempts } = rig()
  const results = [1, 2, 3, 4].map((at) => reloads.request(at))
  attempts[0]!.end('stale')
  await settled()
  assert.is(attempts.length, 2)
  attempts[1]!.end('live')
  assert.equal(await Promise.all(results), ['live', 'live', 'live', 'live'])
  assert.equal([reloads.state, attempts.length], ['idle', 2])
})

test.run()

function rig(): { reloads: Reloads<string>; attempts: (Attempt & { end(result: Ended<string>): void })[] } {
  const attempts: (Attempt & { end(result: Ended<string>): void })[] = []
  const reloads = new Reloads<string>((attempt) => {
    const { promise, resolve } = Promise.withResolvers<Ended<string>>()
    attempts.push({ ...attempt, end: resolve })
    return promise
  })
  return { reloads, attempts }
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
