/**
 * One TCP listener of the plan: finds out what a client asks for where a route depends on it, and hands the connection to an endpoint as
 * it is, past its TLS to an endpoint, or to HTTP. Nothing reaches an endpoint before the route is decided.
 */
import type { TLSSocket } from 'node:tls'
import { ConnectionHooks, type Decision } from '../connection/connection-hooks.ts'
import type { Accepted } from '../connection/home.ts'
import { Relay, type RelayOptions } from '../connection/relay.ts'
import { TunnelFacts } from '../connection/tunnel-facts.ts'
import type { Deadlines } from '../deadlines.ts'
import type { Observer } from '../events.ts'
import { plainAddress } from '../http/identity.ts'
import type { Tally } from '../http/tally.ts'
import type { Secured } from '../net/secured.ts'
import { wireOfSecured } from '../net/tls-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import type { SplitDestination, TcpListenerPlan, TcpRoutePlan, UpstreamPlan } from '../plan/plan.ts'
import type { Asked } from '../upstream/request-key.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { Acceptor } from './acceptor.ts'
import { type Detected, Detection, type DetectionHome } from './detection.ts'
import { Handshake } from './handshake.ts'
import { Interim } from './interim.ts'
import type { Listener } from './listener.ts'
import type { Termination } from './termination.ts'

/** What every connection of a TCP listener shares: its plan and the runtime behind it. */
export interface TcpService {
  readonly tally: Tally
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
}

/** For a TLS handshake, once its first message is there. */
const HANDSHAKE_MS = 10_000
const NOTHING = Buffer.alloc(0)

type Decided = Omit<Detected, 'greeting'>

export class TcpListener extends Acceptor<TcpService> implements DetectionHome {
  /** Connections that HTTP listeners inside have got from this one. */
  #inside = 0

  use(service: TcpService): void {
    this.useService(service)
  }

  protected readonly isReadBySockets = false

  protected override isFull(): boolean {
    return this.connections + this.#inside >= this.service.listener.limits.connections
  }

  protected start(wire: AcceptedWire): void {
    const { service } = this
    const { listener, observer } = service
    const begun = { listener: listener.name, id: service.requestId(service.nextSerial()), ip: plainAddress(wire.remoteAddress) }
    const facts = new TunnelFacts(begun, observer)
    const hooks = listener.hooks.length === 0 ? null : new ConnectionHooks(listener.hooks, { ...begun, port: wire.remotePort })
    if (hooks === null) return this.#begin(null, wire, facts, null)
    const stage = new Interim(wire, this)
    this.keep(stage)
    hooks.ask('onConnection', null, (decision) => {
      if (this.#mayGoOn(decision, { wire, facts, early: NOTHING, hasEnded: false, hooks }, stage)) this.#begin(stage, wire, facts, hooks)
    })
  }

  /** `stage`: what it was so far; null: nothing. */
  #begin(stage: Accepted | null, wire: AcceptedWire, facts: TunnelFacts, hooks: ConnectionHooks | null): void {
    const { listener, deadlines } = this.service
    const route = listener.routes.match(facts.ip, null)
    if (route === 'undecided' || hooks?.wantsHello === true) {
      const detection = new Detection(wire, this, { facts, hooks, deadlines, limitMs: listener.timeouts.detect })
      return stage === null ? this.keep(detection) : this.replace(stage, detection)
    }
    const from = stage ?? new Interim(wire, this)
    if (stage === null) this.keep(from)
    this.#goOn(from, route, { wire, facts, early: NOTHING, hasEnded: false, hooks })
  }

  detected(detection: Detection, { greeting, ...decided }: Detected): void {
    const goOn = (): void => {
      const route = this.service.listener.routes.match(decided.facts.ip, greeting)
      if (route === 'undecided') throw new Error('a route is decided once the greeting is known')
      this.#goOn(detection, route, decided)
    }
    const { hooks } = decided
    if (greeting === 'none' || hooks === null || !hooks.wantsHello) return goOn()
    hooks.ask('onClientHello', greeting, (decision) => {
      if (this.#mayGoOn(decision, decided, detection)) goOn()
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
    const upstream = decision.upstream === null ? null : this.service.upstreamNamed(decision.upstream)
    if (upstream !== null) {
      const { deadlines, listener } = this.service
      const { early, hasEnded } = decided
      this.#relay(stage, wire, { facts, upstream, early, hasEnded, hooks, alpn: [], deadlines, idleMs: listener.timeouts.tunnelIdle })
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
  #goOn(stage: Accepted, route: TcpRoutePlan | null, decided: Decided): void {
    const { wire, facts, early } = decided
    if (route === null) {
      decided.hooks?.close()
      facts.bytesIn = early.length
      facts.end('no_route', whatCame(facts, early))
      this.replace(stage, new Interim(wire, this))
      return wire.reset()
    }
    facts.route = route.id
    if (route.destination.kind === 'http') return this.#enter(this.service.httpListenerOf(route), stage, decided)
    if (route.tls === null) this.#relay(stage, wire, this.#relayOptions(route, decided))
    else this.#terminate(stage, route, decided)
  }

  #enter(listener: Listener, stage: Accepted, { wire, early, hasEnded, hooks }: Decided): void {
    // What follows are requests, with hooks of their own.
    hooks?.close()
    const { name } = this.release(stage)
    this.#inside++
    listener.enter(wire, { early, hasEnded }, { name, left: () => this.#inside-- })
  }

  #terminate(stage: Accepted, route: TcpRoutePlan, decided: Decided): void {
    const { facts, early } = decided
    const options = this.#relayOptions(route, { ...decided, early: NOTHING })
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
      { termination: this.service.terminationOf(route), deadlines: options.deadlines, limitMs: HANDSHAKE_MS, header: null, hello: early },
    )
    this.replace(stage, handshake)
  }

  #relay(stage: Accepted, wire: Wire, options: RelayOptions): void {
    const relay = new Relay(wire, this, options)
    this.replace(stage, relay)
    relay.start()
  }

  #relayOptions({ destination }: TcpRoutePlan, { facts, early, hasEnded, hooks }: Decided): RelayOptions {
    if (destination.kind === 'http') throw new Error('HTTP is not relayed')
    const { service } = this
    const { deadlines, listener } = service
    const upstream =
      destination.kind === 'split'
        ? service.partOf(destination, { ip: facts.ip, request: null, view: () => null })
        : service.upstreamFor(destination.upstream)
    return { facts, upstream, early, hasEnded, hooks, alpn: [], deadlines, idleMs: listener.timeouts.tunnelIdle }
  }
}

function whatCame({ protocol, sni }: TunnelFacts, early: Buffer): string {
  if (protocol === 'TLS') return sni === null ? 'TLS without a server name' : `TLS for ${sni}`
  return early.length === 0 ? 'the client says nothing' : 'the client speaks no TLS'
}
