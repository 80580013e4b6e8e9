/** HTTP routes: their fields, their one destination, and that what a destination fills in is there to be filled in. */
import { isHostName, isIp } from '../net/address.ts'
import { isNetwork } from '../net/cidr.ts'
import { compilePath } from '../route/pattern.ts'
import { PatternError } from '../route/pattern-parser.ts'
import { isHostFixed, templateNames } from '../route/template.ts'
import { formatPath, type Path } from './positions.ts'
import { anyText, type Check, callable, isObject, list, object, oneOf, oneOrMany, record, show, textThat, whole } from './report.ts'
import type { ConfigScope } from './schema.ts'
import { upstreamGroup, upstreamUrl } from './schema-upstream.ts'
import { checkUse } from './schema-use.ts'

type Plain = Readonly<Record<string, unknown>>

/** The routes of one listener. */
export function checkRoutes(routes: unknown, path: Path, scope: ConfigScope, listener: string): void {
  const names = new Map<string, Path>()
  list<ConfigScope>((route, at, inner) => checkRoute(route, at, inner, { listener, names, paths: null }))(routes, path, scope)
  warnOfUnreachable(routes, path, scope)
}

interface Around {
  readonly listener: string
  readonly names: Map<string, Path>
  /** The `path` of the nearest group that has one. */
  readonly paths: unknown
}

const DESTINATIONS = ['to', 'respond', 'redirect', 'routes']

function checkRoute(value: unknown, path: Path, scope: ConfigScope, around: Around): void {
  const paths = isObject(value) ? (value.path ?? around.paths) : around.paths
  const inside: Around = { ...around, paths }
  object<ConfigScope>({
    ...matchFields,
    name: (name, at, inner) => checkName(name, at, inner, around),
    rewrite: (template, at, inner) => checkRewrite(template, at, inner, paths),
    to: (target, at, inner) => checkTarget(target, at, inner, paths),
    respond: checkReply,
    redirect: (target, at, inner) => checkRedirect(target, at, inner, paths),
    routes: (routes, at, inner) => {
      list<ConfigScope>((route, place, scope) => checkRoute(route, place, scope, inside))(routes, at, inner)
      warnOfUnreachable(routes, at, inner)
    },
  })(value, path, scope)
  if (!isObject(value)) return
  const given = DESTINATIONS.filter((key) => value[key] !== undefined)
  if (given.length === 0) scope.report.error(path, 'a route needs a destination: to, respond, redirect or routes')
  if (given.length > 1)
    scope.report.error(
      [...path, given[1]!],
      `a route has exactly one of to, respond, redirect and routes; here are ${given.join(' and ')}`,
      'key',
    )
  const { rewrite, to } = value
  const isSent = typeof to === 'string' || (isObject(to) && (to.kind === 'upstream' || to.kind === 'split'))
  if (rewrite !== undefined && given.length === 1 && !isSent)
    scope.report.error([...path, 'rewrite'], 'rewrite changes what is sent to an upstream; this route sends nothing', 'key')
}

const host = textThat((text) => {
  const name = text.startsWith('*.') ? text.slice(2) : text
  if (text === '*' || isHostName(name) || (name.startsWith('[') && isIp(name.slice(1, -1))) || isIp(name)) return null
  if (/:\d+$/.test(name)) return `a host has no port: ${show(text)}`
  if (name.includes('*')) return `a * stands alone or as the first label: '*.example.com', not ${show(text)}`
  return URL.canParse(`http://${name}`) && /[^\x00-\x7f]/.test(name) && !/[/?#@:]/.test(name) ? null : `not a host name: ${show(text)}`
})

const pathPattern: Check = (value, path, { report }) => {
  if (value instanceof RegExp) return
  if (typeof value !== 'string') return report.error(path, `expected a path such as '/a/*' or a RegExp, got ${show(value)}`)
  try {
    compilePath(value)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    report.error(path, error.message)
  }
}

export const network: Check = textThat((text) =>
  isNetwork(text) ? null : `expected an address or a network such as '10.0.0.0/8', got ${show(text)}`,
)

const method = textThat((text) => (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text) ? null : `not a method: ${show(text)}`))

const fieldMatch: Check = (value, path, scope) => {
  if (typeof value === 'boolean') return
  oneOrMany((one, at, { report }) => {
    if (typeof one !== 'string' && !(one instanceof RegExp)) report.error(at, `expected text, a RegExp, true or false, got ${show(one)}`)
  })(value, path, scope)
}

const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const headers: Check = (value, path, scope) => {
  record(fieldMatch)(value, path, scope)
  for (const name of Object.keys(isObject(value) ? value : {}))
    if (!fieldName.test(name)) scope.report.error([...path, name], `not the name of a field: ${show(name)}`, 'key')
}

const matchFields = {
  host: oneOrMany(host),
  path: oneOrMany(pathPattern),
  method: oneOrMany(method),
  headers,
  query: record(fieldMatch),
  cookies: record(fieldMatch),
  from: oneOrMany(network),
  when: callable,
  use: list(checkUse),
}

function checkName(name: unknown, path: Path, { report }: ConfigScope, { listener, names }: Around): void {
  if (typeof name !== 'string' || !/^[\w.-]+$/.test(name)) {
    report.error(path, `the name of a route is made of letters, digits, - _ and ., got ${show(name)}`)
    return
  }
  const other = names.get(name)
  if (other === undefined) names.set(name, path)
  else report.error(path, `another route of ${listener} is named ${show(name)} already, at ${formatPath(other)}`)
}

function checkTarget(target: unknown, path: Path, scope: ConfigScope, paths: unknown): void {
  if (typeof target === 'string') {
    upstreamUrl(target, path, scope)
    return
  }
  const kind = isObject(target) ? target.kind : undefined
  if (kind === 'upstream') upstreamGroup(target, path, scope)
  else if (kind === 'split') checkSplit((target as Plain).parts, path, scope)
  else if (kind === 'redirect') checkRedirect(target, path, scope, paths)
  else if (isObject(target) && 'status' in target) checkReply(target, path, scope)
  else scope.report.error(path, `expected an upstream, an address, split(…), respond(…) or redirect(…), got ${show(target)}`)
}

function checkSplit(parts: unknown, path: Path, scope: ConfigScope): void {
  const { report } = scope
  if (!Array.isArray(parts) || parts.length === 0) {
    report.error(path, 'split takes a list of [upstream, weight]')
    return
  }
  for (const [i, part] of parts.entries()) {
    const at: Path = [...path, { hidden: 'parts' }, i]
    if (!Array.isArray(part) || part.length !== 2) {
      report.error(at, `expected [upstream, weight], got ${show(part)}`)
      continue
    }
    const [to, weight] = part as [unknown, unknown]
    if (typeof to === 'string') upstreamUrl(to, [...at, 0], scope)
    else upstreamGroup(to, [...at, 0], scope)
    if (typeof weight !== 'number' || !Number.isFinite(weight) || weight < 0)
      report.error([...at, 1], `expected a weight of 0 or more, got ${show(weight)}`)
  }
  if (parts.every((part: unknown) => Array.isArray(part) && part[1] === 0))
    report.error(path, 'a split in which every weight is 0 goes nowhere')
}

const replyFields = object(
  {
    kind: oneOf('respond'),
    status: whole(200, 599),
    body: anyText,
    headers: (value, path, scope) => {
      record(
        textThat((text) => (/^[\t\x20-\x7e\x80-\xff]*$/.test(text) ? null : 'a field value holds no line break or control character')),
      )(value, path, scope)
      for (const name of Object.keys(isObject(value) ? value : {})) {
        if (!fieldName.test(name)) scope.report.error([...path, name], `not the name of a field: ${show(name)}`, 'key')
        else if (/^(content-length|transfer-encoding|connection|keep-alive|upgrade|trailer|te)$/i.test(name))
          scope.report.error([...path, name], `${name} is set by the proxy alone`, 'key')
      }
    },
  },
  ['status'],
)

const checkReply: Check<ConfigScope> = (value, path, scope) => {
  if (typeof value === 'string' || typeof value === 'number') scope.report.error(path, `expected respond(status, body), got ${show(value)}`)
  else replyFields(value, path, scope)
}

function checkRedirect(value: unknown, path: Path, scope: ConfigScope, paths: unknown): void {
  if (!isObject(value) || value.kind !== 'redirect') {
    scope.report.error(path, `expected redirect('/new/*'), got ${show(value)}`)
    return
  }
  oneOf(301, 302, 303, 307, 308)(value.status, [...path, 'status'], scope)
  const { to } = value
  if (typeof to !== 'string' || !/^(\/(?!\/)|https?:\/\/[^/])/i.test(to)) {
    scope.report.error([...path, 'to'], `a redirect goes to a path or to http(s)://…, not to ${show(to)}`)
    return
  }
  if (!isHostFixed(to))
    scope.report.error([...path, 'to'], 'the request would choose the host it is sent to: only the first labels of a host can be filled in')
  checkTemplate(to, [...path, 'to'], scope, paths)
}

function checkRewrite(value: unknown, path: Path, scope: ConfigScope, paths: unknown): void {
  if (typeof value !== 'string' || !/^\/(?!\/)/.test(value)) {
    scope.report.error(path, `expected a path such as '/*', got ${show(value)}`)
    return
  }
  if (value.includes('#')) scope.report.error(path, 'a path that is sent has no fragment (#)')
  checkTemplate(value, path, scope, paths)
}

/** Every path of the route must give every name that the template asks for. */
function checkTemplate(template: string, path: Path, { report }: ConfigScope, paths: unknown): void {
  if (/[\x00-\x20\x7f]/.test(template)) report.error(path, 'a space or control character in a template')
  for (const pattern of paths === null || paths === undefined ? ['/*'] : Array.isArray(paths) ? paths : [paths]) {
    const given = namesOf(pattern)
    if (given === null) continue
    const missing = templateNames(template).filter((name) => !given.includes(name))
    for (const name of missing)
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

/** A route that takes every request leaves nothing to those after it. */
function warnOfUnreachable(routes: unknown, path: Path, { report }: ConfigScope): void {
  if (!Array.isArray(routes)) return
  const last = routes.findIndex((route: unknown) => isObject(route) && route.routes === undefined && takesAll(route))
  if (last < 0) return
  for (let i = last + 1; i < routes.length; i++)
    if (isObject(routes[i])) report.warn([...path, i], `this route can never match: the route at [${last}] before it takes every request`)
}

function takesAll(route: Plain): boolean {
  const conditions = Object.keys(route).filter(
    (key) => route[key] !== undefined && !['use', 'name', 'rewrite', ...DESTINATIONS].includes(key),
  )
  return conditions.every(
    (key) => (key === 'path' && (route[key] === '/*' || route[key] === '*')) || (key === 'host' && route[key] === '*'),
  )
}
