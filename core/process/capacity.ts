/** What this machine lets the proxy use: how many workers make sense, and how many connections a worker may hold. */
import { readFileSync } from 'node:fs'
import os from 'node:os'

/** Reads a small file of the kernel; null if it is not there. */
export type ReadFile = (path: string) => string | null

export interface Machine {
  /** CPUs this process may run on. */
  readonly cpus: number
  /** Bytes of memory this process may use, by the machine and the cgroup. */
  readonly memory: number
  readonly read: ReadFile
}

const MB = 1024 * 1024
/** A worker under load, and the supervisor, each with room to spare. */
const workerMemory = 128 * MB
const supervisorMemory = 128 * MB

export function thisMachine(): Machine {
  const limit = process.constrainedMemory()
  const total = os.totalmem()
  return { cpus: os.availableParallelism(), memory: limit > 0 && limit < total ? limit : total, read: readOrNull }
}

/** `--workers auto`: as many as the CPUs, the CPU quota and the memory allow, at least one. */
export function suggestWorkers(machine: Machine): number {
  const quota = cpuQuota(machine.read)
  const byCpu = quota === null ? machine.cpus : Math.min(machine.cpus, Math.floor(quota))
  const byMemory = Math.floor((machine.memory - supervisorMemory) / workerMemory)
  return Math.max(1, Math.min(byCpu, byMemory))
}

/** CPUs' worth of time that the cgroups around this process grant; null without a quota. */
export function cpuQuota(read: ReadFile): number | null {
  let least: number | null = null
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [id, controllers, path] = line.split(':', 3)
    if (path === undefined || controllers === undefined) continue
    const unified = id === '0' && controllers === ''
    if (!unified && !controllers.split(',').includes('cpu')) continue
    for (const folder of foldersUp(path)) {
      const quota = unified ? quotaV2(read, folder) : quotaV1(read, folder)
      if (quota !== null && (least === null || quota < least)) least = quota
    }
  }
  return least
}

/** Connections that leave descriptors for dialling, files and the sandbox. */
export function maxConnections(read: ReadFile = readOrNull): number {
  const limit = descriptorLimit(read)
  return Math.max(16, limit - Math.max(64, limit >> 3))
}

function descriptorLimit(read: ReadFile): number {
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(read('/proc/self/limits') ?? '')
  if (line === null) return 4096
  return line[1] === 'unlimited' ? 1_048_576 : Number(line[1])
}

/** `/a/b` → `/a/b`, `/a`, ``: a quota anywhere above counts too. */
function foldersUp(path: string): string[] {
  const folders: string[] = []
  for (let at = path === '/' ? '' : path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) folders.push(at)
  folders.push('')
  return folders
}

function quotaV2(read: ReadFile, folder: string): number | null {
  const [quota, period] = (read(`/sys/fs/cgroup${folder}/cpu.max`) ?? '').trim().split(' ')
  return quota === undefined || quota === '' || quota === 'max' ? null : Number(quota) / Number(period)
}

function quotaV1(read: ReadFile, folder: string): number | null {
  for (const mount of ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct']) {
    const quota = Number(read(`${mount}${folder}/cpu.cfs_quota_us`) ?? -1)
    const period = Number(read(`${mount}${folder}/cpu.cfs_period_us`) ?? 0)
    if (quota > 0 && period > 0) return quota / period
  }
  return null
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}
