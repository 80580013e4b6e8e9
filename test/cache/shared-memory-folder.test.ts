/** The folder of the memory that workers share: kept to oneself, and nothing of what somebody else has put in its place is used or deleted. */
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DiskIndex } from '../../core/cache/disk/disk-index.ts'
import { ownHome, removeShared, sharedPath, sweepShared } from '../../core/cache/disk/shared-memory-folder.ts'

const NOBODY = 999_999_999
const memory = mkdtempSync(join(tmpdir(), 'sluice-memory-'))
const path = sharedPath(NOBODY, memory)
const home = dirname(path)
test.before.each(() => rmSync(home, { recursive: true, force: true }))
test.after(() => rmSync(memory, { recursive: true }))

test('it is made for this user alone, and what was left in it goes', () => {
  mkdirSync(home, { mode: 0o755 })
  ownHome(path)
  assert.is(statSync(home).mode & 0o777, 0o700)
  mkdirSync(path)
  sweepShared(memory)
  assert.not.ok(existsSync(path))
})

test('what a proxy of another namespace uses stays, whatever its number is here, and what nobody uses goes', () => {
  const theirs = sharedPath(process.pid, memory, '1')
  const index = join(theirs, 'default', '1', 'index.db')
  mkdirSync(dirname(index), { recursive: true })
  const db = new DiskIndex(index)
  const age = () => utimesSync(theirs, 0, 0)
  age()
  sweepShared(memory)
  assert.ok(existsSync(index))
  db.close()
  sweepShared(memory)
  assert.not.ok(existsSync(theirs))
  // It may be about to be used.
  mkdirSync(theirs)
  sweepShared(memory)
  assert.ok(existsSync(theirs))
  age()
  sweepShared(memory)
  assert.not.ok(existsSync(theirs))
})

test('what one before this left that had the same number goes, and that of a living one of this namespace stays', () => {
  const [ours, parents] = [sharedPath(process.pid, memory), sharedPath(process.ppid, memory)]
  for (const one of [ours, parents]) mkdirSync(one, { recursive: true })
  sweepShared(memory)
  assert.equal([existsSync(ours), existsSync(parents)], [false, true])
})

test('a link in its place is not followed', () => {
  const elsewhere = join(memory, 'elsewhere')
  mkdirSync(join(elsewhere, String(NOBODY)), { recursive: true })
  symlinkSync(elsewhere, home)
  assert.throws(() => ownHome(path), /is no folder of this user/)
  sweepShared(memory)
  removeShared(NOBODY, memory)
  assert.ok(existsSync(join(elsewhere, String(NOBODY))))
})

const asRoot = process.getuid?.() === 0 ? test : test.skip
asRoot('a folder of another user is left alone', () => {
  mkdirSync(path, { recursive: true })
  chownSync(home, 12_345, 12_345)
  assert.throws(() => ownHome(path), /is no folder of this user/)
  sweepShared(memory)
  assert.ok(existsSync(path))
})

test.run()
