/**
 * How much each user of the forward side may have in a period, both ways together: counted for all workers in one table. What passes is
 * counted in parts of 16 KiB, and the period is that of the clock: a day ends at midnight, UTC.
 */
import { sizeText } from '../config/units.ts'
import type { Refusal } from '../forward/access.ts'
import type { QuotaPlan } from '../plan/forward-plan.ts'
import type { Counting } from './counting.ts'
import { KeyHash } from './key-hash.ts'
import type { Period, QuotaTable } from './quota-table.ts'
import { networkOf } from './request-key.ts'

const MINUTE_MS = 60_000
const KIB = 1_024
const PART = 16 * KIB

export class Quotas {
  readonly #rule: QuotaPlan
  readonly #table: QuotaTable
  readonly #hash: KeyHash
  readonly #share: number
  readonly #clock: () => number

  /** `salt`: the same for whoever counts together. `clock`: milliseconds since the epoch. */
  constructor(rule: QuotaPlan, salt: string, counting: Counting, clock: () => number) {
    this.#rule = rule
    this.#table = counting.quotas
    this.#hash = new KeyHash(counting.table.seed, salt)
    // Without shared memory each worker counts by itself, for its part.
    this.#share = 1 / counting.workers
    this.#clock = clock
  }

  /** For one connection or request. Null: as much as it likes. `user` null: nobody was asked, and addresses are told apart. */
  meter(user: string | null, ip: string): Meter | null {
    const bytes = (user === null ? undefined : this.#rule.byUser.get(user)) ?? this.#rule.bytes
    if (bytes === Number.POSITIVE_INFINITY) return null
    this.#hash.of(user === null ? networkOf(ip) : `=${user}`)
    const { upper, lower } = this.#hash
    return new Meter(this, { upper, lower, kib: Math.max(1, Math.floor((bytes * this.#share) / KIB)), what: user ?? ip, bytes })
  }

  /** So many KiB of that key, these included. */
  count({ upper, lower }: Key, kib: number): number {
    return this.#table.add(upper, lower, kib, this.#period())
  }

  refusalOf({ what, bytes }: Key): Refusal {
    const until = new Date(this.#period().end * MINUTE_MS).toISOString().replace(':00.000Z', 'Z')
    return { code: 'quota_exceeded', detail: `${what} has used up ${sizeText(bytes)} in ${this.#rule.per}, until ${until}` }
  }

  get secondsLeft(): number {
    return Math.max(1, Math.ceil((this.#period().end * MINUTE_MS - this.#clock()) / 1_000))
  }

  #period(): Period {
    const now = this.#clock()
    const { periodMs } = this.#rule
    return { now: Math.floor(now / MINUTE_MS), end: Math.round(((Math.floor(now / periodMs) + 1) * periodMs) / MINUTE_MS) }
  }
}

interface Key {
  readonly upper: number
  readonly lower: number
  /** It may have so many. */
  readonly kib: number
  /** Whom it is of. */
  readonly what: string
  /** As the config says. */
  readonly bytes: number
}

/** What one connection or request takes of a quota. It outlives the plan that it began with. */
export class Meter {
  readonly #quotas: Quotas
  readonly #key: Key
  #passed = 0
  /** Of those, in whole KiB. */
  #counted = 0

  constructor(quotas: Quotas, key: Key) {
    this.#quotas = quotas
    this.#key = key
  }

  /** Null: there is some left. */
  refusal(): Refusal | null {
    return this.#quotas.count(this.#key, 0) >= this.#key.kib ? this.#quotas.refusalOf(this.#key) : null
  }

  get secondsLeft(): number {
    return this.#quotas.secondsLeft
  }

  /** So many bytes have passed. False: there is nothing left. */
  pass(bytes: number): boolean {
    this.#passed += bytes
    return this.#passed - this.#counted < PART || this.#count() < this.#key.kib
  }

  /** It has ended, with so many bytes in all: counts those of which `pass` was not told. */
  end(bytes: number): void {
    this.#passed = Math.max(this.#passed, bytes)
    if (this.#passed > this.#counted) this.#count()
  }

  #count(): number {
    const kib = Math.ceil((this.#passed - this.#counted) / KIB)
    this.#counted += kib * KIB
    return this.#quotas.count(this.#key, kib)
  }
}
