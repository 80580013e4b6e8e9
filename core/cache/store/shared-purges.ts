/**
 * Purges that all proxies with a store share, by their numbers there. An answer carries the number of the last purge that was known before it was
 * asked for, so whatever the clocks of machines say, no purge misses it: at worst it is taken for older than it is.
 */
import { isPurged, type Purge } from '../purge.ts'
import type { StoredResponse } from '../stored-response.ts'
import { MOST_PURGES } from './scripts.ts'
import { SeenNumbers } from './seen-numbers.ts'

interface Numbered {
  readonly number: number
  readonly purge: Purge
}

export class SharedPurges {
  /** The last one that is known; -1: nothing is. */
  known = -1
  #first = 0
  #purges: Numbered[] = []
  readonly #seen = new SeenNumbers()

  /** What the store says: `first` is the first that it remembers. Returns those that were not known; null: some are missing. */
  learn(count: number, first: number, entries: readonly string[], now: number): readonly Purge[] | null {
    if (count < this.known) {
      // It began anew, empty: nothing of what is known holds there, and what was asked for was behind that.
      this.#forget()
      return []
    }
    const news = entries.flatMap(parseEntry).filter(({ number }) => number > this.known)
    const isGapless = this.known >= 0 && (news.length === 0 || news[0]!.number === this.known + 1)
    this.#purges = [...this.#purges, ...news].slice(-MOST_PURGES)
    this.#first = first
    this.known = count
    this.#seen.note(count, now)
    return isGapless ? news.map(({ purge }) => purge) : null
  }

  /** Those behind that number; null: some are not remembered. */
  since(number: number): readonly Purge[] | null {
    if (number > this.known) return []
    return number < this.#first - 1 ? null : this.#purges.filter((one) => one.number > number).map(({ purge }) => purge)
  }

  /** An endpoint is asked then. */
  asks(at: number): void {
    this.#seen.asks(at)
  }

  /** The number that an answer gets that was asked for then. */
  numberAt(time: number): number {
    return this.#seen.before(time)
  }

  /** False: it counts as purged. One that was purged softly becomes stale. */
  allows(response: StoredResponse, number: number, now: number): boolean {
    // There were purges that nobody remembers.
    if (number > this.known || number < this.#first - 1) return false
    for (let i = this.#purges.length - 1; i >= 0 && this.#purges[i]!.number > number; i--) {
      const { purge } = this.#purges[i]!
      if (!isPurged(response, purge)) continue
      if (!purge.soft) return false
      response.purge(now)
    }
    return true
  }

  #forget(): void {
    this.known = -1
    this.#purges = []
    this.#seen.forget()
  }
}

/** `7 {"kind":…}`; what is none counts as a purge of all. */
function parseEntry(text: string): Numbered[] {
  const number = Number.parseInt(text, 10)
  if (Number.isNaN(number)) return []
  return [{ number, purge: readPurge(text.slice(text.indexOf(' ') + 1)) }]
}

const ALL: Purge = { kind: 'all', soft: false }

function readPurge(text: string): Purge {
  try {
    const { kind, soft, url, host, prefix, tag } = JSON.parse(text) as Record<string, unknown>
    if (typeof soft !== 'boolean') return ALL
    if (kind === 'url' && typeof url === 'string') return { kind, soft, url }
    if (kind === 'host' && typeof host === 'string') return { kind, soft, host }
    if (kind === 'prefix' && typeof prefix === 'string') return { kind, soft, prefix }
    if (kind === 'tag' && typeof tag === 'string') return { kind, soft, tag }
    return { kind: 'all', soft }
  } catch {
    return ALL
  }
}
