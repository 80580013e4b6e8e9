/**
 * The public door `sluice`: what a `proxy.config.ts` is written with. Helpers only wrap what they are given; whether it is right is
 * decided when the config is loaded, all of it at once. What a comment below calls planned is refused then, never ignored.
 */
import type { ConnectionHooks, Duration, HttpHooks, PluginUse, Reply, RequestView, Size } from './plugin.ts'

export { env } from './environment.ts'
export type { Duration, Reply, RequestView, Size } from './plugin.ts'
export { respond } from './plugin.ts'

// ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A list may hold `false`, `null` and `undefined`, which are dropped: `routes: [...team, isDev && debug]`. */
// The empty tuple makes the compiler keep a tuple, which it checks much faster: 1,000 unlike routes in 0.6 s, not 5.
export type List<T> = readonly (T | false | null | undefined)[] | readonly []
/** One, or several of which any may match. */
export type OneOrMany<T> = T | readonly T[]

// ── config ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Config {
  /** By name; the name stands in logs and metrics. */
  listeners: Readonly<Record<string, Listener>>
  /** For all listeners, before their own. */
  use?: List<HttpUse> | undefined
  /** Upstreams that no route names, only the `routeTo` of a plugin. */
  upstreams?: List<Upstream> | undefined
  /** Metrics and health of the proxy itself. Without it there is none. */
  admin?: AdminOptions | undefined
  log?: LogOptions | undefined
}

export interface AdminOptions {
  /** `'127.0.0.1:9900'` */
  listen: Listen
}

export interface LogOptions {
  /** The access log, a line an exchange. Default true. */
  access?: boolean | undefined
  /** Default `info`. */
  level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent' | undefined
  /** Default: `pretty` on a terminal, `json` elsewhere. */
  format?: 'json' | 'combined' | 'pretty' | undefined
}

export type ConfigInput = Config | (() => Config | Promise<Config>)

/** The default export of a config: a value, a function or an async function. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config
}

// ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Listener = HttpListener | TcpListener | ForwardListener | SocksListener

/** `8080`, `':8080'`, `'127.0.0.1:8080'`, `'[::1]:8080'`, `'unix:/run/x.sock'`, or several. */
export type Listen = OneOrMany<string | number>

export interface HttpOptions {
  /** Serve HTTPS. Of several certificates, the names in them choose by the name that a client asks for; the first is for all others. */
  tls?: TlsTermination | List<TlsTermination> | undefined
  /** Policies, plugins and inline hooks, in this order; on the response in reverse. */
  use?: List<HttpUse> | undefined
  /** Tried in this order: the first whose every field matches wins. */
  routes: List<HttpRoute>
  /** Networks whose `X-Forwarded-For`, and PROXY header, is believed. Default: nobody's. */
  trust?: OneOrMany<string> | undefined
  /** The name in `Via`; false sends none. Default `sluice`. */
  via?: string | false | undefined
  /** Send `Forwarded` (RFC 7239) beside `X-Forwarded-*`. Default false. */
  forwarded?: boolean | undefined
  /** Let `%2F` and `%5C` in paths pass, undecoded. Default false: they are refused. */
  encodedSlashes?: boolean | undefined
  limits?: ListenerLimits | undefined
  timeouts?: ListenerTimeouts | undefined
  /** Every connection begins with a header of the PROXY protocol (version 1 or 2), from an address in `trust`; others are closed. */
  proxyProtocol?: 'require' | undefined
}

export interface ListenerLimits {
  /** A request's head. Default `32kb`. */
  head?: Size | undefined
  /** A request's first line. Default `8kb`. */
  requestLine?: Size | undefined
  /** Field lines of a head. Default 100. */
  fields?: number | undefined
  /** Open connections, a worker. Default 10,000. */
  connections?: number | undefined
  /** Requests on one connection, which is then closed. Default 10,000. */
  requestsPerConnection?: number | undefined
  /** A request's body. Default: no limit. */
  body?: Size | undefined
}

export interface ListenerTimeouts {
  /** Until a request's head is complete. Default `10s`. */
  requestHead?: Duration | undefined
  /** Between two pieces of a request's body. Default `30s`. */
  requestBodyIdle?: Duration | undefined
  /** A connection that waits for its next request. Default `75s`. */
  keepAlive?: Duration | undefined
  /** A client that does not read what is sent to it. Default `60s`. */
  sendIdle?: Duration | undefined
  /** A tunnel (WebSocket) without a byte either way. Default `1h`. */
  tunnelIdle?: Duration | undefined
  /** For the response to begin once the client has closed its sending side. Default `1s`. */
  halfClosed?: Duration | undefined
}

export interface HttpListener {
  readonly kind: 'http'
  readonly options: HttpOptions & { readonly listen: Listen }
}
/** What follows the termination of TLS on a TCP listener. */
export interface HttpWithoutListen {
  readonly kind: 'http'
  readonly options: HttpOptions & { readonly listen?: undefined }
}

/** HTTP/1.1, and with `tls` HTTPS. */
export function http<L extends Listen | undefined = undefined>(
  // An intersection: with HttpOptions<L> the compiler blames `listen` for a wrong key beside it.
  options: HttpOptions & { listen?: L },
): NoInfer<L extends Listen ? HttpListener : HttpWithoutListen>
export function http(options: unknown): unknown {
  return { kind: 'http', options }
}

export interface TcpOptions {
  listen: Listen
  /** Plugins and hooks of connections: `onConnection`, `onClientHello`, `onData`. Asked in this order, before a route is chosen. */
  use?: List<ConnectionUse> | undefined
  /** Tried in this order: the first whose every field matches wins. */
  routes: List<TcpRoute>
  limits?: TcpLimits | undefined
  timeouts?: TcpTimeouts | undefined
  /** Planned. */
  proxyProtocol?: 'require' | undefined
}
export interface TcpLimits {
  /** Open connections, a worker. Default 10,000. */
  connections?: number | undefined
}
export interface TcpTimeouts {
  /**
   * For the first message of TLS, where a route asks for `sni`, `alpn` or `tls`. A client that has said nothing by then speaks no TLS: it
   * gets the first route that asks for none of them. Default `3s`: a lost packet is sent again after one.
   */
  detect?: Duration | undefined
  /** A tunnel without a byte either way. Default `1h`. */
  tunnelIdle?: Duration | undefined
}
export interface TcpListener {
  readonly kind: 'tcp'
  readonly options: TcpOptions
}
/** Connections routed by the server name they ask for, passed on as they are or past their TLS. */
export function tcp(options: TcpOptions): TcpListener {
  return { kind: 'tcp', options }
}

export interface Allow {
  ports?: readonly number[] | undefined
  hosts?: OneOrMany<string> | undefined
  networks?: OneOrMany<string> | undefined
  clients?: OneOrMany<string> | undefined
}
interface ForwardSide {
  listen: Listen
  auth?: { users: Readonly<Record<string, string>> } | undefined
  allow?: Allow | undefined
  block?: Blocklist | undefined
  parent?: string | undefined
  open?: true | undefined
  proxyProtocol?: 'require' | undefined
}
export interface ForwardOptions extends ForwardSide {
  intercept?: Intercept | undefined
  anonymity?: 'none' | 'anonymous' | 'high' | undefined
  use?: List<HttpUse> | undefined
}
export interface SocksOptions extends ForwardSide {
  udp?: boolean | undefined
}
export interface ForwardListener {
  readonly kind: 'forward'
  readonly options: ForwardOptions
}
export interface SocksListener {
  readonly kind: 'socks'
  readonly options: SocksOptions
}
export interface BlocklistOptions {
  files?: readonly string[] | undefined
  hosts?: readonly string[] | undefined
}
export interface Blocklist {
  readonly kind: 'blocklist'
  readonly options: BlocklistOptions
}
export interface InterceptOptions {
  ca: { cert: string; key: string; create?: boolean | undefined }
  except?: readonly string[] | undefined
  verifyUpstream?: { ca?: string | undefined } | false | undefined
}
export interface Intercept {
  readonly kind: 'intercept'
  readonly options: InterceptOptions
}

/** Planned: a forward proxy for HTTP and CONNECT. */
export function forward(options: ForwardOptions): ForwardListener {
  return { kind: 'forward', options }
}
/** Planned: a SOCKS proxy. */
export function socks(options: SocksOptions): SocksListener {
  return { kind: 'socks', options }
}
/** Planned. */
export function blocklist(options: BlocklistOptions): Blocklist {
  return { kind: 'blocklist', options }
}
/** Planned. */
export function intercept(options: InterceptOptions): Intercept {
  return { kind: 'intercept', options }
}

// ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

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
  'rewrite changes what is sent, so it goes with to': never
}
export interface RouteTo extends HttpMatch {
  to: HttpTarget
  /** The path that is sent: `'/*'` is what the `*` of `path` matched, `'/v2/:id'` takes params. */
  rewrite?: string | undefined
  respond?: OneDestination
  redirect?: OneDestination
  routes?: OneDestination
}
export interface RouteRespond extends HttpMatch {
  respond: Reply
  to?: OneDestination
  rewrite?: OnlyWithTo
  redirect?: OneDestination
  routes?: OneDestination
}
export interface RouteRedirect extends HttpMatch {
  redirect: Redirect
  to?: OneDestination
  rewrite?: OnlyWithTo
  respond?: OneDestination
  routes?: OneDestination
}
/** Adds its fields to those of its routes; when none of them matches, the routes after the group are tried. */
export interface RouteGroup extends HttpMatch {
  routes: List<HttpRoute>
  to?: OneDestination
  rewrite?: OnlyWithTo
  respond?: OneDestination
  redirect?: OneDestination
}
export type HttpRoute = RouteTo | RouteRespond | RouteRedirect | RouteGroup
/** A string is a URL, `'https://example.com'`, or an address, `'127.0.0.1:3000'`. */
export type HttpTarget = Upstream | Split | Reply | Redirect | string

export interface TcpRoute {
  /** In logs and metrics the route is `listener/name`; else `listener[0]`, which shifts when a route is inserted. */
  name?: string | undefined
  /** The server name that a TLS client asks for: `'example.com'`; `'*.example.com'`: one or more labels before it, not the bare name. */
  sni?: OneOrMany<string> | undefined
  /** The client offers one of these: `'h2'`. */
  alpn?: OneOrMany<string> | undefined
  /** The client's address: `'10.0.0.0/8'`. */
  from?: OneOrMany<string> | undefined
  /** TLS ends here, and `to` gets what was in it. Without it, not one byte is decrypted. It takes clients that speak TLS alone. */
  tls?: TlsTermination | undefined
  /** Planned. */
  use?: List<ConnectionUse> | undefined
  to: Upstream | Split | HttpWithoutListen | string
}

export type HttpUse = HttpPolicy | PluginUse | HttpHooks
export type ConnectionUse = ConnectionPolicy | PluginUse<'connection'> | ConnectionHooks

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
export interface Split {
  readonly kind: 'split'
  readonly parts: readonly SplitPart[]
}
/** Shares requests by relative weights: `split([[api, 95], [next, 5]])`. */
export function split(parts: readonly SplitPart[]): Split {
  return { kind: 'split', parts }
}

export interface TlsTermination {
  /** A file, from the config's folder, or PEM text. */
  readonly cert: string
  readonly key: string
  /** `'http/1.1'`, `'h2'`, the preferred first. Default `['http/1.1']`. */
  readonly alpn?: readonly string[] | undefined
  /** Ask clients for a certificate; `'require'`: without a right one there is no connection. Needs `ca`. Default: do not ask. */
  readonly clientCertificate?: 'require' | 'request' | undefined
  /** The authorities of client certificates: a file, from the config's folder, or PEM text. */
  readonly ca?: string | undefined
  /** Tell endpoints of a client's verified certificate in `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Default false. */
  readonly forwardClientCertificate?: boolean | undefined
  /** The oldest version that is spoken. Default `'TLSv1.2'`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** An OCSP response in DER for clients that ask for one, renewed by whoever renews the certificate. */
  readonly ocsp?: string | undefined
  /** For debugging: a file that gets the keys of every connection, as Wireshark reads them. Whoever has it can read all traffic. */
  readonly keyLog?: string | undefined
}
/** The same as the plain object. */
export function terminate(options: TlsTermination): TlsTermination {
  return options
}

// ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Upstream {
  readonly kind: 'upstream'
  readonly name: string
  readonly options: UpstreamOptions | DiscoveredUpstreamOptions
}
export interface EndpointOptions {
  /** `'127.0.0.1:3001'`, `'name:3001'`, `'unix:/run/x.sock'`. */
  address: string
  /** A whole number; 0 takes nothing. Default 1. */
  weight?: number | undefined
}
/** Planned. */
export interface HealthCheck {
  path?: string | undefined
  interval?: Duration | undefined
  timeout?: Duration | undefined
  unhealthyAfter?: number | undefined
  healthyAfter?: number | undefined
}
/** Planned. */
export interface OutlierDetection {
  consecutiveFailures?: number | undefined
  ejectFor?: Duration | undefined
  maxEjected?: number | undefined
}
/** Planned. */
export interface CircuitBreaker {
  failureRatio?: number | undefined
  minRequests?: number | undefined
  openFor?: Duration | undefined
}
export interface Limits {
  /** Open connections, a worker. Default: no limit. */
  connections?: number | undefined
  /** Planned. */
  pending?: number | undefined
}
export interface Retries {
  /** Tries in all. Default 1. */
  attempts?: number | undefined
  /** What is tried again: `'connect'`, before anything was sent. The others are planned. */
  on?: readonly ('connect' | 'reset' | 'timeout' | number)[] | undefined
  /** Planned. */
  budget?: number | undefined
}
export interface Timeouts {
  /** Look-up of the name and connect. Default `5s`. */
  connect?: Duration | undefined
  /** Until the head of the response is complete. Default `60s`. */
  response?: Duration | undefined
  /** Between two pieces of a response's body. Default `60s`. */
  idle?: Duration | undefined
  /** A kept connection that nobody uses. Default `60s`. */
  keepAlive?: Duration | undefined
}
export interface OriginationOptions {
  /** Default: the endpoint's name. */
  servername?: string | undefined
  /** A file, from the config's folder, or PEM text. Default: the authorities that Node trusts. */
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
}
interface UpstreamCommon {
  /** The Host that is sent: the client's (`preserve`, the default), the endpoint's, or the upstream's name. */
  host?: 'preserve' | 'endpoint' | 'name' | undefined
  /** HTTPS to the endpoints. */
  tls?: boolean | OriginationOptions | undefined
  timeouts?: Timeouts | undefined
  /** Connections kept open for reuse, an endpoint and worker. Default 256. */
  idleConnections?: number | undefined
  limits?: Limits | undefined
  retries?: Retries | undefined
  /** Default `roundRobin()`. */
  balancer?: Balancer | undefined
  /** Begin each connection with a header of the PROXY protocol that names the client. It then serves that client's connection alone. */
  proxyProtocol?: 1 | 2 | undefined
  /** Planned, as all below. */
  healthCheck?: HealthCheck | undefined
  outlier?: OutlierDetection | undefined
  circuitBreaker?: CircuitBreaker | undefined
  sticky?: { cookie: string } | undefined
  slowStart?: Duration | undefined
  parent?: string | undefined
}
export interface UpstreamOptions extends UpstreamCommon {
  endpoints: List<string | EndpointOptions>
  discovery?: never
}
export interface DiscoveredUpstreamOptions extends UpstreamCommon {
  /** Planned. */
  discovery: Discovery
  endpoints?: never
}
export interface Discovery {
  readonly kind: 'discovery'
}

/** A named group of endpoints. The name stands in logs, metrics and `routeTo`. */
export function upstream(name: string, options: UpstreamOptions | DiscoveredUpstreamOptions): Upstream {
  return { kind: 'upstream', name, options }
}

export interface Balancer {
  readonly kind: 'balancer'
  readonly name: 'roundRobin' | 'leastRequest' | 'ringHash'
  readonly options: LeastRequestOptions | RingHashOptions
}
export interface LeastRequestOptions {
  choices?: number | undefined
}
export interface RingHashOptions {
  key?: 'ip' | 'path' | { header: string } | { cookie: string } | undefined
}
/** Endpoints take turns by their weights. */
export function roundRobin(): Balancer {
  return { kind: 'balancer', name: 'roundRobin', options: {} }
}
/** Planned. */
export function leastRequest(options: LeastRequestOptions = {}): Balancer {
  return { kind: 'balancer', name: 'leastRequest', options }
}
/** Planned. */
export function ringHash(options: Required<RingHashOptions>): Balancer {
  return { kind: 'balancer', name: 'ringHash', options }
}

// ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface HttpPolicy {
  readonly kind: 'policy'
  readonly layer: 'http'
  readonly name: string
  readonly options: unknown
}
export interface ConnectionPolicy {
  readonly kind: 'policy'
  readonly layer: 'connection'
  readonly name: string
  readonly options: unknown
}
/** Planned. */
export function rateLimit(options: { key: 'ip' | ((req: RequestView) => string); limit: number; window: Duration }): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'rateLimit', options }
}
/** Planned. */
export function basicAuth(options: { users: Readonly<Record<string, string>>; realm?: string | undefined }): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'basicAuth', options }
}
