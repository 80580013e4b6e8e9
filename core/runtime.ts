/**
 * A plan at work: listeners, upstreams and pools of one worker. A new plan reuses what did not change: pools by their key,
 * listeners by their name; exchanges under way keep the service they began with.
 */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import { type Balancer, createBalancer } from './balancer/balancer.ts'
import { roundRobin } from './balancer/round-robin.ts'
import { Deadlines } from './deadlines.ts'
import type { Observer } from './events.ts'
import type { Service } from './http/service.ts'
import { Listener } from './listener/listener.ts'
import { makeTermination, type Termination } from './listener/termination.ts'
import type { EndpointPlan, ListenerPlan, Plan, SplitDestination, TlsPlan, UpstreamPlan } from './plan/plan.ts'
import { type Dial, makeOrigination, type Origination } from './upstream/dial.ts'
import { DnsCache } from './upstream/dns.ts'
import { Pool, type PoolEnvironment, type PoolOptions } from './upstream/pool.ts'
import { Endpoint, Upstream } from './upstream/upstream.ts'

export interface RuntimeOptions {
  readonly observer: Observer
  /** The number of open connections, both sides, has changed. */
  readonly onDescriptors: (open: number) => void
  /** The clock of all deadlines. Default: the machine's. */
  readonly deadlines?: Deadlines
  /** How connections to endpoints are opened. Default: over the network. */
  readonly dial?: Dial
}

/** What a plan needs besides itself, read before it is taken into use: reading can fail, using it cannot. */
export interface Materials {
  readonly terminations: ReadonlyMap<ListenerPlan, Termination>
  readonly originations: ReadonlyMap<UpstreamPlan, Origination>
}

/** Reads the files a plan names. Throws with the file's name. */
export function gatherMaterials(plan: Plan): Materials {
  const terminations = new Map<ListenerPlan, Termination>()
  const originations = new Map<UpstreamPlan, Origination>()
  for (const listener of plan.listeners) if (listener.tls !== null) terminations.set(listener, readTermination(listener.tls))
  for (const upstream of plan.upstreams.values()) {
    const { tls } = upstream
    if (tls === null) continue
    originations.set(upstream, readOrigination(tls))
  }
  return { terminations, originations }
}

export class Runtime {
  readonly deadlines: Deadlines
  readonly #options: RuntimeOptions
  readonly #dns = new DnsCache()
  readonly #listeners = new Map<string, Listener>()
  #pools = new Map<string, Pool>()
  #descriptors = 0
  #serial = 0
  readonly #idPrefix = makeIdPrefix()

  constructor(options: RuntimeOptions) {
    this.#options = options
    this.deadlines = options.deadlines ?? new Deadlines()
  }

  get connections(): number {
    let open = 0
    for (const listener of this.#listeners.values()) open += listener.connections
    return open
  }

  listener(name: string): Listener | undefined {
    return this.#listeners.get(name)
  }

  /** Takes a plan into use. Cannot fail. */
  use(plan: Plan, materials: Materials): void {
    const pools = new Map<string, Pool>()
    const upstreams = new Map<UpstreamPlan, Upstream>()
    for (const upstream of plan.upstreams.values()) upstreams.set(upstream, this.#makeUpstream(upstream, materials, pools))
    for (const [key, pool] of this.#pools) if (!pools.has(key)) pool.retire()
    this.#pools = pools
    const names = new Set(plan.listeners.map((listener) => listener.name))
    for (const [name, listener] of this.#listeners) if (!names.has(name)) listener.drain()
    for (const listener of plan.listeners) this.#useListener(listener, plan, upstreams, materials.terminations.get(listener) ?? null)
  }

  accept(listener: string, server: Server): void {
    this.#listeners.get(listener)?.accept(server)
  }

  stopAccepting(): void {
    for (const listener of this.#listeners.values()) listener.stopAccepting()
  }

  /** Announces the end to every connection; resolves once none is left, or at the deadline, when the rest is cut. */
  async drain(deadlineMs: number): Promise<void> {
    for (const listener of this.#listeners.values()) listener.drain()
    await new Promise<void>((resolve) => {
      const step = { dueAt: 0, slot: -1, onDeadline: () => {} }
      const endAt = this.deadlines.in(deadlineMs)
      step.onDeadline = () => {
        if (this.connections > 0 && this.deadlines.now < endAt) {
          step.dueAt = this.deadlines.now
          return
        }
        this.deadlines.remove(step)
        resolve()
      }
      this.deadlines.add(step)
    })
    this.close()
  }

  close(): void {
    for (const listener of this.#listeners.values()) listener.destroy()
    for (const pool of this.#pools.values()) pool.retire()
    this.deadlines.stop()
  }

  #useListener(plan: ListenerPlan, whole: Plan, upstreams: ReadonlyMap<UpstreamPlan, Upstream>, termination: Termination | null): void {
    const service = this.#makeService(plan, whole, upstreams)
    const listener = this.#listeners.get(plan.name)
    if (listener !== undefined) {
      listener.service = service
      listener.secure(termination)
      return
    }
    const environment = { observer: this.#options.observer, counted: (change: 1 | -1) => this.#counted(change) }
    this.#listeners.set(plan.name, new Listener(service, termination, environment))
  }

  #makeService(listener: ListenerPlan, plan: Plan, upstreams: ReadonlyMap<UpstreamPlan, Upstream>): Service {
    const { limits, encodedSlashes } = listener
    const turns = new Map<SplitDestination, Balancer>()
    return {
      listener,
      rules: { requestLineBytes: limits.requestLineBytes, fields: limits.fields, encodedSlashes },
      deadlines: this.deadlines,
      observer: this.#options.observer,
      upstreamFor: (upstream) => upstreams.get(upstream)!,
      nextOf: (split) => {
        let turn = turns.get(split)
        if (turn === undefined) {
          turn = roundRobin(split.parts.map((part) => part.weight))
          turns.set(split, turn)
        }
        return upstreams.get(split.parts[Math.max(0, turn.pick(null))]!.upstream)!
      },
      upstreamNamed: (name) => {
        const upstream = plan.upstreams.get(name)
        return upstream === undefined ? null : upstreams.get(upstream)!
      },
      requestId: (serial) => this.#idPrefix + serial.toString(36),
      nextSerial: () => ++this.#serial,
    }
  }

  #makeUpstream(plan: UpstreamPlan, materials: Materials, pools: Map<string, Pool>): Upstream {
    const tls = materials.originations.get(plan) ?? null
    const endpoints = plan.endpoints.map((endpoint) => new Endpoint(endpoint, this.#poolFor(plan, endpoint, tls, pools)))
    return new Upstream(plan, endpoints, createBalancer(plan), this.#options.observer)
  }

  #poolFor(plan: UpstreamPlan, endpoint: EndpointPlan, tls: Origination | null, pools: Map<string, Pool>): Pool {
    const { connect, keepAlive } = plan.timeouts
    const options: PoolOptions = { target: endpoint.target, tls, connectMs: connect, keepAliveMs: keepAlive, maxIdle: plan.idleConnections }
    const key = JSON.stringify([endpoint.target, tls?.identity ?? null])
    const known = pools.get(key) ?? this.#pools.get(key)
    const pool = known ?? new Pool(options, this.#poolEnvironment())
    known?.configure(options)
    pools.set(key, pool)
    return pool
  }

  #poolEnvironment(): PoolEnvironment {
    const { dial } = this.#options
    const counted = (change: 1 | -1): void => this.#counted(change)
    return { dns: this.#dns, deadlines: this.deadlines, counted, ...(dial === undefined ? {} : { dial }) }
  }

  #counted(change: 1 | -1): void {
    this.#descriptors += change
    this.#options.onDescriptors(this.#descriptors)
  }
}

function readTermination({ cert, key, alpn }: TlsPlan): Termination {
  const texts = { cert: readPem(cert)!, key: readPem(key)!, alpn }
  return naming([cert, key], () => makeTermination(texts))
}

function readOrigination({ servername, ca, cert, key }: NonNullable<UpstreamPlan['tls']>): Origination {
  const texts = { servername, ca: readPem(ca), cert: readPem(cert), key: readPem(key) }
  return naming([ca, cert, key], () => makeOrigination(texts))
}

/** OpenSSL does not say which file it could not use. */
function naming<T>(files: readonly (string | null)[], make: () => T): T {
  try {
    return make()
  } catch (error) {
    const names = files.filter((file) => file !== null).map((file) => (file.includes('-----BEGIN') ? 'PEM text' : file))
    throw new Error(`cannot be used for TLS: ${names.join(', ')}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** A path, or PEM text itself. */
function readPem(pathOrPem: string | null): string | null {
  if (pathOrPem === null || pathOrPem.includes('-----BEGIN')) return pathOrPem
  return readFileSync(pathOrPem, 'utf8')
}

/** Ids of two workers, or of two runs, do not meet: time and chance in front, a count behind. */
function makeIdPrefix(): string {
  const chance = Math.floor(Math.random() * 36 ** 4)
    .toString(36)
    .padStart(4, '0')
  return `${Math.floor(Date.now() / 1000).toString(36)}${chance}-`
}
