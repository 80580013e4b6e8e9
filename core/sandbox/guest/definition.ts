/** `definePlugin` inside the sandbox, and the checks of what a plugin says about itself. Every failure is one sentence that says what to change. */
import {
  DEFAULT_BUFFERED,
  type HookName,
  hookNames,
  hookPermissions,
  MAX_BUFFERED,
  MAX_SEES,
  type MatchDefinition,
  PLUGIN_NAME,
} from '../wire.ts'
import { bound, isArray, ownKeys, stringify, toLowerCase } from './primordials.ts'

export type AnyHook = (...args: unknown[]) => unknown

interface Schema {
  readonly '~standard': { readonly validate: (value: unknown) => unknown }
}

export interface PluginDefinition {
  readonly name: string
  readonly permissions: readonly string[]
  readonly options: Schema | null
  readonly sees: readonly string[] | null
  readonly match: MatchDefinition | null
  readonly setup: (options: unknown, host: object) => unknown
  readonly at: string
}

const defined = new WeakMap<object, PluginDefinition>()
const allowedKeys = ['name', 'options', 'permissions', 'sees', 'match', 'setup']

export function definePlugin(input: unknown): object {
  const at = new Error().stack ?? ''
  if (typeof input !== 'object' || input === null) throw new TypeError('definePlugin takes an object')
  const from = input as Record<string, unknown>
  for (const key of ownKeys(from)) {
    if (!allowedKeys.includes(String(key))) throw new TypeError(`definePlugin has no "${String(key)}"; there are ${allowedKeys.join(', ')}`)
  }
  const { name, setup, options } = from
  if (typeof name !== 'string' || !PLUGIN_NAME.test(name))
    throw new TypeError('the name of a plugin is up to 64 letters, digits and - _ . / @')
  if (typeof setup !== 'function') throw new TypeError('a plugin needs setup(options, host), which returns its hooks')
  const plugin = {}
  defined.set(plugin, {
    name,
    setup: setup as PluginDefinition['setup'],
    permissions: from.permissions === undefined ? [] : strings(from.permissions, 'permissions'),
    sees: from.sees === undefined ? null : readSees(from.sees),
    match: from.match === undefined ? null : readMatch(from.match),
    options: options === undefined ? null : readSchema(options),
    at,
  })
  return plugin
}

export function checkDefinition(exported: unknown): PluginDefinition {
  const definition = typeof exported === 'object' && exported !== null ? defined.get(exported) : undefined
  if (definition === undefined)
    throw new TypeError('the default export of a plugin is what definePlugin returned: export default definePlugin({ … })')
  return definition
}

/** A hook that runs, with its `this` fixed; `source`: the function as it was written. */
export interface CheckedHook {
  readonly run: AnyHook
  readonly source: AnyHook
  readonly mode: 'stream' | 'buffer'
  readonly maxBytes: number
  readonly types: readonly string[] | null
}
export type CheckedHooks = Partial<Record<HookName, CheckedHook>>

/** Those that do not exist are refused by name. */
export function checkHooks(value: unknown, permissions: readonly string[]): CheckedHooks {
  if (typeof value !== 'object' || value === null) throw new TypeError('setup returns an object of hooks')
  const hooks: CheckedHooks = {}
  for (const key of ownKeys(value)) {
    const name = String(key)
    const hook: unknown = (value as Record<string, unknown>)[name]
    if (hook === undefined) continue
    if (!isHookName(name)) throw new TypeError(`there is no hook ${name}${suggestion(name)}`)
    hooks[name] = checkHook(name, hook, value)
    const permission = hookPermissions[name]
    if (permission !== undefined && !permissions.includes(permission))
      throw new TypeError(`the hook ${name} takes the permission ${permission}: permissions: ['${permission}'] in definePlugin asks for it`)
  }
  return hooks
}

const optionKeys = ['mode', 'max', 'types', 'handle']

function checkHook(name: HookName, hook: unknown, hooks: object): CheckedHook {
  if (typeof hook === 'function') {
    return { run: bound(hook as AnyHook, hooks), source: hook as AnyHook, mode: 'stream', maxBytes: 0, types: null }
  }
  const takesOptions = name === 'onRequestBody' || name === 'onResponseBody'
  if (!takesOptions || typeof hook !== 'object' || hook === null)
    throw new TypeError(`the hook ${name} is not a function${takesOptions ? ', nor { mode, max, types, handle }' : ''}`)
  for (const key of ownKeys(hook)) {
    if (!optionKeys.includes(String(key))) throw new TypeError(`${name} has no "${String(key)}"; there are ${optionKeys.join(', ')}`)
  }
  const { mode = 'stream', max, types, handle } = hook as Record<string, unknown>
  if (mode !== 'stream' && mode !== 'buffer') throw new TypeError(`${name}.mode is 'stream' or 'buffer'`)
  if (typeof handle !== 'function') throw new TypeError(`${name}.handle is a function`)
  return {
    run: bound(handle as AnyHook, hook),
    source: handle as AnyHook,
    mode,
    maxBytes: max === undefined ? DEFAULT_BUFFERED : readSize(max, `${name}.max`),
    types: types === undefined ? null : strings(types, `${name}.types`).map((type) => readType(type, name)),
  }
}

const units: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2 }

function readSize(value: unknown, what: string): number {
  const found = typeof value === 'string' ? /^(\d+)(b|kb|mb)$/.exec(value) : null
  const size = found === null ? Number.NaN : Number(found[1]) * units[found[2]!]!
  if (!(size > 0 && size <= MAX_BUFFERED)) throw new TypeError(`${what} is a size up to '${MAX_BUFFERED / 1024 ** 2}mb', such as '64kb'`)
  return size
}

function readType(type: string, name: string): string {
  const lower = toLowerCase(type)
  if (!/^[\w.+-]+\/(\*|[\w.+-]+)$/.test(lower))
    throw new TypeError(`${name}.types takes media types such as 'text/html' or 'text/*', not ${type}`)
  return lower
}

function isHookName(name: string): name is HookName {
  return isNamed(hookNames, name)
}

/** Standard Schema: `validate` gives a value or issues, now or later. */
export async function readOptions(definition: PluginDefinition, options: unknown): Promise<unknown> {
  if (definition.options === null) return options
  const result: unknown = await definition.options['~standard'].validate(options)
  const { issues, value } = result as { issues?: unknown; value?: unknown }
  if (!isArray(issues) || issues.length === 0) return value
  const texts = issues.flatMap((issue: Issue) => issueTexts(issue, definition.options))
  throw new TypeError(`the options are not valid: ${texts.join('; ')}`)
}

interface Issue {
  readonly message?: unknown
  readonly path?: unknown
  /** Of zod. */
  readonly code?: unknown
  readonly expected?: unknown
  readonly keys?: unknown
  readonly values?: unknown
}

function issueTexts(issue: Issue, schema: unknown): string[] {
  const path = isArray(issue.path) ? issue.path.map((part) => (typeof part === 'object' && part !== null ? part.key : part)) : []
  return issueWords(issue, keysAt(schema, path)).map((words) => (path.length === 0 ? words : `${path.join('.')}: ${words}`))
}

/** zod/mini, which is small for having no words, says "Invalid input" of everything. */
function issueWords({ message, code, expected, keys, values }: Issue, known: readonly string[]): string[] {
  if (code === 'unrecognized_keys' && isArray(keys))
    return keys.map((key) => `there is no option ${key}${known.length === 0 ? '' : `, but ${known.join(', ')}`}`)
  if (message !== 'Invalid input' || typeof code !== 'string') return [String(message)]
  if (code === 'invalid_type' && typeof expected === 'string') return [`expected ${expected}`]
  if (code === 'invalid_value' && isArray(values)) return [`expected ${values.map((value) => stringify(value)).join(' or ')}`]
  return [`not valid: ${code.replaceAll('_', ' ')}`]
}

/** Of zod: how a schema is made. */
interface Made {
  readonly shape?: Readonly<Record<string, unknown>>
  readonly element?: unknown
  readonly innerType?: unknown
}

/** The keys that the object at that place may have; none if nobody can tell. */
function keysAt(schema: unknown, path: readonly unknown[]): readonly string[] {
  let made = madeOf(schema)
  for (const step of path) made = madeOf(typeof step === 'number' ? made?.element : made?.shape?.[String(step)])
  return Object.keys(made?.shape ?? {})
}

/** What is behind `optional` and the like. */
function madeOf(schema: unknown): Made | undefined {
  let made = (schema as { readonly _zod?: { readonly def?: Made } } | undefined)?._zod?.def
  for (let depth = 0; depth < 8 && made?.innerType !== undefined; depth++) made = (made.innerType as { _zod?: { def?: Made } })._zod?.def
  return made
}

function readSchema(options: unknown): Schema {
  const schema = options as Schema
  if ((typeof options !== 'object' && typeof options !== 'function') || typeof schema?.['~standard']?.validate !== 'function')
    throw new TypeError('options takes a Standard Schema (zod, valibot …)')
  return schema
}

function readSees(value: unknown): string[] {
  const names = strings(value, 'sees')
  if (names.length > MAX_SEES) throw new TypeError(`sees takes up to ${MAX_SEES} names of fields; without it a plugin sees them all`)
  return names.map((field) => toLowerCase(field))
}

function readMatch(value: unknown): MatchDefinition {
  if (typeof value !== 'object' || value === null) throw new TypeError('match takes { path, method, host }')
  const match: Record<string, readonly string[]> = {}
  for (const key of ownKeys(value)) {
    const name = String(key)
    if (name !== 'path' && name !== 'method' && name !== 'host') throw new TypeError(`match has no "${name}"; there are path, method, host`)
    const wanted = (value as Record<string, unknown>)[name]
    if (wanted !== undefined) match[name] = typeof wanted === 'string' ? [wanted] : strings(wanted, `match.${name}`)
  }
  return match
}

function strings(value: unknown, what: string): string[] {
  if (!isArray(value) || !value.every((item) => typeof item === 'string')) throw new TypeError(`${what} takes a list of strings`)
  return [...value]
}

function isNamed(names: readonly string[], name: string): boolean {
  return names.includes(name)
}

function suggestion(name: string): string {
  const near = hookNames.find((known) => isNear(toLowerCase(known), toLowerCase(name)))
  return near === undefined ? `; there are ${hookNames.join(', ')}` : `; did you mean ${near}?`
}

/** The same letters but for one that is missing, added or other, or two that changed places. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return Math.max(a.length, b.length) - start - end <= 2
}
