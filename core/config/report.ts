/** What a check finds, and how it speaks of values. */
import type { Path } from './positions.ts'

export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly path: Path
  readonly message: Message
  /** Whether it is about the value at the end of the path, or about its key. */
  readonly what: 'key' | 'value'
}

/** May name other places of the config: `proxy.config.ts:12`. */
export type Message = string | ((placeOf: (path: Path) => string) => string)

/** Collects findings: a check goes on whatever it finds. */
export class Report {
  readonly findings: Finding[] = []

  error(path: Path, message: Message, what: 'key' | 'value' = 'value'): void {
    this.findings.push({ severity: 'error', path, message, what })
  }

  warn(path: Path, message: Message, what: 'key' | 'value' = 'value'): void {
    this.findings.push({ severity: 'warning', path, message, what })
  }
}

/** An object with fields of its own, as a config writes them. */
export type Plain = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RegExp) && !(value instanceof Promise)
}

/** What a table has under a name that somebody else wrote; never what all objects have, such as `valueOf`. */
export function ownMember<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

/** A name as it is, anything else as a value for a message. */
export function wordOf(value: unknown): string {
  return typeof value === 'string' ? value : show(value)
}

/** A value for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 57)}…` : value}'`
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (value instanceof RegExp) return String(value)
  if (value instanceof Promise) return 'a promise (await it)'
  if (typeof value === 'object' && value !== null)
    return 'kind' in value && typeof value.kind === 'string' ? `${value.kind}(…)` : 'an object'
  return String(value)
}
