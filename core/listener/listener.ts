/**
 * One listener of the plan on its listening sockets: accepts, admits within the limits, terminates TLS, and hands each
 * connection to its protocol. Outlives plans: what it accepts next runs on the service in force.
 */
import type { Server, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Accepted, ConnectionHome } from '../connection/home.ts'
import { Http1Connection } from '../connection/http1.ts'
import { Http2Connection } from '../connection/http2.ts'
import type { HandshakeFailure, Observer } from '../events.ts'
import type { Service } from '../http/service.ts'
import { canUseHandles, HandleWire, type StreamHandle } from '../net/handle-wire.ts'
import { SocketWire } from '../net/socket-wire.ts'
import type { AcceptedWire } from '../net/wire.ts'
import { Handshake, type HandshakeHome } from './handshake.ts'
import type { Termination } from './termination.ts'

export interface ListenerEnvironment {
  readonly observer: Observer
  /** A downstream connection opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
}

interface HandleServer extends Server {
  _handle: { onconnection: ((error: number, handle: StreamHandle | undefined) => void) | null } | null
}

export class Listener implements ConnectionHome, HandshakeHome {
  service: Service
  draining = false
  readonly #environment: ListenerEnvironment
  readonly #connections = new Set<Accepted>()
  readonly #servers = new Set<Server>()
  #termination: Termination | null

  constructor(service: Service, termination: Termination | null, environment: ListenerEnvironment) {
    this.service = service
    this.#environment = environment
    this.#termination = termination
  }

  get connections(): number {
    return this.#connections.size
  }

  /** New certificates: for the next handshake on. */
  secure(termination: Termination | null): void {
    this.#termination = termination
  }

  /** Takes over a server that listens already. */
  accept(server: Server): void {
    this.#servers.add(server)
    server.once('close', () => this.#servers.delete(server))
    const handle = (server as HandleServer)._handle
    if (canUseHandles && handle !== null) {
      const isTcp = hasAddress(server)
      handle.onconnection = (error, accepted) => {
        if (error === 0 && accepted !== undefined) this.#acceptHandle(accepted, isTcp)
      }
      return
    }
    server.on('connection', (socket: Socket) => this.#acceptSocket(socket, hasAddress(server)))
  }

  /** Closes this process's copies of the listening sockets. */
  stopAccepting(): void {
    for (const server of this.#servers) server.close()
    this.#servers.clear()
  }

  drain(): void {
    this.draining = true
    for (const connection of this.#connections) connection.drain()
  }

  /** Ends what is left at once. */
  destroy(): void {
    this.stopAccepting()
    for (const connection of this.#connections) connection.destroy()
  }

  connectionClosed(connection: Accepted): void {
    if (!this.#connections.delete(connection)) return
    this.#environment.counted(-1)
    this.#environment.observer.connectionClosed(this.service.listener.name)
  }

  handshakeDone(handshake: Handshake, socket: TLSSocket): void {
    // Reset since: who sent what may follow cannot be told any more.
    if (handshake.remoteAddress !== '' && !socket.remoteAddress) {
      socket.on('error', () => {}).destroy()
      return this.connectionClosed(handshake)
    }
    // It stays one connection, in every count.
    this.#connections.delete(handshake)
    this.#keep(
      socket.alpnProtocol === 'h2' ? new Http2Connection(socket, this) : new Http1Connection(new SocketWire(socket), this, 'https'),
    )
  }

  handshakeFailed(why: HandshakeFailure, detail: string | null): void {
    this.#environment.observer.handshakeFailed(this.service.listener.name, why, detail)
  }

  #acceptHandle(handle: StreamHandle, isTcp: boolean): void {
    if (this.#isFull()) {
      handle.close()
      return
    }
    handle.setNoDelay?.(true)
    this.#start(new HandleWire(handle, false), isTcp)
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
    this.#environment.observer.connectionOpened(this.service.listener.name)
    const termination = this.#termination
    if (termination === null) {
      this.#keep(new Http1Connection(wire, this, 'http'))
      return
    }
    const { deadlines, listener } = this.service
    this.#keep(new Handshake(wire, this, { termination, deadlines, limitMs: listener.timeouts.requestHead }))
  }

  #keep(connection: Accepted): void {
    this.#connections.add(connection)
    if (this.draining) connection.drain()
  }
}

/** Not a unix socket. Known once it listens. */
function hasAddress(server: Server): boolean {
  const address = server.address()
  return address !== null && typeof address === 'object'
}
