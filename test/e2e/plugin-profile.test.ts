/**
 * `sluice plugin profile` as a user types it, against a proxy under load: the plugin moves to a process made for the profile and back,
 * and whoever sends requests meanwhile notices nothing.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CpuProfile, selfMicros } from '../../core/sandbox/profile.ts'
import { connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { runCommand, type Sluice, startSluice } from '../support/process.ts'

const burner = `import { definePlugin, respond } from 'sluice/plugin'

interface Burnt { readonly sum: number }

function burnSlowly(rounds: number): Burnt {
  let sum = 0
  for (let i = 0; i < rounds; i++) sum += Math.sqrt(i)
  return { sum }
}

export default definePlugin({
  name: 'burner',
  setup: () => ({ onRequest: () => respond(200, burnSlowly(50_000).sum > 0 ? 'burnt' : 'cold') }),
})\n`
const idler = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'idler', setup: () => ({ onRequest() {} }) })\n`
const config = `import { defineConfig, http, respond } from 'sluice'
import burner from './plugins/burner.ts'
import idler from './plugins/idler.ts'
export default defineConfig({
  listeners: {
    web: http({ listen: '127.0.0.1:0', routes: [
      { path: '/idle', use: [idler({})], respond: respond(200, 'idle') },
      { use: [burner({}, { timeout: '500ms' })], respond: respond(404, 'not burnt') },
    ] }),
  },
  admin: { listen: '127.0.0.1:0' },
})\n`
const files = { 'plugins/burner.ts': burner, 'plugins/idler.ts': idler }
// A machine that has others to serve may stop a loop for longer than a worker usually may.
const env = { SLUICE_HANG_MS: '30000' }

test('under load the hottest function is named by its line in the .ts, every request is answered, and all is as it was', async () => {
  await using sluice = await startSluice({ config, files, args: ['--workers', '1'], env })
  const load = await startLoad(sluice)
  await load.isUnderWay()
  const before = sluice.processes().length
  const { code, stdout, stderr } = await typed(sluice, 'plugin', 'profile', 'burner', '--seconds', '1', '-o', 'burner.cpuprofile')
  const answers = await load.stop()
  assert.is(code, 0, stderr)
  assert.is(stderr, 'profiling burner for 1 s')
  assert.match(stdout, /^\d+ calls; the most time of its own had\n +[\d.]+ ms +burnSlowly +plugins\/burner\.ts:5\n/)
  assert.match(stdout, /\nwrote burner\.cpuprofile$/)
  assert.equal([...new Set(answers)], ['200 burnt'])
  const hot = hottest(JSON.parse(readFileSync(join(sluice.folder, 'burner.cpuprofile'), 'utf8')))
  assert.is(hot.functionName, 'burnSlowly')
  assert.match(readFileSync(fileURLToPath(hot.url), 'utf8').split('\n')[hot.lineNumber]!, /^function burnSlowly/)
  await eventually(() => (sluice.processes().length === before ? true : undefined), 'the process of the profile is still there')
  const admin = await sluice.port('admin')
  const plugins: { name: string; engine: string; restarts: number }[] = JSON.parse((await request(admin, get('/api/plugins'))).text)
  const told = plugins.find(({ name }) => name === 'burner')
  assert.equal([told?.engine, told?.restarts], ['worker', 0])
  assert.is((await request(await sluice.port('web'), get('/'))).text, 'burnt')
})

test('of a plugin that is unknown, that nobody calls, or while another one is profiled, it says why and writes nothing', async () => {
  await using sluice = await startSluice({ config, files, args: ['--workers', '1'], env })
  const unknown = await typed(sluice, 'plugin', 'profile', 'brner')
  assert.equal([unknown.code, unknown.stdout], [1, ''])
  assert.match(unknown.stderr, /^sluice: there is no plugin brner; there are (idler, burner|burner, idler)$/)
  const [first, second] = await Promise.all(['idler', 'idler'].map((name) => typed(sluice, 'plugin', 'profile', name, '--seconds', '3')))
  const errors = [first!, second!].map(({ stderr }) => stderr.split('\n').at(-1)).sort()
  assert.match(errors[0]!, /^sluice: idler is being profiled: one at a time/)
  assert.match(errors[1]!, /^sluice: nobody called idler within 3 s: nothing is written/)
  assert.equal([first!.code, second!.code], [1, 1])
  assert.not(existsSync(join(sluice.folder, 'idler.cpuprofile')))
  const wrong = await typed(sluice, 'plugin', 'profile', 'idler', '--seconds', '900')
  assert.is(wrong.code, 2)
  assert.match(wrong.stderr, /--seconds takes a number from 0\.1 to 60, not 900/)
})

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`

function typed(sluice: Sluice, ...command: string[]): ReturnType<typeof runCommand> {
  return runCommand(command, { folder: sluice.folder })
}

/** Four clients that ask one request after the other. */
async function startLoad(sluice: Sluice): Promise<{ isUnderWay(): Promise<unknown>; stop(): Promise<string[]> }> {
  const port = await sluice.port('web')
  const answers: string[] = []
  let isOn = true
  const asking = Array.from({ length: 4 }, async () => {
    using client = await connect(port, { deadlineMs: 30_000 })
    while (isOn) {
      client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      const { status, text } = await client.response()
      answers.push(`${status} ${text}`)
    }
  })
  return {
    isUnderWay: () => eventually(() => (answers.length > 20 ? true : undefined), 'no answers'),
    async stop() {
      isOn = false
      await Promise.all(asking)
      return answers
    },
  }
}

function hottest(profile: CpuProfile): CpuProfile['nodes'][number]['callFrame'] {
  const times = selfMicros(profile)
  const own = profile.nodes.filter(({ callFrame }) => callFrame.url.startsWith('file:'))
  return own.reduce((most, node) => ((times.get(node.id) ?? 0) > (times.get(most.id) ?? 0) ? node : most)).callFrame
}

test.run()
