/** What becomes of the stores that proxies share, as counters of each worker and as lines of the log, which one worker writes for all. */
import type { Counters } from './counters.ts'

export interface StoreLine {
  readonly level: 'info' | 'warn'
  readonly text: string
  readonly fields: Readonly<Record<string, string>>
}

export class StoreNews {
  readonly #counters: Counters
  readonly #tell: (line: StoreLine) => void
  /** As many as there are stores, times the ways to fail. */
  readonly #slots = new Map<string, number>()

  constructor(counters: Counters, tell: (line: StoreLine) => void) {
    this.#counters = counters
    this.#tell = tell
  }

  changed(store: string, isAway: boolean, why: string): void {
    const slot = this.#slot('store_away', store)
    this.#counters.values[slot] = isAway ? 1 : 0
    const text = isAway ? `the store ${store} is away: ${why}` : `the store ${store} is back`
    this.#tell({ level: isAway ? 'warn' : 'info', text, fields: { store } })
  }

  refused(store: string, why: string): void {
    this.#tell({ level: 'warn', text: `the store ${store} refuses what it is asked: ${why}`, fields: { store } })
  }

  failed(store: string, why: string): void {
    const slot = this.#slot('store_failures_total', store, why)
    this.#counters.values[slot]! += 1
  }

  #slot(family: 'store_away' | 'store_failures_total', ...labels: readonly string[]): number {
    const key = `${family} ${labels.join(' ')}`
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = this.#counters.add(family, ...labels)
      this.#slots.set(key, slot)
    }
    return slot
  }
}
