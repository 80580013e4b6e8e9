/** Turns whatever a plugin threw or logged into text. May run the plugin's own getters, so it is called under the hook's time limit only. */
import { isArray, slice, stringify } from './primordials.ts'

const LONGEST = 8192

/** A thrown value: its stack if it is an error, else what it is. Never throws. */
export function describe(thrown: unknown): string {
  try {
    if (typeof thrown === 'object' && thrown !== null) {
      const { stack, message, name } = thrown as { stack?: unknown; message?: unknown; name?: unknown }
      if (typeof stack === 'string' && stack !== '') return slice(stack, 0, LONGEST)
      if (typeof message === 'string') return slice(typeof name === 'string' ? `${name}: ${message}` : message, 0, LONGEST)
    }
    return `threw ${show(thrown)}`
  } catch {
    return 'threw something that cannot be described'
  }
}

/** One argument of console. */
export function show(value: unknown): string {
  if (typeof value === 'string') return slice(value, 0, LONGEST)
  try {
    if (typeof value === 'function') return '[function]'
    if (typeof value !== 'object' || value === null) return slice(typeof value === 'bigint' ? `${value}n` : String(value), 0, LONGEST)
    if (value instanceof Error && typeof value.stack === 'string') return slice(value.stack, 0, LONGEST)
    return slice(stringify(plain(value, 0)) ?? '[object]', 0, LONGEST)
  } catch {
    return '[object]'
  }
}

/** A copy that JSON can write: no cycles (they end at the depth), maps and sets as what they hold. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return '[function]'
  if (typeof value === 'symbol') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth === 4) return isArray(value) ? '[array]' : '[object]'
  if (value instanceof Map) return plain(Object.fromEntries(value), depth)
  if (value instanceof Set || isArray(value)) {
    const list: unknown[] = []
    for (const item of value) {
      if (list.length === 100) break
      list[list.length] = plain(item, depth + 1)
    }
    return list
  }
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value).slice(0, 100)) copy[key] = plain((value as Record<string, unknown>)[key], depth + 1)
  return copy
}
