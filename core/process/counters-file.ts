/** The memory in which all workers count for policies: it outlives each of them. */
import { closeSync, writeSync } from 'node:fs'
import { mapShared } from '../net/shared-memory.ts'
import { Counting, counterBytes, heldTableIn, tableSeed } from '../policy/counting.ts'
import type { HeldTable } from '../policy/held-table.ts'
import { openMemoryFile } from './memory-file.ts'

/** Processes at a time, for so many workers: of each slot one, and two that are being drained or replaced. */
function seatsOf(workers: number): number {
  return 3 * workers + 2
}

export class CountersFile {
  /** Null if there is no place for it, and once it is closed: then each worker counts by itself. */
  fd: number | null
  readonly #seats: number
  readonly #free: number[]
  /** Mapped when the first worker has ended. */
  #held: HeldTable | null = null

  constructor(workers: number) {
    this.#seats = seatsOf(workers)
    this.#free = Array.from({ length: this.#seats }, (_, seat) => this.#seats - 1 - seat)
    this.fd = openFilled(counterBytes(this.#seats))
  }

  /** For one process, until `endSeat`. Null: there are more than there may be. */
  takeSeat(): number | null {
    return this.fd === null ? null : (this.#free.pop() ?? null)
  }

  /** Its process has ended: what it held is given back. */
  endSeat(seat: number): void {
    if (this.fd === null) return
    const memory = this.#held === null ? mapShared(this.fd, counterBytes(this.#seats)) : null
    if (memory !== null) this.#held = heldTableIn(memory, this.#seats, seat)
    // Where this process has no such memory, workers have none either.
    this.#held?.forget(seat)
    this.#free.push(seat)
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd)
    this.fd = null
  }
}

function openFilled(bytes: number): number | null {
  const fd = openMemoryFile(bytes)
  if (fd === null) return null
  try {
    // All of it now: of a page that finds no place later, the kernel tells by a signal that ends whoever touched it.
    const memory = Buffer.alloc(bytes)
    memory.set(tableSeed())
    if (writeSync(fd, memory, 0, bytes, 0) === bytes) return fd
  } catch {
    // Full.
  }
  closeSync(fd)
  return null
}

/** Whether workers of this machine can count in the same memory. */
export function isMemoryShared(): boolean {
  const file = new CountersFile(1)
  try {
    return file.fd !== null && mapShared(file.fd, counterBytes(seatsOf(1))) !== null
  } finally {
    file.close()
  }
}

export interface CountersStart {
  readonly countersFd: number | null
  readonly workers: number
  readonly slot: number
  /** Null: as many processes as can count together do so already. */
  readonly seat: number | null
}

/** In the worker. `warn`: of what is less than it might be, told by one worker for all. */
export function openCounting({ countersFd, workers, slot, seat }: CountersStart, warn: (text: string) => void): Counting {
  const seats = seatsOf(workers)
  const memory = countersFd === null ? null : mapShared(countersFd, counterBytes(seats))
  const text = 'no memory can be shared here: each worker lets its part of a limit through, and refuses more'
  return new Counting({ shared: memory === null ? null : { memory, seats, seat }, workers, onSplit: () => slot === 0 && warn(text) })
}
