/** Upstreams of a config → UpstreamPlans: one `upstream()` is one plan wherever it stands, and so is one URL. */
import { resolve } from 'node:path'
import type { BalancerKind, HashKey } from '../balancer/balancer.ts'
import { entriesOf, toList } from '../config/lists.ts'
import { parseDuration, parseSize } from '../config/units.ts'
import type {
  BalancerFunction,
  BufferOptions,
  BuiltInBalancer,
  CircuitBreaker,
  DiscoveredUpstreamOptions,
  Discovery,
  EndpointOptions,
  HashKeyOption,
  HealthCheck,
  Hedging,
  Limits,
  OriginationOptions,
  OutlierDetection,
  Retries,
  Sticky,
  Timeouts,
  Upstream,
  UpstreamOptions,
} from '../index.ts'
import { formatHost, parseEndpoint } from '../net/address.ts'
import { planEndpoints } from './endpoints.ts'
import type {
  AdaptivePlan,
  BufferPlan,
  CircuitBreakerPlan,
  DiscoveryPlan,
  HealthCheckPlan,
  HedgingPlan,
  OutlierPlan,
  PendingPlan,
  RegistryTlsPlan,
  RetryPlan,
  StickyPlan,
  UpstreamPlan,
  UpstreamTimeouts,
} from './upstream-plan.ts'

export class UpstreamCompiler {
  readonly byName = new Map<string, UpstreamPlan>()
  readonly #folder: string
  readonly #seen = new Map<Upstream | string, UpstreamPlan>()

  constructor(folder: string) {
    this.#folder = folder
  }

  compile(target: Upstream | string): UpstreamPlan {
    const known = this.#seen.get(target)
    if (known !== undefined) return known
    const plan = typeof target === 'string' ? this.#compileUrl(target) : this.#compileGroup(target)
    // Loading the config has refused this already: two groups under one name would be one in logs and metrics.
    if (this.byName.has(plan.name)) throw new Error(`two upstreams are named ${plan.name}`)
    this.#seen.set(target, plan)
    this.byName.set(plan.name, plan)
    return plan
  }

  /** `to: 'https://example.com'` sends that name in Host and SNI. */
  #compileUrl(url: string): UpstreamPlan {
    const { tls, authority } = parseEndpoint(url)!
    return this.#finish(url, { endpoints: [url], host: 'name', tls }, authority)
  }

  #compileGroup({ name, options }: Upstream): UpstreamPlan {
    return this.#finish(name, options, name)
  }

  #finish(name: string, options: UpstreamOptions | DiscoveredUpstreamOptions, hostName: string): UpstreamPlan {
    const written = entriesOf<string | EndpointOptions>(options.endpoints).map(([, endpoint]) => endpoint)
    const discovery = options.discovery === undefined ? null : compileDiscovery(options.discovery, this.#folder, options.zone ?? null)
    const isSecure = entriesOf<string | EndpointOptions>(options.endpoints).some(([, endpoint]) => parseEndpoint(addressOf(endpoint))!.tls)
    const tls = options.tls ?? isSecure
    return Object.freeze({
      name,
      endpoints: planEndpoints(discovery === null ? written : [standIn(discovery)], options.zone ?? null),
      discovery,
      zone: options.zone ?? null,
      balancer: compileBalancer(options.balancer),
      slowStart: parseDuration(options.slowStart ?? '0ms')!,
      sticky: options.sticky === undefined ? null : compileSticky(options.sticky),
      host: options.host ?? 'preserve',
      hostName,
      tls: tls === false ? null : this.#origination({ ...nameOf(discovery), ...(tls === true ? {} : tls) }),
      timeouts: compileTimeouts(options.timeouts ?? {}),
      idleConnections: options.idleConnections ?? 256,
      buffer: options.buffer === undefined ? null : compileBuffer(options.buffer),
      retries: options.retries === undefined ? null : compileRetries(options.retries, options.hedging !== undefined),
      outlier: options.outlier === undefined ? null : compileOutlier(options.outlier),
      circuitBreaker: options.circuitBreaker === undefined ? null : compileCircuitBreaker(options.circuitBreaker),
      healthCheck: options.healthCheck === undefined ? null : compileHealthCheck(options.healthCheck),
      panic: options.panic ?? (standsBy(options) ? 0 : 0.5),
      proxyProtocol: options.proxyProtocol ?? null,
      connections: options.limits?.connections ?? Number.POSITIVE_INFINITY,
      pending: compilePending(options.limits ?? {}, options.timeouts ?? {}),
      hedging: options.hedging === undefined ? null : compileHedging(options.hedging),
      adaptive: compileAdaptive(options.limits ?? {}, options.timeouts ?? {}),
    })
  }

  #origination({ servername, ca, cert, key }: OriginationOptions): NonNullable<UpstreamPlan['tls']> {
    const file = (text: string | undefined): string | null => (text === undefined ? null : resolveFile(this.#folder, text))
    return Object.freeze({ servername: servername ?? null, ca: file(ca), cert: file(cert), key: file(key) })
  }
}

/** PEM text stays as it is; a file is looked for in the config's folder. */
export function resolveFile(folder: string, pathOrPem: string): string {
  return pathOrPem.includes('-----BEGIN') ? pathOrPem : resolve(folder, pathOrPem)
}

function compileDiscovery(discovery: Discovery, folder: string, zone: string | null): DiscoveryPlan {
  switch (discovery.name) {
    case 'dns': {
      if (discovery.options.srv) return Object.freeze({ kind: 'srv', name: discovery.options.name, zone })
      const { host, port } = parseEndpoint(discovery.options.name)!.target as { readonly host: string; readonly port: number }
      return Object.freeze({ kind: 'dns', host, port, zone })
    }
    case 'file':
      return Object.freeze({ kind: 'file', path: resolve(folder, discovery.options.path), zone })
    case 'etcd': {
      const { url, prefix, user, password = '', token = null, ...tls } = discovery.options
      const whoever = user === undefined ? null : Object.freeze({ name: user, password })
      return Object.freeze({
        kind: 'etcd',
        urls: Object.freeze([...toList(url)]),
        prefix,
        user: whoever,
        token,
        tls: registryTls(tls, folder),
        zone,
      })
    }
    case 'kubernetes': {
      const { service, namespace = null, port = null, server = null, token = null, tokenFile, ...tls } = discovery.options
      const file = tokenFile === undefined ? null : resolve(folder, tokenFile)
      return Object.freeze({
        kind: 'kubernetes',
        service,
        namespace,
        port,
        server,
        token,
        tokenFile: file,
        tls: registryTls(tls, folder),
        zone,
      })
    }
    case 'poll':
      return Object.freeze({ kind: 'poll', find: discovery.options.find, interval: parseDuration(discovery.options.interval)!, zone })
  }
}

function registryTls({ ca, cert, key, servername }: OriginationOptions, folder: string): RegistryTlsPlan {
  const file = (written: string | undefined): string | null => (written === undefined ? null : resolveFile(folder, written))
  return Object.freeze({ ca: file(ca), cert: file(cert), key: file(key), servername: servername ?? null })
}

/** Endpoints that were found by a name have certificates for it. */
function nameOf(discovery: DiscoveryPlan | null): OriginationOptions {
  return discovery?.kind === 'dns' ? { servername: discovery.host } : {}
}

/** What stands for endpoints that nobody knows yet: where nothing is looked up, and where plans are explained. */
function standIn(discovery: DiscoveryPlan): string {
  return discovery.kind === 'dns' ? `${formatHost(discovery.host)}:${discovery.port}` : 'discovered:1'
}

/** Endpoints that stand by are there for when most of the others are away. */
function standsBy({ balancer, endpoints }: UpstreamOptions | DiscoveredUpstreamOptions): boolean {
  if (entriesOf<string | EndpointOptions>(endpoints).some(([, one]) => typeof one !== 'string' && (one.priority ?? 0) > 0)) return true
  return typeof balancer === 'object' && balancer.name === 'firstAvailable'
}

function compileBalancer(balancer: BuiltInBalancer | BalancerFunction | undefined): BalancerKind {
  if (balancer === undefined) return Object.freeze({ kind: 'roundRobin' })
  if (typeof balancer === 'function') return Object.freeze({ kind: 'function', choose: balancer })
  if (balancer.name === 'leastRequest') return Object.freeze({ kind: balancer.name, choices: balancer.options.choices ?? 2 })
  if (balancer.name !== 'ringHash' && balancer.name !== 'maglev') return Object.freeze({ kind: balancer.name })
  return Object.freeze({ kind: balancer.name, key: compileKey(balancer.options.key) })
}

const SAME_SITE = { lax: 'Lax', strict: 'Strict', none: 'None' } as const

function compileSticky({ cookie, secret, maxAge, path = '/', secure, sameSite = 'lax' }: Sticky): StickyPlan {
  return Object.freeze({
    ...{ cookie, path, secret: secret ?? null, secure: secure ?? null, sameSite: SAME_SITE[sameSite] },
    maxAge: maxAge === undefined ? null : Math.round(parseDuration(maxAge)! / 1000),
  })
}

export function compileKey(key: HashKeyOption): HashKey {
  if (typeof key === 'string') return Object.freeze({ kind: key })
  return Object.freeze('header' in key ? { kind: 'header', name: key.header.toLowerCase() } : { kind: 'cookie', name: key.cookie })
}

function addressOf(endpoint: string | EndpointOptions): string {
  return typeof endpoint === 'string' ? endpoint : endpoint.address
}

function compileBuffer({ request = false, response = false, memory = '64kb', disk = '1gb' }: BufferOptions): BufferPlan {
  const bounds = Object.freeze({ memoryBytes: parseSize(memory)! })
  return Object.freeze({ request: request ? bounds : null, response: response ? bounds : null, diskBytes: parseSize(disk)! })
}

/** What stands in it is for a single try, and for a second one that is hedged, too. */
function compileRetries({ attempts = 2, on = ['connect'], budget = 0.2, perTry }: Retries, isHedged: boolean): RetryPlan | null {
  const causes = attempts === 1 ? [] : entriesOf<'connect' | 'reset' | 'timeout' | number>(on).map(([, cause]) => cause)
  if (causes.length === 0 && perTry === undefined && !isHedged) return null
  return Object.freeze({
    attempts: causes.length === 0 ? 1 : attempts,
    ...{ onConnect: causes.includes('connect'), onReset: causes.includes('reset'), onTimeout: causes.includes('timeout') },
    statuses: Object.freeze(causes.filter((cause) => typeof cause === 'number')),
    budget,
    perTry: perTry === undefined ? Number.POSITIVE_INFINITY : toMs(perTry),
  })
}

function compileOutlier(options: OutlierDetection): OutlierPlan {
  const { consecutiveFailures = 5, failureRatio, minRequests = 20, latency, window = '10s', ejectFor = '30s', maxEjected = 0.5 } = options
  return Object.freeze({
    ...{ consecutiveFailures, minRequests, maxEjected, window: toMs(window), ejectFor: toMs(ejectFor) },
    failureRatio: failureRatio ?? Number.POSITIVE_INFINITY,
    latency: latency === undefined ? Number.POSITIVE_INFINITY : toMs(latency),
  })
}

function compilePending({ connections, pending = 0, maxWait }: Limits, { connect = '5s' }: Timeouts): PendingPlan | null {
  return connections === undefined || pending === 0 ? null : Object.freeze({ most: pending, maxWait: toMs(maxWait ?? connect) })
}

function compileAdaptive({ adaptive, pending = 0, maxWait }: Limits, { connect = '5s' }: Timeouts): AdaptivePlan | null {
  if (adaptive === undefined) return null
  const { min = 4, max = 1000, start = 20, tolerance = 1.5 } = adaptive
  return Object.freeze({ min, max, start: Math.min(max, Math.max(min, start)), tolerance, pending, maxWait: toMs(maxWait ?? connect) })
}

function compileHedging({ after = 'p95' }: Hedging): HedgingPlan {
  if (after.startsWith('p')) return Object.freeze({ after: Number.NaN, quantile: Number(after.slice(1)) / 100 })
  return Object.freeze({ after: toMs(after), quantile: null })
}

function compileCircuitBreaker(options: CircuitBreaker): CircuitBreakerPlan {
  const { failureRatio = 0.5, minRequests = 20, window = '10s', openFor = '10s' } = options
  return Object.freeze({ failureRatio, minRequests, window: toMs(window), openFor: toMs(openFor) })
}

function compileHealthCheck({ type = 'http', path = '/', service = '', host, status, ...rest }: HealthCheck): HealthCheckPlan {
  const { interval = '5s', timeout = '1s', unhealthyAfter = 3, healthyAfter = 2 } = rest
  return Object.freeze({
    ...{ type, path, service, host: host ?? null, statuses: status === undefined ? null : Object.freeze([...toList(status)]) },
    ...{ interval: toMs(interval), timeout: toMs(timeout), unhealthyAfter, healthyAfter },
  })
}

function compileTimeouts({ connect = '5s', response = '60s', idle = '60s', keepAlive = '60s', total }: Timeouts): UpstreamTimeouts {
  return Object.freeze({
    ...{ connect: toMs(connect), response: toMs(response), idle: toMs(idle), keepAlive: toMs(keepAlive) },
    total: total === undefined ? Number.POSITIVE_INFINITY : toMs(total),
  })
}

function toMs(text: string): number {
  return parseDuration(text)!
}
