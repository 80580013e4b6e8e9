/**
 * What requests have put out, until others are told of it: each URL once. With more of them than may wait, all of their hosts is to be asked about
 * anew, and with too many hosts all.
 */
import { hostOf, type Purge } from './purge.ts'

export interface GatheredLimits {
  readonly urls: number
  /** Characters: a longer one counts as its host. */
  readonly length: number
}

const MOST_HOSTS = 16

export class Gathered {
  readonly urls = new Set<string>()
  readonly hosts = new Set<string>()
  /** More hosts than may wait: these are not all of them. */
  isAll = false
  readonly #limits: GatheredLimits

  constructor(limits: GatheredLimits) {
    this.#limits = limits
  }

  get isEmpty(): boolean {
    return this.urls.size === 0 && this.hosts.size === 0 && !this.isAll
  }

  add(url: string): void {
    const { urls, length } = this.#limits
    if (this.urls.has(url)) return
    if (this.urls.size < urls && url.length <= length) this.urls.add(url)
    else this.#addHost(hostOf(url))
  }

  /** All that another one has. */
  addAll({ urls, hosts, isAll }: Gathered): void {
    for (const url of urls) this.add(url)
    for (const host of hosts) this.#addHost(host)
    this.isAll ||= isAll
  }

  /** Whether that URL is among them. */
  has(url: string): boolean {
    return this.isAll || this.urls.has(url) || (this.hosts.size > 0 && this.hosts.has(hostOf(url)))
  }

  /** As many URLs as that, the first before the others, and all else. */
  moveTo(other: Gathered, most: number): void {
    for (const host of this.hosts) other.#addHost(host)
    other.isAll ||= this.isAll
    this.hosts.clear()
    this.isAll = false
    let moved = 0
    for (const url of this.urls) {
      if (moved++ >= most) break
      other.add(url)
      this.urls.delete(url)
    }
  }

  get purges(): Purge[] {
    const purges: Purge[] = [...this.urls].map((url) => ({ kind: 'url', url, soft: false }))
    if (this.isAll) purges.push({ kind: 'all', soft: true })
    else for (const host of this.hosts) purges.push({ kind: 'host', host, soft: true })
    return purges
  }

  #addHost(host: string): void {
    if (this.hosts.size < MOST_HOSTS || this.hosts.has(host)) this.hosts.add(host)
    else this.isAll = true
  }
}
