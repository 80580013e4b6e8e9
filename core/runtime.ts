/**
 * A plan at work: listeners, upstreams and pools of one worker. A new plan reuses what did not change: pools by their key,
 * listeners by their name; exchanges under way keep the service they began with.
 */
import { randomBytes } from 'node:crypto'
import type { Balancer } from './balancer/balancer.ts'
import { partOfHash } from './balancer/part-of-hash.ts'
import { roundRobin } from './balancer/round-robin.ts'
import { monotonicMs } from './clock.ts'
import { Deadlines } from './deadlines.ts'
import { type AnyListener, Doors, type Source } from './doors.ts'
import type { Observer } from './events.ts'
import type { Forwarding } from './http/forwarding.ts'
import { Forwardings } from './http/forwardings.ts'
import { LogHooks } from './http/log-hooks.ts'
import { Mirrors } from './http/mirrors.ts'
import type { Service } from './http/service.ts'
import { Tally } from './http/tally.ts'
import type { ListenerEnvironment } from './listener/acceptor.ts'
import { Listener } from './listener/listener.ts'
import { SocksListener, type SocksService } from './listener/socks-listener.ts'
import { TcpListener, type TcpService } from './listener/tcp-listener.ts'
import { UdpListener, type UdpService } from './listener/udp-listener.ts'
import type { Materials } from './materials.ts'
import type { AcceptedWire } from './net/wire.ts'
import { addressesOf } from './plan/addresses.ts'
import { forwardListenersOf } from './plan/forward-listeners.ts'
import type { SocksListenerPlan } from './plan/forward-plan.ts'
import type { AnyListenerPlan, ListenerPlan, Plan, SplitDestination, TcpListenerPlan, UdpListenerPlan } from './plan/plan.ts'
import type { UpstreamPlan } from './plan/upstream-plan.ts'
import { Counting } from './policy/counting.ts'
import { type OpenLink, openLink } from './upstream/datagram-link.ts'
import type { Dial } from './upstream/dial.ts'
import { DnsCache } from './upstream/dns.ts'
import type { EndpointChange } from './upstream/endpoint-changes.ts'
import type { HealthBoard } from './upstream/health-board.ts'
import type { PoolEnvironment } from './upstream/pool.ts'
import { type Asked, hashOf } from './upstream/request-key.ts'
import type { Upstream } from './upstream/upstream.ts'
import type { UpstreamState } from './upstream/upstream-state.ts'
import { Upstreams } from './upstream/upstreams.ts'

export interface RuntimeOptions {
  readonly observer: Observer
  /** The number of open connections, both sides, has changed. */
  readonly onDescriptors: (open: number) => void
  /** The clock of all deadlines. Default: the machine's. */
  readonly deadlines?: Deadlines
  /** How connections to endpoints are opened. Default: over the network. */
  readonly dial?: Dial
  /** The same for datagrams. */
  readonly openLink?: OpenLink
  /** TCP listeners take what would be inside of TLS as it is. Default: they do not. */
  readonly skipsTls?: boolean
  /** Descriptors are short: no session of UDP begins. Default: never. */
  readonly isShort?: () => boolean
  /** What balancers draw lots with. Default: the machine's. */
  readonly random?: () => number
  /** In what quotas are counted. Default: in this process alone. */
  readonly counting?: Counting
  /** Milliseconds since the epoch. Default: the machine's. */
  readonly clock?: () => number
  /** What cookies are signed with that have no secret of their own. Default: one of this process. */
  readonly secret?: Uint8Array
}

/** What taking a plan into use did to those who were connected. */
export interface Swap {
  /** Connections that are told to end, for their listener is gone. */
  readonly touched: number
  /** Of the plan before: who still runs on it. Null for the first one. */
  readonly before: Tally | null
}

export class Runtime {
  readonly deadlines: Deadlines
  readonly #options: RuntimeOptions
  readonly #random: () => number
  readonly #dns = new DnsCache()
  readonly #counting: Counting
  readonly #listeners = new Map<string, AnyListener>()
  /** HTTP in routes of TCP listeners, by the key of its destination; SOCKS on the ports of forward listeners, by their names. */
  #inside = new Map<string, AnyListener>()
  /** No plan names them any more, but somebody is still connected. */
  readonly #leaving = new Set<AnyListener>()
  readonly #doors = new Doors()
  readonly #upstreams: Upstreams
  readonly #forwardings = new Forwardings(() => this.#doors.placesOf((listener) => this.#choosing.has(listener)))
  /** Listeners whose clients choose where they go. */
  #choosing: ReadonlySet<AnyListener> = new Set()
  #tally: Tally | null = null
  #descriptors = 0
  #serial = 0
  #services = 0
  readonly #mirrors = new Mirrors()
  #drainEnd = Number.POSITIVE_INFINITY
  readonly #idPrefix = makeIdPrefix()

  constructor(options: RuntimeOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#counting = options.counting ?? new Counting()
    this.deadlines = options.deadlines ?? new Deadlines()
    this.#upstreams = new Upstreams({
      ...{ events: options.observer, deadlines: this.deadlines, random: this.#random, now: monotonicMs },
      ...{ secret: options.secret ?? randomBytes(32), pools: this.#poolEnvironment(), discovers: options.dial === undefined },
    })
  }

  /** No worker checks endpoints unless it is told to. */
  get health(): HealthBoard {
    return this.#upstreams.health
  }

  get connections(): number {
    let open = 0
    for (const listener of this.#everyListener()) open += listener.connections
    return open
  }

  /** Of HTTP, in a route of a TCP listener too. */
  listener(name: string): Listener | undefined {
    const listener = this.#listeners.get(name) ?? this.#inside.values().find((one) => one.name === name)
    return listener instanceof Listener ? listener : undefined
  }

  /** Of the plan in use. */
  upstream(name: string): Upstream | null {
    return this.#upstreams.get(name)
  }

  /** How the upstreams of the plan in use are, and the parents of its forward side. */
  get upstreamStates(): UpstreamState[] {
    return [...this.#upstreams.states, ...this.#forwardings.parentStates]
  }

  /** What was changed at run time about endpoints, all of it. Cannot fail. */
  changeEndpoints(changes: readonly EndpointChange[]): void {
    this.#upstreams.changeEndpoints(changes)
  }

  /** Asks for what a plan discovers, so that it need not begin with nothing. */
  async prepare(plan: Plan): Promise<void> {
    await this.#upstreams.prepare(plan)
  }

  /** Takes over a connection for a TCP listener. False: there is no such listener, or it is full. */
  connect(name: string, wire: AcceptedWire): boolean {
    const listener = this.#listeners.get(name)
    return listener instanceof TcpListener && listener.take(wire)
  }

  /** Takes a plan into use. Cannot fail. */
  use(plan: Plan, materials: Materials): Swap {
    const upstreams = this.#upstreams.use(plan, materials.originations)
    const { interceptors, blocklists, userFiles } = materials
    const environment = {
      events: this.#options.observer,
      environment: this.#poolEnvironment(),
      counting: this.#counting,
      clock: this.#options.clock ?? Date.now,
    }
    const forwardings = this.#forwardings.use(plan, { blocklists: blocklists.of, interceptors, userFiles }, environment)
    const before = this.#tally
    this.#tally = new Tally()
    const gone = new Map(this.#listeners)
    this.#listeners.clear()
    const outside = this.#inside
    this.#inside = new Map()
    for (const listener of plan.listeners) {
      const known = this.#knownListener(listener, plan, gone)
      this.#listeners.set(listener.name, this.#useListener(listener, known, outside, { plan, materials, upstreams, forwardings }))
    }
    this.#choosing = new Set(forwardListenersOf(plan.listeners).map(({ listener }) => this.#listeners.get(listener.name)!))
    this.#doors.assign(plan, this.#listeners)
    let touched = 0
    for (const listener of [...gone.values(), ...outside.values()]) {
      touched += listener.touchable
      this.#leaving.add(listener)
      listener.retire(() => this.#leaving.delete(listener))
    }
    return { touched, before }
  }

  /** Takes over a listening server, or a bound UDP socket, for a listener. `key`: of its address, by which it follows that from plan to plan. */
  accept(name: string, source: Source, key: string | null = null): void {
    // The plan may be another one by now than that for which it was opened.
    this.#doors.open(source, key, this.#listeners.get(name))
  }

  /** Closes this process's copies of the listening sockets, but for UDP: there it would end who is connected. */
  stopAccepting(): void {
    this.#doors.stopAccepting()
  }

  /**
   * Announces the end to every connection; resolves once none is left, or at the deadline, when the rest is cut: to the number of
   * these. Asked again it can only end sooner.
   */
  async drain(deadlineMs: number): Promise<number> {
    for (const listener of this.#everyListener()) listener.drain()
    this.#drainEnd = Math.min(this.#drainEnd, this.deadlines.in(deadlineMs))
    await new Promise<void>((resolve) => {
      const step = { dueAt: 0, slot: -1, onDeadline: () => {} }
      step.onDeadline = () => {
        if (this.connections > 0 && this.deadlines.now < this.#drainEnd) {
          step.dueAt = this.deadlines.now
          return
        }
        this.deadlines.remove(step)
        resolve()
      }
      this.deadlines.add(step)
    })
    const { connections } = this
    this.close()
    return connections
  }

  close(): void {
    this.health.isOn = false
    this.stopAccepting()
    for (const listener of this.#everyListener()) listener.destroy()
    this.#upstreams.close()
    this.#forwardings.close()
    this.deadlines.stop()
  }

  #everyListener(): AnyListener[] {
    return [...this.#listeners.values(), ...this.#inside.values(), ...this.#leaving]
  }

  #useListener(plan: AnyListenerPlan, known: AnyListener | null, outside: Map<string, AnyListener>, shared: Shared): AnyListener {
    switch (plan.kind) {
      case 'http':
        return this.#useShared(plan, known instanceof Listener ? known : null, outside, shared)
      case 'tcp':
        return this.#useTcp(plan, known instanceof TcpListener ? known : null, outside, shared)
      case 'socks':
        return this.#useSocks(plan, known, { forward: shared.forwardings.get(plan)!, takes: null }, shared)
      case 'udp':
        return this.#useUdp(plan, known instanceof UdpListener ? known : null, shared)
    }
  }

  /** HTTP, and on the forward side perhaps SOCKS with it, or tunnels. */
  #useShared(plan: ListenerPlan, known: Listener | null, outside: Map<string, AnyListener>, shared: Shared): Listener {
    const listener = this.#useHttp(plan, known, shared)
    const goOn = <Inside extends AnyListener>(key: string, use: (before: AnyListener | null) => Inside): Inside => {
      const used = use(outside.get(key) ?? null)
      outside.delete(key)
      this.#inside.set(key, used)
      return used
    }
    const { socks, tunnels, name } = plan
    const places = shared.forwardings.get(plan)
    if (socks === null && tunnels === null) {
      listener.share(null)
      return listener
    }
    const takes = plan.forward?.intercept ? listener : null
    listener.share({
      socks: socks === null ? null : goOn(`socks ${name}`, (before) => this.#useSocks(socks, before, { forward: places!, takes }, shared)),
      tunnels:
        tunnels === null
          ? null
          : goOn(`tunnels ${name}`, (before) => this.#useTunnels(tunnels, before, { places: places!, takes }, shared)),
    })
    return listener
  }

  /** `takes`: the listener for tunnels that may end here. */
  #useTunnels(
    plan: TcpListenerPlan,
    before: AnyListener | null,
    { places, takes }: { readonly places: Forwarding; readonly takes: Listener | null },
    shared: Shared,
  ): TcpListener {
    const known = before instanceof TcpListener ? before : null
    const service = this.#makeTcpService(plan, { places, takes, inside: new Map() }, shared)
    known?.use(service)
    return known ?? new TcpListener(service, this.#environment())
  }

  #useSocks(
    plan: SocksListenerPlan,
    before: AnyListener | null,
    { forward, takes }: { readonly forward: Forwarding; readonly takes: Listener | null },
    shared: Shared,
  ): SocksListener {
    const known = before instanceof SocksListener ? before : null
    const service: SocksService = {
      ...this.#makeShared(shared),
      listener: plan,
      forward,
      dns: this.#dns,
      counted: (change) => this.#counted(change),
      takeGranted: takes === null ? null : (tunnel, place) => takes.takeGranted(tunnel, place),
    }
    known?.use(service)
    return known ?? new SocksListener(service, this.#environment())
  }

  #useUdp(plan: UdpListenerPlan, known: UdpListener | null, shared: Shared): UdpListener {
    const open = this.#options.openLink ?? openLink
    const service: UdpService = {
      ...this.#makeShared(shared),
      listener: plan,
      openLink: (target, owner) => open(target, this.#dns, owner),
    }
    known?.use(service)
    const isShort = this.#options.isShort ?? (() => false)
    return known ?? new UdpListener(service, { ...this.#environment(), isShort })
  }

  #useHttp(plan: ListenerPlan, known: Listener | null, shared: Shared): Listener {
    const { terminations, interceptors } = shared.materials
    const intercept = plan.forward?.intercept ?? null
    const materials = {
      termination: terminations.get(plan) ?? null,
      interceptor: intercept === null ? null : interceptors.get(intercept)!,
    }
    const service = this.#makeService(plan, shared)
    known?.use(service, materials)
    return known ?? new Listener(service, materials, this.#environment())
  }

  /** `outside`: HTTP listeners of the plan before; those that go on are taken out. */
  #useTcp(plan: TcpListenerPlan, known: TcpListener | null, outside: Map<string, AnyListener>, shared: Shared): TcpListener {
    const inside = new Map<ListenerPlan, Listener>()
    for (const { destination } of plan.routes.routes) {
      if (destination.kind !== 'http') continue
      const { key, listener } = destination
      const before = outside.get(key)
      const used = this.#useHttp(listener, before instanceof Listener ? before : null, shared)
      outside.delete(key)
      this.#inside.set(key, used)
      inside.set(listener, used)
    }
    const service = this.#makeTcpService(plan, { places: shared.forwardings.get(plan) ?? null, takes: null, inside }, shared)
    known?.use(service)
    return known ?? new TcpListener(service, this.#environment())
  }

  #makeTcpService(plan: TcpListenerPlan, { places, takes, inside }: Beside, shared: Shared): TcpService {
    return {
      ...this.#makeShared(shared),
      ...{ listener: plan, places, skipsTls: this.#options.skipsTls ?? false },
      takeGranted: takes === null ? null : (tunnel, place) => takes.takeGranted(tunnel, place),
      terminationOf: (route) => shared.materials.terminations.get(route)!,
      httpListenerOf: ({ destination }) => inside.get((destination as { readonly listener: ListenerPlan }).listener)!,
    }
  }

  /** The one that goes on as this listener: of its name, or, when that name is gone, of its address. Not if TLS comes or goes. */
  #knownListener(plan: AnyListenerPlan, whole: Plan, gone: Map<string, AnyListener>): AnyListener | null {
    const names = new Set(whole.listeners.map(({ name }) => name))
    const keys = new Set(addressesOf([plan]).map(({ key }) => key))
    for (const [name, listener] of gone) {
      if (!isOfKind(listener, plan)) continue
      const isSame = name === plan.name
      const isRenamed = (): boolean => !names.has(name) && !gone.has(plan.name) && this.#doors.has(listener, keys)
      if (!isSame && !isRenamed()) continue
      gone.delete(name)
      return listener
    }
    return null
  }

  #environment(): ListenerEnvironment {
    return { observer: this.#options.observer, counted: (change) => this.#counted(change) }
  }

  #makeService(listener: ListenerPlan, shared: Shared): Service {
    const { limits, encodedSlashes, forward } = listener
    const service: Service = {
      ...this.#makeShared(shared),
      number: ++this.#services,
      listener,
      rules: {
        requestLineBytes: limits.requestLineBytes,
        fields: limits.fields,
        encodedSlashes,
        forward: forward !== null,
        transparent: listener.transparent !== null,
        own: forward?.pac?.paths ?? NO_PATHS,
      },
      forward: forward === null ? null : shared.forwardings.get(listener)!,
      places: listener.transparent === null ? null : shared.forwardings.get(listener)!,
      inside: null,
      logHooks: LogHooks.of(listener),
      mirrors: this.#mirrors,
    }
    if (forward === null) return service
    const rules = { ...service.rules, forward: false, own: NO_PATHS, asWritten: true }
    return { ...service, inside: { ...service, rules } }
  }

  /** What services of every kind have. */
  #makeShared({ plan, upstreams }: Shared) {
    const turns = new Map<SplitDestination, Balancer>()
    return {
      tally: this.#tally!,
      generation: plan.generation,
      deadlines: this.deadlines,
      observer: this.#options.observer,
      upstreamFor: (upstream: UpstreamPlan) => upstreams.get(upstream)!,
      upstreamNamed: (name: string) => {
        const upstream = plan.upstreams.get(name)
        return upstream === undefined ? null : upstreams.get(upstream)!
      },
      partOf: (split: SplitDestination, asked: Asked) => {
        if (split.by !== null) {
          const weights = split.parts.map((part) => part.weight)
          return upstreams.get(split.parts[partOfHash(weights, hashOf(split.by, asked, this.#random))]!.upstream)!
        }
        let turn = turns.get(split)
        if (turn === undefined) {
          turn = roundRobin(split.parts.map((part) => part.weight))
          turns.set(split, turn)
        }
        return upstreams.get(split.parts[Math.max(0, turn.pick(null))]!.upstream)!
      },
      requestId: (serial: number) => this.#idPrefix + serial.toString(36),
      nextSerial: () => ++this.#serial,
    }
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

const NO_PATHS: readonly string[] = []

/** What the services of one plan are made of. */
interface Shared {
  readonly plan: Plan
  readonly materials: Materials
  readonly upstreams: ReadonlyMap<UpstreamPlan, Upstream>
  readonly forwardings: ReadonlyMap<ListenerPlan | SocksListenerPlan | TcpListenerPlan, Forwarding>
}

/** What a TCP listener has to do with others. */
interface Beside {
  readonly places: Forwarding | null
  /** Gets tunnels that may end here. */
  readonly takes: Listener | null
  readonly inside: ReadonlyMap<ListenerPlan, Listener>
}

/** Whether it can go on as that one. */
function isOfKind(listener: AnyListener, plan: AnyListenerPlan): boolean {
  if (listener instanceof TcpListener) return plan.kind === 'tcp'
  if (listener instanceof UdpListener) return plan.kind === 'udp'
  if (listener instanceof SocksListener) return plan.kind === 'socks'
  return plan.kind === 'http' && listener.isSecure === (plan.tls !== null)
}

/** Ids of two workers, or of two runs, do not meet: time and chance in front, a count behind. */
function makeIdPrefix(): string {
  const chance = Math.floor(Math.random() * 36 ** 4)
    .toString(36)
    .padStart(4, '0')
  return `${Math.floor(Date.now() / 1000).toString(36)}${chance}-`
}
