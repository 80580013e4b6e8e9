/**
 * One HTTP listener of the plan: terminates TLS, and hands each connection to its protocol. What it accepts next runs on the service in
 * force.
 */
import type { TLSSocket } from 'node:tls'
import type { Accepted, ConnectionHome, Granted } from '../connection/home.ts'
import { Http1Connection } from '../connection/http1.ts'
import { Http2Connection } from '../connection/http2.ts'
import type { HandshakeFailure } from '../events.ts'
import { plainAddress } from '../http/identity.ts'
import type { Service } from '../http/service.ts'
import type { NamedDestination } from '../net/destination.ts'
import type { NameTable } from '../net/name-table.ts'
import { originalDestination } from '../net/original-destination.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Secured } from '../net/secured.ts'
import { wireOfSecured } from '../net/tls-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import { hostName } from '../request-view.ts'
import { Acceptor, type ListenerEnvironment, type Place } from './acceptor.ts'
import { AwaitedHeader, type AwaitedHeaderHome } from './awaited-header.ts'
import { FirstByte, type FirstByteHome, isHttp, isSocks } from './first-byte.ts'
import { Handshake, type HandshakeHome, wasReset } from './handshake.ts'
import { acceptedWire, Interceptions, type InterceptionsHome } from './interceptions.ts'
import type { Interceptor } from './interceptor.ts'
import { Interim } from './interim.ts'
import type { SocksListener } from './socks-listener.ts'
import type { TcpListener } from './tcp-listener.ts'
import { type Termination, terminationFor } from './termination.ts'

/** What its plan needs besides itself. */
export interface ListenerMaterials {
  /** Null: plain text. */
  readonly termination: Termination | null
  /** Null: no tunnel ends here. */
  readonly interceptor: Interceptor | null
}

/** What another listener has read of a connection. */
export interface Begun {
  readonly header: ProxyHeader | null
  /** What came behind the header. */
  readonly early: Buffer
  /** The client sends no more. */
  readonly hasEnded: boolean
}

/** On the forward side: who gets connections that begin as SOCKS does, and who all that is neither that nor HTTP. */
export interface Others {
  readonly socks: SocksListener | null
  readonly tunnels: TcpListener | null
}

export class Listener
  extends Acceptor<Service>
  implements ConnectionHome, InterceptionsHome, HandshakeHome, AwaitedHeaderHome, FirstByteHome
{
  #termination: Termination | null
  /** Those that get what begins as no HTTP does. */
  #others: Others | null = null
  /** Connections that they have got. */
  #entered = 0
  readonly inside = null
  /** Tunnels that end here; null: none ever did. */
  #interceptions: Interceptions | null = null
  /** Of the plan in force. */
  interceptor: Interceptor | null

  constructor(service: Service, { termination, interceptor }: ListenerMaterials, environment: ListenerEnvironment) {
    super(service, environment)
    this.#termination = termination
    this.interceptor = interceptor
  }

  get isSecure(): boolean {
    return this.#termination !== null
  }

  /** Another plan, for the next exchange on; and new certificates for the next handshake on. */
  use(service: Service, { termination, interceptor }: ListenerMaterials): void {
    this.useService(service)
    this.#termination = termination
    this.interceptor = interceptor
    this.#interceptions?.use()
  }

  granted(connection: Accepted, tunnel: Granted): void {
    const wire = acceptedWire(tunnel.wire)
    if (wire === null) throw new Error('a tunnel inside of TLS ends with that')
    this.#interceptions ??= new Interceptions(this)
    this.#interceptions.begin(connection, { ...tunnel, wire })
  }

  /** The same of what another listener has accepted. */
  takeGranted(tunnel: Granted, { name, left }: Place): void {
    left?.()
    const stage = new Interim(tunnel.wire, this)
    this.keep(stage, { name, left: null })
    if (!this.isGone) return this.granted(stage, tunnel)
    tunnel.facts.end('internal', 'the listener is gone')
    tunnel.wire.destroy()
  }

  /** For tunnels that end here, too. */
  override replace(before: Accepted, after: Accepted): void {
    super.replace(before, after)
  }

  /** Null: there is HTTP alone. */
  share(others: Others | null): void {
    this.#others = others
  }

  /** Takes over a connection that is past its handshake. False: no more are let in. */
  admit(wire: Wire, scheme: 'http' | 'https'): boolean {
    if (this.isFull()) return false
    this.count()
    this.keep(new Http1Connection(wire, this, scheme, null))
    return true
  }

  /** The same of what would come by a tunnel to there. Null: such tunnels pass unread. */
  admitInside(wire: Wire, destination: NamedDestination): boolean | null {
    if (this.isFull()) return false
    this.#interceptions ??= new Interceptions(this)
    const connection = this.#interceptions.enter(wire, destination)
    if (connection === null) return null
    this.count()
    this.keep(connection)
    return true
  }

  /** Takes over what another listener has accepted and begun to read. */
  enter(wire: AcceptedWire, { early, hasEnded, header }: Begun, place: Place): void {
    if (this.isGone || this.isFull()) {
      this.keep(new Interim(wire, this), place)
      return wire.reset()
    }
    const termination = this.#termination
    if (termination !== null) {
      const { deadlines, listener } = this.service
      const options = { termination, deadlines, limitMs: listener.timeouts.requestHead, header, hello: early }
      return this.keep(new Handshake(wire, this, options), place)
    }
    const connection = new Http1Connection(wire, this, 'http', header)
    this.keep(connection, place)
    if (early.length > 0) connection.onBytes(early, early.length)
    if (hasEnded && !wire.closed) wire.owner.onEnd()
  }

  /** By what holds now: a client that was let in before a certificate was asked for has to come again. */
  isMisdirected(host: string, rule: string, served: NameTable<true> | null): boolean {
    const termination = this.#termination
    if (termination === null) return false
    const name = hostName(host)
    if ((terminationFor(termination, name).clients?.id ?? '') !== rule) return true
    return served !== null && termination.others !== null && served.find(name) === null && termination.others.find(name) !== null
  }

  handshakeDone(handshake: Handshake, carrier: TLSSocket | Wire, secured: Secured, alpn: string | null): void {
    if (wasReset(handshake, carrier)) return this.connectionClosed(handshake)
    const { header } = handshake
    const wire = wireOfSecured(carrier)
    const isHttp2 = alpn === 'h2'
    this.replace(
      handshake,
      isHttp2
        ? new Http2Connection(wire, this, { scheme: 'https', header, secured })
        : new Http1Connection(wire, this, 'https', header, secured),
    )
  }

  speaksHttp2(connection: Accepted, wire: Wire, header: ProxyHeader | null, received: Buffer): void {
    const next = new Http2Connection(wire, this, { scheme: 'http', header, secured: null })
    if (connection instanceof Http1Connection) next.original = connection.original
    this.replace(connection, next)
    next.onBytes(received, received.length)
  }

  headerRead(awaited: AwaitedHeader, header: ProxyHeader, rest: Buffer): void {
    const { wire } = awaited
    this.#carry(wire, header, this.release(awaited))
    if (rest.length > 0) wire.owner.onBytes(rest, rest.length)
  }

  firstRead(stage: FirstByte, bytes: Buffer): void {
    const { wire, header } = stage
    const other = isSocks(bytes) ? this.#others?.socks : isHttp(bytes) ? null : this.#others?.tunnels
    if (!other) {
      const connection = this.#makeHttp1(wire, header)
      this.replace(stage, connection)
      return connection.onBytes(bytes, bytes.length)
    }
    const { name } = this.release(stage)
    this.#entered++
    other.enter(wire, { early: bytes, header }, { name, left: () => this.#entered-- })
  }

  #makeHttp1(wire: AcceptedWire, header: ProxyHeader | null): Http1Connection {
    const { transparent } = this.service.listener
    const connection = new Http1Connection(wire, this, 'http', header)
    if (transparent !== null) connection.original = originalDestination(wire, transparent.by)
    return connection
  }

  protected override isFull(): boolean {
    return this.connections + this.#entered >= this.service.listener.limits.connections
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void {
    this.environment.observer.handshakeFailed(this.name, why, detail, plainAddress(address))
  }

  /** Under Node's TLS the socket reads by itself. */
  protected get isReadBySockets(): boolean {
    return this.#termination !== null && this.#termination.serverContext() === null
  }

  protected start(wire: AcceptedWire): void {
    const { deadlines, listener } = this.service
    if (!listener.requiresProxyHeader) return this.#carry(wire, null)
    // Whoever reaches a unix socket is trusted.
    if (wire.remoteAddress === '' || listener.headerTrust?.has(wire.remoteAddress) === true)
      return this.keep(new AwaitedHeader(wire, this, { deadlines, limitMs: listener.timeouts.requestHead }))
    this.handshakeFailed('untrusted', wire.remoteAddress, wire.remoteAddress)
    this.keep(new Interim(wire, this))
    wire.destroy()
  }

  /** From its own first byte on. */
  #carry(wire: AcceptedWire, header: ProxyHeader | null, place?: Place): void {
    const termination = this.#termination
    const { deadlines, listener } = this.service
    if (this.#others !== null)
      return this.keep(new FirstByte(wire, this, { deadlines, limitMs: listener.timeouts.requestHead, header }), place)
    if (termination === null) return this.keep(this.#makeHttp1(wire, header), place)
    this.keep(new Handshake(wire, this, { termination, deadlines, limitMs: listener.timeouts.requestHead, header }), place)
  }
}
