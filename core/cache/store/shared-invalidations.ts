/**
 * What requests to all proxies with a store have put out (RFC 9111 §4.4), by numbers there. Who has not heard for so long that some are forgotten
 * takes all for put out. What is in the store needs no looking through: it leaves there in the step that numbers it.
 */
import type { Purge } from '../purge.ts'
import { MOST_HEARD, MOST_INVALIDATED } from './scripts.ts'
import { SeenNumbers } from './seen-numbers.ts'

/** What the store says; all numbers are of its count. */
export interface Invalidated {
  readonly count: number
  /** Up to this one URLs are forgotten. */
  readonly floor: number
  /** Up to this one all hosts were. */
  readonly all: number
  /** Of which everything was. */
  readonly hosts: ReadonlyMap<string, number>
  /** Behind the last number that is known, in their order. */
  readonly urls: readonly (readonly [url: string, number: number])[]
  /** There are more behind `count`, which is the last of these. */
  readonly isPart: boolean
}

export class SharedInvalidations {
  /** The last number whose URLs are known; -1: nothing is. */
  known = -1
  readonly #seen = new SeenNumbers()
  /** Those heard of last, by URL: for answers that were on their way here meanwhile. */
  readonly #urls = new Map<string, number>()
  /** Of such up to this number. */
  #forgotten = -1

  /** `since`: what was known when it was asked for. Returns what is to leave the memory. */
  learn({ count, floor, all, hosts, urls }: Invalidated, since: number, now: number): readonly Purge[] {
    const isAnew = since > count
    const hasGap = isAnew || since < floor
    if (isAnew) this.#forget()
    const before = this.known
    const news = urls.filter(([, number]) => number > before)
    for (const [url, number] of news) this.#noteUrl(url, number)
    // What was told from here meanwhile may be behind it.
    this.known = Math.max(before, count)
    this.saw(count, now)
    // What is in the memory before the first word is from before this tier.
    if (since < 0) return []
    const purges = news.map(([url]): Purge => ({ kind: 'url', url, soft: false }))
    // Some are missing, or the store began anew.
    if (hasGap || all > before) return [...purges, { kind: 'all', soft: true }]
    for (const [host, number] of hosts) if (number > before) purges.push({ kind: 'host', host, soft: true })
    return purges
  }

  /** These URLs were told there, and got that number: they are out of the memory already. */
  told(urls: Iterable<string>, number: number, now: number): void {
    for (const url of urls) this.#noteUrl(url, number)
    this.saw(number, now)
    if (this.known === number - 1) this.known = number
  }

  /** That the count has come so far. */
  saw(count: number, now: number): void {
    this.#seen.note(count, now)
  }

  /** An endpoint is asked then. */
  asks(at: number): void {
    this.#seen.asks(at)
  }

  /** The number that an answer gets that was asked for then. */
  numberAt(time: number): number {
    return this.#seen.before(time)
  }

  /** Of an answer that was looked for when `known` was `since`: false if it was put out while it was on its way. */
  allows(url: string, number: number, since: number): boolean {
    if (this.known === since) return true
    const of = this.#urls.get(url)
    return this.#forgotten <= since && (of === undefined || of <= number)
  }

  /** Of a count that is over. */
  #forget(): void {
    this.known = -1
    this.#urls.clear()
    this.#forgotten = -1
    this.#seen.forget()
  }

  #noteUrl(url: string, number: number): void {
    this.#urls.delete(url)
    this.#urls.set(url, number)
    if (this.#urls.size <= MOST_INVALIDATED) return
    const [oldest, forgotten] = this.#urls.entries().next().value!
    this.#urls.delete(oldest)
    this.#forgotten = forgotten
  }
}

/** Of the fields of its hash, and what is listed there with scores. */
export function readInvalidated(fields: readonly string[], scored: readonly string[], most = MOST_HEARD): Invalidated {
  const numbers = pairs(fields)
  const of = (name: string): number => numbers.find(([field]) => field === name)?.[1] ?? 0
  const hosts = numbers.flatMap(([field, number]) => (field.startsWith(HOST) ? [[field.slice(HOST.length), number] as const] : []))
  const listed = pairs(scored)
  const isPart = listed.length >= most
  // Of the last number there may be more.
  const count = isPart ? listed.at(-1)![1] - 1 : of('count')
  // The empty one marks a number.
  const urls = listed.filter(([url, number]) => url !== '' && number <= count)
  return { count, floor: of('floor'), all: of('all'), hosts: new Map(hosts), urls, isPart }
}

const HOST = 'h:'

function pairs(flat: readonly string[]): (readonly [string, number])[] {
  return flat.flatMap((text, i) => (i % 2 === 0 ? [[text, Number(flat[i + 1])] as const] : []))
}
