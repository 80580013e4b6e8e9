/** A real connection, exchange and upstream connection between wires that carry bytes in memory: neither the kernel nor a neighbour on the machine is in what is measured. */
import { monotonicMs } from '../../core/clock.ts'
import { Deadlines } from '../../core/deadlines.ts'
import type { Hook } from '../../core/hooks.ts'
import { Mirrors } from '../../core/http/mirrors.ts'
import type { Service } from '../../core/http/service.ts'
import { Tally } from '../../core/http/tally.ts'
import type { ProxyFacts } from '../../core/net/proxy-protocol-writer.ts'
import type { Wire, WireOwner } from '../../core/net/wire.ts'
import type { ListenerPlan } from '../../core/plan/plan.ts'
import type { UpstreamPlan } from '../../core/plan/upstream-plan.ts'
import type { Conditions } from '../../core/route/conditions.ts'
import { RouteTable } from '../../core/route/table.ts'
import { UpstreamConnection } from '../../core/upstream/connection.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { Endpoint } from '../../core/upstream/endpoint.ts'
import { Pool } from '../../core/upstream/pool.ts'
import { Upstream } from '../../core/upstream/upstream.ts'

/** Longer ones a kernel takes from where they are. */
const LENT_BYTES = 4096

/** Takes what is written and says nothing, unless it is told what to say. */
export class MemoryWire implements Wire {
  owner: WireOwner = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} }
  readonly lends = true
  readonly closed = false
  readonly congested = false
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 1
  /** As the kernel would: every text is made flat once. */
  readonly #out = Buffer.alloc(65536)
  written = 0
  facts(): ProxyFacts {
    return { source: null, destination: null, tls: null }
  }
  writeText(text: string): boolean {
    this.written += this.#out.latin1Write(text)
    return true
  }
  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (to - from <= LENT_BYTES) return this.writeText(text + bytes.latin1Slice(from, to))
    this.written += to - from
    return this.writeText(text)
  }
  resume(): void {}
  pause(): void {}
  expectBulk(): void {}
  leaveBuffer(): void {}
  end(): void {}
  finish(): void {}
  destroy(): void {}
  reset(): void {}
}

/** One route, with those hooks, to one endpoint that has so many connections. */
export function createService(connections = 1, hooks: readonly Hook[] = []): { service: Service; upstreamWires: MemoryWire[] } {
  const deadlines = new Deadlines()
  const target = { kind: 'ip', host: '127.0.0.1', port: 1 } as const
  const pool = new Pool(
    { target, tls: null, proxyProtocol: null, connectMs: 1000, keepAliveMs: 60_000, maxIdle: 16 },
    { dns: new DnsCache(), deadlines, counted() {} },
  )
  const upstreamWires = Array.from({ length: connections }, () => new MemoryWire())
  for (const wire of upstreamWires) pool.release(new UpstreamConnection(wire, pool, deadlines))
  const plan: UpstreamPlan = {
    name: 'api',
    endpoints: [{ address: '127.0.0.1:1', target, weight: 1, group: 0, drain: null }],
    balancer: { kind: 'roundRobin' },
    sticky: null,
    discovery: null,
    zone: null,
    slowStart: 0,
    host: 'preserve',
    hostName: 'api',
    tls: null,
    timeouts: { connect: 1000, response: 60_000, idle: 60_000, keepAlive: 60_000, total: Number.POSITIVE_INFINITY },
    idleConnections: 16,
    retries: null,
    outlier: null,
    healthCheck: null,
    circuitBreaker: null,
    pending: null,
    hedging: null,
    adaptive: null,
    panic: 0.5,
    buffer: null,
    proxyProtocol: null,
    connections: Number.POSITIVE_INFINITY,
  }
  const nothing = () => {}
  const observer = {
    connectionOpened: nothing,
    connectionClosed: nothing,
    exchangeEnded: nothing,
    tunnelEnded: nothing,
    datagramDropped: nothing,
    dialled: nothing,
    upstreamClosed: nothing,
    queued: nothing,
    upstreamChanged: nothing,
    retryRefused: nothing,
    mirrored: nothing,
    buffered: nothing,
    hedged: nothing,
    limitMoved: nothing,
    pluginCalled: nothing,
    pluginFailed: nothing,
    handshakeFailed: nothing,
    pluginLogged: nothing,
  }
  const secret = new Uint8Array(32)
  const environment = { events: observer, deadlines, random: Math.random, now: monotonicMs, secret, verdictChanged() {} }
  const upstream = new Upstream(plan, [new Endpoint(plan.endpoints[0]!, pool)], environment)
  const conditions: Conditions = { hosts: null, paths: null, methods: null, headers: [], query: [], cookies: [], from: null, when: null }
  const route = {
    id: 'web[0]',
    cacheSpace: '',
    mirror: null,
    hooks,
    destination: { kind: 'upstream', upstream: plan, rewrite: null } as const,
  }
  const listener: ListenerPlan = {
    kind: 'http',
    name: 'web',
    addresses: [],
    tls: null,
    trust: null,
    headerTrust: null,
    requiresProxyHeader: false,
    via: 'sluice',
    forwarded: false,
    encodedSlashes: false,
    forward: null,
    socks: null,
    transparent: null,
    tunnels: null,
    h2c: false,
    limits: {
      headBytes: 32768,
      requestLineBytes: 8192,
      fields: 100,
      connections: 10_000,
      requestsPerConnection: 1e9,
      bodyBytes: Number.POSITIVE_INFINITY,
    },
    timeouts: {
      requestHead: 10_000,
      requestBodyIdle: 30_000,
      keepAlive: 75_000,
      sendIdle: 60_000,
      tunnelIdle: 3_600_000,
      halfClosed: 1000,
    },
    hooks: [],
    routes: new RouteTable([{ route, conditions: [conditions], captures: false }]),
  }
  let serial = 0
  const service: Service = {
    number: 1,
    tally: new Tally(),
    generation: 1,
    listener,
    rules: { requestLineBytes: 8192, fields: 100, encodedSlashes: false },
    forward: null,
    inside: null,
    places: null,
    deadlines,
    observer,
    logHooks: null,
    mirrors: new Mirrors(),
    upstreamFor: () => upstream,
    partOf: () => upstream,
    upstreamNamed: () => upstream,
    requestId: String,
    nextSerial: () => ++serial,
  }
  return { service, upstreamWires }
}

export function homeOf(service: Service) {
  const nothing = (): void => {}
  return {
    ...{ service, draining: false, isMisdirected: () => false },
    ...{ becameTunnel: nothing, granted: nothing, inside: null, speaksHttp2: nothing, tunnelClosed: nothing, connectionClosed: nothing },
  }
}
