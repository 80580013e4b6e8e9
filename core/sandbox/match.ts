/** `match` of a plugin, decided on the host. The plugin wrote it, so it is no regular expression: its cost is that of one look at the text. */
import type { RequestHead } from '../net/http1/head.ts'
import { hostName } from '../request-view.ts'
import type { MatchDefinition } from './wire.ts'

export type Matcher = (request: RequestHead) => boolean

/** Null: everything matches. Throws a sentence about a pattern that cannot be. */
export function createMatcher(match: MatchDefinition | null): Matcher | null {
  if (match === null) return null
  const paths = list(match.path).map(readPath)
  const methods = new Set(list(match.method).map((method) => method.toUpperCase()))
  const hosts = list(match.host).map(readHost)
  const anyPath = paths.length === 0 || paths.some((path) => path.segments.length === 0 && path.open)
  if (anyPath && methods.size === 0 && hosts.length === 0) return null
  return (request) =>
    (methods.size === 0 || methods.has(request.method)) &&
    (anyPath || paths.some((path) => isPathOf(path, request.path))) &&
    (hosts.length === 0 || hosts.some((host) => isHostOf(host, hostName(request.host))))
}

interface PathPattern {
  /** null: any one segment. */
  readonly segments: readonly (string | null)[]
  /** Ends with `/*`. */
  readonly open: boolean
}

function readPath(text: string): PathPattern {
  const open = text.endsWith('/*')
  const segments = (open ? text.slice(0, -2) : text).split('/').slice(1)
  if (!text.startsWith('/') || segments.some((segment) => /[*(){}?#]/.test(segment)))
    throw new Error(`match.path ${JSON.stringify(text)}: a path is literal segments, :names, and /* at the end`)
  return { segments: segments.map((segment) => (/^:\w+$/.test(segment) ? null : segment)), open }
}

function isPathOf(pattern: PathPattern, path: string): boolean {
  let at = 0
  for (const segment of pattern.segments) {
    if (path[at] !== '/') return false
    const end = path.indexOf('/', at + 1)
    const to = end < 0 ? path.length : end
    if (segment === null ? to === at + 1 : to - at - 1 !== segment.length || !path.startsWith(segment, at + 1)) return false
    at = to
  }
  return at === path.length || (pattern.open && path[at] === '/')
}

function readHost(text: string): string {
  const host = text.toLowerCase()
  if (!/^(\*\.)?[^*:/?#@\s[\]]+$/.test(host) && !/^\[[\da-f:.]+\]$/.test(host))
    throw new Error(`match.host ${JSON.stringify(text)}: a host is a name without a port, or *. and a name`)
  return host.replace(/\.$/, '')
}

function isHostOf(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.length > pattern.length - 1 && name.endsWith(pattern.slice(1)) : name === pattern
}

function list(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === 'string' ? [value] : value
}
