/** Listeners of HTTP. */
import type { Duration, Size } from '../plugin.ts'
import type { ForwardListener, SocksListener } from './forward.ts'
import type { List, OneOrMany } from './lists.ts'
import type { HttpUse } from './policies.ts'
import type { HttpRoute } from './routes.ts'
import type { TcpListener } from './tcp.ts'
import type { TlsTermination } from './tls.ts'
import type { UdpListener } from './udp.ts'

export type Listener = HttpListener | TcpListener | UdpListener | ForwardListener | SocksListener

/** `8080`, `':8080'`, `'127.0.0.1:8080'`, `'[::1]:8080'`, `'unix:/run/x.sock'`, or several. */
export type Listen = OneOrMany<string | number>

export interface HttpOptions {
  /** Serve HTTPS. Of several certificates, the names in them choose by the name that a client asks for; the first is for all others. */
  tls?: TlsTermination | List<TlsTermination> | undefined
  /** Policies, plugins and inline hooks, in this order; on the response in reverse. */
  use?: List<HttpUse> | undefined
  /** Tried in this order: the first whose every field matches wins. */
  routes: List<HttpRoute>
  /** Networks whose `X-Forwarded-For`, and PROXY header, is believed. Default: nobody's. */
  trust?: OneOrMany<string> | undefined
  /** The name in `Via`; false sends none. Default `sluice`. */
  via?: string | false | undefined
  /** Send `Forwarded` (RFC 7239) beside `X-Forwarded-*`. Default false. */
  forwarded?: boolean | undefined
  /** Let `%2F` and `%5C` in paths pass, undecoded. Default false: they are refused. */
  encodedSlashes?: boolean | undefined
  /**
   * Without `tls`: a client may speak HTTP/2 at once, by prior knowledge (RFC 9113 §3.3), as gRPC clients do. Default true; false answers
   * 505. With `tls`, `alpn` says what is spoken.
   */
  h2c?: boolean | undefined
  limits?: ListenerLimits | undefined
  timeouts?: ListenerTimeouts | undefined
  /** Every connection begins with a header of the PROXY protocol (version 1 or 2), from an address in `trust`; others are closed. */
  proxyProtocol?: 'require' | undefined
  /** Takes connections that a firewall sends here, for routes `to: original()`. Only with `listen`, and without `tls`. */
  transparent?: Transparent | undefined
}

/**
 * Linux: a listener gets connections that are meant for other places. `'redirect'`: the firewall gives them its address (nftables `redirect`), and
 * the kernel remembers where they wanted to go. `'tproxy'`: they keep their own (nftables `tproxy`), which takes root or CAP_NET_ADMIN.
 * `sluice transparent rules` prints what the firewall needs.
 */
export type Transparent = 'redirect' | 'tproxy'

export interface ListenerLimits {
  /** A request's head. Default `32kb`. */
  head?: Size | undefined
  /** A request's first line. Default `8kb`. */
  requestLine?: Size | undefined
  /** Field lines of a head. Default 100. */
  fields?: number | undefined
  /** Open connections, a worker. Default 10,000. */
  connections?: number | undefined
  /** Requests on one connection, which is then closed. Default 10,000. */
  requestsPerConnection?: number | undefined
  /** A request's body. Default: no limit. */
  body?: Size | undefined
}

export interface ListenerTimeouts {
  /** Until a request's head is complete. Default `10s`. */
  requestHead?: Duration | undefined
  /** Between two pieces of a request's body. Default `30s`. */
  requestBodyIdle?: Duration | undefined
  /** A connection that waits for its next request. Default `75s`. */
  keepAlive?: Duration | undefined
  /** A client that does not read what is sent to it. Default `60s`. */
  sendIdle?: Duration | undefined
  /** A tunnel (WebSocket) without a byte either way. Default `1h`. */
  tunnelIdle?: Duration | undefined
  /** For the response to begin once the client has closed its sending side. Default `1s`. */
  halfClosed?: Duration | undefined
}

export interface HttpListener {
  readonly kind: 'http'
  readonly options: HttpOptions & { readonly listen: Listen }
}
/** What follows the termination of TLS on a TCP listener. */
export interface HttpWithoutListen {
  readonly kind: 'http'
  readonly options: HttpOptions & { readonly listen?: undefined }
}

/** HTTP/1.1 and HTTP/2, and with `tls` HTTPS. */
export function http<L extends Listen | undefined = undefined>(
  // An intersection: with HttpOptions<L> the compiler blames `listen` for a wrong key beside it.
  options: HttpOptions & { listen?: L },
): NoInfer<L extends Listen ? HttpListener : HttpWithoutListen>
export function http(options: unknown): unknown {
  return { kind: 'http', options }
}
