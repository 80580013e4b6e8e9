/**
 * One HTTP listener of the plan: terminates TLS, and hands each connection to its protocol. What it accepts next runs on the service in
 * force.
 */
import type { TLSSocket } from 'node:tls'
import type { ConnectionHome } from '../connection/home.ts'
import { Http1Connection } from '../connection/http1.ts'
import { Http2Connection } from '../connection/http2.ts'
import type { HandshakeFailure } from '../events.ts'
import type { Service } from '../http/service.ts'
import { SocketWire } from '../net/socket-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import { Acceptor, type ListenerEnvironment, type Place } from './acceptor.ts'
import { Handshake, type HandshakeHome } from './handshake.ts'
import { Interim } from './interim.ts'
import type { Termination } from './termination.ts'

export class Listener extends Acceptor<Service> implements ConnectionHome, HandshakeHome {
  #termination: Termination | null

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

  /** Takes over a connection that is past its handshake. False: no more are let in. */
  admit(wire: Wire, scheme: 'http' | 'https'): boolean {
    if (this.isFull()) return false
    this.count()
    this.keep(new Http1Connection(wire, this, scheme))
    return true
  }

  /** Takes over what another listener has accepted and begun to read. */
  enter(wire: AcceptedWire, { early, hasEnded }: { readonly early: Buffer; readonly hasEnded: boolean }, place: Place): void {
    if (this.isGone || this.isFull()) {
      this.keep(new Interim(wire, this), place)
      return wire.reset()
    }
    const termination = this.#termination
    if (termination !== null) {
      const { deadlines, listener } = this.service
      const options = { termination, deadlines, limitMs: listener.timeouts.requestHead, hello: early }
      return this.keep(new Handshake(wire, this, options), place)
    }
    const connection = new Http1Connection(wire, this, 'http')
    this.keep(connection, place)
    if (early.length > 0) connection.onBytes(early, early.length)
    if (hasEnded && !wire.closed) connection.onEnd()
  }

  handshakeDone(handshake: Handshake, socket: TLSSocket): void {
    // Reset since: who sent what may follow cannot be told any more.
    if (handshake.remoteAddress !== '' && !socket.remoteAddress) {
      socket.on('error', () => {}).destroy()
      return this.connectionClosed(handshake)
    }
    const connection =
      socket.alpnProtocol === 'h2' ? new Http2Connection(socket, this) : new Http1Connection(new SocketWire(socket), this, 'https')
    this.replace(handshake, connection)
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null): void {
    this.environment.observer.handshakeFailed(this.name, why, detail)
  }

  /** Under TLS the socket reads by itself. */
  protected get isReadBySockets(): boolean {
    return this.isSecure
  }

  protected start(wire: AcceptedWire): void {
    const termination = this.#termination
    if (termination === null) return this.keep(new Http1Connection(wire, this, 'http'))
    const { deadlines, listener } = this.service
    this.keep(new Handshake(wire, this, { termination, deadlines, limitMs: listener.timeouts.requestHead }))
  }
}
