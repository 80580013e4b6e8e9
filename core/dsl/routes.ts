/** Routes of HTTP, and where they lead. */
import type { Reply, RequestView, Size } from '../plugin.ts'
import type { Files } from './files.ts'
import type { List, OneOrMany } from './lists.ts'
import type { HttpUse } from './policies.ts'
import type { HashKeyOption, Upstream } from './upstreams.ts'

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'CONNECT' | 'TRACE' | (string & {})
/** `true` present, `false` absent, text equal, RegExp found. */
export type FieldMatch = OneOrMany<string | RegExp> | boolean

/** Every field that is given must match. */
export interface HttpMatch {
  /** In logs and metrics the route is `listener/name`; else `listener[0]`, which shifts when a route is inserted. */
  name?: string | undefined
  /** `'example.com'`; `'*.example.com'`: one or more labels before it, not the bare name. */
  host?: OneOrMany<string> | undefined
  /** `'/a'`, `'/a/*'` (which `/a` matches too), `'/users/:id'`, or a RegExp, on the normalised path. */
  path?: OneOrMany<string | RegExp> | undefined
  method?: OneOrMany<HttpMethod> | undefined
  headers?: Readonly<Record<string, FieldMatch>> | undefined
  query?: Readonly<Record<string, FieldMatch>> | undefined
  cookies?: Readonly<Record<string, FieldMatch>> | undefined
  /** The client's address: `'10.0.0.0/8'`. */
  from?: OneOrMany<string> | undefined
  /** Your own condition, asked last. It runs on the host; one that throws answers 500. */
  when?: ((req: RequestView) => boolean) | undefined
  /** After those of the listener. */
  use?: List<HttpUse> | undefined
}

/** Never a value: what the compiler names when a route has two destinations. */
export interface OneDestination {
  'a route has exactly one of: to, respond, redirect, routes': never
}
/** Never a value either. */
export interface OnlyWithTo {
  'rewrite and mirror are about what is sent, so they go with to': never
}
export interface RouteTo extends HttpMatch {
  to: HttpTarget
  /** The path that is sent, or looked for in files: `'/*'` is what the `*` of `path` matched, `'/v2/:id'` takes params. */
  rewrite?: string | undefined
  /** Another upstream gets a copy of each request, and nobody waits for what it answers. */
  mirror?: Upstream | string | MirrorOptions | undefined
  respond?: OneDestination
  redirect?: OneDestination
  routes?: OneDestination
}
/**
 * Copies are sent as the request is, after `rewrite` and with `X-Mirrored: 1`, when its body is complete. Answers are read and counted
 * (`sluice_mirrored_requests_total`), and failures too; at most 256 are under way, a worker. No copies of upgrades.
 */
export interface MirrorOptions {
  to: Upstream | string
  /** Of the requests. Default 1: all. */
  share?: number | undefined
  /** There is no copy of a request with a longer body. Default `64kb`. */
  body?: Size | undefined
}
export interface RouteRespond extends HttpMatch {
  respond: Reply | Files
  to?: OneDestination
  rewrite?: OnlyWithTo
  mirror?: OnlyWithTo
  redirect?: OneDestination
  routes?: OneDestination
}
export interface RouteRedirect extends HttpMatch {
  redirect: Redirect
  to?: OneDestination
  rewrite?: OnlyWithTo
  mirror?: OnlyWithTo
  respond?: OneDestination
  routes?: OneDestination
}
/** Adds its fields to those of its routes; when none of them matches, the routes after the group are tried. */
export interface RouteGroup extends HttpMatch {
  routes: List<HttpRoute>
  to?: OneDestination
  rewrite?: OnlyWithTo
  mirror?: OnlyWithTo
  respond?: OneDestination
  redirect?: OneDestination
}
export type HttpRoute = RouteTo | RouteRespond | RouteRedirect | RouteGroup
/** A string is a URL, `'https://example.com'`, or an address, `'127.0.0.1:3000'`. */
export type HttpTarget = Upstream | Split | Reply | Files | Redirect | OriginalPlace | string

/** Where the client wanted to go. */
export interface OriginalPlace {
  readonly kind: 'original'
}
/**
 * On a listener that is `transparent`: the address and port that the client wanted to connect to. What belongs to this machine, its links or its
 * cloud is refused.
 */
export function original(): OriginalPlace {
  return { kind: 'original' }
}

export type RedirectStatus = 301 | 302 | 303 | 307 | 308
export interface Redirect {
  readonly kind: 'redirect'
  readonly to: string
  readonly status: RedirectStatus
}
/** `'/new/*'`, `'https://example.com/:id'`; the query is kept. Default 308. */
export function redirect(to: string, status: RedirectStatus = 308): Redirect {
  return { kind: 'redirect', to, status }
}

export type SplitPart = readonly [to: Upstream | string, weight: number]
export interface SplitOptions {
  /** The same part for the same key, in all workers: when weights change, only as many keys move as must. Who has no such key is spread by lot. */
  by?: HashKeyOption | undefined
}
export interface Split {
  readonly kind: 'split'
  readonly parts: readonly SplitPart[]
  readonly options?: SplitOptions
}
/** Shares requests by relative weights, `split([[api, 95], [next, 5]])`; with `{ by: 'ip' }` each client keeps its part. */
export function split(parts: readonly SplitPart[], options: SplitOptions = {}): Split {
  return { kind: 'split', parts, options }
}
