/** Purges of a moment ago: what they are about stays away for a while, and nothing else, however many URLs clients have purged. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RecentPurges } from '../../core/cache/recent-purges.ts'
import { storedResponse } from '../support/stored.ts'

// Asked for at 0, its URL is http://x/KEY.
const kept = storedResponse('a', 1)

test('what was asked for before a purge of its URL stays away, for as long as another worker may not know of it', () => {
  const recent = new RecentPurges()
  recent.add({ kind: 'url', url: 'http://x/a', soft: false }, 1_000)
  assert.equal([recent.allows(kept, 1_000), recent.allows(kept, 15_999), recent.allows(kept, 16_000)], [false, false, true])
  assert.is(recent.allows(storedResponse('b', 1), 1_000), true)
})

test('many URLs that were purged are about no other one; too many are about all that is older', () => {
  const recent = new RecentPurges()
  for (let i = 0; i < 32_768; i++) recent.add({ kind: 'url', url: `http://x/other${i}`, soft: false }, 1_000)
  assert.is(recent.allows(kept, 1_000), true)
  recent.add({ kind: 'url', url: 'http://x/one-more', soft: false }, 2_000)
  assert.equal([recent.allows(kept, 2_000), recent.allows(kept, 17_000)], [false, true])
  // What is over makes room.
  for (let i = 0; i < 20_000; i++) recent.add({ kind: 'url', url: `http://x/later${i}`, soft: false }, 20_000 + i * 10)
  assert.is(recent.allows(kept, 220_000), true)
})

test('others than of URLs are looked at one by one, and a soft one makes stale', () => {
  const recent = new RecentPurges()
  recent.add({ kind: 'prefix', prefix: 'http://x/a', soft: true }, 1_000)
  const soft = storedResponse('a', 1)
  assert.is(recent.allows(soft, 2_000), true)
  assert.ok(soft.ttl(2_000) <= 0)
  for (let i = 0; i < 64; i++) recent.add({ kind: 'host', host: `h${i}`, soft: false }, 3_000)
  assert.is(recent.allows(kept, 3_000), false)
})

test.run()
