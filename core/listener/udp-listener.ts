/**
 * One UDP listener of the plan: a session for each client that speaks to it, by the address it speaks from and the one it speaks to.
 * Sessions outlive plans; how many there are is bounded, and so is what they hold until they know where it goes.
 */
import { TunnelFacts } from '../connection/tunnel-facts.ts'
import { type SessionHome, UdpSession } from '../connection/udp-session.ts'
import type { Deadlines } from '../deadlines.ts'
import type { DatagramLoss, Observer } from '../events.ts'
import type { DatagramOwner, DatagramSocket } from '../net/datagrams.ts'
import type { UdpListenerPlan, UdpRoutePlan } from '../plan/plan.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Greeting } from '../route/tcp-table.ts'
import type { DatagramLink, LinkOwner } from '../upstream/datagram-link.ts'
import { placesOf } from '../upstream/places.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { QuicIds } from './quic-ids.ts'

/** What every session of a UDP listener begins with: its plan and the runtime behind it. */
export interface UdpService {
  readonly generation: number
  readonly listener: UdpListenerPlan
  readonly deadlines: Deadlines
  readonly observer: Observer
  openLink(target: EndpointPlan['target'], owner: LinkOwner): DatagramLink
  upstreamFor(plan: UpstreamPlan): Upstream
  requestId(serial: number): string
  nextSerial(): number
}

export interface UdpEnvironment {
  readonly observer: Observer
  /** A session began (+1) or ended (-1): each has a socket. */
  readonly counted: (change: 1 | -1) => void
  /** Descriptors are short: no session begins. */
  readonly isShort: () => boolean
}

/** Datagrams that wait for a route or an endpoint, of all sessions of a listener together. */
const MOST_HELD_BYTES = 16 * 2 ** 20

export class UdpListener {
  readonly #environment: UdpEnvironment
  readonly #doors = new Set<Door>()
  /** Of sessions, so as many at most. */
  readonly #ids = new QuicIds<UdpSession>()
  #service: UdpService
  #sessions = 0
  #held = 0
  #onEmpty: (() => void) | null = null

  constructor(service: UdpService, environment: UdpEnvironment) {
    this.#service = service
    this.#environment = environment
  }

  get name(): string {
    return this.#service.listener.name
  }

  get service(): UdpService {
    return this.#service
  }

  /** Sessions. */
  get connections(): number {
    return this.#sessions
  }

  /** Sessions that would notice if it went: all. */
  get touchable(): number {
    return this.#sessions
  }

  use(service: UdpService): void {
    this.#service = service
  }

  /** Takes a socket over, from whoever had it. */
  accept(socket: DatagramSocket): void {
    this.#doors.add(new Door(socket, this))
  }

  /** Another listener gets the socket: sessions here end once their endpoints are quiet. */
  leave(socket: DatagramSocket): void {
    for (const door of this.#doors) if (door.socket === socket) door.onStopped()
  }

  /** Reads no more; ends once the endpoints are quiet. */
  drain(): void {
    for (const { socket } of this.#doors) socket.close()
  }

  /** No plan names it any more: its sockets go, and its sessions with them. */
  retire(onEmpty: () => void): void {
    this.#onEmpty = onEmpty
    this.destroy()
    this.#tellEmpty()
  }

  destroy(): void {
    for (const door of this.#doors) door.destroy()
  }

  // ── what its doors ask ───────────────────────────────────────────────────────────────────────────────────────────

  /** Null: the client is not listened to. `length`: of the datagram that it begins with. */
  begin(door: Door, datagram: Buffer, length: number): UdpSession | null {
    const { listener, deadlines, observer } = this.#service
    if (this.#sessions >= listener.limits.sessions || this.#environment.isShort()) {
      this.dropped('limit')
      return null
    }
    const { socket } = door
    const sender = socket.sender()
    const facts = new TunnelFacts(this.#service, sender.address)
    facts.protocol = 'UDP'
    const session = new UdpSession(door, { facts, socket, sender, deadlines, observer, idleMs: listener.timeouts.idle })
    this.#sessions++
    this.#environment.counted(1)
    observer.connectionOpened(listener.name)
    this.#welcome(session, this.#ids.find(datagram, length))
    return session
  }

  decide(session: UdpSession, greeting: Greeting): void {
    const route = this.#service.listener.routes.match(session.facts.ip, greeting)
    if (route === 'undecided') throw new Error('a route is decided once the greeting is known')
    this.#send(session, route)
  }

  /** False: there is no room for so many bytes more. */
  hold(bytes: number): boolean {
    if (bytes > 0 && this.#held + bytes > MOST_HELD_BYTES) return false
    this.#held += bytes
    return true
  }

  hasConnectionId(session: UdpSession, id: Buffer): void {
    this.#ids.set(session, id)
  }

  dropped(why: DatagramLoss): void {
    this.#environment.observer.datagramDropped(this.name, why)
  }

  ended(session: UdpSession): void {
    this.#ids.delete(session)
    this.#sessions--
    this.#environment.counted(-1)
    this.#environment.observer.connectionClosed(session.facts.listener)
    this.#tellEmpty()
  }

  forget(door: Door): void {
    this.#doors.delete(door)
  }

  /** `known`: a session of the same connection, from an address that its client had before. */
  #welcome(session: UdpSession, known: UdpSession | null): void {
    if (known !== null && known.target !== null) {
      session.facts.protocol = 'QUIC'
      session.facts.sni = known.facts.sni
      // The endpoint finds out by itself whether its client is there (RFC 9000 §8.2).
      const endpoints = known.target.endpoints.filter(({ address }) => address === known.facts.endpoint)
      return session.relay({ ...known.target, endpoints })
    }
    const route = this.#service.listener.routes.match(session.facts.ip, null)
    if (route === 'undecided') session.detect()
    else this.#send(session, route)
  }

  #send(session: UdpSession, route: UdpRoutePlan | null): void {
    if (route === null) session.refuse('no_route', null)
    else {
      const { upstreamFor } = this.#service
      const places = placesOf(route.destination, session.facts.ip, (upstream) => upstreamFor(upstream).plan.endpoints)
      session.relay({ route, replies: route.replies, ...places })
    }
  }

  #tellEmpty(): void {
    if (this.#sessions > 0) return
    const onEmpty = this.#onEmpty
    this.#onEmpty = null
    onEmpty?.()
  }
}

/** One socket of a listener, and the clients that speak to it. */
class Door implements DatagramOwner, SessionHome {
  readonly socket: DatagramSocket
  readonly #listener: UdpListener
  /** By the key of the sender. */
  readonly #sessions = new Map<string, UdpSession>()
  #isStopped = false

  constructor(socket: DatagramSocket, listener: UdpListener) {
    this.socket = socket
    this.#listener = listener
    socket.owner = this
  }

  onDatagram(bytes: Buffer, length: number, key: string): void {
    let session = this.#sessions.get(key)
    if (session === undefined) {
      const begun = this.#listener.begin(this, bytes, length)
      if (begun === null || begun.isOver) return
      session = begun
      this.#sessions.set(key, session)
    }
    session.onDatagram(bytes, length)
  }

  onStopped(): void {
    this.#isStopped = true
    for (const session of this.#sessions.values()) session.drain()
    this.#letGo()
  }

  destroy(): void {
    this.#isStopped = true
    for (const session of this.#sessions.values()) session.destroy()
    this.#letGo()
  }

  decide(session: UdpSession, greeting: Greeting): void {
    this.#listener.decide(session, greeting)
  }
  openLink(target: EndpointPlan['target'], owner: LinkOwner): DatagramLink {
    return this.#listener.service.openLink(target, owner)
  }
  hold(bytes: number): boolean {
    return this.#listener.hold(bytes)
  }
  hasConnectionId(session: UdpSession, id: Buffer): void {
    this.#listener.hasConnectionId(session, id)
  }
  dropped(why: DatagramLoss): void {
    this.#listener.dropped(why)
  }
  sessionEnded(session: UdpSession): void {
    this.#sessions.delete(session.sender.key)
    this.#listener.ended(session)
    this.#letGo()
  }

  /** Nobody is left who could be answered. */
  #letGo(): void {
    if (!this.#isStopped || this.#sessions.size > 0) return
    this.#listener.forget(this)
    // Another listener may have it by now.
    if (this.socket.owner === this) this.socket.destroy()
  }
}
