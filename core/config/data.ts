/**
 * A config's data as canonical lines, and their hash: whether two evaluations of one bundle came to the same result, and where not.
 * Workers load this, too.
 */
import { hash } from 'node:crypto'

/** A line a value: its path, a tab, the value. In the order they were written; functions by their source text. */
export function dataOf(config: unknown, textOf: (value: AnyFunction) => string = String): readonly string[] {
  const lines: string[] = []
  collect(config, '', { lines, seen: new Map(), textOf })
  return lines
}

export function hashOf(lines: readonly string[]): string {
  return hash('sha256', lines.join('\n'), 'base64url')
}

/** The path of the first line that differs; null if none does. */
export function firstDifference(a: readonly string[], b: readonly string[]): string | null {
  const at = a.findIndex((line, i) => line !== b[i])
  const line = at >= 0 ? a[at] : b[a.length]
  return line === undefined ? null : line.slice(0, line.indexOf('\t'))
}

type AnyFunction = (...args: never[]) => unknown

interface Collection {
  readonly lines: string[]
  /** Where an object was met first: it is told once, which also ends a circle. */
  readonly seen: Map<object, string>
  readonly textOf: (value: AnyFunction) => string
}

function collect(value: unknown, path: string, into: Collection): void {
  if (typeof value === 'object' && value !== null) return collectObject(value, path, into)
  into.lines.push(`${path}\t${typeof value === 'string' ? JSON.stringify(value) : describe(value, into)}`)
}

function describe(value: unknown, { textOf }: Collection): string {
  if (typeof value === 'function') return JSON.stringify(textOf(value as AnyFunction))
  if (typeof value === 'symbol') return `symbol ${JSON.stringify(value.description)}`
  return Object.is(value, -0) ? '-0' : typeof value === 'bigint' ? `${value}n` : String(value)
}

function collectObject(value: object, path: string, into: Collection): void {
  const { lines, seen } = into
  const first = seen.get(value)
  if (first !== undefined) {
    lines.push(`${path}\t@${first}`)
    return
  }
  seen.set(value, path)
  if (Array.isArray(value)) {
    lines.push(`${path}\t[${value.length}]`)
    for (const [i, entry] of value.entries()) collect(entry, `${path}[${i}]`, into)
    return
  }
  const whole = wholeOf(value)
  if (whole !== null) {
    lines.push(`${path}\t${value instanceof RegExp ? whole : `${tagOf(value)} ${JSON.stringify(whole)}`}`)
    return
  }
  lines.push(`${path}\t${isPlain(value) ? '' : tagOf(value)}{}`)
  const isWrapped = 'kind' in value && value.kind !== 'plugin'
  for (const [key, entry] of entriesOf(value)) collect(entry, isWrapped && key === 'options' ? path : join(path, key), into)
}

/** What an object says that has it all inside, where nobody else can look; null for others. */
function wholeOf(value: object): string | null {
  if (value instanceof Date) return String(value.getTime())
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString('base64')
  if (value instanceof Error) return `${value.name}: ${value.message}`
  if (value instanceof Number || value instanceof Boolean || value instanceof String) return String(value.valueOf())
  return value instanceof RegExp || value instanceof URL || value instanceof URLSearchParams ? String(value) : null
}

function entriesOf(value: object): (readonly [key: string, value: unknown])[] {
  if (value instanceof Map || value instanceof Set) return [...value].map((entry, i) => [String(i), entry])
  const entries: (readonly [string, unknown])[] = Object.entries(value)
  for (const key of Object.getOwnPropertySymbols(value)) entries.push([String(key), Reflect.get(value, key)])
  return entries
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

const NAME = /^[A-Za-z_$][\w$]*$/

function join(path: string, key: string): string {
  if (!NAME.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === '' ? key : `${path}.${key}`
}
