/**
 * What `check` says to wrong configs: each file beside this one holds a config, the files it needs, and every line that is said, in
 * order. The first line of a problem, as it is printed; code frames are tested in test/cli/check.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { answerTo } from '../../../core/check/answer.ts'
import { bundleConfig } from '../../../core/config/bundle.ts'
import { instrument } from '../../../core/config/instrument.ts'
import { ConfigError, formatProblems, type Problem } from '../../../core/config/problems.ts'
import { withoutSecrets } from '../../../core/config/secrets.ts'
import { bundlePlugin } from '../../../core/sandbox/bundle.ts'
import { makeFolder } from '../support.ts'

interface Wrong {
  readonly name: string
  readonly files: Readonly<Record<string, string>>
  readonly environment: readonly (readonly [name: string, value: string])[]
  readonly says: readonly string[]
}

for (const { name, files, environment, says } of readAll()) {
  test(name.replaceAll('-', ' '), async () => {
    const folder = makeFolder(files)
    for (const [variable, value] of environment) process.env[variable] = value
    try {
      const problems = await problemsOf(join(folder, 'proxy.config.ts'))
      assert.equal(headsOf(problems, folder), says)
    } finally {
      for (const [variable] of environment) delete process.env[variable]
    }
  })
}

/** As the loader and its process do it between them, in one process. */
async function problemsOf(file: string): Promise<readonly Problem[]> {
  try {
    const bundle = await bundleConfig(file, { bundlePlugin })
    return (await answerTo({ request: { bundle, instrumented: instrument(bundle) }, plugins: true }, () => {})).problems
  } catch (error) {
    if (error instanceof ConfigError) return withoutSecrets(error.problems)
    throw error
  }
}

function headsOf(problems: readonly Problem[], folder: string): string[] {
  const withoutFrames = problems.map((one) => ({ ...one, place: one.place && { ...one.place, source: [] } }))
  return formatProblems(withoutFrames, { color: false, folder }).replaceAll(folder, 'FOLDER').split('\n\n')
}

function readAll(): Wrong[] {
  return readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.txt'))
    .map((file) => parse(basename(file, '.txt'), readFileSync(join(import.meta.dirname, file), 'utf8')))
}

/** `--- NAME` begins a file, or one of the two parts that are none. */
function parse(name: string, text: string): Wrong {
  const parts = new Map(
    text
      .split(/^--- /m)
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
  )
  const lines = (part: string): string[] => (parts.get(part) ?? '').split('\n').filter((line) => line !== '')
  const environment = lines('environment').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const)
  const files = Object.fromEntries([...parts].filter(([part]) => part !== 'environment' && part !== 'check says'))
  return { name, files, environment, says: lines('check says') }
}

test('there are many', () => {
  assert.ok(readAll().length >= 40)
})

test.run()
