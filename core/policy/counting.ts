/**
 * In what policies count how often keys come, how much they have had, and what they hold: tables that all workers share, or, without shared memory,
 * tables and a share for each.
 */
import { randomBytes } from 'node:crypto'
import { monotonicMs } from '../clock.ts'
import { HeldTable, heldBytes } from './held-table.ts'
import { QUOTA_TABLE_BYTES, QuotaTable } from './quota-table.ts'
import { RateTable, TABLE_BYTES, tableBytes } from './rate-table.ts'

const HELD_AT = TABLE_BYTES + QUOTA_TABLE_BYTES

/** Of the memory that processes share, so many of them at a time: how often, then how much, then what is held. */
export function counterBytes(seats: number): number {
  return HELD_AT + heldBytes(seats)
}

/** What is held by keys, in that memory. `seat`: of who takes and gives back. */
export function heldTableIn(memory: ArrayBufferLike, seats: number, seat: number): HeldTable {
  return new HeldTable({ memory, offset: HELD_AT, seats }, seat)
}

/** 1,024 sets: 8,192 keys. */
const OWN_BITS = 10
/** 1,024 keys. */
const OWN_QUOTA_BYTES = 16_384

export interface SharedMemory {
  /** Of `counterBytes`, seeded, that all workers have mapped. */
  readonly memory: ArrayBufferLike
  readonly seats: number
  /** Of this process; null: all are taken. */
  readonly seat: number | null
}

export interface CountingOptions {
  /** Null: there is none. */
  readonly shared: SharedMemory | null
  readonly workers: number
  /** Something is counted, and each worker does so for its part. Told once. */
  readonly onSplit?: () => void
}

export class Counting {
  /** 1, unless each worker counts by itself for its part of a limit. */
  readonly workers: number
  /** For what finds no room in memory that is shared: of how many workers this one has its part. */
  readonly parts: number
  readonly #shared: SharedMemory | null
  #onSplit: (() => void) | null
  #table: RateTable | null = null
  #quotas: QuotaTable | null = null
  #held: HeldTable | null = null

  constructor({ shared, workers, onSplit }: CountingOptions = { shared: null, workers: 1 }) {
    this.#shared = shared
    this.#onSplit = onSplit ?? null
    this.workers = shared === null ? workers : 1
    this.parts = workers
  }

  /** Made when it is first asked for. */
  get table(): RateTable {
    if (this.#table === null) {
      this.#table = new RateTable(
        this.#shared?.memory ?? seeded(new ArrayBuffer(tableBytes(OWN_BITS))),
        this.#shared === null ? tableBytes(OWN_BITS) : TABLE_BYTES,
      )
      this.#split()
    }
    return this.#table
  }

  /** Made when it is first asked for. */
  get quotas(): QuotaTable {
    if (this.#quotas === null) {
      this.#quotas =
        this.#shared === null
          ? new QuotaTable(new ArrayBuffer(OWN_QUOTA_BYTES), 0, OWN_QUOTA_BYTES)
          : new QuotaTable(this.#shared.memory, TABLE_BYTES, QUOTA_TABLE_BYTES)
    }
    return this.#quotas
  }

  /** Null: each worker has its part. Made when it is first asked for. */
  get held(): HeldTable | null {
    const shared = this.#shared
    if (shared === null || shared.seat === null) {
      this.#split()
      return null
    }
    this.#held ??= heldTableIn(shared.memory, shared.seats, shared.seat)
    return this.#held
  }

  #split(): void {
    if (this.workers > 1) this.#onSplit?.()
    this.#onSplit = null
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
