/** `Headers` (WHATWG Fetch §5.1): names in any case, several values joined; iterated by name. */
import { trimmed } from '../../net/trim.ts'

type Init = Headers | Readonly<Record<string, string>> | Iterable<readonly [string, string]>

export class Headers {
  readonly #values = new Map<string, string[]>()

  constructor(init?: Init) {
    if (init === undefined || init === null) return
    if (typeof init !== 'object') throw new TypeError('Headers takes an object or a list of pairs')
    const pairs = Symbol.iterator in init ? init : Object.entries(init)
    for (const [name, value] of pairs) this.append(name, value)
  }

  get(name: string): string | null {
    return this.#values.get(nameOf(name))?.join(', ') ?? null
  }
  has(name: string): boolean {
    return this.#values.has(nameOf(name))
  }
  set(name: string, value: string): void {
    this.#values.set(nameOf(name), [checked(value)])
  }
  append(name: string, value: string): void {
    const lower = nameOf(name)
    const known = this.#values.get(lower)
    if (known === undefined) this.#values.set(lower, [checked(value)])
    else known.push(checked(value))
  }
  delete(name: string): void {
    this.#values.delete(nameOf(name))
  }
  getSetCookie(): string[] {
    return [...(this.#values.get('set-cookie') ?? [])]
  }
  forEach(visit: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) visit(value, name, this)
  }
  *entries(): IterableIterator<[string, string]> {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name) ?? []
      // RFC 6265 §3: these cannot be joined.
      if (name === 'set-cookie') for (const value of values) yield [name, value]
      else yield [name, values.join(', ')]
    }
  }
  *keys(): IterableIterator<string> {
    for (const [name] of this.entries()) yield name
  }
  *values(): IterableIterator<string> {
    for (const [, value] of this.entries()) yield value
  }
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries()
  }
  get [Symbol.toStringTag](): string {
    return 'Headers'
  }
}

function nameOf(name: unknown): string {
  const text = `${name}`
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) throw new TypeError(`not a name of a field: ${JSON.stringify(text)}`)
  return text.toLowerCase()
}

function checked(value: unknown): string {
  const text = trimmed(`${value}`, '\t\n\r ')
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) throw new TypeError('the value of a field is text in one line, of characters up to U+00FF')
  return text
}
