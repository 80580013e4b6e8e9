/** The file in which a worker notes whose code it enters: it outlives the worker. */
import { closeSync, readSync } from 'node:fs'
import { NOTE_BYTES, readNote } from '../sandbox/engine/flight-note.ts'
import { openMemoryFile } from './memory-file.ts'

export class NoteFile {
  /** Null if there is no place for one: then nobody is found guilty. */
  readonly fd: number | null = openMemoryFile(NOTE_BYTES)

  /** Number of the plugin that is noted; 0: none. */
  read(): number {
    const bytes = new Uint8Array(4)
    return this.fd !== null && readSync(this.fd, bytes, 0, 4, 0) === 4 ? readNote(bytes) : 0
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd)
  }
}
