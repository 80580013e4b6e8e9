/** A file without a name, in memory where that can be had: for what a process shares with those that it starts. */
import { randomUUID } from 'node:crypto'
import { existsSync, ftruncateSync, openSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const FOLDERS = ['/dev/shm', tmpdir()]

/** Of zeros, and takes no memory before something else is written. Its descriptor; null if there is no place for one. */
export function openMemoryFile(bytes: number): number | null {
  for (const folder of FOLDERS.filter((path) => existsSync(path))) {
    try {
      const path = join(folder, `sluice-${randomUUID()}`)
      const fd = openSync(path, 'wx+', 0o600)
      unlinkSync(path)
      ftruncateSync(fd, bytes)
      return fd
    } catch {
      // Full, or not ours to write: the next one.
    }
  }
  return null
}
