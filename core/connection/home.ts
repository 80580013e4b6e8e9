/** What a listener is to the connections it accepted, and they to it. */
import type { Service } from '../http/service.ts'
import type { NameTable } from '../net/name-table.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Wire } from '../net/wire.ts'

export interface Accepted {
  /** No further exchange after those under way; said when the listener begins to drain. */
  drain(): void
  /** Ends it at once; `connectionClosed` follows. */
  destroy(): void
}

export interface ConnectionHome {
  /** Of the plan in force: asked at each exchange. */
  readonly service: Service
  /** No further exchange after the one under way. */
  readonly draining: boolean
  /**
   * Clients that ask for this host are asked for another certificate than `rule` says; or another certificate is for it, and the one
   * `served` is not (secured.ts). Null: that does not matter.
   */
  isMisdirected(host: string, rule: string, served: NameTable<true> | null): boolean
  /** The client of a plain connection speaks HTTP/2 (RFC 9113 §3.3): the wire is the home's from now on. `received`: all that came. */
  speaksHttp2(connection: Accepted, wire: Wire, header: ProxyHeader | null, received: Buffer): void
  /** It relays bytes from now on: no plan has a say in it any more, and no drain but the end of the process. */
  becameTunnel(): void
  tunnelClosed(connection: Accepted): void
  connectionClosed(connection: Accepted): void
}
