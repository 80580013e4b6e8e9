/**
 * One listener of the plan on its listening sockets: accepts, admits within the limits, terminates TLS, and hands each
 * connection to its protocol. Outlives plans: what it accepts next runs on the service in force.
 */
import type { Server, Socket } from 'node:net'
import tls from 'node:tls'
import { type ConnectionHome, Http1Connection } from '../connection/http1.ts'
import type { Observer } from '../events.ts'
import type { Service } from '../http/service.ts'
import { canUseHandles, HandleWire, type StreamHandle } from '../net/handle-wire.ts'
import { SocketWire } from '../net/socket-wire.ts'
import type { Wire } from '../net/wire.ts'

/** PEM texts and protocols of a termination. */
export interface Termination {
  readonly cert: string
  readonly key: string
  readonly alpn: readonly string[]
}

export interface ListenerEnvironment {
  readonly observer: Observer
  /** A downstream connection opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
}

const HANDSHAKE_MS = 10_000

interface HandleServer extends Server {
  _handle: { onconnection: ((error: number, handle: StreamHandle | undefined) => void) | null } | null
}

export class Listener implements ConnectionHome {
  service: Service
  draining = false
  readonly #environment: ListenerEnvironment
  readonly #connections = new Set<Http1Connection>()
  readonly #servers: Server[] = []
  #context: tls.SecureContext | null

  constructor(service: Service, termination: Termination | null, environment: ListenerEnvironment) {
    this.service = service
    this.#environment = environment
    this.#context = null
    this.secure(termination)
  }

  get connections(): number {
    return this.#connections.size
  }

  /** New certificates: for the next handshake on. */
  secure(termination: Termination | null): void {
    this.#context = termination === null ? null : tls.createSecureContext({ cert: termination.cert, key: termination.key })
  }

  /** Takes over a server that listens already. */
  accept(server: Server): void {
    this.#servers.push(server)
    const handle = (server as HandleServer)._handle
    if (canUseHandles && handle !== null && this.#context === null) {
      handle.onconnection = (error, accepted) => {
        if (error === 0 && accepted !== undefined) this.#acceptHandle(accepted)
      }
      return
    }
    server.on('connection', (socket: Socket) => this.#acceptSocket(socket))
  }

  /** Closes this process's copies of the listening sockets. */
  stopAccepting(): void {
    for (const server of this.#servers.splice(0)) server.close()
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

  connectionClosed(connection: Http1Connection): void {
    if (!this.#connections.delete(connection)) return
    this.#environment.counted(-1)
    this.#environment.observer.connectionClosed(this.service.listener.name)
  }

  #acceptHandle(handle: StreamHandle): void {
    if (this.#isFull()) return handle.close()
    handle.setNoDelay?.(true)
    this.#start(new HandleWire(handle, false), 'http')
  }

  #acceptSocket(socket: Socket): void {
    if (this.#isFull()) return void socket.destroy()
    socket.setNoDelay(true)
    if (this.#context === null) return this.#start(new SocketWire(socket), 'http')
    socket.on('error', () => socket.destroy())
    const secured = new tls.TLSSocket(socket, { isServer: true, secureContext: this.#context, ALPNProtocols: ['http/1.1'] })
    const late = setTimeout(() => secured.destroy(), HANDSHAKE_MS)
    secured.once('error', () => secured.destroy())
    secured.once('close', () => clearTimeout(late))
    secured.once('secure', () => {
      clearTimeout(late)
      this.#start(new SocketWire(secured), 'https')
    })
  }

  #isFull(): boolean {
    return this.#connections.size >= this.service.listener.limits.connections
  }

  #start(wire: Wire, scheme: 'http' | 'https'): void {
    const connection = new Http1Connection(wire, this, scheme)
    this.#connections.add(connection)
    this.#environment.counted(1)
    this.#environment.observer.connectionOpened(this.service.listener.name)
    if (this.draining) connection.drain()
  }
}
