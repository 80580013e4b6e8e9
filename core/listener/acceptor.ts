/**
 * What listeners of every kind have in common: they take connections off listening sockets within a limit, keep them until they end,
 * and outlive plans. One that no plan names any more lives until its last connection has ended, and keeps its plan no longer than
 * somebody may still ask it.
 */
import type { Server, Socket } from 'node:net'
import type { Accepted } from '../connection/home.ts'
import type { Observer } from '../events.ts'
import type { Tally } from '../http/tally.ts'
import type { BareSocket } from '../net/bare-socket.ts'
import { canUseHandles, type StreamHandle } from '../net/bindings.ts'
import { HandleWire } from '../net/handle-wire.ts'
import type { Kernel } from '../net/kernel.ts'
import { KernelWire, wireOver } from '../net/kernel-wire.ts'
import { ListeningSocket } from '../net/listening-socket.ts'
import { SocketWire } from '../net/socket-wire.ts'
import type { AcceptedWire } from '../net/wire.ts'
import { Kept } from './kept.ts'

export interface ListenerEnvironment {
  readonly observer: Observer
  /** A downstream connection opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
}

/** What a listener needs of the plan in force. */
interface InForce {
  readonly tally: Tally
  readonly listener: { readonly name: string; readonly limits: { readonly connections: number } }
}

/** Where a connection was counted when it was accepted: it stays one connection there, in every count, whoever has it. */
export interface Place {
  readonly name: string
  /** Another listener has had it accepted. */
  readonly left: (() => void) | null
}

interface HandleServer extends Server {
  _handle: (Pick<StreamHandle, 'setNoDelay'> & { onconnection: ((error: number, handle: StreamHandle | undefined) => void) | null }) | null
}

export abstract class Acceptor<Service extends InForce> {
  draining = false
  protected readonly environment: ListenerEnvironment
  /** A listener may get another name: each stays counted where it was. */
  readonly #connections = new Kept<Place>()
  #tunnels = 0
  #place: Place
  #service: Service | null
  /** Set when no plan names it any more. */
  #onEmpty: (() => void) | null = null

  constructor(service: Service, environment: ListenerEnvironment) {
    this.#service = service
    this.environment = environment
    this.#place = { name: service.listener.name, left: null }
  }

  /** An admitted connection that nobody has read yet. */
  protected abstract start(wire: AcceptedWire): void
  /** A socket of Node's will read what it accepts. */
  protected abstract get isReadBySockets(): boolean

  get name(): string {
    return this.#place.name
  }

  /** Of the plan in force. Nobody asks once there are only tunnels left of a listener that is gone. */
  get service(): Service {
    if (this.#service === null) throw new Error(`the listener ${this.name} has no plan any more`)
    return this.#service
  }

  /** No plan names it any more, and nothing may begin here. */
  get isGone(): boolean {
    return this.#service === null
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Connections that would notice if it went: all but tunnels. */
  get touchable(): number {
    return this.#connections.size - this.#tunnels
  }

  /** Another plan, for what begins from now on; perhaps another name. */
  protected useService(service: Service): void {
    const { name } = service.listener
    if (name !== this.name) this.#place = { name, left: null }
    this.#service = service
  }

  /** Takes connections off a server or a socket that listens, instead of whoever did so before. */
  accept(source: Server | ListeningSocket): void {
    if (source instanceof ListeningSocket) {
      const { kernel, isTcp } = source
      source.accepted = (socket) => this.#acceptBare(kernel, socket, isTcp)
    } else this.#acceptFrom(source)
  }

  #acceptFrom(server: Server): void {
    const handle = (server as HandleServer)._handle
    server.removeAllListeners('connection')
    if (canUseHandles && handle !== null) {
      const isTcp = hasAddress(server)
      // Linux has sockets inherit that from the one that listens (tcp(7) does not say so; its sources do, inet_csk_clone_lock).
      const isInherited = process.platform === 'linux' && handle.setNoDelay?.(true) === 0
      handle.onconnection = (error, accepted) => {
        if (error === 0 && accepted !== undefined) this.#acceptHandle(accepted, isTcp, !isInherited)
      }
      return
    }
    server.on('connection', (socket: Socket) => this.#acceptSocket(socket, hasAddress(server)))
  }

  /** Takes over what nobody has listened for. False: no more are let in. */
  take(wire: AcceptedWire): boolean {
    if (this.isFull()) return false
    this.#admit(wire, false)
    return true
  }

  drain(): void {
    this.draining = true
    for (const connection of this.#connections.all()) connection.drain()
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
    for (const connection of this.#connections.all()) connection.destroy()
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
    const place = this.#connections.remove(connection)
    if (place === null) return
    this.environment.counted(-1)
    this.environment.observer.connectionClosed(place.name)
    place.left?.()
    this.#letGo()
  }

  protected isFull(): boolean {
    return this.#connections.size >= this.service.listener.limits.connections
  }

  /** Counts one more connection, to be kept at once. */
  protected count(): void {
    this.environment.counted(1)
    this.environment.observer.connectionOpened(this.name)
  }

  protected keep(connection: Accepted, place = this.#place): void {
    this.#connections.add(connection, place)
    if (this.draining) connection.drain()
  }

  /** The next stage of a connection: it stays one. */
  protected replace(before: Accepted, after: Accepted): void {
    this.keep(after, this.release(before))
  }

  /** It is kept elsewhere from now on. */
  protected release(connection: Accepted): Place {
    return this.#connections.remove(connection) ?? this.#place
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

  #acceptBare(kernel: Kernel, socket: BareSocket, isTcp: boolean): void {
    if (this.isFull()) return socket.close()
    this.#admit(this.isReadBySockets ? new HandleWire(socket.toHandle(), false) : new KernelWire(kernel, socket, false), isTcp)
  }

  #acceptHandle(handle: StreamHandle, isTcp: boolean, hasDelay: boolean): void {
    if (this.isFull()) {
      handle.close()
      return
    }
    if (hasDelay) handle.setNoDelay?.(true)
    this.#admit(this.isReadBySockets ? new HandleWire(handle, false) : wireOver(handle, false), isTcp)
  }

  #acceptSocket(socket: Socket, isTcp: boolean): void {
    if (this.isFull()) {
      socket.destroy()
      return
    }
    socket.setNoDelay(true)
    this.#admit(new SocketWire(socket), isTcp)
  }

  #admit(wire: AcceptedWire, isTcp: boolean): void {
    // Reset already: what it sent can still be read, but no rule about addresses could be asked of it.
    if (isTcp && wire.remoteAddress === '') return wire.destroy()
    this.count()
    this.start(wire)
  }
}

/** Not a unix socket. Known once it listens. */
function hasAddress(server: Server): boolean {
  const address = server.address()
  return address !== null && typeof address === 'object'
}
