/** Listeners of UDP and their routes. */
import type { Duration } from '../plugin.ts'
import type { Listen } from './http.ts'
import type { List, OneOrMany } from './lists.ts'
import type { Split } from './routes.ts'
import type { Upstream } from './upstreams.ts'

export interface UdpOptions {
  /** `':53'`, `'127.0.0.1:53'`, `'[::1]:53'` or a port, or several. */
  listen: Listen
  /** Tried in this order for a client's first datagram: the first whose every field matches wins. */
  routes: List<UdpRoute>
  limits?: UdpLimits | undefined
  timeouts?: UdpTimeouts | undefined
}
export interface UdpLimits {
  /** Clients at the same time, a worker; each has a socket to its endpoint. Default 10,000. Datagrams of more are dropped. */
  sessions?: number | undefined
}
export interface UdpTimeouts {
  /** A session ends after so long without a datagram either way. Default `60s`. */
  idle?: Duration | undefined
}
export interface UdpListener {
  readonly kind: 'udp'
  readonly options: UdpOptions
}
/** Datagrams passed on as they are, each client's to one endpoint, and that endpoint's back to it. */
export function udp(options: UdpOptions): UdpListener {
  return { kind: 'udp', options }
}

export interface UdpRoute {
  /** In logs and metrics the route is `listener/name`; else `listener[0]`, which shifts when a route is inserted. */
  name?: string | undefined
  /** The server name that a QUIC client asks for: `'example.com'`; `'*.example.com'`: one or more labels before it, not the bare name. */
  sni?: OneOrMany<string> | undefined
  /** A QUIC client offers one of these: `'h3'`. */
  alpn?: OneOrMany<string> | undefined
  /** The client's address: `'10.0.0.0/8'`. */
  from?: OneOrMany<string> | undefined
  /** So many replies come to each datagram, and with them the session ends, as with `1` for DNS. Default: it ends when it is idle. */
  replies?: number | undefined
  /** Of several endpoints the client's address chooses one, by their weights; where nobody listens the next one is tried. */
  to: Upstream | Split | string
}
