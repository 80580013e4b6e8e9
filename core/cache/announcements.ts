/**
 * What requests to this worker have put out (RFC 9111 §4.4), on its way to the memories of the others: each URL once for what comes together, no
 * more often than it says here. With more of them than may wait, all of their hosts is asked about anew.
 */
import { Gathered } from './gathered.ts'
import type { Purge } from './purge.ts'

/** What others are told: of the cache of that name. */
export interface Announced {
  readonly cache: string
  readonly purges: readonly Purge[]
}

export interface AnnouncementsOptions {
  readonly send: (announced: readonly Announced[]) => void
  /** Calls back a little later, and not inside its own call. `isFirst`: nothing was sent just before, so it may be soon. */
  readonly later: (call: () => void, isFirst: boolean) => void
}

/** Waiting, of each cache. */
const WAITING = { urls: 1024, length: Number.POSITIVE_INFINITY }
const PAUSE_MS = 20

export class Announcements {
  readonly #options: AnnouncementsOptions
  /** By the names of caches. */
  readonly #waiting = new Map<string, Gathered>()
  #isPausing = false

  constructor(options: AnnouncementsOptions) {
    this.#options = options
  }

  add(cache: string, url: string): void {
    if (this.#waiting.size === 0 && !this.#isPausing) this.#wait(true)
    let waiting = this.#waiting.get(cache)
    if (waiting === undefined) {
      waiting = new Gathered(WAITING)
      this.#waiting.set(cache, waiting)
    }
    waiting.add(url)
  }

  #wait(isFirst: boolean): void {
    this.#isPausing = true
    this.#options.later(() => {
      this.#isPausing = false
      if (this.#waiting.size === 0) return
      const announced = [...this.#waiting].map(([cache, { purges }]) => ({ cache, purges }))
      this.#waiting.clear()
      this.#options.send(announced)
      this.#wait(false)
    }, isFirst)
  }
}

/** By timers of this process: the first at the end of this turn of its event loop. */
export function soon(call: () => void, isFirst: boolean): void {
  if (isFirst) setImmediate(call)
  else setTimeout(call, PAUSE_MS).unref()
}
