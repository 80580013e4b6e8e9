/**
 * `npm run bench:breaker [-- --clients 8]`: the time line of a circuit breaker, from a real run of some seconds. An endpoint begins to fail, fails while
 * the one request of a half-open circuit asks it, and is well again: a line for each change, from the log of the proxy, with what clients saw and what
 * reached the endpoint until then. Fails if a request reaches it while the circuit is open, or more than one while it is half-open.
 */
import { writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sluiceCommand } from './peers/sluice.ts'
import { accepting, delay, folder, freePort, lastOutput, start, stopAll } from './processes.ts'

const { values } = parseArgs({ options: { clients: { type: 'string', default: '8' } } })
const CLIENTS = Number(values.clients)
/** Between two requests of a client: it is not the processor that is measured. */
const PAUSE_MS = 10
/** So long the endpoint takes: the circuit is half-open for as long, and clients ask meanwhile. */
const ANSWER_MS = 100
/** The log is written so much later at the most, and what was let pass may be on its way for as long. */
const BLUR_MS = 60

interface Change {
  readonly at: number
  readonly state: 'closed' | 'open' | 'half-open' | 'begins to fail' | 'is well again'
  readonly text: string
}

/** When requests reached the endpoint, and when clients had which status. */
const reached: number[] = []
const answers: { readonly at: number; readonly status: number }[] = []
const turns: Change[] = []
let isFailing = false
const origin = createServer((_, response) => {
  reached.push(Date.now())
  const status = isFailing ? 503 : 200
  setTimeout(() => response.writeHead(status).end('ok'), ANSWER_MS)
}).listen(0, '127.0.0.1')
const port = await freePort()
const proxy = startProxy((origin.address() as AddressInfo).port)
await accepting(proxy, port)

console.log(
  `one endpoint that takes ${ANSWER_MS} ms, ${CLIENTS} clients, a GET each ${PAUSE_MS} ms; the circuit opens at half of 20 requests in 1 s, for 1 s\n`,
)
const began = Date.now()
const load = { isEnding: false }
const clients = Array.from({ length: CLIENTS }, () => client(load))
await delay(1_500)
turn(true)
await delay(2_700)
turn(false)
await delay(2_000)
load.isEnding = true
await Promise.all(clients)
const ended = Date.now()

const changes = [...turns, ...circuitChanges()].sort((one, other) => one.at - other.at)
const wrong = tell()
await stopAll()
origin.close()
if (wrong.length > 0) console.error(`\n${wrong.join('\n')}`)
process.exit(wrong.length > 0 ? 1 : 0)

function turn(fails: boolean): void {
  isFailing = fails
  turns.push({ at: Date.now(), state: fails ? 'begins to fail' : 'is well again', text: '' })
}

function startProxy(endpoint: number) {
  const config = join(folder, 'proxy.config.ts')
  const text = `import { defineConfig, http, upstream } from 'sluice'
const lone = upstream('lone', {
  endpoints: ['127.0.0.1:${endpoint}'],
  circuitBreaker: { failureRatio: 0.5, minRequests: 20, window: '1s', openFor: '1s' },
})
export default defineConfig({
  log: { access: false, format: 'json' },
  listeners: { web: http({ listen: '127.0.0.1:${port}', limits: { requestsPerConnection: 1_000_000 }, routes: [{ to: lone }] }) },
})
`
  writeFileSync(config, text)
  return start([...sluiceCommand(), 'run', '-c', config, '--workers', '1', '--no-watch'], { cwd: folder })
}

async function client(load: { isEnding: boolean }): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  while (!load.isEnding) {
    const status = await get(agent)
    answers.push({ at: Date.now(), status })
    await delay(PAUSE_MS)
  }
  agent.destroy()
}

function get(agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, agent }, (response) => {
      response.on('error', () => resolve(0))
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.resume()
    })
    sent.on('error', () => resolve(0))
    sent.end()
  })
}

/** Lines of the log that tell of the circuit. */
function circuitChanges(): Change[] {
  return lastOutput(proxy, 1_000)
    .split('\n')
    .filter((line) => /"state":"/.test(line))
    .map((line) => {
      const { time, state, msg } = JSON.parse(line) as { time: string | number; state: Change['state']; msg: string }
      return { at: new Date(time).getTime(), state, text: msg }
    })
}

/** Returns what is wrong. */
function tell(): string[] {
  const wrong: string[] = []
  let state: Change['state'] = 'closed'
  let at = began
  console.log('     s  what happened, and until the next line: reached the endpoint; clients had')
  for (const [i, change] of [{ at: began, state, text: '' }, ...changes].entries()) {
    const [from, to] = [beginOf(change), changes[i] === undefined ? ended : beginOf(changes[i])]
    if (change.state === 'closed' || change.state === 'open' || change.state === 'half-open') {
      state = change.state
      at = change.at
    }
    const what = change.text !== '' ? change.text : change.at === began ? 'the endpoint is well' : `the endpoint ${change.state}`
    console.log(`${seconds(change.at)}  ${what.padEnd(76)} ${countsOf(from, to)}`)
    if (state === 'open') {
      const inside = reached.filter((one) => one >= Math.max(from, at + BLUR_MS) && one < to)
      if (inside.length > 0) wrong.push(`${inside.length} requests reached the endpoint while the circuit was open`)
    }
    if (change.state === 'half-open') {
      const next = changes.slice(i).find((one) => one.state === 'open' || one.state === 'closed')
      const inside = reached.filter((one) => one >= from && one < (next?.at ?? ended))
      if (inside.length !== 1) wrong.push(`${inside.length} requests reached the endpoint while the circuit was half-open`)
    }
  }
  const course = changes.map(({ state }) => state).filter((one) => one === 'open' || one === 'half-open' || one === 'closed')
  const isWhole = course[0] === 'open' && course.includes('half-open') && course.lastIndexOf('open') > 1 && course.at(-1) === 'closed'
  if (!isWhole) wrong.push(`not the course that was meant: ${course.join(', ')}`)
  return wrong
}

/** The one request that tries may reach the endpoint before the log says that it may. */
function beginOf({ at, state }: Change): number {
  return state === 'half-open' ? at - BLUR_MS : at
}

function countsOf(from: number, to: number): string {
  const seen = answers.filter(({ at }) => at >= from && at < to)
  const counts = [200, 503, 0].map((status) => [seen.filter((one) => one.status === status).length, status] as const)
  const told = counts.filter(([count]) => count > 0).map(([count, status]) => `${count} × ${status === 0 ? 'nothing' : status}`)
  return `${String(reached.filter((at) => at >= from && at < to).length).padStart(4)}; ${told.join(', ') || 'nothing'}`
}

function seconds(at: number): string {
  return ((at - began) / 1_000).toFixed(2).padStart(6)
}
