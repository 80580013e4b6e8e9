/**
 * What connections and datagrams of a worker come in by, each with the listener that has it: from plan to plan it follows its address,
 * and closes when no plan names that any more.
 */
import type { Server } from 'node:net'
import type { ListenedPlace } from './forward/own-listeners.ts'
import type { Listener } from './listener/listener.ts'
import type { SocksListener } from './listener/socks-listener.ts'
import type { TcpListener } from './listener/tcp-listener.ts'
import { UdpListener } from './listener/udp-listener.ts'
import type { DatagramSocket } from './net/datagrams.ts'
import { ListeningSocket } from './net/listening-socket.ts'
import { addressesOf } from './plan/addresses.ts'
import type { Plan } from './plan/plan.ts'

export type AnyListener = Listener | TcpListener | UdpListener | SocksListener

/** What connections come from: a server of Node's that listens, or a socket. */
export type ConnectionSource = Server | ListeningSocket
/** Or a UDP socket that is bound. */
export type Source = ConnectionSource | DatagramSocket

interface Door {
  /** Of its address (plan/addresses.ts); null: it belongs to its listener, whatever plans say. */
  readonly key: string | null
  listener: AnyListener
  /** Of TCP; null: it is none, or a unix socket. */
  readonly place: ListenedPlace | null
}

export class Doors {
  readonly #doors = new Map<Source, Door>()
  /** By the key of an address. */
  #owners: ReadonlyMap<string, AnyListener> = new Map()

  /** Without a key it is for `listener`, else for who has that address by now. */
  open(source: Source, key: string | null, listener: AnyListener | undefined): void {
    const owner = key === null ? listener : this.#owners.get(key)
    if (owner === undefined) {
      source.close()
      return
    }
    this.#doors.set(source, { key, listener: owner, place: placeOf(source) })
    onClose(source, () => this.#doors.delete(source))
    give(source, owner)
  }

  /** Closes what connections come from, but no socket of UDP: that would end who is connected. */
  stopAccepting(): void {
    for (const source of this.#doors.keys()) {
      if (!bringsConnections(source)) continue
      this.#doors.delete(source)
      source.close()
    }
  }

  has(listener: AnyListener, keys: ReadonlySet<string>): boolean {
    return this.#doors.values().some((door) => door.listener === listener && door.key !== null && keys.has(door.key))
  }

  /** Where listeners of some kind listen, of TCP. */
  *placesOf(isOne: (listener: AnyListener) => boolean): Iterable<ListenedPlace> {
    for (const { place, listener } of this.#doors.values()) if (place !== null && isOne(listener)) yield place
  }

  /** Each goes on with whoever has its address now; without anybody it closes. */
  assign(plan: Plan, listeners: ReadonlyMap<string, AnyListener>): void {
    this.#owners = new Map(addressesOf(plan.listeners).map(({ key, listener }) => [key, listeners.get(listener)!]))
    const kept = new Set(listeners.values())
    for (const [source, door] of this.#doors) {
      const owner = door.key === null ? (kept.has(door.listener) ? door.listener : undefined) : this.#owners.get(door.key)
      if (owner === door.listener) continue
      if (owner === undefined) {
        this.#doors.delete(source)
        source.close()
        continue
      }
      if (!bringsConnections(source) && door.listener instanceof UdpListener) door.listener.leave(source)
      door.listener = owner
      give(source, owner)
    }
  }
}

function placeOf(source: Source): ListenedPlace | null {
  const address = bringsConnections(source) ? source.address() : null
  if (typeof address !== 'object' || address === null || address.address === undefined) return null
  return { host: address.address, port: address.port ?? 0 }
}

function bringsConnections(source: Source): source is ConnectionSource {
  return source instanceof ListeningSocket || isServer(source)
}

function isServer(source: Source): source is Server {
  return 'listen' in source
}

function onClose(source: Source, then: () => void): void {
  if (isServer(source)) {
    source.once('close', then)
    return
  }
  const { closed } = source
  source.closed = () => {
    closed?.()
    then()
  }
}

/** Keys of addresses keep listeners of UDP and of TCP apart. */
function give(source: Source, listener: AnyListener): void {
  if (bringsConnections(source)) {
    if (!(listener instanceof UdpListener)) listener.accept(source)
  } else if (listener instanceof UdpListener) listener.accept(source)
}
