/**
 * One SOCKS listener of the plan: lets in who may come, reads what the client wants, and connects it with the place that it names, if that
 * is allowed: what a name resolves to is found out and looked at here, never by the client.
 */

import { peerOf } from '../connection/announced.ts'
import type { Accepted, Granted } from '../connection/home.ts'
import { Parting } from '../connection/parting.ts'
import { Relay, type RelayOptions } from '../connection/relay.ts'
import type { Screen } from '../connection/screened-wire.ts'
import { Opening, type OpeningHome, replyFor } from '../connection/socks-opening.ts'
import { TunnelFacts } from '../connection/tunnel-facts.ts'
import { UdpAssociation } from '../connection/udp-association.ts'
import type { Deadlines } from '../deadlines.ts'
import type { HandshakeFailure, Observer } from '../events.ts'
import type { Blocks } from '../forward/blocks.ts'
import { type Forwarding, refusalOf } from '../http/forwarding.ts'
import { plainAddress } from '../http/identity.ts'
import type { Tally } from '../http/tally.ts'
import { canonicalAddress, formatDestination } from '../net/destination.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import { type ConnectRequest, type SocksRequest, socksReply } from '../net/socks.ts'
import type { AcceptedWire } from '../net/wire.ts'
import type { SocksListenerPlan } from '../plan/forward-plan.ts'
import { pacedBy } from '../policy/paced-wire.ts'
import type { Meter } from '../policy/quota.ts'
import type { DnsCache } from '../upstream/dns.ts'
import { Acceptor, type ListenerEnvironment, type Place } from './acceptor.ts'
import { AwaitedHeader, type AwaitedHeaderHome } from './awaited-header.ts'
import type { FirstRead } from './first-byte.ts'
import { Interim } from './interim.ts'

/** What every connection of a SOCKS listener shares: its plan and the runtime behind it. */
export interface SocksService {
  readonly tally: Tally
  readonly generation: number
  readonly listener: SocksListenerPlan
  readonly forward: Forwarding
  readonly deadlines: Deadlines
  readonly observer: Observer
  readonly dns: DnsCache
  /** A descriptor of an association was opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
  /** Takes tunnels over that may end here; null: none do. */
  readonly takeGranted: ((tunnel: Granted, place: Place) => void) | null
  requestId(serial: number): string
  nextSerial(): number
}

const NOTHING = Buffer.alloc(0)

export class SocksListener extends Acceptor<SocksService> implements OpeningHome, AwaitedHeaderHome {
  /** These two also when no plan names it any more. */
  readonly #deadlines: Deadlines
  #forward: Forwarding

  constructor(service: SocksService, environment: ListenerEnvironment) {
    super(service, environment)
    this.#deadlines = service.deadlines
    this.#forward = service.forward
  }

  use(service: SocksService): void {
    this.useService(service)
    this.#forward = service.forward
  }

  protected readonly isReadBySockets = false

  /** Takes over what another listener has accepted and begun to read. `early` is valid inside the call only. */
  enter(wire: AcceptedWire, begun: FirstRead, place: Place): void {
    if (!this.isGone && !this.isFull()) return this.#begin(wire, begun, place)
    this.keep(new Interim(wire, this), place)
    wire.reset()
  }

  protected start(wire: AcceptedWire): void {
    const { listener, deadlines } = this.service
    if (!listener.requiresProxyHeader) return this.#begin(wire, { early: NOTHING, header: null })
    // Whoever reaches a unix socket is trusted.
    if (wire.remoteAddress === '' || listener.trust?.has(wire.remoteAddress) === true)
      return this.keep(new AwaitedHeader(wire, this, { deadlines, limitMs: listener.timeouts.handshake }))
    this.handshakeFailed('untrusted', wire.remoteAddress, wire.remoteAddress)
    this.keep(new Interim(wire, this))
    wire.destroy()
  }

  headerRead(awaited: AwaitedHeader, header: ProxyHeader, rest: Buffer): void {
    this.#begin(awaited.wire, { early: rest, header }, this.release(awaited))
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void {
    this.environment.observer.handshakeFailed(this.name, why, detail, plainAddress(address))
  }

  #begin(wire: AcceptedWire, { early, header }: FirstRead, place?: Place): void {
    const { service } = this
    const { listener, forward, deadlines } = service
    const facts = new TunnelFacts(service, peerOf(wire.remoteAddress, header))
    facts.protocol = 'SOCKS'
    const refused = forward.plan.access.refuseClient(facts.ip)
    if (refused !== null) {
      // Which answer it would understand is not known yet.
      this.keep(new Interim(wire, this), place)
      facts.end(refused.code, refused.detail)
      return wire.reset()
    }
    const { udp, timeouts } = listener
    const opening = new Opening(wire, this, { header, facts, passwords: forward.passwords, udp, deadlines, limitMs: timeouts.handshake })
    this.keep(opening, place)
    opening.start(early)
  }

  asked(opening: Opening, request: SocksRequest): void {
    const { facts } = opening
    const { version } = request
    facts.protocol = request.command === 'udp' ? 'UDP' : version === 4 ? 'SOCKS4' : 'SOCKS5'
    // The listener went while the client was asked for its password.
    if (this.isGone) {
      facts.end('internal', 'the listener is gone')
      return this.#part(opening, opening, replyFor(version, 'internal', null))
    }
    const { limits } = this.service.forward
    const meter = limits?.meter(facts.user, facts.ip) ?? null
    const spent = meter?.refusal() ?? null
    if (spent !== null) {
      if (request.command === 'connect') facts.destination = formatDestination(request.destination)
      facts.end(spent.code, spent.detail)
      return this.#part(opening, opening, replyFor(version, spent.code, spent.detail))
    }
    if (request.command === 'udp') return this.#associate(opening, request.clientPort, meter)
    const { destination } = request
    facts.destination = formatDestination(destination)
    const refused = refusalOf(this.service.forward, destination, 'tunnel', facts)
    if (refused === null) return this.#connect(opening, request, meter)
    facts.end(refused.code, refused.detail)
    this.#part(opening, opening, replyFor(version, refused.code, refused.detail))
  }

  #connect(opening: Opening, { version, destination, early }: ConnectRequest, meter: Meter | null): void {
    const { facts, wire, header, hasEnded } = opening
    const { forward, deadlines, listener, takeGranted } = this.service
    const paced = pacedBy(forward.limits?.paces(facts.user, facts.ip, (ending) => facts.whenEnded(ending)) ?? null)
    if (takeGranted !== null && forward.interception?.reads(destination.host, facts.ip) === true) {
      const answer = socksReply(version, 'granted')
      wire.write('', answer, 0, answer.length)
      return takeGranted({ wire, header, facts, destination, user: facts.user, paced, meter, early, hasEnded }, this.release(opening))
    }
    const options: RelayOptions = {
      ...{ facts, early, hasEnded, hooks: null, header: null, alpn: [], deadlines, idleMs: listener.timeouts.tunnelIdle },
      upstream: forward.upstreamTo(destination, null),
      answers: {
        connected: socksReply(version, 'granted'),
        failed: (relay, code, detail) => this.#part(relay, opening, replyFor(version, code, detail)),
      },
      screen: forward.blocks === null ? null : screenOf(forward.blocks, facts),
      ...{ meter, paced },
    }
    const relay = new Relay(wire, this, options)
    this.replace(opening, relay)
    relay.start()
  }

  #associate(opening: Opening, clientPort: number, meter: Meter | null): void {
    const { facts, wire } = opening
    const { deadlines, listener, dns, counted, forward } = this.service
    const local = canonicalAddress(plainAddress(wire.facts().destination?.ip ?? ''))
    if (local === null) {
      facts.end('unsupported_socks', 'datagrams of a client without an address')
      return this.#part(opening, opening, replyFor(5, 'unsupported_socks', null))
    }
    const paces = forward.limits?.paces(facts.user, facts.ip, (ending) => facts.whenEnded(ending)) ?? null
    const association = new UdpAssociation(wire, this, {
      ...{ facts, meter, paces, localAddress: local, clientPort, deadlines, idleMs: listener.timeouts.udpIdle, counted },
      // Of the plan in force: it may outlive many.
      refusalOf: (destination) => refusalOf(this.#forward, destination, 'tunnel', facts),
      guard: (address, port) => this.#forward.guard(address, port),
      resolve: (name, done) => dns.resolve(name, done),
    })
    this.replace(opening, association)
    association.start()
  }

  refused(opening: Opening, answer: Buffer | null): void {
    if (answer !== null) return this.#part(opening, opening, answer)
    this.replace(opening, new Interim(opening.wire, this))
    opening.wire.reset()
  }

  /** `stage`: what the connection was so far. */
  #part(stage: Accepted, { wire }: Opening, answer: Buffer): void {
    const parting = new Parting(wire, this, this.#deadlines)
    this.replace(stage, parting)
    parting.say(answer)
  }
}

function screenOf(blocks: Blocks, facts: TunnelFacts): Screen {
  const asked: Screen['asked'] = (serverName, refused) => {
    facts.sni = serverName
    if (refused === null) return
    facts.reason = refused.code
    facts.detail = refused.detail
  }
  return { blocks, asked }
}
