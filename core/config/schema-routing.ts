/** Routes: one destination each, names that tell them apart, and nothing to be filled in that is not there. */
import { compilePath } from '../route/pattern.ts'
import { templateNames } from '../route/template.ts'
import { nearest } from './nearest.ts'
import type { Path } from './positions.ts'
import { isObject, type Report, show } from './report.ts'
import type { Parts, RoutePart } from './schema-parts.ts'

/** Those of RFC 9110 §9.3, PATCH (RFC 5789), QUERY, WebDAV's and UPnP's. */
const METHODS = [
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY', 'PURGE'],
  ...[
    'PROPFIND',
    'PROPPATCH',
    'MKCOL',
    'COPY',
    'MOVE',
    'LOCK',
    'UNLOCK',
    'REPORT',
    'SEARCH',
    'BIND',
    'LINK',
    'ACL',
    'M-SEARCH',
    'NOTIFY',
    'SUBSCRIBE',
  ],
]
const DESTINATIONS = ['to', 'respond', 'redirect', 'routes']
/** Kinds that `rewrite` is for. */
const SENT: ReadonlySet<unknown> = new Set(['upstream', 'split', 'files'])

export function checkRouting({ routes, listeners }: Parts, report: Report): void {
  const names = new Map<string, Path>()
  const secure = new Set(listeners.filter(({ options, inside }) => inside?.isSecure ?? options.tls !== undefined).map(({ name }) => name))
  for (const part of routes) {
    warnOfLoop(part, secure, report)
    checkDestination(part, report)
    checkTemplates(part, report)
    warnOfMethods(part, report)
    const { route, path, listener } = part
    if (typeof route.name !== 'string') continue
    const key = JSON.stringify([listener, route.name])
    const other = names.get(key)
    if (other === undefined) names.set(key, [...path, 'name'])
    else
      report.error([...path, 'name'], (placeOf) => `another route of ${listener} is named ${show(route.name)} already (${placeOf(other)})`)
  }
}

function checkDestination({ route, path }: RoutePart, report: Report): void {
  const given = DESTINATIONS.filter((key) => route[key] !== undefined)
  if (given.length === 0) report.error(path, 'a route needs a destination: to, respond, redirect or routes')
  if (given.length > 1)
    report.error(
      [...path, given[1]!],
      `a route has exactly one of to, respond, redirect and routes; here are ${given.join(' and ')}`,
      'key',
    )
  const { to } = route
  const isSent = to === undefined ? false : typeof to === 'string' || !isObject(to) || SENT.has(to.kind)
  if (route.rewrite !== undefined && given.length === 1 && !isSent)
    report.error([...path, 'rewrite'], 'rewrite goes with to: it changes what an upstream is sent, or what is looked for in files', 'key')
  const isAsked = isSent && !(isObject(to) && to.kind === 'files')
  if (route.mirror !== undefined && given.length === 1 && !isAsked)
    report.error([...path, 'mirror'], 'mirror copies what an upstream is sent; this route sends nothing', 'key')
}

/** Any token may be a method; one that is a letter away from a registered one is most likely meant to be that. */
function warnOfMethods({ route, path }: RoutePart, report: Report): void {
  const isList = Array.isArray(route.method)
  for (const [i, method] of (isList ? (route.method as unknown[]) : [route.method]).entries()) {
    if (typeof method !== 'string' || !/^[\w-]+$/.test(method) || METHODS.includes(method.toUpperCase())) continue
    const meant = nearest(method, METHODS)
    if (meant !== null) report.warn([...path, 'method', ...(isList ? [i] : [])], `no method that is known; did you mean ${meant}?`)
  }
}

function checkTemplates({ route, path, paths }: RoutePart, report: Report): void {
  const { rewrite, redirect, to } = route
  if (typeof rewrite === 'string') checkTemplate(rewrite, [...path, 'rewrite'], { paths, report })
  for (const [key, value] of Object.entries({ redirect, to }))
    if (isObject(value) && value.kind === 'redirect' && typeof value.to === 'string')
      checkTemplate(value.to, [...path, key, 'to'], { paths, report })
}

/** Every path of the route must give every name that the template asks for. */
function checkTemplate(template: string, path: Path, { paths, report }: { readonly paths: unknown; readonly report: Report }): void {
  if (/[\x00-\x20\x7f]/.test(template)) report.error(path, 'a space or control character in a template')
  const asked = templateNames(template)
  if (asked.length === 0) return
  for (const pattern of paths === null || paths === undefined ? ['/*'] : Array.isArray(paths) ? paths : [paths]) {
    const given = namesOf(pattern)
    if (given === null) continue
    for (const name of asked.filter((one) => !given.includes(one)))
      report.error(path, `${name === '*' ? '*' : `:${name}`} stands for nothing: it is not in the path ${show(pattern)}`)
  }
}

/** Null for a pattern that is wrong itself, which is said elsewhere. */
function namesOf(pattern: unknown): readonly string[] | null {
  if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) return null
  try {
    return compilePath(pattern).flatMap((matcher) => matcher.names)
  } catch {
    return null
  }
}

/** A redirect to what the request asked for already: the client follows it until it gives up. */
function warnOfLoop({ route, path, listener, paths, hosts }: RoutePart, secure: ReadonlySet<string>, report: Report): void {
  for (const key of ['redirect', 'to']) {
    const redirect = route[key]
    if (!isObject(redirect) || redirect.kind !== 'redirect' || typeof redirect.to !== 'string') continue
    const [, scheme, host, target] = /^(?:(https?):\/\/([^/?#]+))?(\/[^?#]*)?$/i.exec(redirect.to) ?? []
    const ownScheme = secure.has(listener) ? 'https' : 'http'
    const isHere = host === undefined || (scheme?.toLowerCase() === ownScheme && isAll(hosts, host))
    // With a condition on more than the path, following it may end.
    const isPlainMatch = route.when === undefined && route.cookies === undefined && route.query === undefined
    if (isHere && isPlainMatch && target !== undefined && isAll(paths ?? '/*', target))
      report.warn([...path, key, 'to'], 'this redirects to itself, without end')
  }
}

/** Whether this is all that is written. */
function isAll(written: unknown, one: string): boolean {
  return Array.isArray(written) ? written.length === 1 && written[0] === one : written === one
}
