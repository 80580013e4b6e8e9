/**
 * What requests to this worker have put out (RFC 9111 §4.4), on its way to the memories of the others: each URL once for what comes together, no
 * more often than it says here. With more of them than may wait, all of their hosts is asked about anew.
 */
import { hostOf, type Purge } from './purge.ts'

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

/** Waiting, of all caches together. */
const MOST_URLS = 1024
const MOST_HOSTS = 16
const PAUSE_MS = 20

export class Announcements {
  readonly #options: AnnouncementsOptions
  /** By the names of caches. */
  readonly #waiting = new Map<string, { readonly urls: Set<string>; readonly hosts: Set<string> }>()
  #urls = 0
  #isPausing = false

  constructor(options: AnnouncementsOptions) {
    this.#options = options
  }

  add(cache: string, url: string): void {
    if (this.#waiting.size === 0 && !this.#isPausing) this.#wait(true)
    let waiting = this.#waiting.get(cache)
    if (waiting === undefined) {
      waiting = { urls: new Set(), hosts: new Set() }
      this.#waiting.set(cache, waiting)
    }
    if (waiting.urls.has(url)) return
    if (this.#urls >= MOST_URLS) {
      if (waiting.hosts.size <= MOST_HOSTS) waiting.hosts.add(hostOf(url))
      return
    }
    waiting.urls.add(url)
    this.#urls++
  }

  #wait(isFirst: boolean): void {
    this.#isPausing = true
    this.#options.later(() => {
      this.#isPausing = false
      if (this.#waiting.size === 0) return
      const announced = [...this.#waiting].map(([cache, { urls, hosts }]) => ({ cache, purges: purgesOf(urls, hosts) }))
      this.#waiting.clear()
      this.#urls = 0
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

function purgesOf(urls: ReadonlySet<string>, hosts: ReadonlySet<string>): readonly Purge[] {
  const purges: Purge[] = [...urls].map((url) => ({ kind: 'url', url, soft: false }))
  if (hosts.size > MOST_HOSTS) purges.push({ kind: 'all', soft: true })
  else for (const host of hosts) purges.push({ kind: 'host', host, soft: true })
  return purges
}
