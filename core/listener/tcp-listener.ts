/**
 * One TCP listener of the plan: finds out what a client asks for where a route depends on it, and hands the connection to an endpoint as
 * it is, past its TLS to an endpoint, or to HTTP. Nothing reaches an endpoint before the route is decided.
 */
import type { TLSSocket } from 'node:tls'
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
  nextOf(split: SplitDestination): Upstream
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
    const { listener, deadlines, observer } = service
    const begun = { listener: listener.name, id: service.requestId(service.nextSerial()), ip: plainAddress(wire.remoteAddress) }
    const facts = new TunnelFacts(begun, observer)
    const route = listener.routes.match(facts.ip, null)
    if (route === 'undecided') return this.keep(new Detection(wire, this, { facts, deadlines, limitMs: listener.timeouts.detect }))
    const stage = new Interim(wire, this)
    this.keep(stage)
    this.#goOn(stage, route, { wire, facts, early: NOTHING, hasEnded: false })
  }

  detected(detection: Detection, { greeting, ...decided }: Detected): void {
    const route = this.service.listener.routes.match(decided.facts.ip, greeting)
    if (route === 'undecided') throw new Error('a route is decided once the greeting is known')
    this.#goOn(detection, route, decided)
  }

  /** `stage`: what the connection was so far. */
  #goOn(stage: Accepted, route: TcpRoutePlan | null, decided: Decided): void {
    const { wire, facts, early } = decided
    if (route === null) {
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

  #enter(listener: Listener, stage: Accepted, { wire, early, hasEnded }: Decided): void {
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

  #relayOptions({ destination }: TcpRoutePlan, { facts, early, hasEnded }: Decided): RelayOptions {
    if (destination.kind === 'http') throw new Error('HTTP is not relayed')
    const { service } = this
    const { deadlines, listener } = service
    const upstream = destination.kind === 'split' ? service.nextOf(destination) : service.upstreamFor(destination.upstream)
    return { facts, upstream, early, hasEnded, alpn: [], deadlines, idleMs: listener.timeouts.tunnelIdle }
  }
}

function whatCame({ protocol, sni }: TunnelFacts, early: Buffer): string {
  if (protocol === 'TLS') return sni === null ? 'TLS without a server name' : `TLS for ${sni}`
  return early.length === 0 ? 'the client says nothing' : 'the client speaks no TLS'
}
