/** An inline hook of a body: a function, or one with how it wants the body. */
import { nearest } from './nearest.ts'
import { isObject, show } from './report.ts'
import { parseSize, suggestSize } from './units.ts'

export const BODY_HOOKS: readonly string[] = ['onRequestBody', 'onResponseBody']
const KEYS = ['mode', 'max', 'types', 'handle']
const LARGEST = '4mb'
const MEDIA_TYPE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\/(?:\*|[!#$%&'+\-.^_`|~0-9A-Za-z]+)$/

export type Say = (path: (string | number)[], message: string, at?: 'key' | 'value') => void

export function tellBodyHook(hook: unknown, say: Say): void {
  if (hook === undefined || typeof hook === 'function') return
  if (!isObject(hook)) return say([], `expected a function or { mode, max, types, handle }, got ${show(hook)}`)
  for (const key of Object.keys(hook)) if (!KEYS.includes(key)) say([key], unknownKey(key), 'key')
  const { mode, max, types, handle } = hook
  if (handle === undefined) say([], 'handle is missing: the function that is asked about the body')
  else if (typeof handle !== 'function') say(['handle'], `expected a function, got ${show(handle)}`)
  if (mode !== undefined && mode !== 'stream' && mode !== 'buffer') say(['mode'], `expected 'stream' or 'buffer', got ${show(mode)}`)
  const wrongMax = max === undefined ? null : whatIsWrongWithMax(max, mode)
  if (wrongMax !== null) say(['max'], wrongMax)
  if (types !== undefined) tellTypes(types, say)
}

function whatIsWrongWithMax(max: unknown, mode: unknown): string | null {
  const bytes = typeof max === 'string' ? parseSize(max) : null
  if (bytes === null) {
    const meant = typeof max === 'string' ? suggestSize(max) : null
    return `expected a size such as '64kb' or '1mb', got ${show(max)}${meant === null ? '' : `; did you mean '${meant}'?`}`
  }
  if (bytes > parseSize(LARGEST)!)
    return `a body is kept for a hook up to ${LARGEST}, not ${show(max)}; a larger one goes piece by piece, with mode: 'stream'`
  return mode === 'buffer' ? null : "max is for mode: 'buffer'; a body that goes piece by piece may be of any size"
}

function tellTypes(types: unknown, say: Say): void {
  if (!Array.isArray(types)) return say(['types'], `expected a list of media types, got ${show(types)}`)
  if (types.length === 0) say(['types'], 'an empty list matches nothing; without types every body is wanted')
  for (const [i, type] of types.entries()) {
    if (typeof type !== 'string' || !MEDIA_TYPE.test(type))
      say(['types', i], `expected a media type such as 'text/html' or 'text/*', got ${show(type)}`)
  }
}

function unknownKey(key: string): string {
  const near = nearest(key, KEYS)
  return `unknown key${near === null ? '' : `; did you mean ${near}?`}`
}
