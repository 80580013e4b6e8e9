/** Structured fields as HTTP Message Signatures use them (RFC 8941 §4, RFC 9421 §4): strict to read, canonical to write. */

/** A parameter's value as it is written: `1618884473`, `"key-1"`, `:YQ==:`; empty for a bare one. */
export type Parameters = readonly (readonly [name: string, value: string])[]

export interface Member {
  readonly label: string
  /** Names of the covered components, without their quotation marks; null: not a list but an item. */
  readonly list: readonly string[] | null
  /** Of an item: as it is written. */
  readonly item: string
  readonly parameters: Parameters
}

/** A dictionary of inner lists of plain strings, or of items; null if it is anything else. */
export function readDictionary(text: string): readonly Member[] | null {
  const cursor = new Cursor(text)
  const members = new Map<string, Member>()
  cursor.skipSpace()
  while (!cursor.isAtEnd) {
    const label = cursor.take(KEY)
    if (label === null || cursor.take(EQUALS) === null) return null
    const isList = cursor.take(OPEN) !== null
    const list = isList ? readList(cursor) : null
    const item = isList ? '' : cursor.take(ITEM)
    const parameters = readParameters(cursor)
    if ((isList && list === null) || item === null || parameters === null) return null
    // The last of two with one label counts (RFC 8941 §4.2.2): which of them was checked would be a guess.
    if (members.has(label)) return null
    members.set(label, { label, list, item, parameters })
    cursor.skipSpace()
    if (cursor.isAtEnd) break
    if (cursor.take(COMMA) === null) return null
    cursor.skipSpace()
    if (cursor.isAtEnd) return null
  }
  return [...members.values()]
}

const KEY = /[a-z*][a-z0-9_\-.*]{0,100}/y
const EQUALS = /=/y
const OPEN = /\(/y
const COMMA = /,/y
const SEMICOLON = /; */y
const STRING = /"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y
/** Of parameters and items: integers, strings, byte sequences, tokens, booleans. */
const ITEM = /-?\d{1,15}(?!\d)|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"|:[A-Za-z0-9+/]*={0,2}:|\?[01]|[A-Za-z*][!#$%&'*+\-.^_`|~\w:/]*/y

function readList(cursor: Cursor): readonly string[] | null {
  const list: string[] = []
  for (;;) {
    cursor.skipSpace()
    if (cursor.take(CLOSE) !== null) return list
    const string = cursor.take(STRING)
    // A component with parameters (`;sf`, `;req`, `;tr` …) is another component than the one that is known here.
    if (string === null || cursor.take(NEXT) === null) return null
    list.push(unquoted(string))
  }
}

const CLOSE = /\)/y
const NEXT = /(?=[ )])/y

function readParameters(cursor: Cursor): Parameters | null {
  const parameters: [string, string][] = []
  while (cursor.take(SEMICOLON) !== null) {
    const name = cursor.take(KEY)
    if (name === null || parameters.some(([known]) => known === name)) return null
    const value = cursor.take(EQUALS) === null ? '' : cursor.take(ITEM)
    if (value === null) return null
    parameters.push([name, value])
  }
  return parameters
}

class Cursor {
  readonly #text: string
  #at = 0
  constructor(text: string) {
    this.#text = text
  }
  get isAtEnd(): boolean {
    return this.#at === this.#text.length
  }
  /** What the sticky expression matches here, behind which it goes on; null if it does not. */
  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found === null) return null
    this.#at = pattern.lastIndex
    return found[0]
  }
  skipSpace(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at++
  }
}

export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

export function unquoted(string: string): string {
  return string.slice(1, -1).replace(/\\(.)/g, '$1')
}

export function writeParameters(list: readonly string[], parameters: Parameters): string {
  return `(${list.map(quoted).join(' ')})${parameters.map(([name, value]) => `;${name}${value === '' ? '' : `=${value}`}`).join('')}`
}

/** `:YQ==:`; null if it is no byte sequence. */
export function readBytes(item: string): Uint8Array<ArrayBuffer> | null {
  if (!/^:[A-Za-z0-9+/]*={0,2}:$/.test(item)) return null
  try {
    const binary = atob(item.slice(1, -1))
    return Uint8Array.from(binary, (char) => char.charCodeAt(0))
  } catch {
    return null
  }
}

export function writeBytes(bytes: Uint8Array): string {
  return `:${btoa(String.fromCharCode(...bytes))}:`
}
