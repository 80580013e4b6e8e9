/** Processes of a measurement: started on chosen cores, measured from /proc with everything they started, and never left behind. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface StartOptions {
  /** Cores it may run on, `1` or `0,1`; the default is all. */
  readonly cores?: string | undefined
  readonly cwd?: string | undefined
  /** A file for its standard output. Default: where its errors go. */
  readonly stdout?: string | undefined
}

export interface Cpu {
  /** Nanoseconds on a core, exact. */
  readonly totalNs: number
  /** In clock ticks of 10 ms: good enough to split the total. */
  readonly userTicks: number
  readonly systemTicks: number
}

/** Configs and logs of this run; gone at its end. */
export const folder: string = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const running = new Set<ChildProcess>()
const logs = new WeakMap<ChildProcess, readonly string[]>()
let started = 0
let ending = false
const BOOT_DEADLINE_MS = 15_000

process.once('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Orderly once, so that masters reap their workers; at once the second time.
  process.on(signal, () => {
    if (ending) process.exit(130)
    ending = true
    void stopAll().then(() => process.exit(130))
  })
}

export function start(command: readonly string[], options: StartOptions = {}): ChildProcess {
  const log = join(folder, `output-${started++}.log`)
  const errors = openSync(log, 'a')
  const out = options.stdout === undefined ? errors : openSync(options.stdout, 'a')
  const pinned = options.cores === undefined ? [] : ['taskset', '-c', options.cores]
  const [file = '', ...args] = [...pinned, ...command]
  const child = spawn(file, args, { cwd: options.cwd ?? folder, stdio: ['ignore', out, errors] })
  logs.set(child, [log, options.stdout ?? log])
  for (const file of new Set([out, errors])) closeSync(file)
  child.on('error', (error) => console.error(`${file}: ${error.message}`))
  return adopt(child)
}

/** From now on it ends with this process. */
export function adopt<T extends ChildProcess>(child: T): T {
  if (ending) child.kill('SIGKILL')
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** SIGTERM, and SIGKILL to whatever of it is left after three seconds. */
export async function stop(child: ChildProcess): Promise<void> {
  const pids = tree(child.pid ?? -1)
  if (child.exitCode === null && child.signalCode === null) {
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await Promise.race([exited, delay(3_000)])
  }
  killAll(pids)
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(stop))
}

/** Resolves when something accepts on that port; rejects when the process ended or nothing does. */
export async function accepting(child: ChildProcess, port: number): Promise<void> {
  const end = performance.now() + BOOT_DEADLINE_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${lastOutput(child)}`)
    if (await accepts(port)) return
    if (performance.now() > end) throw new Error(`does not accept on ${port}: ${lastOutput(child)}`)
    await delay(20)
  }
}

export async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export function isInstalled(command: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${command}`], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } }).status === 0
}

/** A process and everything that it started. */
export function tree(pid: number): number[] {
  const all = [pid]
  for (const parent of all) {
    for (const task of list(`/proc/${parent}/task`))
      all.push(...read(`/proc/${parent}/task/${task}/children`).split(' ').filter(Boolean).map(Number))
  }
  return all
}

/** CPU that living processes have used so far, all their threads together. */
export function cpuOf(pids: readonly number[]): Cpu {
  let [totalNs, userTicks, systemTicks] = [0, 0, 0]
  for (const pid of pids) {
    for (const task of list(`/proc/${pid}/task`)) totalNs += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] ?? 0)
    const stat = read(`/proc/${pid}/stat`)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    userTicks += Number(fields[11] ?? 0)
    systemTicks += Number(fields[12] ?? 0)
  }
  return { totalNs, userTicks, systemTicks }
}

/** CPU of the whole machine, of this process, and of its children that have ended, in ticks: to tell how much others took. */
export function machineTicks(): { readonly all: number; readonly own: number } {
  const [user, nice, system, , , irq, softirq, steal] = read('/proc/stat').split('\n')[0]!.trim().split(/ +/).slice(1).map(Number)
  const stat = read('/proc/self/stat')
  const own = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number)
  return { all: user! + nice! + system! + irq! + softirq! + steal!, own: own.reduce((sum, ticks) => sum + ticks, 0) }
}

/** Everything this process started and that lives. */
export function livingTree(): number[] {
  return tree(process.pid).slice(1)
}

export function rssMb(pids: readonly number[]): number {
  return sumOf(pids, /^VmRSS:\s+(\d+)/m) / 1024
}

export function peakRssMb(pids: readonly number[]): number {
  return sumOf(pids, /^VmHWM:\s+(\d+)/m) / 1024
}

export function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export function lastOutput(child: ChildProcess, lines = 12): string {
  const text = [...new Set(logs.get(child))].map(read).join('\n')
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}

function sumOf(pids: readonly number[], pattern: RegExp): number {
  return pids.reduce((sum, pid) => sum + Number(pattern.exec(read(`/proc/${pid}/status`))?.[1] ?? 0), 0)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function cleanUp(): void {
  for (const child of running) killAll(tree(child.pid ?? -1))
  rmSync(folder, { recursive: true, force: true })
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself in between.
    }
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
