/** The name that an answer is kept under: scheme, host, path, query, and what the config adds. Pure. */
import type { RequestHead } from '../net/http1/head.ts'
import type { RequestView } from '../plugin.ts'

/** Which parameters of the query are part of the name. */
export type QueryRule =
  /** As it came. */
  | { readonly kind: 'all' }
  /** In the order of their names. */
  | { readonly kind: 'sorted' }
  | { readonly kind: 'none' }
  /** Those named, or all but those named, in the order of their names; `utm_*` is every name that begins so. */
  | { readonly kind: 'only' | 'without'; readonly names: readonly string[] }

/** `https://example.com/a?b=1`. */
export function urlOf(scheme: string, request: Pick<RequestHead, 'host' | 'path' | 'search'>, rule: QueryRule): string {
  return `${scheme}://${authority(scheme, request.host)}${request.path}${keyedQuery(request.search, rule)}`
}

let lastHost = ''
let lastScheme = ''
let lastAuthority = ''

/** In lower case, without the port that goes without saying: connections ask for the same host again and again. */
export function authority(scheme: string, host: string): string {
  if (host === lastHost && scheme === lastScheme) return lastAuthority
  const lower = host.toLowerCase()
  const port = scheme === 'https' ? ':443' : ':80'
  lastHost = host
  lastScheme = scheme
  lastAuthority = lower.endsWith(port) ? lower.slice(0, -port.length) : lower
  return lastAuthority
}

/** With its `?`; empty if nothing is left. What has a `;` in it stays: some endpoints end a parameter there. */
export function keyedQuery(search: string, rule: QueryRule): string {
  if (rule.kind === 'all' || search === '') return search
  if (rule.kind === 'none') return ''
  const named = search
    .slice(1)
    .split('&')
    .filter((part) => part !== '')
    .map((part) => ({ part, name: nameOf(part) }))
    .filter(({ part, name }) => rule.kind === 'sorted' || part.includes(';') || isNamed(name, rule.names) === (rule.kind === 'only'))
  if (named.length === 0) return ''
  // Several of one name keep their order: it may mean something.
  const sorted = named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return `?${sorted.map(({ part }) => part).join('&')}`
}

/** Decoded: `%75tm_source` is no way around a rule. */
function nameOf(part: string): string {
  const equals = part.indexOf('=')
  const name = equals < 0 ? part : part.slice(0, equals)
  if (!name.includes('%') && !name.includes('+')) return name
  try {
    return decodeURIComponent(name.replace(/\+/g, ' '))
  } catch {
    return name
  }
}

function isNamed(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern))
}

/** Of which request an answer is: nobody else gets it. `space` keeps routes apart. */
export function keyOf(url: string, side: KeySide, { key, keyId, headers, cookies }: KeyRules): string {
  let text = `${side.cacheSpace}${keyId} ${key === null ? url : `${url.slice(0, url.indexOf('/', 8))} ${key(side.view())}`}`
  for (const name of headers) text += part(side.request.get(name))
  for (const name of cookies) text += part(side.view().cookies.get(name))
  if (side.request.hasIdentity && side.isFromProxy) text += announced(side.request)
  return text
}

/** What endpoints believe a trusted proxy of the URL that was asked for: it chooses the answer as the Host does. Of others nothing of it goes on. */
const ANNOUNCED = ['x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-forwarded-prefix', 'x-forwarded-scheme']

function announced(request: Pick<RequestHead, 'get'>): string {
  let text = ''
  for (const name of ANNOUNCED) text += part(request.get(name))
  // Its other parts tell of the client.
  return (
    text +
    part(
      request
        .get('forwarded')
        ?.match(/\b(?:host|proto)=[^;,]*/gi)
        ?.join() ?? null,
    )
  )
}

/** Under which is kept that answers are not for keeping: those to ranges say nothing of the others. */
export function markOf(key: string, range: string | null): string {
  return range === null ? key : `${key} range`
}

interface KeySide {
  readonly cacheSpace: string
  readonly isFromProxy: boolean
  readonly request: Pick<RequestHead, 'get' | 'hasIdentity'>
  view(): RequestView
}

interface KeyRules {
  readonly keyId: string
  readonly key: ((request: RequestView) => string) | null
  readonly headers: readonly string[]
  readonly cookies: readonly string[]
}

/** No field has a line feed in it. */
function part(value: string | null): string {
  return value === null ? '\n' : `\n=${value}`
}
