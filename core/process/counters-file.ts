/** The memory in which all workers count for policies: it outlives each of them. */
import { closeSync, writeSync } from 'node:fs'
import { mapShared } from '../net/shared-memory.ts'
import { COUNTER_BYTES, Counting, tableSeed } from '../policy/counting.ts'
import { openMemoryFile } from './memory-file.ts'

export class CountersFile {
  /** Null if there is no place for it, and once it is closed: then each worker counts by itself. */
  fd: number | null = openFilled()

  close(): void {
    if (this.fd !== null) closeSync(this.fd)
    this.fd = null
  }
}

function openFilled(): number | null {
  const fd = openMemoryFile(COUNTER_BYTES)
  if (fd === null) return null
  try {
    // All of it now: of a page that finds no place later, the kernel tells by a signal that ends whoever touched it.
    const memory = Buffer.alloc(COUNTER_BYTES)
    memory.set(tableSeed())
    if (writeSync(fd, memory, 0, COUNTER_BYTES, 0) === COUNTER_BYTES) return fd
  } catch {
    // Full.
  }
  closeSync(fd)
  return null
}

/** Whether workers of this machine can count in the same memory. */
export function isMemoryShared(): boolean {
  const file = new CountersFile()
  try {
    return file.fd !== null && mapShared(file.fd, COUNTER_BYTES) !== null
  } finally {
    file.close()
  }
}

export interface CountersStart {
  readonly countersFd: number | null
  readonly workers: number
  readonly slot: number
}

/** In the worker. `warn`: of what is less than it might be, told by one worker for all. */
export function openCounting({ countersFd, workers, slot }: CountersStart, warn: (text: string) => void): Counting {
  const shared = countersFd === null ? null : mapShared(countersFd, COUNTER_BYTES)
  const text = 'no memory can be shared here: each worker lets its part of a rate limit or quota through, and refuses more'
  return new Counting({ shared, workers, onSplit: () => slot === 0 && warn(text) })
}
