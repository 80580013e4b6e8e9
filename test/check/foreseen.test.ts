/** Before a config is bundled: whether plugins may come of it. */
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mayUsePlugins } from '../../core/check/foreseen.ts'

const file = join(tmpdir(), `sluice-foreseen-${process.pid}.ts`)

function says(text: string): boolean {
  writeFileSync(file, text)
  return mayUsePlugins(file)
}

test('what is imported beside this program and Node may be a plugin, or lead to one', () => {
  assert.ok(says(`import { defineConfig } from 'sluice'\nimport tag from './tag.ts'\n`))
  assert.ok(says(`import {\n  a,\n} from "some-package"\n`))
  assert.ok(says(`import './more.ts'\n`))
  assert.ok(says(`export * from '../shared.config.ts'`))
  assert.ok(says('const tag = await import(`./tag.ts`)'))
  assert.ok(says(`const tag = require('./tag.ts')`))
  assert.ok(says(`import { definePlugin } from 'sluice/plugin'`))
})

test('without that there is none', () => {
  assert.not(says(`import { defineConfig, http } from 'sluice'\nimport { readFileSync } from 'node:fs'\nimport os from "node:os"\n`))
  assert.not(says(''))
  rmSync(file)
  assert.not(mayUsePlugins(file))
})

test.run()
