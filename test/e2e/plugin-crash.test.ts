/**
 * A plugin that makes V8 abort takes a worker with it, for it runs in the worker's own process. The supervisor reads whose code ran,
 * and at the second time moves the plugin to processes of its own in every worker: from then on it can end only those.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Client, connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { type Sluice, startSluice } from '../support/process.ts'

const plugin = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({
  name: 'bomb',
  setup: () => ({ onRequest(req) { if (req.path === '/boom') 'a'.padEnd(2 ** 29 - 100).split('') } }),
})\n`
const config = `import { defineConfig, http, respond } from 'sluice'
import bomb from './plugins/bomb.ts'
export default defineConfig({
  listeners: {
    web: http({ listen: '127.0.0.1:0', routes: [
      { path: '/boom', use: [bomb({}, { timeout: '500ms' })], respond: respond(200, 'survived') },
      { respond: respond(200, 'neighbour') },
    ] }),
  },
  admin: { listen: '127.0.0.1:0' },
})\n`

// The abort comes when memory for half a billion strings could not be had: on a busy machine that takes longer than a loop may.
const env = { SLUICE_HANG_MS: '30000' }
const patient = { deadlineMs: 30_000 }

test('the second worker that a plugin ends moves it to a process everywhere, and neighbours are answered throughout', async () => {
  await using sluice = await startSluice({ config, files: { 'plugins/bomb.ts': plugin }, args: ['--workers', '2'], env })
  const port = await sluice.port('web')
  for (let time = 1; time <= 2; time++) {
    await endWorker(port)
    await eventually(() => (endings(sluice).length === time ? true : undefined), 'nobody was blamed', 30_000)
    await eventually(async () => ((await state(sluice)) === 'ready' ? true : undefined), 'no replacement', 30_000)
  }
  assert.match(endings(sluice)[0]!, /plugin bomb made worker [01] end \(SIG(TRAP|ABRT|ILL|SEGV)\)/)
  await sluice.line(/plugin bomb made 2 workers end: from now on it runs in a process of its own, in every worker/)
  const pids = await workerPids(sluice)
  const answer = await request(port, get('/boom'), patient)
  assert.is(answer.status, 500)
  assert.equal(await workerPids(sluice), pids)
  assert.is(endings(sluice).length, 2)
  const admin = await sluice.port('admin')
  const metrics = (await request(admin, get('/metrics'))).text
  assert.match(metrics, /^sluice_plugin_worker_crashes_total\{plugin="bomb"\} 2$/m)
  const [told] = JSON.parse((await request(admin, get('/api/plugins'))).text)
  assert.equal([told.name, told.isolation, told.engine, told.workerCrashes, told.movedToProcess], ['bomb', 'worker', 'process', 2, true])
  // Which of them: whether V8 gives up, or the host's patience ends, or its memory is too much, comes first.
  assert.ok(told.failures.crashed + told.failures.timeout + told.failures.memory >= 1, JSON.stringify(told.failures))
})

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`

/** The worker that takes it ends before it can answer. Whoever is connected to the other one is answered meanwhile. */
async function endWorker(port: number): Promise<void> {
  const neighbours = await Promise.all(Array.from({ length: 16 }, () => connect(port, patient)))
  const boom = { isOver: false }
  const asking = neighbours.map((client) => askWhile(client, () => !boom.isOver))
  const answer = await request(port, get('/boom'), patient).catch(() => null)
  boom.isOver = true
  assert.is(answer, null)
  const answered = await Promise.all(asking)
  for (const client of neighbours) client[Symbol.dispose]()
  assert.ok(answered.some((count) => count !== null && count > 0))
}

/** How many answers came; null if the connection was cut. */
async function askWhile(client: Client, isOn: () => boolean): Promise<number | null> {
  let count = 0
  try {
    do {
      client.send('GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n')
      assert.is((await client.response()).text, 'neighbour')
      count++
      await new Promise((resolve) => setTimeout(resolve, 20))
    } while (isOn())
    return count
  } catch {
    return null
  }
}

function endings(sluice: Sluice): string[] {
  return sluice.stderr.filter((line) => /plugin bomb made worker \d end/.test(line))
}

async function state(sluice: Sluice): Promise<string> {
  return JSON.parse((await request(await sluice.port('admin'), get('/api/status'))).text).state
}

async function workerPids(sluice: Sluice): Promise<number[]> {
  const { workers } = JSON.parse((await request(await sluice.port('admin'), get('/api/status'))).text)
  return workers.map(({ pid }: { pid: number }) => pid)
}

test.run()
