/** What a listener is to the connections it accepted, and they to it. */
import type { Inside } from '../http/interception.ts'
import type { Service } from '../http/service.ts'
import type { NamedDestination } from '../net/destination.ts'
import type { NameTable } from '../net/name-table.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Wire } from '../net/wire.ts'
import type { Meter } from '../policy/quota.ts'
import type { TunnelFacts } from './tunnel-facts.ts'

export interface Accepted {
  /** Belongs to the listener that keeps it, one at a time (listener/kept.ts); -1: none does. */
  keptAt: number
  /** No further exchange after those under way; said when the listener begins to drain. */
  drain(): void
  /** Ends it at once; `connectionClosed` follows. */
  destroy(): void
}

/** A tunnel that was granted to the client, and may end here. */
export interface Granted {
  readonly wire: Wire
  /** What came before all that its client said; null: nothing did. */
  readonly header: ProxyHeader | null
  /** To be told its end. */
  readonly facts: TunnelFacts
  readonly destination: NamedDestination
  /** Who asked for it; null: nobody was asked. */
  readonly user: string | null
  /** Stands in front of its endpoint where it passes unread; null: nothing does. */
  readonly paced: ((endpoint: Wire) => Wire) | null
  /** What it takes of a quota where it passes unread; null: there is none. */
  readonly meter: Meter | null
  /** What came behind the request for it. */
  readonly early: Buffer
  /** The client sends no more. */
  readonly hasEnded: boolean
}

export interface ConnectionHome {
  /** Of the plan in force: asked at each exchange. */
  readonly service: Service
  /** No further exchange after the one under way. */
  readonly draining: boolean
  /** The tunnel that it came by, which ends here; null: by none. */
  readonly inside: Inside | null
  /**
   * Clients that ask for this host are asked for another certificate than `rule` says; or another certificate is for it, and the one
   * `served` is not (secured.ts). Null: that does not matter.
   */
  isMisdirected(host: string, rule: string, served: NameTable<true> | null): boolean
  /** The client of a plain connection speaks HTTP/2 (RFC 9113 §3.3): the wire is the home's from now on. `received`: all that came. */
  speaksHttp2(connection: Accepted, wire: Wire, header: ProxyHeader | null, received: Buffer): void
  /** The client was granted a tunnel that may end here: the wire is the home's from now on. */
  granted(connection: Accepted, tunnel: Granted): void
  /** It relays bytes from now on: no plan has a say in it any more, and no drain but the end of the process. */
  becameTunnel(): void
  tunnelClosed(connection: Accepted): void
  connectionClosed(connection: Accepted): void
}
