/** The file in which a worker notes whose code it enters: it has no name, lies in memory where that can be had, and outlives the worker. */
import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NOTE_BYTES, readNote } from '../sandbox/engine/flight-note.ts'

const FOLDERS = ['/dev/shm', tmpdir()]

export class NoteFile {
  /** Null if there is no place for one: then nobody is found guilty. */
  readonly fd: number | null = openNameless()

  /** Number of the plugin that is noted; 0: none. */
  read(): number {
    const bytes = new Uint8Array(4)
    return this.fd !== null && readSync(this.fd, bytes, 0, 4, 0) === 4 ? readNote(bytes) : 0
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd)
  }
}

function openNameless(): number | null {
  for (const folder of FOLDERS.filter((path) => existsSync(path))) {
    try {
      const path = join(folder, `sluice-${randomUUID()}`)
      const fd = openSync(path, 'wx+', 0o600)
      unlinkSync(path)
      ftruncateSync(fd, NOTE_BYTES)
      return fd
    } catch {
      // Full, or not ours to write: the next one.
    }
  }
  return null
}
