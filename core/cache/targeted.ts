/** CDN-Cache-Control (RFC 9213): a dictionary of structured fields (RFC 9651 §3.2). Pure. */
import { trimmed } from '../net/trim.ts'
import { applyDirective, noDirectives, type ResponseDirectives } from './directives.ts'

const KEY = /[a-z*][a-z0-9_\-.*]*/y
/** An item without its parameters: decimal, integer, string, token, bytes, boolean, date. */
const BARE =
  /-?\d{1,12}\.\d{1,3}(?!\d)|@?-?\d{1,15}(?![\d.])|"(?:[\x20!\x23-\x5b\x5d-\x7e]|\\["\\])*"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*|:[A-Za-z0-9+/=]*:|\?[01]/y
const PARAMETER_START = /; */y
const SEPARATOR = /[ \t]*,[ \t]*/y
const SPACES = / */y

/** Null: there is nothing in it, or it is malformed, and then it is as if it were not there (RFC 9213 §2.1). */
export function readTargeted(text: string): ResponseDirectives | null {
  const reader = new Reader(trimmed(text, ' '))
  const members = reader.dictionary()
  if (members === null || members.size === 0) return null
  const found = noDirectives()
  for (const [name, value] of members) {
    if (value === '?0') continue
    // A value of another type than the directive's is not there either; only a whole number is an age.
    const isAge = ages.has(name)
    if (isAge && !/^\d+$/.test(value)) continue
    applyDirective(found, name, isAge ? value : null)
  }
  return found
}

const ages = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'])

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** By key the text of its value, of several the last; `?1` where there is none. */
  dictionary(): Map<string, string> | null {
    const members = new Map<string, string>()
    while (this.#at < this.#text.length) {
      const key = this.#take(KEY)
      if (key === null) return null
      const value = this.#skip('=') ? this.#member() : '?1'
      if (value === null || !this.#parameters()) return null
      members.set(key, value)
      if (this.#at === this.#text.length) return members
      if (this.#take(SEPARATOR) === null || this.#at === this.#text.length) return null
    }
    return members
  }

  #member(): string | null {
    return this.#skip('(') ? this.#innerList() : this.#take(BARE)
  }

  #innerList(): string | null {
    for (;;) {
      this.#take(SPACES)
      if (this.#skip(')')) return '()'
      if (this.#take(BARE) === null || !this.#parameters()) return null
      if (this.#text[this.#at] !== ' ' && this.#text[this.#at] !== ')') return null
    }
  }

  #parameters(): boolean {
    while (this.#take(PARAMETER_START) !== null) {
      if (this.#take(KEY) === null) return false
      if (this.#skip('=') && this.#take(BARE) === null) return false
    }
    return true
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found === null) return null
    this.#at = pattern.lastIndex
    return found[0]
  }
}
