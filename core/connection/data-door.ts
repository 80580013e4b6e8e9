/**
 * A port of this machine by which one client reaches one port of an endpoint, once: the first connection from the client's address is
 * relayed, those of others are closed, and if none has come in time the port is closed.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Deadlines, Timed } from '../deadlines.ts'
import { plainAddress } from '../http/identity.ts'
import { canonicalAddress } from '../net/destination.ts'
import type { PortRange } from '../net/port-range.ts'
import { SocketWire } from '../net/socket-wire.ts'
import { nobody, type Wire } from '../net/wire.ts'
import { Tunnel } from './tunnel.ts'

export interface DataDoorOptions {
  /** Of this machine, as the client sees it. */
  readonly localAddress: string
  /** Null: any that is free. */
  readonly ports: PortRange | null
  /** In its canonical form. */
  readonly client: string
  readonly endpoint: { readonly address: string; readonly port: number }
  readonly deadlines: Deadlines
  readonly idleMs: number
  /** A descriptor was opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
}

export interface DataDoorOwner {
  /** Said once, before `doorEnded`. Null: no port was free. */
  doorOpened(door: DataDoor, port: number | null): void
  /** The client has come: what passes is a connection from now on. */
  doorUsed(door: DataDoor): void
  /** Said once: nothing of it is open any more. */
  doorEnded(door: DataDoor, fromClient: number, fromEndpoint: number): void
}

/** Until the client has come and the endpoint has accepted. */
const DOOR_MS = 30_000
/** Ports that are taken are passed over, so many at most. */
const MOST_TRIES = 256

export class DataDoor implements Timed {
  dueAt: number
  slot = -1
  readonly #options: DataDoorOptions
  readonly #owner: DataDoorOwner
  #server: Server | null = null
  #client: Wire | null = null
  #endpoint: Wire | null = null
  #dialling: Socket | null = null
  #isOpened = false
  #isOver = false

  constructor(options: DataDoorOptions, owner: DataDoorOwner) {
    this.#options = options
    this.#owner = owner
    this.dueAt = options.deadlines.in(DOOR_MS)
    options.deadlines.add(this)
    options.counted(1)
    const { ports } = options
    const size = ports === null ? 1 : ports.to - ports.from + 1
    // Whoever knows which port is next could get there first.
    this.#listen(ports === null ? null : Math.floor(Math.random() * size), Math.min(size, MOST_TRIES))
  }

  destroy(): void {
    this.#client?.destroy()
    this.#endpoint?.destroy()
    this.#end(0, 0)
  }

  onDeadline(): void {
    this.destroy()
  }

  /** `at`: in the range; null: there is none. */
  #listen(at: number | null, tries: number): void {
    const { ports, localAddress } = this.#options
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
    this.#server = server
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#isOver || this.#server !== server) return
      if (error.code !== 'EADDRINUSE' || at === null || tries <= 1) return this.destroy()
      this.#listen((at + 1) % (ports!.to - ports!.from + 1), tries - 1)
    })
    server.listen({ host: localAddress, port: at === null ? 0 : ports!.from + at, backlog: 8, exclusive: true }, () => {
      // It was ended while it was being bound.
      if (this.#isOver) return void server.close()
      this.#isOpened = true
      this.#owner.doorOpened(this, (server.address() as AddressInfo).port)
    })
  }

  #accept(socket: Socket): void {
    const from = canonicalAddress(plainAddress(socket.remoteAddress ?? ''))
    if (this.#isOver || this.#client !== null || from !== this.#options.client) {
      socket.on('error', () => {})
      return void socket.destroy()
    }
    this.#server!.close()
    this.#server = null
    const client = new SocketWire(socket)
    this.#client = client
    client.owner = { ...nobody, onClose: () => this.#end(0, 0) }
    this.#owner.doorUsed(this)
    this.#dial(client)
  }

  #dial(client: Wire): void {
    const { endpoint, counted } = this.#options
    counted(1)
    const socket = connect({ host: endpoint.address, port: endpoint.port, allowHalfOpen: true, noDelay: true })
    this.#dialling = socket
    socket.on('error', () => {
      // An orderly end could be taken for an empty file.
      if (this.#dialling === socket) client.reset()
    })
    socket.once('connect', () => {
      if (!this.#isOver) this.#relay(client, socket)
    })
  }

  #relay(client: Wire, socket: Socket): void {
    const { deadlines, idleMs } = this.#options
    deadlines.remove(this)
    this.#dialling = null
    this.#endpoint = new SocketWire(socket)
    const ended = (fromClient: number, fromEndpoint: number): void => this.#end(fromClient, fromEndpoint)
    new Tunnel({ left: client, right: this.#endpoint }, { deadlines, idleMs, meter: null, ended })
  }

  #end(fromClient: number, fromEndpoint: number): void {
    if (this.#isOver) return
    this.#isOver = true
    const { deadlines, counted } = this.#options
    deadlines.remove(this)
    this.#server?.close()
    if (this.#client !== null) counted(-1)
    this.#dialling?.destroy()
    counted(-1)
    if (!this.#isOpened) this.#owner.doorOpened(this, null)
    this.#owner.doorEnded(this, fromClient, fromEndpoint)
  }
}
