/** The folder in which workers of one proxy keep answers in memory together: on Linux `/dev/shm/sluice-UID/PID`, by the supervisor's process id. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { MEMORY } from '../../net/memory-folder.ts'
import { isAlive } from './disk-folder.ts'

/** What workers of that supervisor have in common; where there is no such memory it cannot be made. */
export function sharedPath(supervisor: number, memory = MEMORY): string {
  return join(memory, `sluice-${process.getuid?.() ?? 0}`, String(supervisor))
}

/** Whoever is on this machine may make folders and links in that memory, of any name: nothing is kept in what is somebody else's. Throws with a sentence. */
export function ownHome(path: string): void {
  const home = dirname(path)
  try {
    mkdirSync(home, { mode: 0o700 })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  if (!isOurs(home)) throw new Error(`${home} is there, and is no folder of this user`)
  chmodSync(home, 0o700)
}

/** What proxies that were killed have left. */
export function sweepShared(memory = MEMORY): void {
  const home = dirname(sharedPath(0, memory))
  if (!isOurs(home)) return
  for (const name of readdirSync(home)) if (/^\d+$/.test(name) && !isAlive(Number(name))) removeShared(Number(name), memory)
}

/** Whoever still reads there has the files open. */
export function removeShared(supervisor: number, memory = MEMORY): void {
  const path = sharedPath(supervisor, memory)
  if (isOurs(dirname(path))) rmSync(path, { recursive: true, force: true })
}

function isOurs(home: string): boolean {
  const stats = lstatSync(home, { throwIfNoEntry: false })
  return stats?.isDirectory() === true && stats.uid === process.getuid?.()
}
