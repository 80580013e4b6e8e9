/** What was compiled is kept by every kind of process, also by those that are killed when they have done their work. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hostArguments } from '../../core/sandbox/engine/host-arguments.ts'
import { makeFolder } from '../config/support.ts'
import { eventually } from '../support/deadline.ts'
import { root, startSluice } from '../support/process.ts'

test('the process that checked a config and the worker leave theirs while the proxy runs, the supervisor at its end', async () => {
  const cache = makeFolder({})
  const config = `import { http } from 'sluice'
export default { listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ to: '127.0.0.1:1' }] }) } }`
  await using sluice = await startSluice({ config, args: ['--workers', '1'], env: { NODE_COMPILE_CACHE: cache }, program: source('main') })
  assert.is(filled(cache), 2)
  await sluice.stop()
  assert.is(filled(cache), 3)
})

test('a plugin host leaves them before it has a plugin', async () => {
  const cache = makeFolder({})
  const host = spawn(process.execPath, hostArguments.with(-1, source('sandbox/engine/host')), {
    env: { NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  })
  try {
    await eventually(() => filled(cache) === 1 || undefined, 'it leaves nothing', 20_000)
    assert.is(host.exitCode, null)
  } finally {
    host.kill('SIGKILL')
  }
})

/** Not the program that other tests run: that has few files. */
function source(entry: string): string {
  return join(root, `core/${entry}.ts`)
}

/** Each set of V8's flags has a folder of its own. */
function filled(cache: string): number {
  const folders = existsSync(cache) ? readdirSync(cache) : []
  return folders.filter((folder) => readdirSync(join(cache, folder)).length > 5).length
}

test.run()
