/**
 * `npm run bench:forward [-- --quick] [--rounds N] [--seconds N]`: what tunnels cost, by CONNECT beside tinyproxy and squid, by SOCKS5 beside danted: CPU
 * a gigabyte and a tunnel, medians of alternating rounds. See README.md.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { LOAD_CORES, median, PROXY_CORES } from './measure.ts'
import { readOptions } from './options.ts'
import { startOrigin } from './origin.ts'
import { type ForwardPeer, forwardPeers } from './peers/forward.ts'
import { accepting, adopt, cpuOf, delay, folder, freePort, isInstalled, rssMb, stop, stopAll, tree } from './processes.ts'

const TICK_US = 10_000

type Mode = 'bytes' | 'tunnels'
interface Counts {
  readonly bytes: number
  readonly tunnels: number
  readonly errors: number
}
interface Round {
  /** Of CPU, a gigabyte in one mode and a tunnel in the other. */
  readonly cost: number
  /** Megabytes or tunnels. */
  readonly perSecond: number
  readonly errors: number
}
interface Live {
  readonly peer: ForwardPeer
  readonly port: number
  readonly child: ChildProcess
  readonly rounds: Readonly<Record<Mode, Round[]>>
}

const values = readOptions(import.meta.filename, {
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
})
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5))
const seconds = Number(values.seconds ?? (values.quick ? 2 : 5))
for (const command of ['nginx', 'taskset']) {
  if (isInstalled(command)) continue
  console.error(`${command} is needed (apt-get install nginx util-linux)`)
  process.exit(2)
}

const origin = await startOrigin(LOAD_CORES)
const live: Live[] = []
for (const peer of forwardPeers) {
  const one = await startOne(peer)
  if (one !== null) live.push(one)
}
for (let round = 1; round <= rounds; round++) {
  for (const mode of ['bytes', 'tunnels'] as const) {
    // Each round begins with another proxy, so that none always follows the same neighbour.
    for (let i = 0; i < live.length; i++) await measure(live[(i + round) % live.length]!, mode, round)
  }
}
for (const way of ['connect', 'socks'] as const) console.log(`\n${table(way)}`)
await stopAll()
process.exit(0)

async function startOne(peer: ForwardPeer): Promise<Live | null> {
  const skip = (why: string): null => {
    console.log(`!! ${peer.name} SKIPPED: ${why}`)
    return null
  }
  const missing = peer.missing()
  if (missing !== null) return skip(missing)
  const port = await freePort()
  const child = peer.start({ port, originPort: origin.port, cores: PROXY_CORES, home: join(folder, `${peer.way}-${peer.name}`) })
  try {
    await accepting(child, port)
    return { peer, port, child, rounds: { bytes: [], tunnels: [] } }
  } catch (error) {
    await stop(child)
    return skip(error instanceof Error ? error.message : String(error))
  }
}

async function measure({ peer, port, child, rounds: all }: Live, mode: Mode, number: number): Promise<void> {
  await load(peer, mode, port, 1)
  await delay(50)
  const first = child.pid ?? -1
  const before = ticksOf(first)
  const counts = await load(peer, mode, port, seconds)
  await delay(50)
  const cpuUs = (ticksOf(first) - before) * TICK_US
  const done = mode === 'bytes' ? counts.bytes / 1e9 : counts.tunnels
  const round = {
    cost: cpuUs / done / (mode === 'bytes' ? 1e6 : 1),
    perSecond: (mode === 'bytes' ? done * 1e3 : done) / seconds,
    errors: counts.errors,
  }
  all[mode].push(round)
  const errors = counts.errors > 0 ? `  !! ${counts.errors} ERRORS` : ''
  const cost =
    mode === 'bytes'
      ? `${round.cost.toFixed(3)} s a GB  ${round.perSecond.toFixed(0)} MB/s`
      : `${round.cost.toFixed(1)} µs a tunnel  ${round.perSecond.toFixed(0)}/s`
  console.log(`${peer.way}, ${mode}, ${number}/${rounds}  ${peer.name.padEnd(10)} ${cost}${errors}`)
}

/** In ticks, for these count threads that have ended as well: tinyproxy has one a tunnel. Processes that came meanwhile are in it. */
function ticksOf(first: number): number {
  const { userTicks, systemTicks } = cpuOf(tree(first))
  return userTicks + systemTicks
}

function load({ way }: ForwardPeer, mode: Mode, port: number, howLong: number): Promise<Counts> {
  const args = [
    '-c',
    LOAD_CORES,
    process.execPath,
    join(import.meta.dirname, 'forward-load.ts'),
    way,
    mode,
    String(port),
    String(origin.port),
    String(howLong),
  ]
  return new Promise((resolve, reject) => {
    const child = adopt(spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve(JSON.parse(text) as Counts) : reject(new Error(`the load ended with ${code}`))))
  })
}

function table(way: ForwardPeer['way']): string {
  const all = live.filter(({ peer }) => peer.way === way)
  const own = all.find(({ peer }) => peer.name === 'Sluice')
  const rows = all.map((one) => {
    const of = (mode: Mode, key: keyof Round): number => median(one.rounds[mode].map((round) => round[key]))
    const times = (mode: Mode): string =>
      own === undefined || one === own ? '' : median(own.rounds[mode].map((round, i) => round.cost / one.rounds[mode][i]!.cost)).toFixed(2)
    const cells = [one.peer.name, of('bytes', 'cost').toFixed(3), times('bytes'), of('bytes', 'perSecond').toFixed(0)]
    return [
      ...cells,
      of('tunnels', 'cost').toFixed(1),
      times('tunnels'),
      of('tunnels', 'perSecond').toFixed(0),
      rssMb(tree(one.child.pid ?? -1)).toFixed(0),
    ]
  })
  const head = ['', 's CPU a GB', 'Sluice ×', 'MB/s', 'µs CPU a tunnel', 'Sluice ×', 'tunnels/s', 'MB']
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`
  return [way === 'connect' ? 'Tunnels by CONNECT' : 'Tunnels by SOCKS5', line(head), ...rows.map(line)].join('\n')
}
