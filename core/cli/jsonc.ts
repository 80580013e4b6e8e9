/**
 * Changes one place of a JSON file that people wrote by hand: comments, order, indentation and trailing commas stay as they are. Pure.
 */

export class JsoncError extends Error {}

/** A value and where it stands in the text. */
export interface Node {
  readonly start: number
  readonly end: number
  readonly value: unknown
  /** Of an object, in its order. */
  readonly properties: ReadonlyMap<string, Node> | null
}

/** JSON with comments and trailing commas. Throws JsoncError. */
export function parseJsonc(text: string): Node {
  return new Parser(text).parse()
}

/**
 * The text with `value` at `path`; objects on the way are made where they are missing. Throws JsoncError for what is no JSON, or where
 * something else than an object is in the way.
 */
export function setJsonc(text: string, path: readonly string[], value: unknown): string {
  let node = parseJsonc(text)
  for (const [depth, key] of path.entries()) {
    if (node.properties === null) throw new JsoncError(`${path.slice(0, depth).join('.') || 'it'} is no object`)
    const next = node.properties.get(key)
    if (next === undefined) {
      const nested = path.slice(depth + 1).reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
      return insert(text, node, key, nested)
    }
    node = next
  }
  return text.slice(0, node.start) + print(text, value, indentAt(text, node.start)) + text.slice(node.end)
}

/** Behind the last property, and behind the comment on its line. */
function insert(text: string, object: Node, key: string, value: unknown): string {
  const outer = indentAt(text, object.start)
  const inner = outer + indentUnit(text)
  const entry = `${newline(text)}${inner}${JSON.stringify(key)}: ${print(text, value, inner)}`
  const last = [...object.properties!.values()].at(-1)
  if (last === undefined) return `${text.slice(0, object.start)}{${entry}${newline(text)}${outer}}${text.slice(object.end)}`
  const comma = new Parser(text, last.end).endOfComma()
  const from = comma ?? last.end
  const at = from + /^[ \t]*(?:\/\/[^\r\n]*|\/\*[^\r\n]*?\*\/)?/.exec(text.slice(from))![0].trimEnd().length
  const [before, after] = comma === null ? [',', ''] : ['', ',']
  return `${text.slice(0, last.end)}${before}${text.slice(last.end, at)}${entry}${after}${text.slice(at)}`
}

function print(text: string, value: unknown, indent: string): string {
  return formatJson(value, indentUnit(text)).replaceAll('\n', `${newline(text)}${indent}`)
}

/** As people write it: a list of plain values stands on one line. */
export function formatJson(value: unknown, unit = '  '): string {
  const isPlain = (one: unknown): boolean => typeof one !== 'object' || one === null
  if (isPlain(value)) return JSON.stringify(value)
  const deeper = (one: unknown): string => formatJson(one, unit).replaceAll('\n', `\n${unit}`)
  if (Array.isArray(value)) {
    if (value.every(isPlain)) return `[${value.map((one) => JSON.stringify(one)).join(', ')}]`
    return `[\n${value.map((one) => unit + deeper(one)).join(',\n')}\n]`
  }
  const entries = Object.entries(value as object).filter(([, one]) => one !== undefined)
  if (entries.length === 0) return '{}'
  return `{\n${entries.map(([key, one]) => `${unit}${JSON.stringify(key)}: ${deeper(one)}`).join(',\n')}\n}`
}

/** What the line of a place begins with. */
function indentAt(text: string, offset: number): string {
  const line = text.lastIndexOf('\n', offset - 1) + 1
  return /^[ \t]*/.exec(text.slice(line))![0]
}

function indentUnit(text: string): string {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? '  '
}

function newline(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n'
}

class Parser {
  readonly #text: string
  #at: number

  constructor(text: string, at = 0) {
    this.#text = text
    this.#at = at
  }

  parse(): Node {
    if (this.#text.charCodeAt(0) === 0xfeff) this.#at = 1
    const node = this.#value()
    this.#skip()
    if (this.#at < this.#text.length) this.#fail()
    return node
  }

  /** The offset behind the comma that follows, null if none does. */
  endOfComma(): number | null {
    this.#skip()
    return this.#text[this.#at] === ',' ? this.#at + 1 : null
  }

  #value(): Node {
    this.#skip()
    const start = this.#at
    if (this.#text[start] === '{') return this.#object(start)
    if (this.#text[start] === '[') return this.#array(start)
    const match = /"(?:[^"\\\n]|\\.)*"|-?\d[\d.eE+-]*|true|false|null/y
    match.lastIndex = start
    const [token] = match.exec(this.#text) ?? this.#fail()
    this.#at += token.length
    return { start, end: this.#at, value: this.#scalar(token), properties: null }
  }

  #object(start: number): Node {
    const properties = new Map<string, Node>()
    this.#list('}', () => {
      const key = this.#value().value
      if (typeof key !== 'string') this.#fail()
      this.#take(':')
      properties.set(key as string, this.#value())
    })
    const value = Object.fromEntries([...properties].map(([key, node]) => [key, node.value]))
    return { start, end: this.#at, value, properties }
  }

  #array(start: number): Node {
    const value: unknown[] = []
    this.#list(']', () => value.push(this.#value().value))
    return { start, end: this.#at, value, properties: null }
  }

  #list(end: string, readEntry: () => void): void {
    this.#at++
    for (;;) {
      this.#skip()
      if (this.#text[this.#at] === end) break
      readEntry()
      this.#skip()
      if (this.#text[this.#at] === ',') this.#at++
      else if (this.#text[this.#at] !== end) this.#fail()
    }
    this.#at++
  }

  #scalar(token: string): unknown {
    try {
      return JSON.parse(token)
    } catch {
      return this.#fail()
    }
  }

  #take(text: string): void {
    this.#skip()
    if (this.#text[this.#at] !== text) this.#fail()
    this.#at++
  }

  #skip(): void {
    const blank = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y
    blank.lastIndex = this.#at
    this.#at += blank.exec(this.#text)![0].length
  }

  #fail(): never {
    const lines = this.#text.slice(0, this.#at).split('\n')
    throw new JsoncError(`not JSON at line ${lines.length}, column ${lines.at(-1)!.length + 1}`)
  }
}
