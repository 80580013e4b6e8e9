/** Living processes by a mark in their environment, also when their parents are gone; none can be found where there is no /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import { commandOf, statFields } from '../support/process.ts'
import { MARK } from './orders.ts'

const GRACE_MS = 2_000

/** Command lines of those that do not end within two seconds; what belongs to the process that runs the files may stay. */
export async function findLeftovers(mark: string, runner: number): Promise<string[]> {
  const left = (): number[] => marked(mark).filter((pid) => !isService(pid, runner))
  const end = performance.now() + GRACE_MS
  // Each look reads something of every process of the machine.
  while (left().length > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 100))
  return left().map(commandOf)
}

/** All of them but those that serve `runner`. */
export function killMarked(mark: string, runner: number | null): void {
  for (const pid of marked(mark)) {
    if (runner !== null && isService(pid, runner)) continue
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself in between.
    }
  }
}

function marked(mark: string): number[] {
  if (process.platform !== 'linux') return []
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => `\0${readEnvironment(pid)}`.includes(`\0${MARK}=${mark}\0`))
}

/** esbuild keeps one process for as long as whoever uses it runs. */
function isService(pid: number, runner: number): boolean {
  return statFields(pid)[1] === String(runner) && /\/esbuild --service=/.test(commandOf(pid))
}

function readEnvironment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}
