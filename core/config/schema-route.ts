/** The shape of HTTP routes. That they fit together is looked at by schema-routing.ts. */
import * as z from 'zod/mini'
import { isHostName, isIp } from '../net/address.ts'
import { isNetwork } from '../net/cidr.ts'
import { compilePath } from '../route/pattern.ts'
import { PatternError } from '../route/pattern-parser.ts'
import { isHostFixed } from '../route/template.ts'
import { isObject, show } from './report.ts'
import { filesTarget } from './schema-files.ts'
import { fieldMatch, fieldMatches, method } from './schema-match.ts'
import { originalTarget } from './schema-transparent.ts'
import { endpointAddress, splitTarget, targetAddress, upstreamGroup } from './schema-upstream.ts'
import { useList } from './schema-use.ts'
import {
  anyText,
  anything,
  between,
  callable,
  chosen,
  list,
  made,
  object,
  oneOf,
  oneOrMany,
  record,
  refused,
  type Schema,
  size,
  textThat,
  whole,
  wordsOf,
  wrong,
} from './schema-values.ts'

export const hostPattern = textThat((written) => {
  const name = written.startsWith('*.') ? written.slice(2) : written
  if (written === '*' || isHostName(name) || (name.startsWith('[') && isIp(name.slice(1, -1))) || isIp(name)) return null
  if (/:\d+$/.test(name)) return `a host has no port: ${show(written)}`
  if (name.includes('*')) return `a * stands alone or as the first label: '*.example.com', not ${show(written)}`
  return URL.canParse(`http://${name}`) && /[^\x00-\x7f]/.test(name) && !/[/?#@:]/.test(name) ? null : `not a host name: ${show(written)}`
})

const pathText = textThat((written) => {
  try {
    compilePath(written)
    return null
  } catch (error) {
    if (error instanceof PatternError) return error.message
    throw error
  }
})
const notAPath = wrong("a path such as '/a/*' or a RegExp")
const pathPattern = chosen((value) => (typeof value === 'string' ? pathText : value instanceof RegExp ? anything : notAPath))

export const network: Schema = textThat((written) =>
  isNetwork(written) ? null : `expected an address or a network such as '10.0.0.0/8', got ${show(written)}`,
)

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const routeName = chosen((name) => (typeof name === 'string' && /^[\w.-]+$/.test(name) ? anything : notARouteName))
const notARouteName = refused((value) => `the name of a route is made of letters, digits, - _ and ., got ${show(value)}`)

const fieldValue = textThat((written) =>
  /^[\t\x20-\x7e\x80-\xff]*$/.test(written) ? null : 'a field value holds no line break or control character',
)
const ownFieldName = textThat((name) => {
  if (!TOKEN.test(name)) return `not the name of a field: ${show(name)}`
  return /^(content-length|transfer-encoding|connection|keep-alive|upgrade|trailer|te)$/i.test(name)
    ? `${name} is set by the proxy alone`
    : null
})
const replyFields = object({ status: whole(200, 599), body: anyText, headers: record(fieldValue, ownFieldName) }, ['status'])
const notAReply = wrong("respond(status, body) or files('./public')")
const reply = chosen((value) => {
  if (typeof value === 'string' || typeof value === 'number') return notAReply
  return isObject(value) && value.kind === 'files' ? filesTarget : replyFields
})

const redirectTo = z.any().check(
  z.check(({ value, issues }) => {
    const say = (message: string): unknown => issues.push(wordsOf(message, value))
    if (typeof value !== 'string' || !/^(\/(?!\/)|https?:\/\/[^/])/i.test(value))
      say(`a redirect goes to a path or to http(s)://…, not to ${show(value)}`)
    else if (!isHostFixed(value)) say('the request would choose the host it is sent to: only the first labels of a host can be filled in')
  }),
)
const redirectFields = made({ status: oneOf(301, 302, 303, 307, 308), to: redirectTo })
const notARedirect = wrong("redirect('/new/*')")
const redirect = chosen((value) => (isObject(value) && value.kind === 'redirect' ? redirectFields : notARedirect))

const rewrite = chosen((value) => {
  if (typeof value !== 'string' || !/^\/(?!\/)/.test(value)) return wrong("a path such as '/*'")
  return value.includes('#') ? refused('a path that is sent has no fragment (#)') : anything
})

const notATarget = wrong('an upstream, an address, split(…), respond(…), files(…), redirect(…) or original()')
const target = chosen((value) => {
  if (typeof value === 'string') return targetAddress
  if (!isObject(value)) return notATarget
  if (value.kind === 'upstream') return upstreamGroup
  if (value.kind === 'split') return splitTarget
  if (value.kind === 'redirect') return redirect
  if (value.kind === 'files') return filesTarget
  if (value.kind === 'original') return originalTarget
  return 'status' in value ? reply : notATarget
})

const mirrorTo = chosen((value) =>
  typeof value === 'string' ? endpointAddress : isObject(value) && value.kind === 'upstream' ? upstreamGroup : notAMirror,
)
const notAMirror = wrong('an upstream, an address, or { to, share, body }')
const mirrorFields = object({ to: mirrorTo, share: between(0, 1), body: size }, ['to'])
const mirror = chosen((value) => (isObject(value) && value.kind === undefined ? mirrorFields : mirrorTo))

const route: Schema = object({
  host: oneOrMany(hostPattern),
  path: oneOrMany(pathPattern),
  method: oneOrMany(method),
  headers: fieldMatches,
  query: record(fieldMatch),
  cookies: record(fieldMatch),
  from: oneOrMany(network),
  when: callable,
  use: useList,
  name: routeName,
  rewrite,
  mirror,
  to: target,
  respond: reply,
  redirect,
  routes: z.lazy(() => routeList),
})

export const routeList: Schema = list(route)
