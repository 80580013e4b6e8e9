/**
 * `npm run bench:survive [-- --clients 8]`: what clients see of endpoints that fail, in half a minute. One of three is killed, then another
 * stopped (it accepts connections and never answers), then both come back; a GET that fails meanwhile fails the run. Then an upstream with
 * a circuit breaker goes down and comes up again.
 */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { readOptions } from './options.ts'
import { sluiceCommand } from './peers/sluice.ts'
import { accepting, delay, folder, freePort, lastOutput, start, stopAll } from './processes.ts'

const values = readOptions(import.meta.filename, { clients: { type: 'string', default: '8' } })
const CLIENTS = Number(values.clients)
/** Between two requests of a client: it is not the processor that is measured. */
const PAUSE_MS = 10
/** An answer that takes longer was held up by an endpoint that failed. */
const SLOW_MS = 150

interface Answer {
  readonly at: number
  readonly ms: number
  /** 0: there was none. */
  readonly status: number
}

const origin = join(import.meta.dirname, 'survive-origin.ts')
const ports = await Promise.all(Array.from({ length: 4 }, freePort))
const [a, b, c, lone] = ports as [number, number, number, number]
const endpoints = new Map<number, ChildProcess>()
for (const one of ports) endpoints.set(one, await startOrigin(one))
const port = await freePort()
const proxy = startProxy()
await accepting(proxy, port)

console.log(`three endpoints, ${CLIENTS} clients, a GET each ${PAUSE_MS} ms; slow: more than ${SLOW_MS} ms`)
const survived = await underLoad('/', async (phase) => {
  await phase('all well', 3_000)
  process.kill(endpoints.get(a)!.pid!, 'SIGKILL')
  await phase('one is killed', 4_000)
  process.kill(endpoints.get(b)!.pid!, 'SIGSTOP')
  await phase('another one hangs', 6_000)
  process.kill(endpoints.get(b)!.pid!, 'SIGCONT')
  endpoints.set(a, await startOrigin(a))
  await phase('both are back', 6_000)
})
const failed = survived.filter(({ status }) => status !== 200).length
console.log(`${survived.length} GETs, ${failed} failed`)

console.log('\none endpoint, a circuit breaker that opens at half of 20 requests, for 1 s')
const broken = await underLoad('/lone', async (phase) => {
  await phase('all well', 2_000)
  process.kill(endpoints.get(lone)!.pid!, 'SIGUSR2')
  await phase('it answers 503', 3_000)
  process.kill(endpoints.get(lone)!.pid!, 'SIGUSR2')
  await phase('it is well again', 3_000)
})
console.log(`${broken.length} GETs, ${broken.filter(({ status }) => status === 200).length} answered 200`)
console.log(`\nthe log of the proxy:\n${changes().join('\n')}`)
await stopAll()
process.exit(failed > 0 ? 1 : 0)

async function startOrigin(at: number): Promise<ChildProcess> {
  const child = start([process.execPath, origin, String(at)])
  await accepting(child, at)
  return child
}

function startProxy(): ChildProcess {
  const config = join(folder, 'proxy.config.ts')
  const text = `import { defineConfig, http, upstream } from 'sluice'
const three = upstream('three', {
  endpoints: ['127.0.0.1:${a}', '127.0.0.1:${b}', '127.0.0.1:${c}'],
  retries: { attempts: 3, on: ['connect', 'reset', 'timeout', 502, 503], perTry: '250ms' },
  outlier: { consecutiveFailures: 3, ejectFor: '2s', maxEjected: 0.7 },
  healthCheck: { path: '/', interval: '500ms', timeout: '250ms' },
  panic: 0.3,
})
const lone = upstream('lone', {
  endpoints: ['127.0.0.1:${lone}'],
  circuitBreaker: { failureRatio: 0.5, minRequests: 20, window: '1s', openFor: '1s' },
})
export default defineConfig({
  log: { access: false, format: 'json' },
  listeners: {
    web: http({ listen: '127.0.0.1:${port}', limits: { requestsPerConnection: 1_000_000 }, routes: [{ path: '/lone', to: lone }, { to: three }] }),
  },
})
`
  writeFileSync(config, text)
  return start([...sluiceCommand(), 'run', '-c', config, '--workers', '1', '--no-watch'], { cwd: folder })
}

/** All that clients saw while `course` ran, which is told phase by phase. */
async function underLoad(path: string, course: (phase: (what: string, ms: number) => Promise<void>) => Promise<void>): Promise<Answer[]> {
  const answers: Answer[] = []
  const load = { path, ending: false, answers }
  const clients = Array.from({ length: CLIENTS }, () => client(load))
  await course(async (what, ms) => {
    const from = performance.now()
    await delay(ms)
    describe(what, from, answers)
  })
  load.ending = true
  await Promise.all(clients)
  return answers
}

async function client(load: { readonly path: string; ending: boolean; readonly answers: Answer[] }): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  while (!load.ending) {
    const at = performance.now()
    const status = await get(load.path, agent)
    load.answers.push({ at, ms: performance.now() - at, status })
    await delay(PAUSE_MS)
  }
  agent.destroy()
}

function get(path: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.on('error', () => resolve(0))
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.resume()
    })
    sent.on('error', () => resolve(0))
    sent.end()
  })
}

/** With the time from the event to the end of the last answer that it held up. */
function describe(what: string, from: number, answers: readonly Answer[]): void {
  const own = answers.filter(({ at }) => at >= from)
  const slow = own.filter(({ ms }) => ms > SLOW_MS)
  const recovered = slow.reduce((last, { at, ms }) => Math.max(last, at + ms - from), 0)
  const slowest = own.reduce((most, { ms }) => Math.max(most, ms), 0)
  const counts = [200, 503, 0].map((status) => `${own.filter((one) => one.status === status).length} × ${status}`)
  const held = slow.length === 0 ? 'none slow' : `${slow.length} slow, the last ${recovered.toFixed(0)} ms after it`
  console.log(`  ${what.padEnd(18)} ${counts.join(', ')}; ${held}; slowest ${slowest.toFixed(0)} ms`)
}

/** Lines of the log that tell of endpoints and circuits. */
function changes(): string[] {
  return lastOutput(proxy, 1_000)
    .split('\n')
    .filter((line) => /"state":"/.test(line))
    .map((line) => {
      const { time, msg } = JSON.parse(line) as { time: string | number; msg: string }
      return `  ${new Date(time).toISOString().slice(14, 23)} ${msg}`
    })
}
