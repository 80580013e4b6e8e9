/** What a new project's manifest names, so that npm finds this program also where it came from no registry. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tarballOf } from '../../core/cli/installation.ts'
import { makeFolder } from '../config/support.ts'

test('a package that came out of a tarball is named by it, as long as that is there', () => {
  const folder = makeFolder({ 'sluice-0.1.0.tgz': '' })
  const installed = join(folder, 'app/node_modules/sluice')
  mkdirSync(installed, { recursive: true })
  assert.is(tarballOf(installed), null)
  const installFrom = (resolved: string): void => {
    const packages = { 'node_modules/sluice': { version: '0.1.0', resolved } }
    writeFileSync(join(folder, 'app/node_modules/.package-lock.json'), JSON.stringify({ packages }))
  }
  installFrom('https://registry.npmjs.org/sluice/-/sluice-0.1.0.tgz')
  assert.is(tarballOf(installed), null)
  installFrom('file:../sluice-0.1.0.tgz')
  assert.is(tarballOf(installed), `file:${join(folder, 'sluice-0.1.0.tgz')}`)
  rmSync(join(folder, 'sluice-0.1.0.tgz'))
  assert.is(tarballOf(installed), null)
})

test.run()
