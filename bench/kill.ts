/**
 * `npm run bench:kill [-- --kills 20] [--every 3]`: what `kill -9` of a worker under load costs. Lost with it may be what it had under
 * way; anything beyond (a refused connection, a wrong status, an answer that never comes) fails the run. Three seconds between two
 * kills, for workers that die young again and again are replaced ever later.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { lanes } from './lanes.ts'
import { median } from './measure.ts'
import { readOptions } from './options.ts'
import { sluice } from './peers/sluice.ts'
import { accepting, commandOf, delay, folder, freePort, lastOutput, stopAll, tree } from './processes.ts'
import { ask, openSocket, startPacedOrigin } from './streams.ts'

const values = readOptions(import.meta.filename, {
  kills: { type: 'string', default: '20' },
  every: { type: 'string', default: '3' },
  connections: { type: 'string', default: '32' },
})
const PROBES = 24
const ANSWER_DEADLINE_MS = 10_000

const origin = await startPacedOrigin(1)
const port = await freePort()
const proxy = startProxy()
await accepting(proxy, port)

let killedAt = Number.NEGATIVE_INFINITY
let ending = false
const counts = { answered: 0, underWay: 0, beyond: 0 }
const faults = new Map<string, number>()
const clients = Array.from({ length: Number(values.connections) }, client)

await delay(3_000)
const serving: number[] = []
for (let kill = 1; kill <= Number(values.kills); kill++) serving.push(await killOne(kill))
ending = true
await Promise.all(clients)

console.log(
  `${values.kills} kills under load: ${counts.answered} requests answered, ${counts.underWay} lost with the worker that had them under way, ${counts.beyond} lost beyond`,
)
console.log(
  `all new connections are answered after ${median(serving).toFixed(0)} ms (median), ${Math.max(...serving).toFixed(0)} ms at most`,
)
for (const [fault, count] of faults) console.log(`!! ${count} × ${fault}`)
if (counts.beyond > 0) console.log(lastOutput(proxy))
origin.close()
await stopAll()
process.exit(counts.beyond > 0 ? 1 : 0)

function startProxy(): ChildProcess {
  const home = join(folder, 'kill')
  mkdirSync(home)
  const lane = { ...lanes[0]!, workers: 2 }
  return sluice('worker').start({ lane, port, originPort: origin.port, accessLog: false, cores: '0,1', home })
}

/** Kills one worker; resolves with the milliseconds until new connections, whichever slot they fall into, are all answered. */
async function killOne(number: number): Promise<number> {
  await delay(Number(values.every) * 1_000)
  const workers = tree(proxy.pid ?? -1).filter((pid) => /^sluice: worker/.test(commandOf(pid)))
  const victim = workers[number % workers.length]
  if (victim === undefined) throw new Error('no worker to kill')
  killedAt = performance.now()
  process.kill(victim, 'SIGKILL')
  await Promise.all(Array.from({ length: PROBES }, probe))
  const took = performance.now() - killedAt
  console.log(`kill ${number}: ${victim} of ${workers.length} workers, all ${PROBES} new connections answered after ${took.toFixed(0)} ms`)
  return took
}

async function probe(): Promise<void> {
  const { socket, openedAt } = await opened()
  if (socket === null) return
  await exchange(socket, openedAt)
  socket.destroy()
}

/** Asks again and again on one connection; opens another when it is gone. */
async function client(): Promise<void> {
  while (!ending) {
    const { socket, openedAt } = await opened()
    if (socket === null) {
      await delay(10)
      continue
    }
    while (!ending && (await exchange(socket, openedAt))) {}
    socket.destroy()
  }
}

async function opened(): Promise<{ socket: Socket | null; openedAt: number }> {
  const openedAt = performance.now()
  try {
    const socket = await openSocket(port)
    socket.on('error', () => {})
    return { socket, openedAt }
  } catch (error) {
    lost(error)
    return { socket: null, openedAt }
  }
}

/** One exchange; false when the connection is of no more use. */
async function exchange(socket: Socket, openedAt: number): Promise<boolean> {
  if (socket.destroyed || socket.readableEnded) return false
  const late = setTimeout(() => socket.destroy(new Error(`no answer for ${ANSWER_DEADLINE_MS} ms`)), ANSWER_DEADLINE_MS)
  try {
    const answer = await ask(socket)
    if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`answered ${answer.slice(0, 40)}`)
    counts.answered++
    // After ten thousand requests a connection is told to end: what is asked on it after that is nobody's loss.
    return !/\r\nconnection: close\r\n/i.test(answer)
  } catch (error) {
    const isOfKilled = openedAt < killedAt && performance.now() - killedAt < 1_000
    if (isOfKilled) counts.underWay++
    else lost(error, `opened ${since(openedAt)}, lost ${since(performance.now())}`)
    return false
  } finally {
    clearTimeout(late)
  }
}

function since(time: number): string {
  return `${(time - killedAt).toFixed(1)} ms after the last kill`
}

function lost(error: unknown, when = since(performance.now())): void {
  counts.beyond++
  const text = error instanceof Error ? error.message : String(error)
  console.log(`  lost beyond: ${text}; ${when}`)
  faults.set(text, (faults.get(text) ?? 0) + 1)
}
