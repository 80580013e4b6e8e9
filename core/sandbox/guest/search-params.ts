/** `URLSearchParams` (WHATWG URL standard §6.2), on its own or writing itself back into a URL. */
import { decodePart, encodePart } from './query.ts'

export class URLSearchParams {
  #pairs: [string, string][] = []
  #changed: (() => void) | null = null

  constructor(init: unknown = '') {
    if (typeof init === 'string') this.#read(init.startsWith('?') ? init.slice(1) : init)
    else if (typeof init === 'object' && init !== null && Symbol.iterator in init)
      for (const [name, value] of init as Iterable<[unknown, unknown]>) this.#pairs.push([`${name}`, `${value}`])
    else if (typeof init === 'object' && init !== null)
      for (const [name, value] of Object.entries(init)) this.#pairs.push([name, `${value}`])
  }

  /** Parameters that write themselves back into a URL. */
  static of(query: string, changed: (params: URLSearchParams) => void): URLSearchParams {
    const params = new URLSearchParams(query)
    params.#changed = () => changed(params)
    return params
  }

  replaceBy(query: string): void {
    this.#pairs = []
    this.#read(query)
  }

  get size(): number {
    return this.#pairs.length
  }
  get(name: string): string | null {
    return this.#pairs.find((pair) => pair[0] === `${name}`)?.[1] ?? null
  }
  getAll(name: string): string[] {
    return this.#pairs.filter((pair) => pair[0] === `${name}`).map((pair) => pair[1])
  }
  has(name: string, value?: string): boolean {
    return this.#pairs.some((pair) => pair[0] === `${name}` && (value === undefined || pair[1] === `${value}`))
  }
  append(name: string, value: string): void {
    this.#pairs.push([`${name}`, `${value}`])
    this.#changed?.()
  }
  set(name: string, value: string): void {
    const at = this.#pairs.findIndex((pair) => pair[0] === `${name}`)
    if (at < 0) this.#pairs.push([`${name}`, `${value}`])
    else {
      this.#pairs[at]![1] = `${value}`
      this.#pairs = this.#pairs.filter((pair, i) => i <= at || pair[0] !== `${name}`)
    }
    this.#changed?.()
  }
  delete(name: string, value?: string): void {
    this.#pairs = this.#pairs.filter((pair) => pair[0] !== `${name}` || (value !== undefined && pair[1] !== `${value}`))
    this.#changed?.()
  }
  sort(): void {
    this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))
    this.#changed?.()
  }
  forEach(visit: (value: string, name: string, params: URLSearchParams) => void): void {
    for (const [name, value] of this.#pairs) visit(value, name, this)
  }
  *entries(): Generator<[string, string]> {
    for (const [name, value] of this.#pairs) yield [name, value]
  }
  *keys(): Generator<string> {
    for (const pair of this.#pairs) yield pair[0]
  }
  *values(): Generator<string> {
    for (const pair of this.#pairs) yield pair[1]
  }
  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries()
  }
  toString(): string {
    return this.#pairs.map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`).join('&')
  }

  #read(query: string): void {
    for (const part of query.split('&')) {
      if (part === '') continue
      const split = part.indexOf('=')
      this.#pairs.push(split < 0 ? [decodePart(part), ''] : [decodePart(part.slice(0, split)), decodePart(part.slice(split + 1))])
    }
  }
}
