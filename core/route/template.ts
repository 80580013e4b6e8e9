/**
 * Fills `/new/*`, `/u/:id`, `https://x/*` with what the path of a request held. Whatever the request was, the result has no control
 * character and stays on the host that the template names: what is filled in can never become an authority or a query of its own.
 */
import type { Params } from './pattern.ts'

/**
 * The target for a rewrite or a redirect. The request's query follows that of the template; a template without `/` or scheme at its
 * start is refused by the config already.
 */
export function expand(template: string, params: Params | null, search: string): string {
  const hash = template.indexOf('#')
  const body = hash < 0 ? template : template.slice(0, hash)
  const fragment = hash < 0 ? '' : fill(template.slice(hash), 0, params)
  const start = authorityEnd(body)
  const question = body.indexOf('?', start)
  const pathEnd = question < 0 ? body.length : question
  const origin = fill(body.slice(0, start), 2, params)
  const path = fill(body.slice(start, pathEnd), 0, params)
  const ownQuery = question < 0 ? '' : fill(body.slice(question), 1, params)
  // Two slashes, or a slash and a backslash, at the start would name another host.
  const safe = start === 0 ? path.replace(/^[/\\]{2,}/, '/') : path
  return origin + safe + joinQuery(ownQuery, search) + fragment
}

/** Names that a template asks for: `*`, `id`. */
export function templateNames(template: string): string[] {
  const start = authorityEnd(template)
  const holes = [...template.slice(0, start).matchAll(HOLES[2]), ...template.slice(start).matchAll(HOLES[0])]
  return [...new Set(holes.map(nameOf))]
}

/** Whether a request can fill in no more than the first labels of the host: else it could send its client anywhere. */
export function isHostFixed(template: string): boolean {
  const authority = template.slice(0, authorityEnd(template))
  const holes = [...authority.matchAll(AUTHORITY_HOLE)]
  const last = holes.at(-1)
  if (last === undefined) return true
  return holes.every((hole) => hole[0] !== '*') && /^\.[^.:]+/.test(authority.slice(last.index + last[0].length))
}

/** Where a template is put together: in a path, in a query, in an authority. A number in an authority is a port. */
type Place = 0 | 1 | 2

const PATH_HOLE = /\*|:([\p{ID_Start}_$][\p{ID_Continue}$]*|\d+)/gu
const AUTHORITY_HOLE = /\*|:([\p{ID_Start}_$][\p{ID_Continue}$]*)/gu
const HOLES = [PATH_HOLE, PATH_HOLE, AUTHORITY_HOLE] as const

/** What must be escaped where: controls and raw bytes everywhere; delimiters that would end the part they stand in. */
const UNSAFE = [/[^\x21-\x7e]|[?#\\"<>]/g, /[^\x21-\x7e]|[&+=#\\"<>]/g, /[^A-Za-z0-9._-]/g] as const

function fill(text: string, place: Place, params: Params | null): string {
  if (!text.includes('*') && !text.includes(':')) return text
  return text.replace(HOLES[place], (hole, name: string | undefined) => (params?.[name ?? hole] ?? '').replace(UNSAFE[place], escapeChar))
}

function nameOf(hole: RegExpMatchArray): string {
  return hole[1] ?? hole[0]
}

/** Characters of a request are bytes; those above 0xff can come from a config only. */
function escapeChar(char: string): string {
  const code = char.charCodeAt(0)
  return code > 0xff ? encodeURIComponent(char.toWellFormed()) : `%${code.toString(16).toUpperCase().padStart(2, '0')}`
}

function authorityEnd(template: string): number {
  const scheme = /^(?:[a-z][a-z0-9+.-]*:)?\/\//i.exec(template)?.[0]
  if (scheme === undefined) return 0
  const end = template.slice(scheme.length).search(/[/?#]/)
  return end < 0 ? template.length : scheme.length + end
}

function joinQuery(own: string, search: string): string {
  const safe = search.replace(/[^\x21-\x7e]|#/g, escapeChar)
  if (own === '' || own === '?') return safe === '' ? own : safe
  return safe.length > 1 ? `${own}&${safe.slice(1)}` : own
}
