/**
 * `npm run bench:memory [-- --quick]`: what an idle worker, 10,000 idle connections, a slow reader and a slow origin cost in
 * resident memory of the worker.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { lanes } from './lanes.ts'
import { readOptions } from './options.ts'
import { sluice } from './peers/sluice.ts'
import { accepting, delay, folder, freePort, rssMb, stopAll, tree } from './processes.ts'
import { ask, openMany, openSocket, readPaced, startPacedOrigin, writeBytes } from './streams.ts'

const values = readOptions(import.meta.filename, {
  quick: { type: 'boolean', default: false },
  connections: { type: 'string', default: '10000' },
})
const MB = 1_048_576
const PACE = 50 * MB
const BODY = (values.quick ? 256 : 1024) * MB
const SETTLE_MS = 2_000

const origin = await startPacedOrigin(PACE)
const port = await freePort()
const proxy = startProxy()
await accepting(proxy, port)
await delay(SETTLE_MS)

printIdle()
await measureConnections(Number(values.connections))
await measureFlow('a slow reader', async () => {
  const socket = await openSocket(port)
  socket.write(`GET /bytes/${BODY} HTTP/1.1\r\nHost: bench.test\r\n\r\n`)
  await readPaced(socket, BODY, PACE)
  socket.destroy()
})
await measureFlow('a slow origin', async () => {
  const socket = await openSocket(port)
  socket.write(`POST /sink HTTP/1.1\r\nHost: bench.test\r\nContent-Length: ${BODY}\r\n\r\n`)
  const answered = new Promise((resolve) => socket.once('data', resolve))
  await writeBytes(socket, BODY)
  await answered
  socket.destroy()
})
await measureFlow('a reader that stops for ten seconds', async () => {
  const socket = await openSocket(port)
  socket.write(`GET /bytes/${BODY} HTTP/1.1\r\nHost: bench.test\r\n\r\n`)
  await new Promise((resolve) => socket.once('data', resolve))
  socket.pause()
  await delay(values.quick ? 3_000 : 10_000)
  socket.destroy()
})
origin.close()
await stopAll()
process.exit(0)

function startProxy(): ChildProcess {
  const home = join(folder, 'memory')
  mkdirSync(home)
  return sluice('worker').start({ lane: lanes[0]!, port, originPort: origin.port, accessLog: false, cores: '0,1', home })
}

function workers(): number[] {
  return tree(proxy.pid ?? -1).slice(1)
}

function printIdle(): void {
  console.log(`idle: worker ${rssMb(workers()).toFixed(1)} MB, supervisor ${rssMb([proxy.pid ?? -1]).toFixed(1)} MB`)
}

async function measureConnections(count: number): Promise<void> {
  const warm = await openMany(port, 200)
  await Promise.all(warm.map(ask))
  for (const socket of warm) socket.destroy()
  await delay(SETTLE_MS)
  const before = rssMb(workers())
  const sockets = await openMany(port, count)
  await delay(1_000)
  const accepted = rssMb(workers())
  let answered = 0
  for (let i = 0; i < count; i += 100) {
    const batch = await Promise.allSettled(sockets.slice(i, i + 100).map(ask))
    answered += batch.filter((one) => one.status === 'fulfilled').length
  }
  await delay(SETTLE_MS)
  const used = rssMb(workers())
  const each = (now: number): string => (((now - before) * 1024) / count).toFixed(2)
  console.log(`${count} idle connections: ${each(accepted)} KB each when accepted, ${each(used)} KB each after one exchange`)
  console.log(`  worker ${before.toFixed(1)} → ${accepted.toFixed(1)} → ${used.toFixed(1)} MB; ${answered} of ${count} were answered`)
  for (const socket of sockets) socket.destroy()
  await delay(SETTLE_MS)
  console.log(`  after they closed ${rssMb(workers()).toFixed(1)} MB`)
}

async function measureFlow(what: string, run: () => Promise<void>): Promise<void> {
  const before = rssMb(workers())
  let most = before
  const began = performance.now()
  const sampling = setInterval(() => {
    most = Math.max(most, rssMb(workers()))
  }, 50)
  await run()
  clearInterval(sampling)
  const seconds = (performance.now() - began) / 1_000
  console.log(
    `${what}, ${BODY / MB} MB in ${seconds.toFixed(1)} s: worker ${before.toFixed(1)} MB before, ${most.toFixed(1)} at most, ${rssMb(workers()).toFixed(1)} after`,
  )
}
