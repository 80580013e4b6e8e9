/**
 * One TCP listener of the plan: finds out what a client asks for where a route depends on it, and hands the connection to an endpoint as
 * it is, past its TLS to an endpoint, or to HTTP. Nothing reaches an endpoint before the route is decided.
 */
import type { TLSSocket } from 'node:tls'
import { peerOf } from '../connection/announced.ts'
import { ConnectionHooks, type Decision } from '../connection/connection-hooks.ts'
import type { DoorCount, GatewayHome } from '../connection/gateway-tunnel.ts'
import type { Accepted, Granted } from '../connection/home.ts'
import { Relay, type RelayOptions } from '../connection/relay.ts'
import { TunnelFacts } from '../connection/tunnel-facts.ts'
import type { Deadlines } from '../deadlines.ts'
import type { HandshakeFailure, Observer } from '../events.ts'
import type { Refusal } from '../forward/access.ts'
import { type Forwarding, refusalOf } from '../http/forwarding.ts'
import { plainAddress } from '../http/identity.ts'
import type { Tally } from '../http/tally.ts'
import type { CidrSet } from '../net/cidr.ts'
import { formatDestination, makeDestination, type NamedDestination } from '../net/destination.ts'
import { originalDestination } from '../net/original-destination.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Secured } from '../net/secured.ts'
import { wireOfSecured } from '../net/tls-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import type { GatewayPlan, SplitDestination, TcpListenerPlan, TcpRoutePlan } from '../plan/plan.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import { pacedBy } from '../policy/paced-wire.ts'
import type { Greeting } from '../route/tcp-table.ts'
import type { Asked } from '../upstream/request-key.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { Acceptor, type Place } from './acceptor.ts'
import { AwaitedHeader, type AwaitedHeaderHome } from './awaited-header.ts'
import { type Detected, Detection, type DetectionHome } from './detection.ts'
import type { FirstRead } from './first-byte.ts'
import { Handshake } from './handshake.ts'
import { Interim } from './interim.ts'
import type { Listener } from './listener.ts'
import type { Termination } from './termination.ts'

/** What every connection of a TCP listener shares: its plan and the runtime behind it. */
export interface TcpService {
  readonly tally: Tally
  readonly generation: number
  readonly listener: TcpListenerPlan
  readonly deadlines: Deadlines
  readonly observer: Observer
  upstreamFor(plan: UpstreamPlan): Upstream
  upstreamNamed(name: string): Upstream | null
  partOf(split: SplitDestination, asked: Asked): Upstream
  /** Of a route that terminates TLS in front of an upstream. */
  terminationOf(route: TcpRoutePlan): Termination
  /** Of a route to HTTP. */
  httpListenerOf(route: TcpRoutePlan): Listener
  requestId(serial: number): string
  nextSerial(): number
  /** Of a listener whose clients were on their way to elsewhere: rules about that, and connections to it. */
  readonly places: Forwarding | null
  /** Takes over tunnels that may end here; null: none do. */
  readonly takeGranted: ((tunnel: Granted, place: Place) => void) | null
  /** In a simulation: after a hello comes what would be inside of TLS. */
  readonly skipsTls: boolean
}

/** For a TLS handshake, once its first message is there; and for a header of the PROXY protocol. */
const HANDSHAKE_MS = 10_000
const NOTHING = Buffer.alloc(0)

type Decided = Omit<Detected, 'greeting'>

export class TcpListener extends Acceptor<TcpService> implements DetectionHome, AwaitedHeaderHome {
  /** Connections that HTTP listeners inside have got from this one. */
  #inside = 0
  readonly #doors: DoorCount = { open: 0 }

  use(service: TcpService): void {
    this.useService(service)
  }

  protected readonly isReadBySockets = false

  /** Takes over what another listener has accepted and begun to read. `early` is valid inside the call only. */
  enter(wire: AcceptedWire, { early, header }: FirstRead, place: Place): void {
    const stage = new Interim(wire, this)
    this.keep(stage, place)
    if (this.isGone || this.isFull()) return wire.reset()
    wire.pause()
    this.#welcome(stage, wire, header, Buffer.from(early))
  }

  protected override isFull(): boolean {
    return this.connections + this.#inside >= this.service.listener.limits.connections
  }

  protected start(wire: AcceptedWire): void {
    const { listener, deadlines } = this.service
    if (!listener.requiresProxyHeader) return this.#welcome(null, wire, null, NOTHING)
    if (isTrusted(listener.trust, wire.remoteAddress)) return this.keep(new AwaitedHeader(wire, this, { deadlines, limitMs: HANDSHAKE_MS }))
    this.handshakeFailed('untrusted', wire.remoteAddress, wire.remoteAddress)
    this.keep(new Interim(wire, this))
    wire.destroy()
  }

  headerRead(awaited: AwaitedHeader, header: ProxyHeader, rest: Buffer): void {
    const { wire } = awaited
    wire.pause()
    const stage = new Interim(wire, this)
    this.replace(awaited, stage)
    this.#welcome(stage, wire, header, rest)
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void {
    this.environment.observer.handshakeFailed(this.name, why, detail, plainAddress(address))
  }

  /** `stage`: what the connection was so far; null: nothing. `early`: what was read behind the header. */
  #welcome(stage: Accepted | null, wire: AcceptedWire, header: ProxyHeader | null, early: Buffer): void {
    const { service } = this
    const { listener } = service
    const facts = new TunnelFacts(service, peerOf(wire.remoteAddress, header))
    const port = header?.source?.port ?? wire.remotePort
    const hooks = listener.hooks.length === 0 ? null : new ConnectionHooks(listener.hooks, { listener: listener.name, ip: facts.ip, port })
    const decided = { wire, facts, header, early, hasEnded: false, hooks }
    if (hooks === null) return this.#begin(stage, decided)
    const kept = stage ?? new Interim(wire, this)
    if (stage === null) this.keep(kept)
    hooks.ask('listener', 'onConnection', null, (decision) => {
      if (this.#mayGoOn(decision, decided, kept)) this.#begin(kept, decided)
    })
  }

  #begin(stage: Accepted | null, decided: Decided): void {
    const { facts, hooks, wire } = decided
    const route = this.service.listener.routes.match(facts.ip, null)
    if (route === 'undecided' || hooks?.wantsHello === true || route?.wantsHello === true) return this.#detect(stage, decided)
    const from = stage ?? new Interim(wire, this)
    if (stage === null) this.keep(from)
    this.#choose(from, route, null, decided)
  }

  #detect(stage: Accepted | null, { wire, facts, hooks, header, early }: Decided): void {
    const { listener, deadlines } = this.service
    const detection = new Detection(wire, this, { facts, hooks, header, deadlines, limitMs: listener.timeouts.detect })
    if (stage === null) this.keep(detection)
    else this.replace(stage, detection)
    if (early.length > 0) detection.onBytes(early, early.length)
  }

  detected(detection: Detection, { greeting, ...decided }: Detected): void {
    const goOn = (): void => {
      const route = this.service.listener.routes.match(decided.facts.ip, greeting)
      if (route === 'undecided') throw new Error('a route is decided once the greeting is known')
      this.#choose(detection, route, greeting, decided)
    }
    const { hooks } = decided
    if (greeting === 'none' || hooks === null || !hooks.wantsHello) return goOn()
    hooks.ask('listener', 'onClientHello', greeting, (decision) => {
      if (this.#mayGoOn(decision, decided, detection)) goOn()
    })
  }

  /** The hooks of the route have their say, of the client's connection and then of its hello. `greeting` null: nobody has looked. */
  #choose(stage: Accepted, route: TcpRoutePlan | null, greeting: Greeting | null, decided: Decided): void {
    // Its routes are in no other plan, and one may be in force by the time that hooks have answered.
    const { service } = this
    if (route === null || route.hooks.length === 0) return this.#goOn(stage, route, decided, service)
    const { wire, facts, header } = decided
    const { listener, ip } = facts
    const port = header?.source?.port ?? wire.remotePort
    const hooks = decided.hooks ?? new ConnectionHooks([], { listener, ip, port })
    hooks.addRoute(route.hooks)
    facts.routed(route)
    const withHooks = { ...decided, hooks }
    hooks.ask('route', 'onConnection', null, (decision) => {
      if (!this.#mayGoOn(decision, withHooks, stage)) return
      if (greeting === null || greeting === 'none') return this.#goOn(stage, route, withHooks, service)
      hooks.ask('route', 'onClientHello', greeting, (next) => {
        if (this.#mayGoOn(next, withHooks, stage)) this.#goOn(stage, route, withHooks, service)
      })
    })
  }

  /** What hooks have decided is carried out. True: they leave it to the routes. */
  #mayGoOn(decision: Decision | null, decided: Decided, stage: Accepted): boolean {
    const { wire, facts, hooks } = decided
    // Gone meanwhile, or with its listener.
    if (wire.closed || this.isGone) {
      facts.end('client_gone', null)
      hooks?.close()
      if (!wire.closed) wire.reset()
      return false
    }
    if (decision === null) return true
    facts.decidedBy = decision.by
    const upstream = decision.upstream === null ? null : this.service.upstreamNamed(decision.upstream)
    if (upstream !== null) {
      this.#relay(stage, wire, this.#relayOptions(upstream, decided))
      return false
    }
    facts.bytesIn = decided.early.length
    if (decision.upstream === null) facts.end(decision.code, decision.detail)
    else facts.end('unknown_upstream', decision.upstream)
    hooks?.close()
    this.replace(stage, new Interim(wire, this))
    wire.reset()
    return false
  }

  /** `stage`: what the connection was so far. */
  #goOn(stage: Accepted, route: TcpRoutePlan | null, decided: Decided, service: TcpService): void {
    const { wire, facts, early } = decided
    if (route === null) return this.#refuse(stage, decided, { code: 'no_route', detail: whatCame(facts, early) })
    facts.routed(route)
    const { destination, tls } = route
    if (destination.kind === 'http') return this.#enter(service.httpListenerOf(route), stage, decided)
    if (destination.kind === 'original') return this.#leadOn(stage, destination.byName, decided, service)
    const upstream = chosen(destination, facts, service)
    if (tls === null) this.#relay(stage, wire, this.#relayOptions(upstream, decided))
    else this.#terminate(stage, { termination: service.terminationOf(route), upstream }, decided)
  }

  #refuse(stage: Accepted, { wire, facts, early, hooks }: Decided, { code, detail }: Refusal): void {
    hooks?.close()
    facts.bytesIn = early.length
    facts.end(code, detail)
    this.replace(stage, new Interim(wire, this))
    wire.reset()
  }

  /** To where the client wanted to go before it was sent here. */
  #leadOn(stage: Accepted, byName: boolean, decided: Decided, service: TcpService): void {
    const place = whereItWanted(byName, decided, service)
    if ('code' in place) return this.#refuse(stage, decided, place)
    const { wire, header, facts, early, hasEnded } = decided
    const { takeGranted } = service
    const { limits, interception, upstreamTo } = service.places!
    const meter = limits?.meter(null, facts.ip) ?? null
    const spent = meter?.refusal() ?? null
    if (spent !== null) return this.#refuse(stage, decided, spent)
    const paced = pacedBy(limits?.paces(null, facts.ip, (ending) => facts.whenEnded(ending)) ?? null)
    if (takeGranted !== null && interception?.reads(place.host, facts.ip) === true)
      return takeGranted({ wire, header, facts, destination: place, user: null, paced, meter, early, hasEnded }, this.release(stage))
    this.#relay(stage, wire, { ...this.#relayOptions(upstreamTo(place, null), decided), paced, meter })
  }

  #enter(listener: Listener, stage: Accepted, { wire, facts, early, hasEnded, header, hooks }: Decided): void {
    // What follows are requests, with hooks of their own.
    hooks?.close()
    facts.handedOver()
    const { name } = this.release(stage)
    if (this.service.skipsTls && listener.isSecure) return void listener.admit(wire, 'https')
    this.#inside++
    listener.enter(wire, { early, hasEnded, header }, { name, left: () => this.#inside-- })
  }

  #terminate(
    stage: Accepted,
    { termination, upstream }: { readonly termination: Termination; readonly upstream: Upstream },
    decided: Decided,
  ): void {
    const { facts, early } = decided
    const options = this.#relayOptions(upstream, { ...decided, early: NOTHING })
    if (this.service.skipsTls) return this.#relay(stage, decided.wire, options)
    const done = (handshake: Handshake, carrier: TLSSocket | Wire, _: Secured, alpn: string | null): void =>
      this.#relay(handshake, wireOfSecured(carrier), { ...options, alpn: alpn === null ? [] : [alpn] })
    const handshake = new Handshake(
      decided.wire,
      {
        handshakeDone: done,
        handshakeFailed: (why, detail) => {
          this.environment.observer.handshakeFailed(this.name, why, detail, facts.ip)
          facts.bytesIn = early.length
          facts.end('handshake_failed', detail ?? why)
        },
        connectionClosed: (one) => this.connectionClosed(one),
      },
      { termination, deadlines: options.deadlines, limitMs: HANDSHAKE_MS, header: null, hello: early },
    )
    this.replace(stage, handshake)
  }

  #relay(stage: Accepted, wire: Wire, options: RelayOptions): void {
    const relay = new Relay(wire, this, options)
    this.replace(stage, relay)
    relay.start()
  }

  #relayOptions(upstream: Upstream, { facts, early, hasEnded, header, hooks }: Decided): RelayOptions {
    const { deadlines, listener } = this.service
    const gateway = listener.gateway === null ? null : this.#gatewayHome(listener.gateway)
    return { facts, upstream, early, hasEnded, header, hooks, gateway, alpn: [], deadlines, idleMs: listener.timeouts.tunnelIdle }
  }

  #gatewayHome(plan: GatewayPlan): GatewayHome {
    return { plan, doors: this.#doors, counted: this.environment.counted }
  }
}

type Chosen = SplitDestination | { readonly kind: 'upstream'; readonly upstream: UpstreamPlan }

function chosen(destination: Chosen, { ip }: TunnelFacts, { upstreamFor, partOf }: TcpService): Upstream {
  if (destination.kind === 'upstream') return upstreamFor(destination.upstream)
  return partOf(destination, { ip, request: null, view: () => null })
}

/** `byName`: rather the name that its TLS asks for, at the same port. */
function whereItWanted(byName: boolean, { wire, facts }: Decided, { listener, places }: TcpService): NamedDestination | Refusal {
  const original = originalDestination(wire, listener.transparent!.by)
  if (original === null) return { code: 'not_redirected', detail: null }
  const named = byName && facts.sni !== null ? makeDestination(facts.sni, original.port) : null
  const place = named ?? original
  facts.destination = formatDestination(place)
  const { access } = places!.plan
  return access.refuseClient(facts.ip) ?? refusalOf(places!, place, 'tunnel', facts) ?? place
}

/** Whoever reaches a unix socket is. */
function isTrusted(trust: CidrSet | null, address: string): boolean {
  return address === '' || trust?.has(address) === true
}

function whatCame({ protocol, sni }: TunnelFacts, early: Buffer): string {
  if (protocol === 'TLS') return sni === null ? 'TLS without a server name' : `TLS for ${sni}`
  return early.length === 0 ? 'the client says nothing' : 'the client speaks no TLS'
}
