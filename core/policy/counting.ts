/** In what policies count how often keys come: a table that all workers share, or, without shared memory, a table and a share for each. */
import { randomBytes } from 'node:crypto'
import { monotonicMs } from '../clock.ts'
import { RateTable, tableBytes } from './rate-table.ts'

/** 1,024 sets: 8,192 keys. */
const OWN_BITS = 10

export interface CountingOptions {
  /** That all workers have mapped, seeded; null: there is none. */
  readonly shared: ArrayBufferLike | null
  readonly workers: number
  /** Something is counted, and each worker does so for its part. */
  readonly onSplit?: () => void
}

export class Counting {
  /** 1, unless each worker counts by itself for its part of a limit. */
  readonly workers: number
  readonly #shared: ArrayBufferLike | null
  readonly #onSplit: (() => void) | null
  #table: RateTable | null = null

  constructor({ shared, workers, onSplit }: CountingOptions = { shared: null, workers: 1 }) {
    this.#shared = shared
    this.#onSplit = onSplit ?? null
    this.workers = shared === null ? workers : 1
  }

  /** Made when it is first asked for. */
  get table(): RateTable {
    if (this.#table === null) {
      this.#table = new RateTable(this.#shared ?? seeded(new ArrayBuffer(tableBytes(OWN_BITS))))
      if (this.workers > 1) this.#onSplit?.()
    }
    return this.#table
  }
}

/** Memory of zeros for a table that nobody outside can foretell. */
export function seeded<T extends ArrayBufferLike>(memory: T): T {
  new Uint8Array(memory).set(tableSeed())
  return memory
}

/** What a table's memory begins with. */
export function tableSeed(): Uint8Array {
  return randomBytes(8)
}

/** What to add to a clock of this process, in milliseconds, for one that all processes of the machine have in common. */
export const machineOffsetMs: number = Number(process.hrtime.bigint()) / 1e6 - monotonicMs()
