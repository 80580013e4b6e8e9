/**
 * `npm run bench:reload [-- --reloads 1000] [--sockets 1000] [--clients 16] [--gap 300]`: what saving the config again and again under
 * load costs. Each save is a real one, of another text: a route, the options of a plugin and an upstream's time limit change. Meanwhile
 * WebSockets are open that echo now and then, and keep-alive clients ask as fast as they are answered. A failed request or a cut socket
 * fails the run.
 */
import type { ChildProcess } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { median } from './measure.ts'
import { readOptions } from './options.ts'
import { accepting, commandOf, delay, folder, freePort, lastOutput, rssMb, start, stopAll, tree } from './processes.ts'
import { openMany, openSocket } from './streams.ts'

const values = readOptions(import.meta.filename, {
  reloads: { type: 'string', default: '1000' },
  sockets: { type: 'string', default: '1000' },
  clients: { type: 'string', default: '16' },
  workers: { type: 'string', default: '2' },
  /** Milliseconds between a reload that is live and the next save. */
  gap: { type: 'string', default: '300' },
})
const RELOADS = Number(values.reloads)
/** The first reloads fill caches: they are not counted as growth. */
const WARM_UP = Math.min(50, Math.floor(RELOADS / 2))
const LIVE_DEADLINE_MS = 10_000
const PING_EVERY_MS = 5_000
const SETTLE_MS = 3_000

const config = join(folder, 'proxy.config.ts')
const printed = join(folder, 'printed.log')
const faults = new Map<string, number>()
const echoes = { sent: 0, came: 0 }
let answered = 0
let ending = false

const origin = await startOrigin()
const port = await freePort()
writePlugin()
save(0)
const proxy = startProxy()
await accepting(proxy, port)
const sockets = await openWebSockets(Number(values.sockets))
const clients = Array.from({ length: Number(values.clients) }, client)
const pinging = setInterval(ping, PING_EVERY_MS / 20)

const liveMs: number[] = []
const watcher = await openSocket(port)
let warm = memory()
for (let round = 1; round <= RELOADS; round++) {
  liveMs.push(await reload(round))
  if (round === WARM_UP) warm = await settledMemory()
  if (round % 100 === 0) console.log(`${round} reloads: ${describeMemory(memory())}, median ${median(liveMs).toFixed(0)} ms`)
  if (Number(values.gap) > 0) await delay(Number(values.gap))
}
clearInterval(pinging)
const end = await settledMemory()
ending = true
await Promise.all(clients)
await eachEchoes()
report()
origin.close()
await stopAll()
process.exit(faults.size > 0 ? 1 : 0)

function report(): void {
  const sorted = liveMs.toSorted((a, b) => a - b)
  const at = (share: number): string => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(0)
  const told = [...readFileSync(printed, 'utf8').matchAll(/^live in (\d+) ms/gm)].map(([, ms]) => Number(ms))
  const grown = (before: number, after: number): string => ((Math.max(0, after - before) * 1024) / (RELOADS - WARM_UP)).toFixed(1)
  console.log(`${RELOADS} reloads, ${values.sockets} WebSockets, ${answered} requests of ${values.clients} clients meanwhile`)
  console.log(
    `save → first response of the new config: median ${at(0.5)} ms, p95 ${at(0.95)}, max ${at(1)}; printed: median ${median(told)} ms`,
  )
  console.log(
    `failed requests and cut sockets: ${[...faults.values()].reduce((sum, count) => sum + count, 0)}; echoes ${echoes.came} of ${echoes.sent}`,
  )
  console.log(`memory after ${WARM_UP} reloads: ${describeMemory(warm)}; at the end: ${describeMemory(end)}`)
  console.log(`growth a reload: supervisor ${grown(warm.supervisor, end.supervisor)} KB, a worker ${grown(warm.worker, end.worker)} KB`)
  for (const [fault, count] of faults) console.log(`!! ${count} × ${fault}`)
  if (faults.size > 0) console.log(lastOutput(proxy))
}

/** Milliseconds from the write to the first response of what was written. */
async function reload(round: number): Promise<number> {
  const began = performance.now()
  save(round)
  while (performance.now() - began < LIVE_DEADLINE_MS) {
    const text = await askOn(watcher, '/version')
    if (text === String(round)) return performance.now() - began
    await delay(1)
  }
  count(`reload ${round} was not live within ${LIVE_DEADLINE_MS} ms`)
  return LIVE_DEADLINE_MS
}

/** As an editor does it: written beside, then renamed. */
function save(round: number): void {
  const text = `import { defineConfig, http, respond, upstream } from 'sluice'
import tag from './tag.ts'
const api = upstream('api', { endpoints: ['127.0.0.1:${origin.port}'], timeouts: { response: '${30 + (round % 2)}s' } })
export default defineConfig({
  listeners: {
    web: http({
      listen: '127.0.0.1:${port}',
      // Nothing but a reload could tell a client to close.
      limits: { requestsPerConnection: 1_000_000_000 },
      routes: [
        { path: '/version', respond: respond(200, '${round}') },
        { path: '/chat', to: api },
        { path: '/tagged', use: [tag({ value: 'v${round}' })], to: api },
        { to: api },
      ],
    }),
  },
  log: { access: false },
})
`
  writeFileSync(`${config}.new`, text)
  renameSync(`${config}.new`, config)
}

function writePlugin(): void {
  writeFileSync(
    join(folder, 'tag.ts'),
    `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'tag', setup({ value }: { value: string }, host) {
  let seen = host.restore<number>() ?? 0
  return { onResponse(res) { seen++; res.headers.set('x-tag', value) }, onReload: () => seen }
} })
`,
  )
}

function startProxy(): ChildProcess {
  const main = new URL('../core/main.ts', import.meta.url).pathname
  return start([process.execPath, '--disable-warning=ExperimentalWarning', main, 'run', '-c', config, '--workers', values.workers], {
    stdout: printed,
  })
}

/** Answers HTTP with a few bytes, and echoes whatever follows an upgrade. */
async function startOrigin(): Promise<{ port: number; close(): void }> {
  const body = 'x'.repeat(95)
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const server = net.createServer({ noDelay: true }, (socket) => {
    let isTunnel = false
    let held = ''
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      if (isTunnel) return socket.write(bytes)
      held += bytes.toString('latin1')
      for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
        isTunnel = /\r\nupgrade:/i.test(held.slice(0, end))
        held = held.slice(end + 4)
        socket.write(isTunnel ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n' : answer)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve))
  const address = server.address() as net.AddressInfo
  return { port: address.port, close: () => server.close() }
}

interface WebSocketClient {
  readonly socket: net.Socket
  pending: number
}

async function openWebSockets(count_: number): Promise<WebSocketClient[]> {
  const opened = await openMany(port, count_)
  const ask = 'GET /chat HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  return Promise.all(
    opened.map(async (socket) => {
      const head = nextData(socket)
      socket.write(ask)
      if (!(await head).startsWith('HTTP/1.1 101')) count('a WebSocket was refused')
      const client: WebSocketClient = { socket, pending: 0 }
      socket.on('data', (bytes) => {
        client.pending -= bytes.length
        echoes.came += bytes.length
      })
      socket.on('error', () => {})
      socket.on('close', () => !ending && count('a WebSocket was cut'))
      return client
    }),
  )
}

/** A few of them at a time: each about once in PING_EVERY_MS. */
function ping(): void {
  for (const client of sockets) if (Math.random() < 0.05) sendPing(client)
}

function sendPing(client: WebSocketClient): void {
  client.socket.write('ping;')
  client.pending += 5
  echoes.sent += 5
}

/** In the end every one of them still echoes. */
async function eachEchoes(): Promise<void> {
  for (const client of sockets) sendPing(client)
  const until = performance.now() + SETTLE_MS
  while (sockets.some(({ pending }) => pending > 0) && performance.now() < until) await delay(20)
  const silent = sockets.filter(({ pending }) => pending > 0).length
  if (silent > 0) faults.set('a WebSocket does not echo any more', silent)
  for (const { socket } of sockets) socket.destroy()
}

/** One request after the other on one connection, which only the proxy's own word may end. */
async function client(): Promise<void> {
  let socket = await openSocket(port)
  const paths = ['/', '/tagged', '/version']
  for (let i = 0; !ending; i++) {
    const text = await askOn(socket, paths[i % paths.length]!).catch((error: Error) => error)
    if (text instanceof Error) {
      count(`a request failed: ${text.message}`)
      socket = await openSocket(port)
    } else answered++
  }
  socket.destroy()
}

/** The body; rejects when there is none, or another status. */
async function askOn(socket: net.Socket, path: string): Promise<string> {
  const answer = nextResponse(socket)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench.test\r\n\r\n`)
  const { head, body } = await answer
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head.slice(0, head.indexOf('\r')))
  if (/\r\nconnection: close/i.test(head)) throw new Error('told to close')
  return body
}

function nextResponse(socket: net.Socket): Promise<{ head: string; body: string }> {
  return new Promise((resolve, reject) => {
    let text = ''
    const done = (act: () => void): void => {
      socket.off('data', onData).off('close', onClose)
      act()
    }
    const onClose = (): void => done(() => reject(new Error('closed without an answer')))
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1])
      if (text.length >= end + 4 + length) done(() => resolve({ head: text.slice(0, end + 2), body: text.slice(end + 4) }))
    }
    socket.on('data', onData).on('close', onClose)
  })
}

function nextData(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => socket.once('data', (bytes) => resolve(bytes.toString('latin1'))))
}

interface Memory {
  readonly supervisor: number
  /** The mean of them. */
  readonly worker: number
}

function memory(): Memory {
  const [supervisor = -1, ...others] = tree(proxy.pid ?? -1)
  const workers = others.filter((pid) => commandOf(pid).includes('worker'))
  return { supervisor: rssMb([supervisor]), worker: rssMb(workers) / Math.max(1, workers.length) }
}

/** The least of a while: what is garbage comes and goes. */
async function settledMemory(): Promise<Memory> {
  let least = memory()
  for (const until = performance.now() + SETTLE_MS; performance.now() < until; await delay(100)) {
    const now = memory()
    least = { supervisor: Math.min(least.supervisor, now.supervisor), worker: Math.min(least.worker, now.worker) }
  }
  return least
}

function describeMemory({ supervisor, worker }: Memory): string {
  return `supervisor ${supervisor.toFixed(1)} MB, a worker ${worker.toFixed(1)} MB`
}

function count(fault: string): void {
  faults.set(fault, (faults.get(fault) ?? 0) + 1)
}
