/** Collects what a check finds, and the checks that the schema is made of: each looks at one value and goes on whatever it finds. */
import { nearest } from './nearest.ts'
import type { Path, Step } from './positions.ts'
import { parseDuration, parseSize } from './units.ts'

export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly path: Path
  readonly message: string
  /** Whether it is about the value at the end of the path, or about its key. */
  readonly what: 'key' | 'value'
}

export class Report {
  readonly findings: Finding[] = []
  error(path: Path, message: string, what: 'key' | 'value' = 'value'): void {
    this.findings.push({ severity: 'error', path, message, what })
  }
  warn(path: Path, message: string): void {
    this.findings.push({ severity: 'warning', path, message, what: 'value' })
  }
}

export interface Scope {
  readonly report: Report
  /** The folder of the config's file. */
  readonly folder: string
}

export type Check<S extends Scope = Scope> = (value: unknown, path: Path, scope: S) => void
export type Fields<S extends Scope> = Readonly<Record<string, Check<S>>>
type Plain = Readonly<Record<string, unknown>>

/** A check by a function that returns what is expected, or null if the value is right. */
function expecting(find: (value: unknown) => string | null): Check {
  return (value, path, { report }) => {
    const expected = find(value)
    if (expected !== null) report.error(path, `expected ${expected}, got ${show(value)}`)
  }
}

export const text = expecting((value) => (typeof value === 'string' && value !== '' ? null : 'text'))
export const anyText = expecting((value) => (typeof value === 'string' ? null : 'text'))
export const flag = expecting((value) => (typeof value === 'boolean' ? null : 'true or false'))
export const callable = expecting((value) => (typeof value === 'function' ? null : 'a function'))
export const duration = expecting((value) =>
  typeof value === 'string' && parseDuration(value) !== null ? null : "a duration such as '250ms', '5s' or '2m'",
)
export const size = expecting((value) => (typeof value === 'string' && parseSize(value) !== null ? null : "a size such as '16kb' or '1mb'"))

export function whole(least: number, most = Number.MAX_SAFE_INTEGER): Check {
  const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`
  return expecting((value) =>
    Number.isInteger(value) && Number(value) >= least && Number(value) <= most ? null : `a whole number ${range}`,
  )
}

export function oneOf(...choices: readonly (string | number | boolean)[]): Check {
  return (value, path, { report }) => {
    if (choices.some((choice) => choice === value)) return
    const near =
      typeof value === 'string'
        ? nearest(
            value,
            choices.filter((choice) => typeof choice === 'string'),
          )
        : null
    report.error(
      path,
      `expected ${choices.map(show).join(' or ')}, got ${show(value)}${near === null ? '' : `; did you mean ${show(near)}?`}`,
    )
  }
}

/** `find` returns what is wrong, as a sentence, or null. */
export function textThat(find: (text: string) => string | null): Check {
  return (value, path, scope) => {
    if (typeof value !== 'string') return text(value, path, scope)
    const wrong = find(value)
    if (wrong !== null) scope.report.error(path, wrong)
  }
}

/** An array; `false`, `null` and `undefined` in it are left out. */
export function list<S extends Scope>(check: Check<S>): Check<S> {
  return (value, path, scope) => {
    if (!Array.isArray(value)) return scope.report.error(path, `expected a list, got ${show(value)}`)
    for (const [i, entry] of value.entries()) {
      if (entry === false || entry === null || entry === undefined) continue
      if (Array.isArray(entry)) scope.report.error([...path, i], 'a list inside a list: spread it with ...')
      else check(entry, [...path, i], scope)
    }
  }
}

export function oneOrMany<S extends Scope>(check: Check<S>): Check<S> {
  return (value, path, scope) => {
    if (!Array.isArray(value)) return check(value, path, scope)
    if (value.length === 0) scope.report.error(path, 'an empty list matches nothing')
    for (const [i, entry] of value.entries()) check(entry, [...path, i], scope)
  }
}

export function record<S extends Scope>(check: Check<S>): Check<S> {
  return (value, path, scope) => {
    if (!isPlain(value, path, scope.report)) return
    for (const [key, entry] of Object.entries(value)) if (entry !== undefined) check(entry, [...path, key], scope)
  }
}

/** An object with these fields and no others. What is undefined counts as left out. */
export function object<S extends Scope>(fields: Fields<S>, required: readonly string[] = []): Check<S> {
  const known = Object.keys(fields)
  return (value, path, scope) => {
    if (!isPlain(value, path, scope.report)) return
    for (const [key, entry] of Object.entries(value)) {
      if (!Object.hasOwn(fields, key)) {
        const near = nearest(key, known)
        scope.report.error(
          [...path, key],
          `unknown key${near === null ? `; known are ${known.join(', ')}` : `; did you mean ${near}?`}`,
          'key',
        )
      } else if (entry !== undefined) fields[key]!(entry, [...path, key], scope)
    }
    for (const key of required) if (value[key] === undefined) scope.report.error(path, `${key} is missing`)
  }
}

/** Right in shape or not, nothing does it yet: refused rather than ignored. `what` defaults to the field's name. */
export function planned<S extends Scope>(check: Check<S>, what?: string): Check<S> {
  return (value, path, scope) => {
    scope.report.error(path, `${what ?? nameOf(path)} is not supported yet`, 'key')
    check(value, path, scope)
  }
}

export function isPlain(value: unknown, path: Path, report: Report): value is Plain {
  if (isObject(value)) return true
  report.error(path, `expected an object, got ${show(value)}`)
  return false
}

export function isObject(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RegExp)
}

/** A value for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 57)}…` : value}'`
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (value instanceof RegExp) return String(value)
  if (value instanceof Promise) return 'a promise (await it)'
  if (typeof value === 'object' && value !== null) return 'kind' in value ? `${String(value.kind)}(…)` : 'an object'
  return String(value)
}

function nameOf(path: Path): string {
  const step = path.findLast((one: Step) => typeof one === 'string')
  return typeof step === 'string' ? step : 'this'
}
