/** What a route asks of a request, one condition each. Pure; a function of the user that throws becomes `hook_failed`. */
import { ProxyError } from '../errors.ts'
import type { CidrSet } from '../net/cidr.ts'
import type { PathMatcher } from './pattern.ts'

/** What a route table may ask; the exchange implements it. */
export interface RouteRequest {
  readonly method: string
  /** Lower case, without port. */
  readonly host: string
  /** In its normal form, see net/path.ts. */
  readonly path: string
  /** `''` or `'?…'`. */
  readonly search: string
  /** The client's address by the listener's `trust`. */
  readonly ip: string
  /** The value of a field, several lines joined by `, `; null if there is none. */
  field(lowerName: string): string | null
  /** For `when`: the request as a function of the config sees it. */
  view(): unknown
}

/** Present, absent, or equal to (found by) one of these. */
export type FieldTest = boolean | readonly (string | RegExp)[]

export interface Conditions {
  /** `example.com` or `*.example.com`, lower case. Any may match; null: every host. */
  readonly hosts: readonly string[] | null
  readonly paths: readonly PathMatcher[] | null
  readonly methods: readonly string[] | null
  readonly headers: readonly (readonly [lowerName: string, test: FieldTest])[]
  readonly query: readonly (readonly [name: string, test: FieldTest])[]
  readonly cookies: readonly (readonly [name: string, test: FieldTest])[]
  readonly from: CidrSet | null
  /** A function of the user; what it is given, and its type, are the exchange's. */
  readonly when: ((view: never) => unknown) | null
}

export interface Condition {
  passes(request: RouteRequest): boolean
}

/** A condition with the field that asks for it; `name`: of the header, query parameter or cookie. */
export interface FieldCondition {
  readonly field: 'method' | 'from' | 'headers' | 'query' | 'cookies' | 'when'
  readonly name: string | null
  readonly condition: Condition
}

/** All but host and path. The cheap ones first, the user's function last: it runs only for a request that all else has let through. */
export function fieldConditions(from: Conditions): FieldCondition[] {
  const list: FieldCondition[] = []
  const add = (field: FieldCondition['field'], name: string | null, condition: Condition): number => list.push({ field, name, condition })
  if (from.methods !== null) add('method', null, new MethodCondition(from.methods))
  if (from.from !== null) add('from', null, new FromCondition(from.from))
  for (const [name, test] of from.headers) add('headers', name, new HeaderCondition(name, test))
  for (const [name, test] of from.query) add('query', name, new QueryCondition(name, test))
  for (const [name, test] of from.cookies) add('cookies', name, new CookieCondition(name, test))
  if (from.when !== null) add('when', null, new WhenCondition(from.when))
  return list
}

export function compileConditions(from: Conditions): Condition[] {
  return fieldConditions(from).map(({ condition }) => condition)
}

export class HostCondition implements Condition {
  readonly #names: readonly string[]
  /** `.example.com` */
  readonly #suffixes: readonly string[]
  constructor(hosts: readonly string[]) {
    this.#names = hosts.filter((host) => !host.startsWith('*.'))
    this.#suffixes = hosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(1))
  }
  passes({ host }: Pick<RouteRequest, 'host'>): boolean {
    for (const name of this.#names) if (host === name) return true
    for (const suffix of this.#suffixes) if (host.length > suffix.length && host.endsWith(suffix)) return true
    return false
  }
}

export class PathCondition implements Condition {
  readonly #paths: readonly PathMatcher[]
  constructor(paths: readonly PathMatcher[]) {
    this.#paths = paths
  }
  passes({ path }: RouteRequest): boolean {
    return this.find(path) !== undefined
  }
  find(path: string): PathMatcher | undefined {
    for (const matcher of this.#paths) if (matcher.test(path)) return matcher
    return undefined
  }
}

class MethodCondition implements Condition {
  readonly #methods: readonly string[]
  constructor(methods: readonly string[]) {
    this.#methods = methods
  }
  passes({ method }: RouteRequest): boolean {
    return this.#methods.includes(method)
  }
}

class FromCondition implements Condition {
  readonly #networks: CidrSet
  constructor(networks: CidrSet) {
    this.#networks = networks
  }
  passes({ ip }: RouteRequest): boolean {
    return this.#networks.has(ip)
  }
}

class HeaderCondition implements Condition {
  readonly #name: string
  readonly #test: FieldTest
  constructor(name: string, test: FieldTest) {
    this.#name = name
    this.#test = withoutState(test)
  }
  passes(request: RouteRequest): boolean {
    const value = request.field(this.#name)
    return typeof this.#test === 'boolean' ? (value !== null) === this.#test : value !== null && isAnyOf(value, this.#test)
  }
}

/** A name may stand in a query, or among the cookies, several times: any of its values will do. */
abstract class ManyCondition implements Condition {
  readonly #name: string
  readonly #test: FieldTest
  constructor(name: string, test: FieldTest) {
    this.#name = name
    this.#test = withoutState(test)
  }
  abstract values(request: RouteRequest): URLSearchParams
  passes(request: RouteRequest): boolean {
    const all = this.values(request)
    if (typeof this.#test === 'boolean') return all.has(this.#name) === this.#test
    for (const value of all.getAll(this.#name)) if (isAnyOf(value, this.#test)) return true
    return false
  }
}

class QueryCondition extends ManyCondition {
  values({ search }: RouteRequest): URLSearchParams {
    if (search !== lastSearch) {
      lastQuery = new URLSearchParams(search)
      lastSearch = search
    }
    return lastQuery
  }
}

class CookieCondition extends ManyCondition {
  values(request: RouteRequest): URLSearchParams {
    const field = request.field('cookie') ?? ''
    if (field !== lastCookieField) {
      lastCookies = parseCookies(field)
      lastCookieField = field
    }
    return lastCookies
  }
}

class WhenCondition implements Condition {
  readonly #when: (view: unknown) => unknown
  constructor(when: (view: never) => unknown) {
    // The exchange's view is what the config's types promised to the function; a table does not look into it.
    this.#when = when as (view: unknown) => unknown
  }
  passes(request: RouteRequest): boolean {
    let answer: unknown
    try {
      answer = this.#when(request.view())
    } catch (error) {
      throw new ProxyError('hook_failed', `when: ${error instanceof Error ? error.message : String(error)}`, error)
    }
    // A promise is true whatever it will say: a route that guards something would stand open.
    if (answer instanceof Promise) {
      answer.catch(() => {})
      throw new ProxyError('hook_failed', 'when: a promise was returned; the answer is needed at once')
    }
    return Boolean(answer)
  }
}

/** Parsed once for all the routes that ask about the same request. */
let lastSearch = ''
let lastQuery = new URLSearchParams()
let lastCookieField = ''
let lastCookies = new URLSearchParams()

/** Names and values as they are (RFC 6265 §5.4), held in a multimap. */
function parseCookies(field: string): URLSearchParams {
  const cookies = new URLSearchParams()
  for (const pair of field.split(/[;,]/)) {
    const equals = pair.indexOf('=')
    if (equals > 0) cookies.append(pair.slice(0, equals).trim(), pair.slice(equals + 1).trim())
  }
  return cookies
}

function isAnyOf(value: string, wanted: readonly (string | RegExp)[]): boolean {
  for (const one of wanted) if (typeof one === 'string' ? value === one : one.test(value)) return true
  return false
}

/** A `g` or `y` flag would make each answer depend on the one before. */
export function withoutState(test: FieldTest): FieldTest {
  if (typeof test === 'boolean') return test
  return test.map((one) =>
    typeof one === 'string' ? one : new RegExp(one.sticky ? `^(?:${one.source})` : one.source, one.flags.replace(/[gy]/g, '')),
  )
}
