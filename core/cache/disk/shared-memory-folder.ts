/**
 * The folder in which workers of one proxy keep answers in memory together: on Linux `/dev/shm/sluice-UID/PID-NAMESPACE`, by the supervisor's process id
 * and the namespace that this number is of, for containers may share that memory. What a living proxy uses is never removed.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { MEMORY } from '../../net/memory-folder.ts'
import { isAlive } from './disk-folder.ts'
import { isOpenElsewhere } from './disk-index.ts'
import { namespaceOf } from './folder-lock.ts'

/** Its index may be about to be made. */
const YOUNG_MS = 60_000

/** What workers of that supervisor have in common; where there is no such memory it cannot be made. */
export function sharedPath(supervisor: number, memory = MEMORY, namespace = namespaceOf()): string {
  return join(memory, `sluice-${process.getuid?.() ?? 0}`, `${supervisor}-${namespace}`)
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

/** What proxies that were killed have left. Asked for by a supervisor without workers. */
export function sweepShared(memory = MEMORY, namespace = namespaceOf()): void {
  const home = dirname(sharedPath(0, memory))
  if (!isOurs(home)) return
  for (const name of readdirSync(home)) {
    const [, pid, of] = /^(\d+)-(\d+)$/.exec(name) ?? []
    if (pid === undefined) continue
    const path = join(home, name)
    // One before this had the same number.
    const isUsed = of === namespace ? Number(pid) !== process.pid && isAlive(Number(pid)) : isYoung(path) || hasOpenIndex(path)
    if (!isUsed) rmSync(path, { recursive: true, force: true })
  }
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

function isYoung(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - stats.mtimeMs < YOUNG_MS
}

/** Of any of its caches: locks are told apart by files, whatever the namespace. What cannot be read is left alone. */
function hasOpenIndex(path: string): boolean {
  try {
    return readdirSync(path).some((cache) =>
      readdirSync(join(path, cache))
        .map((number) => join(path, cache, number, 'index.db'))
        .some((file) => existsSync(file) && isOpenElsewhere(file)),
    )
  } catch {
    return true
  }
}
