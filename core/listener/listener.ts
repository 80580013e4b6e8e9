/**
 * One HTTP listener of the plan: terminates TLS, and hands each connection to its protocol. What it accepts next runs on the service in
 * force.
 */
import type { TLSSocket } from 'node:tls'
import type { Accepted, ConnectionHome } from '../connection/home.ts'
import { Http1Connection } from '../connection/http1.ts'
import { Http2Connection } from '../connection/http2.ts'
import type { HandshakeFailure } from '../events.ts'
import { plainAddress } from '../http/identity.ts'
import type { Service } from '../http/service.ts'
import type { NameTable } from '../net/name-table.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Secured } from '../net/secured.ts'
import { wireOfSecured } from '../net/tls-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import { hostName } from '../request-view.ts'
import { Acceptor, type ListenerEnvironment, type Place } from './acceptor.ts'
import { AwaitedHeader, type AwaitedHeaderHome } from './awaited-header.ts'
import { FirstByte, type FirstByteHome, isSocks } from './first-byte.ts'
import { Handshake, type HandshakeHome } from './handshake.ts'
import { Interim } from './interim.ts'
import type { SocksListener } from './socks-listener.ts'
import { type Termination, terminationFor } from './termination.ts'

/** What another listener has read of a connection. */
export interface Begun {
  readonly header: ProxyHeader | null
  /** What came behind the header. */
  readonly early: Buffer
  /** The client sends no more. */
  readonly hasEnded: boolean
}

export class Listener extends Acceptor<Service> implements ConnectionHome, HandshakeHome, AwaitedHeaderHome, FirstByteHome {
  #termination: Termination | null
  /** Gets those that begin as SOCKS does; null: there is HTTP alone. */
  #socks: SocksListener | null = null
  /** Connections that it has got. */
  #entered = 0

  constructor(service: Service, termination: Termination | null, environment: ListenerEnvironment) {
    super(service, environment)
    this.#termination = termination
  }

  get isSecure(): boolean {
    return this.#termination !== null
  }

  /** Another plan, for the next exchange on; and new certificates for the next handshake on. */
  use(service: Service, termination: Termination | null): void {
    this.useService(service)
    this.#termination = termination
  }

  share(socks: SocksListener | null): void {
    this.#socks = socks
  }

  /** Takes over a connection that is past its handshake. False: no more are let in. */
  admit(wire: Wire, scheme: 'http' | 'https'): boolean {
    if (this.isFull()) return false
    this.count()
    this.keep(new Http1Connection(wire, this, scheme, null))
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
    // Reset since: who sent what may follow cannot be told any more.
    if (handshake.remoteAddress !== '' && !carrier.remoteAddress) {
      if ('encrypted' in carrier) carrier.on('error', () => {})
      carrier.destroy()
      return this.connectionClosed(handshake)
    }
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
    this.replace(connection, next)
    next.onBytes(received, received.length)
  }

  headerRead(awaited: AwaitedHeader, header: ProxyHeader, rest: Buffer): void {
    const { wire } = awaited
    this.#carry(wire, header, this.release(awaited))
    if (rest.length > 0) wire.owner.onBytes(rest, rest.length)
  }

  firstRead(stage: FirstByte, bytes: Buffer): void {
    const { wire } = stage
    if (this.#socks !== null && isSocks(bytes)) {
      const { name } = this.release(stage)
      this.#entered++
      return this.#socks.enter(wire, bytes, { name, left: () => this.#entered-- })
    }
    const connection = new Http1Connection(wire, this, 'http', null)
    this.replace(stage, connection)
    connection.onBytes(bytes, bytes.length)
  }

  protected override isFull(): boolean {
    return this.connections + this.#entered >= this.service.listener.limits.connections
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void {
    this.environment.observer.handshakeFailed(this.name, why, detail, plainAddress(address))
  }

  /** Under TLS the socket reads by itself. */
  protected get isReadBySockets(): boolean {
    return this.isSecure
  }

  protected start(wire: AcceptedWire): void {
    const { deadlines, listener } = this.service
    if (!listener.requiresProxyHeader) return this.#carry(wire, null)
    // Whoever reaches a unix socket is trusted.
    if (wire.remoteAddress === '' || listener.trust?.has(wire.remoteAddress) === true)
      return this.keep(new AwaitedHeader(wire, this, { deadlines, limitMs: listener.timeouts.requestHead }))
    this.handshakeFailed('untrusted', wire.remoteAddress, wire.remoteAddress)
    this.keep(new Interim(wire, this))
    wire.destroy()
  }

  /** From its own first byte on. */
  #carry(wire: AcceptedWire, header: ProxyHeader | null, place?: Place): void {
    const termination = this.#termination
    const { deadlines, listener } = this.service
    if (this.#socks !== null) return this.keep(new FirstByte(wire, this, { deadlines, limitMs: listener.timeouts.requestHead }), place)
    if (termination === null) return this.keep(new Http1Connection(wire, this, 'http', header), place)
    this.keep(new Handshake(wire, this, { termination, deadlines, limitMs: listener.timeouts.requestHead, header }), place)
  }
}
