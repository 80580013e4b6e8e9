/** What authorities of interception have made in a worker, added to its counters when it is asked how it is. */
import type { AuthorityCounts } from '../listener/leaves.ts'
import type { Counters } from '../observe/counters.ts'

interface Slots {
  readonly made: number
  readonly kept: number
  readonly evicted: number
  readonly refused: number
  readonly seconds: number
}

export class AuthorityGauges {
  readonly #counters: Counters
  readonly #worker: string
  /** By the file of the authority: as many as configs have named. */
  readonly #slots = new Map<string, Slots>()
  /** What was told of each before: one that is read anew begins at 0. */
  readonly #told = new WeakMap<AuthorityCounts, Pick<AuthorityCounts, 'made' | 'evicted' | 'refused' | 'makingMs'>>()

  constructor(counters: Counters, slot: number) {
    this.#counters = counters
    this.#worker = String(slot)
  }

  /** Those of the plan in use, by their files. */
  measure(authorities: Iterable<readonly [file: string, counts: AuthorityCounts]>): void {
    for (const { kept } of this.#slots.values()) this.#counters.values[kept] = 0
    for (const [file, counts] of authorities) {
      const slots = this.#slotsOf(file)
      const { values } = this.#counters
      const { made, kept, evicted, refused, makingMs } = counts
      const told = this.#told.get(counts) ?? { made: 0, evicted: 0, refused: 0, makingMs: 0 }
      values[slots.made]! += made - told.made
      values[slots.kept]! += kept
      values[slots.evicted]! += evicted - told.evicted
      values[slots.refused]! += refused - told.refused
      values[slots.seconds]! += (makingMs - told.makingMs) / 1000
      this.#told.set(counts, { made, evicted, refused, makingMs })
    }
  }

  #slotsOf(file: string): Slots {
    let slots = this.#slots.get(file)
    if (slots === undefined) {
      slots = {
        made: this.#counters.add('intercept_certificates_made_total', file),
        kept: this.#counters.add('intercept_certificates', file, this.#worker),
        evicted: this.#counters.add('intercept_certificates_evicted_total', file),
        refused: this.#counters.add('intercept_certificates_refused_total', file),
        seconds: this.#counters.add('intercept_certificates_making_seconds_total', file),
      }
      this.#slots.set(file, slots)
    }
    return slots
  }
}
