/** Upstreams: groups of endpoints, how one is chosen, and how they are spoken to. */
import type { Duration, RequestView, Size } from '../plugin.ts'
import type { List, OneOrMany } from './lists.ts'

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
  /** Lower ones first: those of the next number get requests only while none of this one is available. Default 0. */
  priority?: number | undefined
  /** Where it stands: of one priority, those in the zone of the upstream come first. */
  zone?: string | undefined
}
/**
 * Each endpoint is asked again and again, over the upstream's own TLS and with its PROXY header. One worker asks, and tells the others. An endpoint of which
 * nothing is known yet gets requests.
 */
export interface HealthCheck {
  /** `'http'`: it answers `GET path`. `'tcp'`: it accepts a connection. `'tls'`: it shakes hands; any certificate will do unless the upstream has `tls`. `'grpc'`: it answers `grpc.health.v1.Health/Check` with SERVING, over HTTP/2. Default `'http'`. */
  type?: 'http' | 'tcp' | 'tls' | 'grpc' | undefined
  /** Of `'grpc'`: the service that is asked about. Default: the server as a whole. */
  service?: string | undefined
  /** With a query if need be. Default `/`. */
  path?: string | undefined
  /** The Host of the checks. Default: the upstream's name where `host: 'name'`, else the endpoint's address. */
  host?: string | undefined
  /** What a healthy endpoint answers. Default: 200 to 299. */
  status?: OneOrMany<number> | undefined
  /** Five times as often while a verdict may be about to change, and never exactly: checks of many endpoints keep apart. Default `5s`. */
  interval?: Duration | undefined
  /** For one check, connecting included. Default `1s`. */
  timeout?: Duration | undefined
  /** Failed checks in a row. Default 3. */
  unhealthyAfter?: number | undefined
  /** Good checks in a row, after it was unhealthy. Default 2. */
  healthyAfter?: number | undefined
}
/**
 * An endpoint is ejected, that is, gets no requests for a while, for what came of those it got: it did not connect, broke off, did not answer in time, or answered
 * with 500 or more. Each worker sees its own requests and decides for itself.
 */
export interface OutlierDetection {
  /** Default 5. */
  consecutiveFailures?: number | undefined
  /** Also when this share of the requests within `window` failed. Default: not looked at. */
  failureRatio?: number | undefined
  /** Also when answers take as long as that on average within `window`, until their head. Default: not looked at. */
  latency?: Duration | undefined
  /** `failureRatio` and `latency` count from so many requests within `window`. Default 20. */
  minRequests?: number | undefined
  /** Default `10s`. */
  window?: Duration | undefined
  /** The first time; then two, three and up to ten times as long, if it fails again soon. Default `30s`. */
  ejectFor?: Duration | undefined
  /** No more than this share of the endpoints at a time, but one of several in any case; 0: none. Default 0.5. */
  maxEjected?: number | undefined
}
/**
 * When too many requests to an upstream fail, after all their tries, the others are answered 503 with `Retry-After` for a while (`circuit_open`), and nothing is
 * asked of it. Then one request tries: if it is served, all are again. A failure is no answer, or one of 500 or more. Each worker has its own.
 */
export interface CircuitBreaker {
  /** This share of the requests within `window`. Default 0.5. */
  failureRatio?: number | undefined
  /** From so many requests within `window`. Default 20. */
  minRequests?: number | undefined
  /** Default `10s`. */
  window?: Duration | undefined
  /** Until one request tries. Default `10s`. */
  openFor?: Duration | undefined
}
export interface Limits {
  /** Open connections, a worker. Default: no limit. */
  connections?: number | undefined
  /** Requests that may wait for one, a worker: first come, first served. More are answered 503 with `Retry-After`. Default 0. */
  pending?: number | undefined
  /** So long, then 503. Default: `timeouts.connect`. */
  maxWait?: Duration | undefined
  /**
   * Of HTTP: only as many requests under way as the upstream answers without getting slower, a worker. `{}`: with all its defaults. `pending` and
   * `maxWait` are for these, too; more are answered 503 with `Retry-After` (`concurrency_limit`).
   */
  adaptive?: AdaptiveLimit | undefined
}
/**
 * A limit that is learnt: it grows while answers take as long as in calm times, and shrinks when they take longer or fail. From the sending of a request to the
 * head of its answer it is under way.
 */
export interface AdaptiveLimit {
  /** It is never lower. Default 4. */
  min?: number | undefined
  /** It is never higher. Default 1,000. */
  max?: number | undefined
  /** Until it has learnt. Default 20. */
  start?: number | undefined
  /** Answers may take so many times as long as in calm times. Default 1.5. */
  tolerance?: number | undefined
}
/**
 * A request whose answer is late is sent to a second endpoint, too, if it may be sent twice (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) and its body had come. The first
 * answer below 500 counts; the other try is ended. Second tries count against `retries.budget`.
 */
export interface Hedging {
  /** Without the head of an answer for so long: `'80ms'`, or longer than that share of the latest answers took: `'p95'`, from 50 answers on. Default `'p95'`. */
  after?: Duration | `p${number}` | undefined
}
export interface Retries {
  /** Tries in all, the first included. Default 2; without `retries` there is one. */
  attempts?: number | undefined
  /**
   * What is tried again, on another endpoint if there is one. `'connect'`: no connection came about, so nothing was sent. `'reset'`: it was lost before the head
   * of the response was complete. `'timeout'`: the head did not come in time. A status of 400 to 599: that answer. All but `'connect'` are for requests
   * that may be sent twice (GET, HEAD, PUT, DELETE, OPTIONS, TRACE; RFC 9110 §9.2.2) with a body of up to 64 KiB. Default `['connect']`.
   */
  on?: List<'connect' | 'reset' | 'timeout' | number> | undefined
  /**
   * How many requests may be sent once more, as a share of those of the last ten seconds; three a second may be in any case, a worker. What did
   * not connect is not counted. Default 0.2.
   */
  budget?: number | undefined
  /** Of HTTP: for one try, connecting included, until the head of its response is complete. Default: no limit but those of `timeouts`. */
  perTry?: Duration | undefined
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
  /** Of HTTP: all tries together, until the head of the response that is passed on; the sending of the request counts. Default: no limit. */
  total?: Duration | undefined
}
export interface Sticky {
  /** Its name. One that an endpoint sets under the same name is taken out. */
  cookie: string
  /**
   * What it is signed with, at least 16 characters: the same on all machines, and cookies outlive restarts. Default: one that the proxy makes
   * when it starts, for all its workers; then clients get new cookies after a restart.
   */
  secret?: string | undefined
  /** Default: until the browser ends. */
  maxAge?: Duration | undefined
  /** Default `/`. */
  path?: string | undefined
  /** Default: where the request came by TLS. */
  secure?: boolean | undefined
  /** Default `lax`; `none` asks for `secure`. */
  sameSite?: 'lax' | 'strict' | 'none' | undefined
}
export interface OriginationOptions {
  /** Default: the endpoint's name. */
  servername?: string | undefined
  /** A file, from the config's folder, or PEM text. Default: the authorities that Node trusts. */
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
}
/** Bodies that are kept, so that a slow client holds no process of a small server. Nothing is held back that the other side would take. */
export interface BufferOptions {
  /** Ask an endpoint only when the body of a request is there: all of it, or as much as there is room for. Default false. */
  request?: boolean | undefined
  /** Read answers as fast as the endpoint says them, whatever their clients take. Default false. */
  response?: boolean | undefined
  /** Of one body; more of it is on disk, in a file without a name in the folder for temporary files (`TMPDIR`). From `1kb`; default `64kb`. */
  memory?: Size | undefined
  /** Of all bodies of this upstream together, a worker. `0b`: none. Where it is used up, or the disk is full, bodies pass as they come. Default `1gb`. */
  disk?: Size | undefined
}
interface UpstreamCommon {
  /** Keep bodies for whoever is slower. Of HTTP. Default: they pass as they come. */
  buffer?: BufferOptions | undefined
  /** The Host that is sent: the client's (`preserve`, the default), the endpoint's, or the upstream's name. */
  host?: 'preserve' | 'endpoint' | 'name' | undefined
  /** HTTPS to the endpoints. */
  tls?: boolean | OriginationOptions | undefined
  timeouts?: Timeouts | undefined
  /** Connections kept open for reuse, an endpoint and worker. Default 256. */
  idleConnections?: number | undefined
  limits?: Limits | undefined
  retries?: Retries | undefined
  /** Ask a second endpoint when an answer is late. `{}`: with all its defaults. On HTTP only. */
  hedging?: Hedging | undefined
  /** Which endpoint a request goes to, in each worker by itself. A function is your own. Default `roundRobin()`. */
  balancer?: Balancer | undefined
  /** Clients stay with the endpoint that they got first, by a signed cookie, as long as it takes requests. On HTTP only. */
  sticky?: Sticky | undefined
  /**
   * So long an endpoint that became available again, or was added by a reload, gets fewer requests than its weight says: a tenth at first, then
   * more and more. Default: all at once.
   */
  slowStart?: Duration | undefined
  /** The zone that the proxy stands in: endpoints of the same one are preferred. */
  zone?: string | undefined
  /** Begin each connection with a header of the PROXY protocol that names the client. It then serves that client's connection alone. */
  proxyProtocol?: 1 | 2 | undefined
  /** Leave the upstream alone while too many requests fail. `{}`: with all its defaults. */
  circuitBreaker?: CircuitBreaker | undefined
  /** Keep off endpoints whose requests fail. `{}`: with all its defaults. */
  outlier?: OutlierDetection | undefined
  /** If less than this share of the endpoints is available, all of them are used: rather some bad answers than all the load on a few. 0: never, the default of `firstAvailable()` and where endpoints have a `priority`. Else 0.5. */
  panic?: number | undefined
  /** Keep off endpoints that do not answer when they are asked. `{}`: `GET /` with all its defaults. */
  healthCheck?: HealthCheck | undefined
  /** Planned, as all below. */
  parent?: string | undefined
}
export interface UpstreamOptions extends UpstreamCommon {
  endpoints: List<string | EndpointOptions>
  discovery?: never
}
export interface DiscoveredUpstreamOptions extends UpstreamCommon {
  /** Where its endpoints come from: `dns(…)`, `etcd(…)`, `kubernetes(…)`, `file(…)` or `poll(…)`. What is found last stays in use while nothing can be found. */
  discovery: Discovery
  endpoints?: never
}
export type Discovery =
  | { readonly kind: 'discovery'; readonly name: 'dns'; readonly options: { readonly name: string; readonly srv: boolean } }
  | { readonly kind: 'discovery'; readonly name: 'file'; readonly options: { readonly path: string } }
  | { readonly kind: 'discovery'; readonly name: 'etcd'; readonly options: EtcdOptions }
  | { readonly kind: 'discovery'; readonly name: 'kubernetes'; readonly options: KubernetesOptions }
  | {
      readonly kind: 'discovery'
      readonly name: 'poll'
      readonly options: { readonly find: () => DiscoveredEndpoints | Promise<DiscoveredEndpoints>; readonly interval: Duration }
    }
/** Of the API of a registry over HTTPS. */
interface RegistryTls {
  /** A file, from the config's folder, or PEM text; read again for each connection. Default: the authorities that Node trusts. */
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
  /** Default: the host of the URL. */
  servername?: string | undefined
}
export interface EtcdOptions extends RegistryTls {
  /** `'http://10.0.0.1:2379'`, or several members of one cluster: while one fails the next is asked. */
  url: OneOrMany<string>
  /** Each key that begins so is an endpoint: `'/services/api/'`. */
  prefix: string
  /** With a password; a token that has run out is exchanged. */
  user?: string | undefined
  password?: string | undefined
  /** Instead of a user: sent as it is. */
  token?: string | undefined
}
export interface KubernetesOptions extends RegistryTls {
  /** The name of the Service. */
  service: string
  /** Default: the one of the pod that the proxy runs in, else `default`. */
  namespace?: string | undefined
  /** By its name or number. Default: the only one. */
  port?: string | number | undefined
  /** `'https://10.0.0.1:6443'`. Default: that of the cluster that the proxy runs in, with its authority. */
  server?: string | undefined
  /** Default: what `tokenFile` holds. */
  token?: string | undefined
  /** Read for each request. Default: that of the pod's service account. */
  tokenFile?: string | undefined
}
export type DiscoveredEndpoints = readonly (string | EndpointOptions)[]

/**
 * The addresses of a name, `dns('api.internal:3000')`, as long as their TTL says; IPv4 if there are any. With `srv` the hosts, ports, weights and
 * priorities of its SRV records, `dns('_http._tcp.api.internal', { srv: true })`, looked up each 10 s.
 */
export function dns(name: string, { srv = false, ...unknown }: { srv?: boolean | undefined } = {}): Discovery {
  return { kind: 'discovery', name: 'dns', options: { ...unknown, name, srv } }
}
/** A file of JSON, from the config's folder, with a list as in `endpoints`. A change counts within a second or two, without a reload. */
export function file(path: string): Discovery {
  return { kind: 'discovery', name: 'file', options: { path } }
}
/**
 * Keys of etcd (v3, over its JSON gateway), followed as they come and go: a value is an address, `10.0.0.1:3000`, JSON of an endpoint as in `endpoints`, or what etcd's
 * resolver for gRPC writes; of an empty one the rest of the key is the address.
 */
export function etcd(options: EtcdOptions): Discovery {
  return { kind: 'discovery', name: 'etcd', options }
}
/**
 * The EndpointSlices of a Service of Kubernetes, followed as they change: who is ready takes requests, who terminates and still serves drains. Their zones
 * count with `zone` of the upstream.
 */
export function kubernetes(options: KubernetesOptions): Discovery {
  return { kind: 'discovery', name: 'kubernetes', options }
}
/** Your own function, asked each so often by each worker. It runs on the host. Default interval `10s`. */
export function poll(
  find: () => DiscoveredEndpoints | Promise<DiscoveredEndpoints>,
  { interval = '10s', ...unknown }: { interval?: Duration | undefined } = {},
): Discovery {
  return { kind: 'discovery', name: 'poll', options: { ...unknown, find, interval } }
}

/** A named group of endpoints. The name stands in logs, metrics and `routeTo`. */
export function upstream(name: string, options: UpstreamOptions | DiscoveredUpstreamOptions): Upstream {
  return { kind: 'upstream', name, options }
}

export type Balancer = BuiltInBalancer | BalancerFunction
export type BuiltInBalancer =
  | { readonly kind: 'balancer'; readonly name: 'roundRobin' | 'random' | 'leastTime' | 'firstAvailable' }
  | { readonly kind: 'balancer'; readonly name: 'leastRequest'; readonly options: LeastRequestOptions }
  | { readonly kind: 'balancer'; readonly name: 'ringHash' | 'maglev'; readonly options: HashOptions }
/** What a function of yours sees of an endpoint. */
export interface EndpointView {
  readonly address: string
  readonly weight: number
  /** Attempts under way in this worker. */
  readonly inFlight: number
}
/**
 * Your own choice: of the endpoints that take requests just now, an index in that list or an address. It runs on the host, at once, for
 * each attempt; what throws or names none of them is answered with 500.
 */
export type BalancerFunction = (endpoints: readonly EndpointView[], req: RequestView) => number | string
export interface LeastRequestOptions {
  /** How many are drawn to choose among. Default 2. */
  choices?: number | undefined
}
/** What of a request is hashed: the client's address by `trust`, the path that is sent, a field or a cookie. Who lacks it is spread by lot. */
export type HashKeyOption = 'ip' | 'path' | { header: string } | { cookie: string }
export interface HashOptions {
  key: HashKeyOption
}
/** Endpoints take turns by their weights. */
export function roundRobin(): BuiltInBalancer {
  return { kind: 'balancer', name: 'roundRobin' }
}
/** By lot and weight. */
export function random(): BuiltInBalancer {
  return { kind: 'balancer', name: 'random' }
}
/** Of two that are drawn by weight, the one with fewer attempts under way for its weight. */
export function leastRequest(options: LeastRequestOptions = {}): BuiltInBalancer {
  return { kind: 'balancer', name: 'leastRequest', options }
}
/** Of two that are drawn by weight, the one that should answer first: by its latest response times and what it has under way (peak EWMA). */
export function leastTime(): BuiltInBalancer {
  return { kind: 'balancer', name: 'leastTime' }
}
/** The same key goes to the same endpoint, in all workers and after restarts. When one of ten leaves, only its tenth of the keys moves. */
export function ringHash(options: HashOptions): BuiltInBalancer {
  return { kind: 'balancer', name: 'ringHash', options }
}
/** As `ringHash`, more even; when one of ten leaves, a little more than its tenth moves. */
export function maglev(options: HashOptions): BuiltInBalancer {
  return { kind: 'balancer', name: 'maglev', options }
}
/** The first endpoint that is available, in the order written: the others stand by. */
export function firstAvailable(): BuiltInBalancer {
  return { kind: 'balancer', name: 'firstAvailable' }
}
