/**
 * The data path alone, in this process: a plan written by hand, a `Runtime` on port 0, and a record of every exchange that ended.
 * `await using proxy = await startProxy({ origin })` ends it at the end of the block.
 */
import { once } from 'node:events'
import { Server } from 'node:net'
import { gatherBlocklists } from '../../core/blocking/gather.ts'
import type { Deadlines } from '../../core/deadlines.ts'
import type { ConnectionSource } from '../../core/doors.ts'
import type { DatagramLoss, EndedExchange, EndedTunnel, HandshakeFailure, Observer, UpstreamChange } from '../../core/events.ts'
import { type Hook, type HookCall, makeHook, PENDING } from '../../core/hooks.ts'
import { inlineHook } from '../../core/http/inline.ts'
import type { Config } from '../../core/index.ts'
import type { Challenges } from '../../core/listener/challenges.ts'
import { type GatherOptions, gatherMaterials } from '../../core/materials.ts'
import { parseListen } from '../../core/net/address.ts'

import { canUseHandles } from '../../core/net/bindings.ts'
import { getKernel } from '../../core/net/kernel.ts'
import type { TicketKeys } from '../../core/net/ticket-keys.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import { blocklistsOf } from '../../core/plan/forward-listeners.ts'
import type { Destination, ListenAddress, ListenerLimits, ListenerPlan, ListenerTimeouts, Plan } from '../../core/plan/plan.ts'
import type {
  CircuitBreakerPlan,
  EndpointPlan,
  HealthCheckPlan,
  OutlierPlan,
  RetryPlan,
  UpstreamPlan,
  UpstreamTimeouts,
} from '../../core/plan/upstream-plan.ts'
import { isPolicy, type UseConfig } from '../../core/plan/uses.ts'
import type { HttpHooks } from '../../core/plugin.ts'
import { Policies, type PolicySet } from '../../core/policy/policies.ts'
import { bindAddress } from '../../core/process/bind.ts'
import { listenOn } from '../../core/process/connection-source.ts'
import { DatagramDoors } from '../../core/process/datagram-doors.ts'
import type { Conditions } from '../../core/route/conditions.ts'
import { compilePath } from '../../core/route/pattern.ts'
import { RouteTable } from '../../core/route/table.ts'
import { Runtime, type RuntimeOptions } from '../../core/runtime.ts'
import { Stores } from '../../core/store/stores.ts'
import { type Client, type ConnectOptions, connect } from './client.ts'
import { Waiting } from './deadline.ts'

export interface UpstreamOptions
  extends Partial<Omit<UpstreamPlan, 'endpoints' | 'timeouts' | 'retries' | 'outlier' | 'healthCheck' | 'circuitBreaker'>> {
  /** `127.0.0.1:3001`, `name:3001` or `unix:/path`; or what has such an address. */
  readonly endpoints?: readonly (string | { readonly address: string })[]
  readonly timeouts?: Partial<UpstreamTimeouts>
  /** Tries in all, of what did not connect. Default 1. */
  readonly attempts?: number
  /** Instead of `attempts`. */
  readonly retries?: Partial<RetryPlan>
  readonly outlier?: Partial<OutlierPlan>
  readonly circuitBreaker?: Partial<CircuitBreakerPlan>
  readonly healthCheck?: Partial<HealthCheckPlan>
}

export interface RouteOptions {
  readonly id?: string
  readonly path?: string
  readonly hooks?: readonly Hook[]
  /** Name of an upstream, or a destination. Default: the upstream `api`. */
  readonly to?: string | Destination
  readonly rewrite?: string | null
}

export interface ProxyOptions extends UpstreamOptions {
  /** The endpoint of the upstream `api`, unless `endpoints` says more. */
  readonly origin?: { readonly address: string }
  readonly upstreams?: Readonly<Record<string, UpstreamOptions>>
  readonly listener?: Partial<Omit<ListenerPlan, 'limits' | 'timeouts'>>
  readonly limits?: Partial<ListenerLimits>
  readonly times?: Partial<ListenerTimeouts>
  readonly routes?: readonly RouteOptions[]
  /** Listen here instead of on 127.0.0.1. */
  readonly path?: string
  /** Instead of all else: its first listener is listened on. */
  readonly config?: Config
  /** Of what policies keep: milliseconds since the epoch. */
  readonly clock?: () => number
  /** Told of what policies can do less well than they might. */
  readonly warn?: (text: string) => void
  readonly onInvalidated?: (cache: string, url: string) => void
  /** Shared with other proxies. */
  readonly ticketKeys?: TicketKeys
  /** On a clock that the test turns. */
  readonly deadlines?: Deadlines
  /** More of the runtime. */
  readonly parts?: Partial<RuntimeOptions>
  /** What authorities are shown. */
  readonly challenges?: Challenges
}

/** What an exchange was, copied while that was allowed. */
export type Ended = Readonly<Record<keyof EndedExchange, unknown>> & EndedExchange

export async function startProxy(options: ProxyOptions = {}): Promise<RunningProxy> {
  const asked = process.env.SLUICE_NO_HANDLES !== '1'
  if (canUseHandles !== asked) throw new Error(`bare handles are ${canUseHandles ? '' : 'not '}in use`)
  const askedKernel = asked && process.env.SLUICE_NO_FFI !== '1' && process.platform === 'linux'
  if ((getKernel() !== null) !== askedKernel) throw new Error(`system calls are ${askedKernel ? 'not ' : ''}in use`)
  const { deadlines, parts } = options
  const proxy = new RunningProxy({ ...parts, ...(deadlines === undefined ? {} : { deadlines }) }, options)
  await proxy.start(options)
  return proxy
}

export class RunningProxy implements AsyncDisposable {
  readonly ended: Ended[] = []
  /** Of TCP listeners. */
  readonly tunnels: EndedTunnel[] = []
  /** Why datagrams went nowhere. */
  readonly dropped: DatagramLoss[] = []
  readonly handshakesFailed: { readonly why: HandshakeFailure; readonly detail: string | null }[] = []
  readonly dialled: { readonly endpoint: string; readonly ok: boolean }[] = []
  readonly changes: UpstreamChange[] = []
  retriesRefused = 0
  /** Bytes of bodies that are on disk. */
  buffered = 0
  /** `next 2xx` for each copy of a request. */
  readonly mirrored: string[] = []
  readonly hedges: string[] = []
  /** What was learnt of how many requests may be under way. */
  limit = Number.NaN
  /** Requests that wait for a connection. */
  waiting = 0
  readonly runtime: Runtime
  /** Open connections of both sides, as the runtime counts them. */
  descriptors = 0
  port = 0
  /** Why it could not accept. */
  readonly acceptsFailed: string[] = []
  #generation = 0
  #source: ConnectionSource | null = null
  readonly #policies: Policies
  #inUse: PolicySet | null = null
  readonly #waiting = new Waiting()

  constructor(
    parts: Partial<RuntimeOptions> = {},
    { clock, warn, onInvalidated }: Pick<ProxyOptions, 'clock' | 'warn' | 'onInvalidated'> = {},
  ) {
    this.runtime = new Runtime({
      ...parts,
      observer: this.#observer(),
      onDescriptors: (open) => {
        this.descriptors = open
        this.#waiting.poke()
      },
    })
    const events = { changed: () => this.#waiting.poke(), refused: () => {}, failed: () => {} }
    const stores = new Stores({ deadlines: this.runtime.deadlines, random: () => 0, events })
    this.#policies = new Policies(this.runtime.deadlines, {
      stores,
      ...(parts.counting === undefined ? {} : { counting: parts.counting }),
      ...(clock === undefined ? {} : { clock }),
      ...(warn === undefined ? {} : { warn }),
      ...(onInvalidated === undefined ? {} : { onInvalidated }),
    })
  }

  async start(options: ProxyOptions): Promise<void> {
    await this.reload(options)
    const [name, listener] = Object.entries(options.config?.listeners ?? {})[0] ?? ['web', null]
    if (listener?.kind === 'udp') return this.#startUdp(name, listener.options.listen as string)
    await this.#startTcp(
      name,
      options.path === undefined ? { kind: 'tcp', host: '127.0.0.1', port: 0 } : { kind: 'unix', path: options.path },
    )
  }

  /** As the supervisor and a worker do it together. */
  async #startTcp(name: string, where: Exclude<ListenAddress, { kind: 'udp' }>): Promise<void> {
    const [bound] = await bindAddress(name, where, { slots: 1, ...(canUseHandles ? {} : { create: null }) })
    const { address, handle } = bound!
    if (address.kind === 'udp') throw new Error('nothing is bound')
    const failed = (error: string): void => void this.acceptsFailed.push(error)
    const { source, begun } = listenOn({ address, handle: handle ?? undefined, failed })
    this.runtime.accept(name, source)
    await begun
    if (address.kind === 'tcp') this.port = address.port
    this.#source = source
  }

  /** The same. `listen`: with port 0. */
  async #startUdp(name: string, listen: string): Promise<void> {
    const address = parseListen(listen, 'udp')
    if (address?.kind !== 'udp') throw new Error(`no address of UDP: ${listen}`)
    const [bound] = await bindAddress(name, address, { slots: 1, ...(canUseHandles ? {} : { create: null }) })
    if (bound?.address.kind !== 'udp') throw new Error('nothing is bound')
    const socket = await new DatagramDoors().open(name, bound.address, bound.handle ?? undefined)
    this.port = bound.address.port
    this.runtime.accept(name, socket!)
  }

  /** Takes another plan into use, as a reload does. */
  async reload(options: ProxyOptions): Promise<void> {
    const policies = this.#policies.open('/')
    const plan = planOf(options, ++this.#generation, policies)
    const blocklists = await gatherBlocklists(blocklistsOf(plan.listeners), { pause: async () => {} })
    await this.#policies.storesSettled()
    this.#take(plan, policies, { ticketKeys: options.ticketKeys ?? null, challenges: options.challenges ?? null, blocklists })
  }

  /** The same at once, for plans without block lists. */
  use(options: ProxyOptions): void {
    const policies = this.#policies.open('/')
    this.#take(planOf(options, ++this.#generation, policies), policies, {
      ticketKeys: options.ticketKeys ?? null,
      challenges: options.challenges ?? null,
    })
  }

  #take(plan: Plan, policies: PolicySet, options: GatherOptions): void {
    this.runtime.use(plan, gatherMaterials(plan, options))
    policies.take()
    this.#inUse?.release()
    this.#inUse = policies
  }

  /** What policies keep of answers. */
  get caches(): Policies['caches'] {
    return this.#policies.caches
  }

  connect(options: ConnectOptions = {}): Promise<Client> {
    return connect(this.port, options)
  }

  /** A round trip of its own: whatever was sent to the proxy before has been read by then. */
  async settled(): Promise<void> {
    using c = await this.connect()
    await c.send('GET /%00 HTTP/1.1\r\nHost: settled\r\n\r\n').response()
    await c.closed()
    await this.exchange(this.ended.findIndex((one) => one.reason === 'bad_path') + 1)
    this.ended.splice(
      this.ended.findIndex((one) => one.reason === 'bad_path'),
      1,
    )
  }

  /** The exchange that ended as that number, counted from 1. */
  exchange(number = 1, ms?: number): Promise<Ended> {
    return this.#waiting.until(
      () => this.ended[number - 1],
      () => `no ended exchange ${number}; ended: ${this.ended.map((one) => `${one.method} ${one.path} ${one.status}`).join(', ')}`,
      ms,
    )
  }

  /** The connection to a TCP listener that ended as that number, counted from 1. */
  tunnel(number = 1, ms?: number): Promise<EndedTunnel> {
    return this.#waiting.until(
      () => this.tunnels[number - 1],
      () => `no ended tunnel ${number}`,
      ms,
    )
  }

  /** What became of the copy of a request that ended as that number, counted from 1. */
  copy(number = 1): Promise<string> {
    return this.#waiting.until(() => this.mirrored[number - 1], `no copy ${number}`)
  }

  /** Why the datagram went nowhere that did so as that number, counted from 1. */
  datagramDropped(number = 1, ms?: number): Promise<DatagramLoss> {
    return this.#waiting.until(() => this.dropped[number - 1], `no datagram ${number} that was dropped`, ms)
  }

  /** Why the handshake failed that failed as that number, counted from 1. */
  handshakeFailed(number = 1, ms?: number): Promise<{ readonly why: HandshakeFailure; readonly detail: string | null }> {
    return this.#waiting.until(() => this.handshakesFailed[number - 1], `no failed handshake ${number}`, ms)
  }

  /** Resolves once so many requests wait for a connection. */
  async queued(count: number): Promise<void> {
    await this.#waiting.until(
      () => (this.waiting === count ? true : undefined),
      () => `${this.waiting} wait, not ${count}`,
    )
  }

  /** Resolves once that many connections, of both sides together, are open. */
  async open(count: number, ms?: number): Promise<void> {
    await this.#waiting.until(
      () => (this.descriptors === count ? true : undefined),
      () => `${this.descriptors} connections are open, not ${count}`,
      ms,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.runtime.close()
    this.#policies.close()
    const source = this.#source
    const isClosed = source instanceof Server && source.listening ? once(source, 'close') : null
    source?.close()
    await isClosed
  }

  #observer(): Observer {
    return {
      connectionOpened() {},
      connectionClosed() {},
      handshakeFailed: (_, why, detail) => {
        this.handshakesFailed.push({ why, detail })
        this.#waiting.poke()
      },
      tunnelEnded: (tunnel) => {
        this.tunnels.push(copyOfTunnel(tunnel))
        this.#waiting.poke()
      },
      datagramDropped: (_, why) => {
        this.dropped.push(why)
        this.#waiting.poke()
      },
      exchangeEnded: (exchange) => {
        this.ended.push(copyOf(exchange))
        this.#waiting.poke()
      },
      dialled: (_, endpoint, ok) => {
        this.dialled.push({ endpoint, ok })
      },
      upstreamClosed() {},
      upstreamChanged: (change) => {
        this.changes.push(change)
        this.#waiting.poke()
      },
      queued: (_, change) => {
        this.waiting += change
        this.#waiting.poke()
      },
      buffered: (_, change) => {
        this.buffered += change
      },
      mirrored: (upstream, outcome) => {
        this.mirrored.push(`${upstream} ${outcome}`)
        this.#waiting.poke()
      },
      hedged: (_, outcome) => this.hedges.push(outcome),
      limitMoved: (_, limit) => {
        this.limit = limit
      },
      retryRefused: () => {
        this.retriesRefused++
      },
      pluginCalled() {},
      pluginFailed() {},
      pluginLogged() {},
    }
  }
}

const keys = [
  ...(['listener', 'route', 'upstream', 'endpoint', 'id', 'protocol', 'method', 'host', 'path', 'search', 'userAgent', 'referer'] as const),
  ...(['ip', 'peer', 'status', 'reason', 'detail', 'decidedBy', 'bytesIn', 'bytesOut', 'startedAt', 'durationMs'] as const),
  ...([
    'upstreamMs',
    'attempts',
    'tunnel',
    'serial',
    'generation',
    'scheme',
    'received',
    'logHooks',
    'clientCertificate',
    'user',
    'moved',
    'cache',
    'destination',
    'logged',
  ] as const),
] satisfies (keyof EndedExchange)[]

function copyOf(exchange: EndedExchange): Ended {
  return Object.fromEntries(keys.map((key) => [key, exchange[key]])) as unknown as Ended
}

function copyOfTunnel(tunnel: EndedTunnel): EndedTunnel {
  const { listener, route, upstream, endpoint, id, protocol, sni, destination, user, ip, reason, detail, decidedBy } = tunnel
  const { bytesIn, bytesOut, datagramsIn, datagramsOut, startedAt, durationMs, connectMs, attempts, serial, generation, logHooks } = tunnel
  return {
    ...{ listener, route, upstream, endpoint, id, protocol, sni, destination, user, ip, reason, detail, decidedBy },
    ...{ bytesIn, bytesOut, datagramsIn, datagramsOut, startedAt, durationMs, connectMs, attempts },
    ...{ serial, generation, logHooks },
  }
}

function planOf(options: ProxyOptions, generation: number, policies: PolicySet): Plan {
  if (options.config === undefined) return makePlan(options, generation)
  const bindUse = (use: UseConfig, key: string): Hook => (isPolicy(use) ? policies.hookOf(use) : inlineHook(key, use as HttpHooks))
  return compilePlan(options.config, { generation, folder: '/', bindUse })
}

export function makePlan(options: ProxyOptions, generation: number): Plan {
  const api = { ...options, endpoints: options.endpoints ?? (options.origin === undefined ? [] : [options.origin]) }
  const upstreams = new Map([['api', makeUpstream('api', api)]])
  for (const [name, one] of Object.entries(options.upstreams ?? {})) upstreams.set(name, makeUpstream(name, one))
  const listener: ListenerPlan = {
    ...{
      kind: 'http',
      name: 'web',
      addresses: [],
      tls: null,
      trust: null,
      headerTrust: options.listener?.trust ?? null,
      requiresProxyHeader: false,
      via: 'sluice',
      forwarded: false,
      encodedSlashes: false,
      forward: null,
      socks: null,
      transparent: null,
      tunnels: null,
      h2c: true,
      hooks: [],
    },
    ...options.listener,
    limits: {
      ...{ headBytes: 32768, requestLineBytes: 8192, fields: 100, connections: 10_000 },
      ...{ requestsPerConnection: 10_000, bodyBytes: Number.POSITIVE_INFINITY },
      ...options.limits,
    },
    timeouts: {
      ...{ requestHead: 10_000, requestBodyIdle: 30_000, keepAlive: 75_000, sendIdle: 60_000, tunnelIdle: 3_600_000, halfClosed: 1_000 },
      ...options.times,
    },
    routes: makeRoutes(options.routes ?? [{}], upstreams),
  }
  const log = { access: false, level: 'info', format: null } as const
  return { generation, listeners: [listener], upstreams, log, admin: null, acme: [], dnsZones: new Map() }
}

function makeUpstream(
  name: string,
  { endpoints = [], timeouts = {}, attempts, retries, outlier, healthCheck, circuitBreaker, ...rest }: UpstreamOptions,
): UpstreamPlan {
  return {
    ...{
      name,
      balancer: { kind: 'roundRobin' },
      sticky: null,
      discovery: null,
      zone: null,
      slowStart: 0,
      host: 'preserve',
      hostName: name,
      tls: null,
      idleConnections: 256,
      retries: makeRetries(attempts, retries),
      outlier: outlier === undefined ? null : makeOutlier(outlier),
      circuitBreaker: circuitBreaker === undefined ? null : makeCircuitBreaker(circuitBreaker),
      pending: null,
      hedging: null,
      adaptive: null,
      healthCheck: healthCheck === undefined ? null : makeHealthCheck(healthCheck),
      panic: 0.5,
      buffer: null,
      connections: Number.POSITIVE_INFINITY,
      proxyProtocol: null,
    },
    ...pick(rest, [
      'balancer',
      'host',
      'hostName',
      'tls',
      'idleConnections',
      'panic',
      'buffer',
      'connections',
      'pending',
      'proxyProtocol',
      'hedging',
      'adaptive',
    ]),
    endpoints: endpoints.map((endpoint) => makeEndpoint(typeof endpoint === 'string' ? endpoint : endpoint.address)),
    timeouts: { connect: 5_000, response: 60_000, idle: 60_000, keepAlive: 60_000, total: Number.POSITIVE_INFINITY, ...timeouts },
  }
}

function makeRetries(attempts = 1, retries: Partial<RetryPlan> | undefined): RetryPlan | null {
  if (attempts === 1 && retries === undefined) return null
  return {
    ...{ attempts: retries === undefined ? attempts : 2, onConnect: true, onReset: false, onTimeout: false, statuses: [] },
    ...{ budget: 0.2, perTry: Number.POSITIVE_INFINITY },
    ...retries,
  }
}

function makeOutlier(outlier: Partial<OutlierPlan>): OutlierPlan {
  return {
    ...{ consecutiveFailures: 5, failureRatio: Number.POSITIVE_INFINITY, minRequests: 20, latency: Number.POSITIVE_INFINITY },
    ...{ window: 10_000, ejectFor: 30_000, maxEjected: 0.5 },
    ...outlier,
  }
}

function makeCircuitBreaker(breaker: Partial<CircuitBreakerPlan>): CircuitBreakerPlan {
  return { failureRatio: 0.5, minRequests: 20, window: 10_000, openFor: 10_000, ...breaker }
}

function makeHealthCheck(check: Partial<HealthCheckPlan>): HealthCheckPlan {
  return {
    ...{
      type: 'http',
      path: '/',
      service: '',
      host: null,
      statuses: null,
      interval: 5_000,
      timeout: 1_000,
      unhealthyAfter: 3,
      healthyAfter: 2,
    },
    ...check,
  }
}

function pick<T extends object, K extends keyof T>(from: T, names: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]])) as Partial<Pick<T, K>>
}

function makeEndpoint(address: string): EndpointPlan {
  if (address.startsWith('unix:')) return { address, weight: 1, group: 0, drain: null, target: { kind: 'unix', path: address.slice(5) } }
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '')
  const kind = /^[\d.]+$|:/.test(host) ? 'ip' : 'name'
  return { address, weight: 1, group: 0, drain: null, target: { kind, host, port: Number(address.slice(colon + 1)) } }
}

const everything: Conditions = {
  ...{ hosts: null, paths: null, methods: null, headers: [], query: [], cookies: [], from: null, when: null },
}

function makeRoutes(routes: readonly RouteOptions[], upstreams: ReadonlyMap<string, UpstreamPlan>): RouteTable {
  return new RouteTable(
    routes.map(({ id, path, hooks = [], to = 'api', rewrite = null }, i) => ({
      route: {
        id: id ?? `web[${i}]`,
        hooks,
        mirror: null,
        cacheSpace: `space${i}`,
        destination: typeof to === 'string' ? { kind: 'upstream', upstream: upstreams.get(to)!, rewrite } : to,
      },
      conditions: [path === undefined ? everything : { ...everything, paths: compilePath(path) }],
      captures: true,
    })),
  )
}

export function hook(name: string, parts: Partial<Omit<Hook, 'name'>>): Hook {
  return makeHook(name, parts)
}

/** A hook's call that was kept, to be answered when the test says so. */
export class Held {
  readonly calls: HookCall[] = []
  readonly #waiting = new Waiting()

  /** The hook itself. */
  readonly pending = (call: HookCall): typeof PENDING => {
    this.calls.push(call)
    this.#waiting.poke()
    return PENDING
  }

  call(number = 1): Promise<HookCall> {
    return this.#waiting.until(() => this.calls[number - 1], `no call ${number} of the hook`)
  }
}
