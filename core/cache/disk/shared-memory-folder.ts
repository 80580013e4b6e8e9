/** The folder in which workers of one proxy keep answers in memory together: on Linux `/dev/shm/sluice-UID/PID`, by the supervisor's process id. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MEMORY } from '../../net/memory-folder.ts'
import { isAlive } from './disk-folder.ts'

/** What workers of that supervisor have in common; where there is no such memory it cannot be made. */
export function sharedPath(supervisor: number): string {
  return join(MEMORY, `sluice-${process.getuid?.() ?? 0}`, String(supervisor))
}

/** What proxies that were killed have left. */
export function sweepShared(): void {
  const home = join(sharedPath(0), '..')
  if (!existsSync(home)) return
  for (const name of readdirSync(home)) if (/^\d+$/.test(name) && !isAlive(Number(name))) removeShared(Number(name))
}

/** Whoever still reads there has the files open. */
export function removeShared(supervisor: number): void {
  rmSync(sharedPath(supervisor), { recursive: true, force: true })
}
