/** What was compiled is kept by every kind of process, also by those that are killed when they have done their work. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sweepModuleCache } from '../../core/process/module-cache.ts'
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

test('of too much, what was used longest ago goes; a folder that is not its own is left alone', async () => {
  const env = { XDG_CACHE_HOME: makeFolder({}) }
  const folder = join(env.XDG_CACHE_HOME, 'sluice')
  for (const kind of ['a', 'b', 'c', 'd', 'e']) {
    mkdirSync(join(folder, kind), { recursive: true })
    for (let i = 0; i < 6; i++) keep(join(folder, kind, String(i)), i)
    utimesSync(join(folder, kind), 0, kind === 'b' ? 1_000 : kind.charCodeAt(0))
  }
  const left = (): readonly (readonly string[])[] => readdirSync(folder).map((kind) => [kind, ...readdirSync(join(folder, kind)).sort()])
  const all = left()
  await sweepModuleCache(folder, { most: { files: 6, folders: 5 }, env })
  assert.equal(left(), all)
  await sweepModuleCache(folder, { most: { files: 1, folders: 1 }, env: {} })
  assert.equal(left(), all)
  await sweepModuleCache(folder, { most: { files: 5, folders: 4 }, env })
  assert.equal(left(), [
    ['b', '4', '5'],
    ['e', '4', '5'],
  ])
  await sweepModuleCache(join(env.XDG_CACHE_HOME, 'nowhere'), { env })
})

function keep(place: string, usedAt: number): void {
  writeFileSync(place, '')
  utimesSync(place, usedAt, 0)
}

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
