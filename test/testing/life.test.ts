/** How simulations begin and end: with a code frame for what is wrong, and without leaving anything behind. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { simulate, simulatePlugin } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root, testingFile } from '../support/process.ts'
import { config, write } from './support.ts'

const door = JSON.stringify(pathToFileURL(testingFile).href)
const simple = config(`{ path: '/word', respond: respond(200, env('WORD', 'none')) }`)

test('what is wrong with a config is told with its place', async () => {
  const error = await messageOf(simulate(config(`{ path: '/a', respond: respond(2000) }, { pth: '/b', respond: respond(200) }`)))
  assert.match(error, /^proxy-\d+\.config\.ts cannot be simulated/)
  assert.match(error, 'routes[1].pth')
  assert.match(error, /> \d+ \|/)
  assert.match(await messageOf(simulate('./nowhere.config.ts')), 'there is no file')
})

test('a plugin that cannot be loaded is told with its place', async () => {
  const broken = write(
    'broken.ts',
    `import { definePlugin } from 'sluice/plugin'\nexport default definePlugin({ name: 'broken', setup() {\n  throw new Error('no luck')\n} })\n`,
  )
  assert.match(await messageOf(simulatePlugin(broken)), 'broken.ts:3')
  const file = config(`{ use: [broken()], respond: respond(200) }`, { before: `import broken from './broken.ts'` })
  assert.match(await messageOf(simulate(file)), 'no luck')
  assert.match(await messageOf(simulatePlugin('./nowhere.ts')), 'there is no file')
  assert.match(await messageOf(simulatePlugin(broken, { options: { word: () => 1 } })), 'could not be cloned')
  const wrong = write(
    'wrong.ts',
    `import { definePlugin } from 'sluice/plugin'\nimport fs from 'node:fs'\nexport default definePlugin({ name: 'wrong', setup: () => ({ onRequest() { fs } }) })\n`,
  )
  assert.match(await messageOf(simulatePlugin(wrong)), /> 2 \|/)
})

test('a stub for an upstream that is not there is refused', async () => {
  assert.match(await messageOf(simulate(simple, { upstreams: { api: () => new Response() } })), 'there is no upstream api to stub')
})

test('the environment of a config can be given, and several simulations run at once', async () => {
  const words = ['one', 'two', 'three']
  const all = await Promise.all(words.map((WORD) => simulate(simple, { env: { WORD } })))
  const answers = await Promise.all(all.map(async (proxy) => (await proxy.fetch('/word')).text()))
  assert.equal(answers, words)
  await Promise.all(all.map((proxy) => proxy.close()))
  assert.match(await messageOf(all[0]!.fetch('/word')), 'the simulation is closed')
})

test('a process that forgets to close its simulation ends all the same', async () => {
  const script = `import { simulate } from ${door}
const proxy = await simulate(${JSON.stringify(simple)})
console.log((await proxy.fetch('/word')).status)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
  assert.is(stdout, '200\n')
})

test('a simulation goes when its process is killed', async () => {
  const script = `import { simulate } from ${door}
const proxy = await simulate(${JSON.stringify(config(`{ use: [{ onResponse(res) { res.headers.set('x-pid', String(process.pid)) } }], respond: respond(200) }`))})
console.log((await proxy.fetch('/')).headers.get('x-pid'))
setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [bytes] = await once(parent.stdout, 'data')
  const pid = Number(String(bytes))
  assert.ok(isAlive(pid))
  parent.kill('SIGKILL')
  const end = performance.now() + 10_000
  while (isAlive(pid) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.not(isAlive(pid), `the simulation ${pid} is still there`)
})

test('a simulation goes when its process is killed, also while a function of its config loops', async () => {
  const looping =
    config(`{ path: '/pid', use: [{ onResponse(res) { res.headers.set('x-pid', String(process.pid)) } }], respond: respond(200) },
    { when: () => { for (;;); }, respond: respond(200) }`)
  const script = `import { simulate } from ${door}
const proxy = await simulate(${JSON.stringify(looping)})
console.log((await proxy.fetch('/pid')).headers.get('x-pid'))
await proxy.fetch('/loop')`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [bytes] = await once(parent.stdout, 'data')
  const pid = Number(String(bytes))
  parent.kill('SIGKILL')
  const end = performance.now() + 10_000
  while (isAlive(pid) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10))
  const isLeft = isAlive(pid)
  if (isLeft) process.kill(pid, 'SIGKILL')
  assert.not(isLeft, `the simulation ${pid} is still there`)
})

test('what a config says to whoever started its process does not reach the test', async () => {
  await using proxy = await simulate(config(`{ respond: respond(200) }`, { before: `process.send?.('ready')\nprocess.send?.(null)` }))
  assert.is((await proxy.fetch('/')).status, 200)
})

test('node:test runs it as well, without flags', async () => {
  const file = write(
    'under-node.test.mjs',
    `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from ${door}
const proxy = await simulate(${JSON.stringify(simple)})
test('says its word', async () => assert.equal(await (await proxy.fetch('/word')).text(), 'none'))
`,
  )
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
  const { stdout } = await promisify(execFile)(process.execPath, ['--test', file], { cwd: root, env, timeout: 30_000 })
  assert.match(stdout, /pass 1/)
})

test.run()

function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'it did not fail',
    (error: Error) => error.message,
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
