/** Listeners of TCP and their routes. */
import type { Duration } from '../plugin.ts'
import type { FtpGateway } from './gateways.ts'
import type { HttpWithoutListen, Listen, Transparent } from './http.ts'
import type { List, OneOrMany } from './lists.ts'
import type { ConnectionUse } from './policies.ts'
import type { OriginalPlace, Split } from './routes.ts'
import type { TlsTermination } from './tls.ts'
import type { Upstream } from './upstreams.ts'

export interface TcpOptions {
  listen: Listen
  /** Plugins and hooks of connections: `onConnection`, `onClientHello`, `onData`, asked in this order before a route is chosen, and `onLog`. */
  use?: List<ConnectionUse> | undefined
  /** Tried in this order: the first whose every field matches wins. */
  routes: List<TcpRoute>
  limits?: TcpLimits | undefined
  timeouts?: TcpTimeouts | undefined
  /** Networks whose PROXY header is believed. Default: nobody's. */
  trust?: OneOrMany<string> | undefined
  /**
   * Every connection begins with a header of the PROXY protocol (version 1 or 2), from an address in `trust`; others are closed. The client that
   * it names is the one that `from`, hooks and the log see; what else it tells (server name, TLS) goes on to upstreams with `proxyProtocol: 2`.
   */
  proxyProtocol?: 'require' | undefined
  /** Reads what passes, and opens what it needs beside it: `gateway: ftp({ passivePorts: '50000-50100' })`. Default: nothing is read. */
  gateway?: FtpGateway | undefined
  /** Takes connections that a firewall sends here, for routes `to: original()`. */
  transparent?: Transparent | undefined
}
export interface TcpLimits {
  /** Open connections, a worker. Default 10,000. */
  connections?: number | undefined
}
export interface TcpTimeouts {
  /**
   * For the first message of TLS, where a route asks for `sni`, `alpn` or `tls`. A client that has said nothing by then speaks no TLS: it
   * gets the first route that asks for none of them. Default `3s`: a lost packet is sent again after one.
   */
  detect?: Duration | undefined
  /** A tunnel without a byte either way. Default `1h`. */
  tunnelIdle?: Duration | undefined
}
export interface TcpListener {
  readonly kind: 'tcp'
  readonly options: TcpOptions
}
/** Connections routed by the server name they ask for, passed on as they are or past their TLS. */
export function tcp(options: TcpOptions): TcpListener {
  return { kind: 'tcp', options }
}

export interface TcpRoute {
  /** In logs and metrics the route is `listener/name`; else `listener[0]`, which shifts when a route is inserted. */
  name?: string | undefined
  /** The server name that a TLS client asks for: `'example.com'`; `'*.example.com'`: one or more labels before it, not the bare name. */
  sni?: OneOrMany<string> | undefined
  /** The client offers one of these: `'h2'`. */
  alpn?: OneOrMany<string> | undefined
  /** The client's address: `'10.0.0.0/8'`. */
  from?: OneOrMany<string> | undefined
  /** TLS ends here, and `to` gets what was in it. Without it, not one byte is decrypted. It takes clients that speak TLS alone. */
  tls?: TlsTermination | undefined
  /** Hooks and plugins for the connections of this route, asked after those of the listener, once it is chosen. `to: http({ … })` has its own `use`. */
  use?: List<ConnectionUse> | undefined
  to: Upstream | Split | HttpWithoutListen | OriginalPlace | string
}
