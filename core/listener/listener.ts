/**
 * One listener of the plan on its listening sockets: accepts, admits within the limits, terminates TLS, and hands each
 * connection to its protocol. Outlives plans: what it accepts next runs on the service in force. One that no plan names any more
 * lives until its last connection has ended, and keeps its plan no longer than somebody may still ask it.
 */
import type { Server, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Accepted, ConnectionHome } from '../connection/home.ts'
import { Http1Connection } from '../connection/http1.ts'
import { Http2Connection } from '../connection/http2.ts'
import type { HandshakeFailure, Observer } from '../events.ts'
import { plainAddress } from '../http/identity.ts'
import { hostName } from '../http/request-view.ts'
import type { Service } from '../http/service.ts'
import { canUseHandles, HandleWire, type StreamHandle } from '../net/handle-wire.ts'
import { wireOver } from '../net/kernel-wire.ts'
import type { Secured } from '../net/secured.ts'
import { SocketWire } from '../net/socket-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import { Handshake, type HandshakeHome } from './handshake.ts'
import { type Termination, terminationFor } from './termination.ts'

export interface ListenerEnvironment {
  readonly observer: Observer
  /** A downstream connection opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
}

interface HandleServer extends Server {
  _handle: { onconnection: ((error: number, handle: StreamHandle | undefined) => void) | null } | null
}

export class Listener implements ConnectionHome, HandshakeHome {
  draining = false
  readonly #environment: ListenerEnvironment
  /** Each with the name under which it was counted: a listener may get another one. */
  readonly #connections = new Map<Accepted, string>()
  #tunnels = 0
  #name: string
  #service: Service | null
  #termination: Termination | null
  /** Set when no plan names it any more. */
  #onEmpty: (() => void) | null = null

  constructor(service: Service, termination: Termination | null, environment: ListenerEnvironment) {
    this.#name = service.listener.name
    this.#service = service
    this.#environment = environment
    this.#termination = termination
  }

  /** Of the plan in force. Nobody asks once there are only tunnels left of a listener that is gone. */
  get service(): Service {
    if (this.#service === null) throw new Error(`the listener ${this.#name} has no plan any more`)
    return this.#service
  }

  get isSecure(): boolean {
    return this.#termination !== null
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Connections that would notice if it went: all but tunnels. */
  get touchable(): number {
    return this.#connections.size - this.#tunnels
  }

  /** Another plan, for the next exchange on; perhaps another name, and new certificates for the next handshake on. */
  use(service: Service, termination: Termination | null): void {
    this.#name = service.listener.name
    this.#service = service
    this.#termination = termination
  }

  /** Takes connections off a server that listens, instead of whoever did so before. */
  accept(server: Server): void {
    const handle = (server as HandleServer)._handle
    server.removeAllListeners('connection')
    if (canUseHandles && handle !== null) {
      const isTcp = hasAddress(server)
      handle.onconnection = (error, accepted) => {
        if (error === 0 && accepted !== undefined) this.#acceptHandle(accepted, isTcp)
      }
      return
    }
    server.on('connection', (socket: Socket) => this.#acceptSocket(socket, hasAddress(server)))
  }

  /** Takes over a connection that is past its handshake. False: no more are let in. */
  admit(wire: Wire, scheme: 'http' | 'https'): boolean {
    if (this.#isFull()) return false
    this.#environment.counted(1)
    this.#environment.observer.connectionOpened(this.#name)
    this.#keep(new Http1Connection(wire, this, scheme), this.#name)
    return true
  }

  drain(): void {
    this.draining = true
    for (const connection of this.#connections.keys()) connection.drain()
  }

  /** No plan names it any more: it drains, but its tunnels live until they end by themselves. `onEmpty` follows. */
  retire(onEmpty: () => void): void {
    this.#onEmpty = onEmpty
    // Until the last exchange that may still begin here.
    this.service.tally.open++
    this.drain()
    this.#letGo()
  }

  /** Ends what is left at once. */
  destroy(): void {
    for (const connection of [...this.#connections.keys()]) connection.destroy()
  }

  becameTunnel(): void {
    this.#tunnels++
    this.#letGo()
  }

  tunnelClosed(connection: Accepted): void {
    this.#tunnels--
    this.connectionClosed(connection)
  }

  connectionClosed(connection: Accepted): void {
    const name = this.#connections.get(connection)
    if (name === undefined) return
    this.#connections.delete(connection)
    this.#environment.counted(-1)
    this.#environment.observer.connectionClosed(name)
    this.#letGo()
  }

  /** By what holds now: a client that was let in before a certificate was asked for has to come again. */
  isMisdirected(host: string, rule: string): boolean {
    const termination = this.#termination
    return termination !== null && (terminationFor(termination, hostName(host)).clients?.id ?? '') !== rule
  }

  handshakeDone(handshake: Handshake, socket: TLSSocket, secured: Secured): void {
    // Reset since: who sent what may follow cannot be told any more.
    if (handshake.remoteAddress !== '' && !socket.remoteAddress) {
      socket.on('error', () => {}).destroy()
      return this.connectionClosed(handshake)
    }
    const connection =
      socket.alpnProtocol === 'h2'
        ? new Http2Connection(socket, this, secured)
        : new Http1Connection(new SocketWire(socket), this, 'https', secured)
    // It stays one connection, in every count.
    const name = this.#connections.get(handshake) ?? this.#name
    this.#connections.delete(handshake)
    this.#keep(connection, name)
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void {
    this.#environment.observer.handshakeFailed(this.#name, why, detail, plainAddress(address))
  }

  /** A listener that is gone keeps its plan while somebody may ask it, and itself while somebody is connected. */
  #letGo(): void {
    // Whoever has just closed may still look at the plan on its way out.
    if (this.#onEmpty !== null && this.touchable === 0) setImmediate(() => this.#forget())
  }

  #forget(): void {
    if (this.#onEmpty === null || this.touchable > 0) return
    const service = this.#service
    this.#service = null
    service?.tally.leave()
    if (this.#connections.size > 0) return
    const onEmpty = this.#onEmpty
    this.#onEmpty = null
    onEmpty()
  }

  #acceptHandle(handle: StreamHandle, isTcp: boolean): void {
    if (this.#isFull()) {
      handle.close()
      return
    }
    handle.setNoDelay?.(true)
    // Under TLS the socket reads by itself.
    this.#start(this.#termination === null ? wireOver(handle, false) : new HandleWire(handle, false), isTcp)
  }

  #acceptSocket(socket: Socket, isTcp: boolean): void {
    if (this.#isFull()) {
      socket.destroy()
      return
    }
    socket.setNoDelay(true)
    this.#start(new SocketWire(socket), isTcp)
  }

  #isFull(): boolean {
    return this.#connections.size >= this.service.listener.limits.connections
  }

  #start(wire: AcceptedWire, isTcp: boolean): void {
    // Reset already: what it sent can still be read, but no rule about addresses could be asked of it.
    if (isTcp && wire.remoteAddress === '') return wire.destroy()
    this.#environment.counted(1)
    this.#environment.observer.connectionOpened(this.#name)
    const termination = this.#termination
    if (termination === null) {
      this.#keep(new Http1Connection(wire, this, 'http'), this.#name)
      return
    }
    const { deadlines, listener } = this.service
    this.#keep(new Handshake(wire, this, { termination, deadlines, limitMs: listener.timeouts.requestHead }), this.#name)
  }

  #keep(connection: Accepted, name: string): void {
    this.#connections.set(connection, name)
    if (this.draining) connection.drain()
  }
}

/** Not a unix socket. Known once it listens. */
function hasAddress(server: Server): boolean {
  const address = server.address()
  return address !== null && typeof address === 'object'
}
