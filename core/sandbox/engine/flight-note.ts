/**
 * Notes whose code a worker is about to enter, in memory that outlives the worker: the supervisor reads there who made it end. Where
 * memory can be mapped, a note costs a few nanoseconds; elsewhere it is written to the file, and taken back once a turn.
 */
import { writeSync } from 'node:fs'
import { mapShared } from '../../net/shared-memory.ts'

/** Bytes of the file. */
export const NOTE_BYTES = 4096

export interface FlightNote {
  /** The code of the plugin with that number runs from now on. */
  enter(plugin: number): void
  leave(): void
}

/** The worker's one; notes nothing until it is opened. */
export const flightNote: FlightNote = { enter: () => {}, leave: () => {} }

/** A plugin's number, by which the supervisor finds it again; never 0. `id`: of its source. */
export function noteNumber(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) | 0 || 1
}

/** Who is noted there; 0: nobody. */
export function readNote(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, IS_LITTLE_ENDIAN)
}

/** `fd`: a file of NOTE_BYTES, in memory rather than on a disk. `map` is for tests. */
export function openFlightNote(fd: number, map: (fd: number) => Int32Array | null = mapFile): void {
  const cell = map(fd)
  Object.assign(flightNote, cell === null ? writingTo(fd) : mappedTo(cell))
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

function mappedTo(cell: Int32Array): FlightNote {
  return {
    enter(plugin) {
      cell[0] = plugin
    },
    leave() {
      cell[0] = 0
    },
  }
}

/** A write is a system call: the same plugin entered again in one turn costs none, and one at the end of the turn takes the note back. */
function writingTo(fd: number): FlightNote {
  const cell = new Int32Array(1)
  const bytes = new Uint8Array(cell.buffer)
  let isClearing = false
  const write = (plugin: number): void => {
    cell[0] = plugin
    writeSync(fd, bytes, 0, 4, 0)
  }
  const clear = (): void => {
    isClearing = false
    write(0)
  }
  return {
    enter(plugin) {
      if (cell[0] !== plugin) write(plugin)
    },
    leave() {
      if (isClearing) return
      isClearing = true
      setImmediate(clear)
    },
  }
}

function mapFile(fd: number): Int32Array | null {
  const memory = mapShared(fd, NOTE_BYTES)
  return memory === null ? null : new Int32Array(memory)
}
