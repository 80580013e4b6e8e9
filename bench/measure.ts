/** One lane measured: all its proxies live at once, rounds alternate between them, and each round gives one CPU figure a request. */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import * as http from 'node:http'
import { join } from 'node:path'
import type { Lane, SubjectName } from './lanes.ts'
import { askKnown, type Load, runLoad } from './load.ts'
import { requestsOf } from './origin.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import { sluice } from './peers/sluice.ts'
import type { Subject } from './peers/subject.ts'
import { varnish } from './peers/varnish.ts'
import { accepting, cpuOf, delay, folder, freePort, livingTree, machineTicks, rssMb, stop, tree } from './processes.ts'
import { ENTITY_TAG } from './urls.ts'

export interface Round extends Load {
  /** Microseconds of CPU a request, of everything the proxy runs. */
  readonly cpuUs: number
  readonly userUs: number
  readonly systemUs: number
  /** Of the first process alone: the supervisor of Sluice, the master of nginx. */
  readonly firstUs: number
  /** Part of a core that processes outside this measurement took meanwhile. */
  readonly others: number
  /** Requests to the origin, of a hundred. */
  readonly originPercent: number
}

export interface Measured {
  readonly lane: string
  readonly accessLog: boolean
  readonly subject: SubjectName
  readonly rounds: readonly Round[]
  /** Resident memory after the rounds: of all processes, and of the first alone. */
  readonly rssMb: number
  readonly firstRssMb: number
}

export interface MeasureOptions {
  readonly lane: Lane
  readonly accessLog: boolean
  readonly subjects: readonly SubjectName[]
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly originPort: number
  readonly progress: (line: string) => void
}

interface Live {
  readonly name: SubjectName
  readonly port: number
  readonly child: ChildProcess
  readonly rounds: Round[]
}

/** Where load and origin run, and where the proxy does. */
export const LOAD_CORES = '0'
export const PROXY_CORES = '1'

/**
 * Requests before the first round of a lane with misses: what a miss needs comes up once in ten requests there, and until it is compiled the
 * lane measures the compiler; and the memory of each proxy is full by then. As many seconds at the most.
 */
const WARM_REQUESTS = 120_000
const WARM_SECONDS = 15

/** A round is disturbed when others took more than this part of a core. */
export const DISTURBED = 0.1

export const subjects: Readonly<Record<SubjectName, Subject>> = {
  nginx: nginx('none'),
  'nginx+njs': nginx('njs'),
  'nginx+Lua': nginx('lua'),
  HAProxy: haproxy,
  Varnish: varnish,
  Sluice: sluice('worker'),
  'Sluice, process engine': sluice('process'),
}

export async function measureLane(options: MeasureOptions): Promise<Measured[]> {
  const live: Live[] = []
  try {
    for (const name of options.subjects) {
      const one = await startOne(name, options)
      if (one !== null) live.push(one)
    }
    if (options.lane.asks === 'new' || options.lane.asks === 'zipf') for (const one of live) await warmUp(one, options)
    for (let round = 1; round <= options.rounds; round++) {
      // Each round begins with another proxy, so that none always follows the same neighbour.
      for (let i = 0; i < live.length; i++) {
        const one = live[(i + round) % live.length]!
        one.rounds.push(await measureRound(one, options, round))
      }
    }
    return live.map((one) => summary(one, options))
  } finally {
    for (const one of live) await stop(one.child)
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Starts a proxy of a lane; null, said aloud, when it cannot run. */
async function startOne(name: SubjectName, options: MeasureOptions): Promise<Live | null> {
  const { lane, accessLog, originPort } = options
  const missing = subjects[name].missing()
  if (missing !== null) {
    options.progress(`!! ${name} SKIPPED: ${missing}`)
    return null
  }
  const home = join(folder, `${lane.name}-${accessLog ? 'log' : 'nolog'}-${name.replaceAll(/\W+/g, '-')}`)
  mkdirSync(home, { recursive: true })
  const port = await freePort()
  const cores = lane.workers > 1 ? `${LOAD_CORES},${PROXY_CORES}` : PROXY_CORES
  const child = subjects[name].start({ lane, port, originPort, accessLog, cores, home })
  try {
    await accepting(child, port)
    if (lane.asks === 'again') await expect304(port, lane.path)
    if (lane.asks === 'zipf') await askKnown({ lane, port, cores: LOAD_CORES })
  } catch (error) {
    options.progress(`!! ${name} SKIPPED: ${error instanceof Error ? error.message : error}`)
    await stop(child)
    return null
  }
  return { name, port, child, rounds: [] }
}

async function warmUp({ port }: Live, { lane }: MeasureOptions): Promise<void> {
  let requests = 0
  for (let i = 0; i < WARM_SECONDS && requests < WARM_REQUESTS; i++)
    requests += (await runLoad({ port, lane, cores: LOAD_CORES, seconds: 1 })).requests
}

async function measureRound(one: Live, options: MeasureOptions, number: number): Promise<Round> {
  const { lane } = options
  const cores = lane.workers > 1 ? `${LOAD_CORES},${PROXY_CORES}` : LOAD_CORES
  const load = { port: one.port, lane, cores }
  await runLoad({ ...load, seconds: options.warmUpSeconds })
  await delay(50)

  const first = one.child.pid ?? -1
  const pids = tree(first)
  const originBefore = lane.cached ? await requestsOf(options.originPort) : 0
  const watch = watchOthers()
  const [before, firstBefore] = [cpuOf(pids), cpuOf([first])]
  const counted = await runLoad({ ...load, seconds: options.seconds })
  await delay(50)
  const [after, firstAfter] = [cpuOf(pids), cpuOf([first])]
  const others = watch()
  const asked = lane.cached ? (await requestsOf(options.originPort)) - originBefore - 1 : counted.requests

  const cpuUs = (after.totalNs - before.totalNs) / 1_000 / counted.requests
  const userTicks = after.userTicks - before.userTicks
  const share = userTicks / Math.max(1, userTicks + after.systemTicks - before.systemTicks)
  const firstUs = (firstAfter.totalNs - firstBefore.totalNs) / 1_000 / counted.requests
  const round = {
    ...counted,
    cpuUs,
    userUs: cpuUs * share,
    systemUs: cpuUs * (1 - share),
    firstUs,
    others,
    originPercent: (asked * 100) / counted.requests,
  }
  const what = `${lane.name}, log ${options.accessLog ? 'on' : 'off'}, ${number}/${options.rounds}`
  const errors = counted.errors > 0 ? `  !! ${counted.errors} ERRORS` : ''
  const disturbed = others > DISTURBED ? `  (others took ${(others * 100).toFixed(0)} % of a core)` : ''
  options.progress(`${what}  ${one.name.padEnd(22)} ${cpuUs.toFixed(2)} µs  ${Math.round(counted.perSecond)}/s${errors}${disturbed}`)
  return round
}

/** wrk takes any 2xx and 3xx for good: a lane of 304s is to be one. */
async function expect304(port: number, path: string): Promise<void> {
  const options = { host: '127.0.0.1', port, path, agent: false, headers: { 'if-none-match': ENTITY_TAG } }
  const ask = (): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const request = http.get(options, (answer) => answer.resume().once('end', () => resolve(answer.statusCode)))
      request.once('error', reject)
    })
  await ask()
  const status = await ask()
  if (status !== 304) throw new Error(`answers ${status} where 304 is due`)
}

/** Begins to watch; the function it returns tells which part of a core others took since. */
function watchOthers(): () => number {
  const living = livingTree()
  const [before, ours, began] = [machineTicks(), cpuOf(living), performance.now()]
  return () => {
    const [after, oursAfter] = [machineTicks(), cpuOf(living)]
    const used = oursAfter.userTicks + oursAfter.systemTicks - ours.userTicks - ours.systemTicks
    const others = after.all - before.all - (after.own - before.own) - used
    return Math.max(0, (others * 10) / (performance.now() - began))
  }
}

function summary(one: Live, options: MeasureOptions): Measured {
  const first = one.child.pid ?? -1
  return {
    lane: options.lane.name,
    accessLog: options.accessLog,
    subject: one.name,
    rounds: one.rounds,
    rssMb: rssMb(tree(first)),
    firstRssMb: rssMb([first]),
  }
}
