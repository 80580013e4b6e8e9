/**
 * What the schema is made of: the values a config holds, as zod schemas that say in our words what is wrong. Loaded where a config is
 * checked and nowhere else: zod takes about 40 ms and 13 MB of a process.
 */
import * as z from 'zod/mini'
import { nearest } from './nearest.ts'
import { isObject, type Plain, show } from './report.ts'
import { parseDuration, parseSize, suggestDuration, suggestSize } from './units.ts'

export type Schema = z.ZodMiniType
export type Fields = Readonly<Record<string, Schema>>

/** The words of an issue of zod's own. */
function expected(
  what: string,
  suggest: (written: string) => string | null = () => null,
): { readonly error: (issue: { readonly input?: unknown }) => string } {
  return {
    error: ({ input }) => {
      const near = typeof input === 'string' ? suggest(input) : null
      return `expected ${what}, got ${show(input)}${near === null ? '' : `; did you mean ${show(near)}?`}`
    },
  }
}

export const anything = z.any()
export const anyText = z.string(expected('text'))
export const text = z.string(expected('text')).check(z.minLength(1, expected('text')))
export const flag = z.boolean(expected('true or false'))
export const callable = z.custom((value) => typeof value === 'function', expected('a function'))

const aDuration = expected("a duration such as '250ms', '5s' or '2m'", suggestDuration)
export const duration = z.string(aDuration).check(z.refine((written) => parseDuration(written) !== null, aDuration))
/** More than none. `otherwise`: what holds where it is left out. */
export function someTime(otherwise: string): Schema {
  return noneRefused((none) => `nothing is done in ${none}; left out, ${otherwise}`)
}

/** A duration of which none is a mistake: `why` says so. */
export function noneRefused(why: (none: string) => string): Schema {
  return chosen((value) => (typeof value === 'string' && parseDuration(value) === 0 ? refused(why(show(value))) : duration))
}

const aSize = expected("a size such as '16kb' or '1mb'", suggestSize)
export const size = z.string(aSize).check(z.refine((written) => parseSize(written) !== null, aSize))

/** `why`: what would be with less. */
export function sizeFrom(least: string, why: string): Schema {
  return chosen((value) => {
    const bytes = typeof value === 'string' ? parseSize(value) : null
    return bytes !== null && bytes < parseSize(least)! ? refused(`takes ${least} or more: ${why}`) : size
  })
}

/** A second. */
export const speed = sizeFrom('1b', 'at no bytes a second nothing ever comes')

export function whole(least: number, most = Number.MAX_SAFE_INTEGER): Schema {
  const words = expected(`a whole number ${most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`}`)
  return z.int(words).check(z.gte(least, words), z.lte(most, words))
}

/** Not whole. */
export function between(least: number, most: number, what = `a number from ${least} to ${most}`): Schema {
  const words = expected(what)
  return z.number(words).check(z.gte(least, words), z.lte(most, words))
}

export function oneOf(...choices: readonly (string | number | boolean)[]): Schema {
  const names = choices.filter((choice) => typeof choice === 'string')
  const suggest = (written: string): string | null => nearest(written, names)
  return z.literal([...choices], expected(choices.map(show).join(' or '), suggest))
}

/** `find` returns what is wrong, as a sentence, or null. */
export function textThat(find: (written: string) => string | null): Schema {
  return z.string(expected('text')).check(
    z.check(({ value, issues }) => {
      const wrong = find(value)
      if (wrong !== null) issues.push(wordsOf(wrong, value))
    }),
  )
}

/** Never right. */
export function refused(message: string | ((value: unknown) => string)): Schema {
  return z.any().check(
    z.check(({ value, issues }) => {
      issues.push(wordsOf(typeof message === 'string' ? message : message(value), value))
    }),
  )
}

export function wrong(what: string): Schema {
  return refused((value) => `expected ${what}, got ${show(value)}`)
}

/**
 * The schema that a value itself chooses: what a union is written with. A union of zod's tries all of its members and, when none
 * fits, can only say that the input is invalid.
 */
export function chosen(choose: (value: unknown) => Schema): Schema {
  return z.any().check(
    z.check((payload) => {
      choose(payload.value)._zod.run(payload, { async: false })
    }),
  )
}

/** An array; `false`, `null` and `undefined` in it are left out. */
export function list(entry: Schema): Schema {
  return z.array(
    chosen((value) => (value === false || value === null || value === undefined ? anything : Array.isArray(value) ? nestedList : entry)),
    expected('a list'),
  )
}

const nestedList = refused('a list inside a list: spread it with ...')

export function oneOrMany(entry: Schema): Schema {
  const many = z.array(entry)
  return chosen((value) => (Array.isArray(value) ? (value.length === 0 ? emptyList : many) : entry))
}

const emptyList = refused('an empty list matches nothing')

/**
 * Any keys. An entry that is undefined is refused: of a condition that asks for a variable which is not set, say, nothing would be
 * left but a route for everyone.
 */
export function record(entry: Schema, key: Schema = z.string()): Schema {
  const whole = z.record(
    key as z.ZodMiniString,
    chosen((value) => (value === undefined ? undefinedEntry : entry)),
  )
  return chosen((value) => (isPlainRecord(value) ? whole : notAnObject))
}

const undefinedEntry = z.any().check(
  z.check(({ value, issues }) => {
    const message = 'undefined is no value here; to leave it out: ...(condition && { key: value })'
    issues.push({ ...wordsOf(message, value), params: { at: 'value', isGiven: true } })
  }),
)

const notAnObject = wrong('an object')

/** As zod's records have it. */
function isPlainRecord(value: unknown): boolean {
  return isObject(value) && (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)
}

/** An object with these fields and no others. What is undefined counts as left out. */
export function object(fields: Fields, required: readonly string[] = []): Schema {
  const shape = Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name, required.includes(name) ? schema : z.optional(schema)]),
  )
  // The words for an unknown key need the known ones, and zod leaves them to the message: see schema-findings.ts.
  const strict = z.strictObject(shape, { error: () => Object.keys(fields).join(' ') })
  const short = refused((value) => `expected an object${spelling(value, fields, required)}, got ${show(value)}`)
  return chosen((value) => (isObject(value) ? strict : isShort(value) ? short : notAnObject))
}

/** What `rule` says is wrong goes before what the fields say, but not before a key that is unknown: it may be the one that is missed. */
export function ruled(fields: Fields, rule: (value: Plain) => string | null, required: readonly string[] = []): Schema {
  const plain = object(fields, required)
  return chosen((value) => {
    if (!isObject(value) || Object.keys(value).some((key) => !Object.hasOwn(fields, key))) return plain
    const broken = rule(value)
    return broken === null ? plain : refused(broken)
  })
}

/** What somebody may have written for an object with one field. */
function isShort(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/** How it is written: with the value at the first field that would have it, what has to be there first. */
function spelling(value: unknown, fields: Fields, required: readonly string[]): string {
  const names = Object.keys(fields)
  const fitting = ['to', ...required, ...names].find((name) => name !== 'name' && name in fields && accepts(fields[name]!, value))
  const shown = [...new Set([...required, ...(fitting === undefined ? [] : [fitting])])]
  if (shown.length > 0) return ` such as { ${shown.map((name) => `${name}: ${name === fitting ? show(value) : '…'}`).join(', ')} }`
  return value === true ? ', {} for all its defaults' : ` with ${names.slice(0, 4).join(', ')}${names.length > 4 ? ' …' : ''}`
}

function accepts(schema: Schema, value: unknown): boolean {
  if (schema === anything) return false
  const payload: z.core.ParsePayload = { value, issues: [] }
  const result = schema._zod.run(payload, { async: false })
  return !(result instanceof Promise) && result.issues.length === 0
}

/** What a helper returns: fields that no user wrote are not looked at. */
export function made(fields: Fields): Schema {
  return z.looseObject(fields)
}

/** The same, of which users write `keys`, and no others than these. */
export function madeOf(fields: Fields, keys: readonly string[]): Schema {
  return z.looseObject(fields).check(
    z.check(({ value, issues }) => {
      const unknown = Object.keys(value).filter((key) => !Object.hasOwn(fields, key))
      // The message is as of object().
      if (unknown.length > 0) issues.push({ code: 'unrecognized_keys', keys: unknown, message: keys.join(' '), input: value, path: [] })
    }),
  )
}

/** Fields that the types have and nothing does yet: refused rather than ignored, whether they are right in shape or not. */
export function planned(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, notYet(name, schema)]))
}

/** `what` is not there yet. */
export function notYet(what: string, schema: Schema = anything): Schema {
  const refusal = z.check(({ value, issues }: z.core.ParsePayload) => {
    issues.push(wordsOf(`${what} is not supported yet`, value, 'key'))
  })
  return z.any().check(
    refusal,
    z.check((payload) => {
      schema._zod.run(payload, { async: false })
    }),
  )
}

/** An issue of our own. `at`: what of its member it is about. It does not keep other checks from being made. */
export function wordsOf(message: string, input: unknown, at: 'key' | 'value' = 'value'): z.core.$ZodRawIssue {
  return { code: 'custom', message, input, path: [], params: { at }, continue: true }
}
