/** The file of --log: what is said when it cannot be. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { prepareLogFile } from '../../core/cli/log-file.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'sluice-log-'))
test.after(() => rmSync(folder, { recursive: true }))

test('a new file is made, for its owner and group to read; one that exists keeps what is in it', () => {
  const file = path.join(folder, 'access.log')
  prepareLogFile(file)
  assert.is(statSync(file).mode & 0o777, 0o640)
  writeFileSync(file, 'line\n')
  prepareLogFile(file)
  assert.is(statSync(file).size, 5)
})

test('a file that cannot be is told by the option and the reason', () => {
  writeFileSync(path.join(folder, 'plain'), '')
  assert.throws(
    () => prepareLogFile(`${folder}/no/x.log`),
    (error: Error) => error.message === `--log ${folder}/no/x.log: there is no folder ${folder}/no`,
  )
  assert.throws(() => prepareLogFile(`${folder}/plain/x.log`), /--log .*plain is not a folder/)
  assert.throws(() => prepareLogFile(folder), /that is a folder; name a file/)
})

test.run()
