/** In what policies count how often keys come, and how much they have: tables that all workers share, or, without shared memory, tables and a share for each. */
import { randomBytes } from 'node:crypto'
import { monotonicMs } from '../clock.ts'
import { QUOTA_TABLE_BYTES, QuotaTable } from './quota-table.ts'
import { RateTable, TABLE_BYTES, tableBytes } from './rate-table.ts'

/** Of the memory that workers share: how often, then how much. */
export const COUNTER_BYTES: number = TABLE_BYTES + QUOTA_TABLE_BYTES

/** 1,024 sets: 8,192 keys. */
const OWN_BITS = 10
/** 1,024 keys. */
const OWN_QUOTA_BYTES = 16_384

export interface CountingOptions {
  /** COUNTER_BYTES that all workers have mapped, seeded; null: there are none. */
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
  #quotas: QuotaTable | null = null

  constructor({ shared, workers, onSplit }: CountingOptions = { shared: null, workers: 1 }) {
    this.#shared = shared
    this.#onSplit = onSplit ?? null
    this.workers = shared === null ? workers : 1
  }

  /** Made when it is first asked for. */
  get table(): RateTable {
    if (this.#table === null) {
      this.#table = new RateTable(
        this.#shared ?? seeded(new ArrayBuffer(tableBytes(OWN_BITS))),
        this.#shared === null ? tableBytes(OWN_BITS) : TABLE_BYTES,
      )
      if (this.workers > 1) this.#onSplit?.()
    }
    return this.#table
  }

  /** Made when it is first asked for. */
  get quotas(): QuotaTable {
    if (this.#quotas === null) {
      this.#quotas =
        this.#shared === null
          ? new QuotaTable(new ArrayBuffer(OWN_QUOTA_BYTES), 0, OWN_QUOTA_BYTES)
          : new QuotaTable(this.#shared, TABLE_BYTES, QUOTA_TABLE_BYTES)
    }
    return this.#quotas
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
