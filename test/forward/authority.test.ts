/** The operator's authority in its files: made once by whoever comes first, and never half. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAuthority, ensureAuthority, openAuthority } from '../../core/forward/authority.ts'

function inFolder(run: (files: { readonly cert: string; readonly key: string }) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-authority-'))
  try {
    run({ cert: join(folder, 'made/ca.pem'), key: join(folder, 'made/ca.key') })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('it is made where there is none, with its folder, and left alone after that', () =>
  inFolder((files) => {
    assert.is(ensureAuthority(files), true)
    const before = readFileSync(files.cert, 'utf8')
    assert.is(ensureAuthority(files), false)
    assert.is(readFileSync(files.cert, 'utf8'), before)
    assert.is(statSync(files.key).mode & 0o777, 0o600)
    assert.ok(openAuthority(files, Date.now()).certificate.ca)
    assert.throws(() => createAuthority(files), 'is there already')
    assert.is(readFileSync(files.cert, 'utf8'), before)
  }))

test('half of one is told, not replaced: clients may trust it', () =>
  inFolder((files) => {
    ensureAuthority(files)
    rmSync(files.key)
    assert.throws(() => ensureAuthority(files), /ca\.pem is there without .*ca\.key/)
    assert.match(readFileSync(files.cert, 'utf8'), 'BEGIN CERTIFICATE')
    writeFileSync(files.key, 'x', { mode: 0o600 })
    assert.throws(() => openAuthority(files, Date.now()), 'its key cannot be read')
  }))

test('a key of others, and an authority out of its time, are not used', () =>
  inFolder((files) => {
    createAuthority(files, { days: 1 })
    const tomorrow = Date.now() + 2 * 86_400_000
    assert.throws(() => openAuthority(files, tomorrow), 'has expired on')
    assert.throws(() => openAuthority(files, Date.now() - 5 * 86_400_000), 'is not valid before')
    for (const mode of [0o604, 0o660, 0o620]) {
      chmodSync(files.key, mode)
      assert.throws(() => openAuthority(files, Date.now()), /can be read or changed by others/, mode.toString(8))
    }
    chmodSync(files.key, 0o640)
    openAuthority(files, Date.now())
  }))

test.run()
