/** The plan: what the data path runs on. Compiled from a Config, frozen, without defaults left to fill in or units left to parse. */
import type { HashKey } from '../balancer/balancer.ts'
import type { Hook } from '../hooks.ts'
import type { DnsZone } from '../index.ts'
import type { CidrSet } from '../net/cidr.ts'
import type { TransparentBy } from '../net/original-destination.ts'
import type { PortRange } from '../net/port-range.ts'
import type { RouteTable } from '../route/table.ts'
import type { TcpTable } from '../route/tcp-table.ts'
import type { ForwardPlan, SocksListenerPlan } from './forward-plan.ts'
import type { UpstreamPlan } from './upstream-plan.ts'

export interface Plan {
  readonly generation: number
  readonly listeners: readonly AnyListenerPlan[]
  /** All upstreams by name: those of routes and those of `defineConfig({ upstreams })`. */
  readonly upstreams: ReadonlyMap<string, UpstreamPlan>
  readonly log: LogPlan
  readonly admin: { readonly listen: readonly ListenAddress[] } | null
  /** Certificates that are got by ACME, each once. */
  readonly acme: readonly AcmePlan[]
  /** How records of their zones are changed, by the files of certificates that are got by them. */
  readonly dnsZones: ReadonlyMap<string, DnsZone>
}

export type ListenAddress =
  | {
      readonly kind: 'tcp' | 'udp'
      /** null: every address, IPv6 and IPv4. */
      readonly host: string | null
      readonly port: number
      /** Also takes what is meant for addresses that are not ours. */
      readonly isTransparent?: true
    }
  | { readonly kind: 'unix'; readonly path: string }

export interface LogPlan {
  readonly access: boolean
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** null: pretty on a terminal, JSON elsewhere. */
  readonly format: 'json' | 'combined' | 'pretty' | null
}

export type AnyListenerPlan = ListenerPlan | TcpListenerPlan | UdpListenerPlan | SocksListenerPlan

/** Of HTTP. */
export interface ListenerPlan {
  readonly kind: 'http'
  readonly name: string
  readonly addresses: readonly ListenAddress[]
  /** At least one, the first is for clients that name none of them; null: plain text. */
  readonly tls: readonly TlsPlan[] | null
  /** Addresses whose `X-Forwarded-For` is believed; null: nobody's. */
  readonly trust: CidrSet | null
  /** Addresses whose PROXY header is believed; null: nobody's. */
  readonly headerTrust: CidrSet | null
  /** A connection begins with a header of the PROXY protocol, from such an address or over a unix socket. */
  readonly requiresProxyHeader: boolean
  /** Name in `Via`, null: no Via. Default `sluice`. */
  readonly via: string | null
  /** Also send `Forwarded` (RFC 7239). Default false. */
  readonly forwarded: boolean
  /** Accept `%2f`, `%5c` in paths (they stay encoded). Default false. NUL is refused always. */
  readonly encodedSlashes: boolean
  /** Clients of plain connections may speak HTTP/2 from the first byte on (RFC 9113 §3.3). Default true. */
  readonly h2c: boolean
  readonly limits: ListenerLimits
  readonly timeouts: ListenerTimeouts
  /** Null: its routes say where requests go. Else the requests name it themselves, and there is one route for all of them. */
  readonly forward: ForwardPlan | null
  /** Of the forward side: what begins as SOCKS goes by this, which has no addresses of its own; null: nothing does. */
  readonly socks: SocksListenerPlan | null
  /** Null: what comes was meant for it. */
  readonly transparent: TransparentPlan | null
  /** Of the forward side where it is transparent: what is no HTTP goes by this, which has no addresses of its own. */
  readonly tunnels: TcpListenerPlan | null
  /** The config's and the listener's `use`, in order. */
  readonly hooks: readonly Hook[]
  readonly routes: RouteTable
}

/** Of a listener that gets connections which are meant for other places. */
export interface TransparentPlan {
  readonly by: TransparentBy
  /** Rules about the places that they lead to. */
  readonly places: ForwardPlan
}

export interface TcpListenerPlan {
  readonly kind: 'tcp'
  readonly name: string
  readonly addresses: readonly ListenAddress[]
  /** Addresses whose PROXY header is believed; null: nobody's. */
  readonly trust: CidrSet | null
  /** A connection begins with a header of the PROXY protocol, from a trusted address or over a unix socket. */
  readonly requiresProxyHeader: boolean
  /** Connections a worker, those of HTTP listeners inside too. Default 10,000. */
  readonly limits: { readonly connections: number }
  readonly timeouts: TcpTimeouts
  /** Null: what comes was meant for it. */
  readonly transparent: TransparentPlan | null
  /** Null: what passes is not read. */
  readonly gateway: GatewayPlan | null
  /** In order. */
  readonly hooks: readonly Hook[]
  /** Asked about lines of the log, where no route was found; null: none. */
  readonly logHooks: readonly Hook[] | null
  readonly routes: TcpTable<TcpRoutePlan>
}

export interface GatewayPlan {
  readonly kind: 'ftp'
  /** Of IPv4: clients of PASV are told it. Null: that which they are connected to. */
  readonly address: string | null
  /** Where data is listened for; null: any port that is free. */
  readonly ports: PortRange | null
}

/** In milliseconds. */
export interface TcpTimeouts {
  /** For the first message of TLS, where a route depends on it; who has said nothing by then speaks no TLS. Default 3 s. */
  readonly detect: number
  /** A tunnel without a byte either way. Default 1 h. */
  readonly tunnelIdle: number
}

export interface TcpRoutePlan {
  /** `edge/bank`, `edge[0]`. */
  readonly id: string
  /** Asked after the listener's. */
  readonly hooks: readonly Hook[]
  /** Asked about lines of the log, the listener's too; null: none. */
  readonly logHooks: readonly Hook[] | null
  /** One of them is asked about hellos, so there has to be one, or none, before it is taken. */
  readonly wantsHello: boolean
  /** In front of an upstream; HTTP terminates by itself. */
  readonly tls: readonly TlsPlan[] | null
  readonly destination: TcpDestination
}

export type TcpDestination =
  | { readonly kind: 'upstream'; readonly upstream: UpstreamPlan }
  /** Where the client wanted to go. `byName`: to what TLS asks for by name, if it does, and the port that the client wanted. */
  | { readonly kind: 'original'; readonly byName: boolean }
  | SplitDestination
  | {
      readonly kind: 'http'
      readonly listener: ListenerPlan
      /** The same as long as the same clients get here: what is connected goes on with the next plan. */
      readonly key: string
    }

export interface UdpListenerPlan {
  readonly kind: 'udp'
  readonly name: string
  readonly addresses: readonly ListenAddress[]
  /** Sessions a worker. Default 10,000. */
  readonly limits: { readonly sessions: number }
  /** In milliseconds: a session without a datagram either way. Default 60 s. */
  readonly timeouts: { readonly idle: number }
  /** Asked about lines of the log; null: none. */
  readonly logHooks: readonly Hook[] | null
  readonly routes: TcpTable<UdpRoutePlan>
}

export interface UdpRoutePlan {
  /** `dns/home`, `dns[0]`. */
  readonly id: string
  /** To each datagram of the client; with them a session ends. Null: nobody counts. */
  readonly replies: number | null
  /** Those of the listener. */
  readonly logHooks: readonly Hook[] | null
  readonly destination: { readonly kind: 'upstream'; readonly upstream: UpstreamPlan } | SplitDestination
}

/** A certificate that an authority gives by ACME. */
export interface AcmePlan {
  readonly names: readonly string[]
  /** Absolute paths: key and chain of the certificate, which may not be there yet; the account's key. */
  readonly file: string
  readonly accountFile: string
  readonly directory: string
  /** A file, or PEM text; null: the authorities that Node trusts. */
  readonly directoryCa: string | null
  readonly email: string | null
  readonly challenge: 'tls-alpn-01' | 'http-01' | 'dns-01'
  /** Milliseconds from a record that is set until the authority is told to look. */
  readonly dnsWait: number
  readonly externalAccount: { readonly keyId: string; readonly hmacKey: string } | null
}

export interface TlsPlan {
  /** The absolute path of a file, or PEM text. */
  readonly cert: string
  readonly key: string
  /** Null: whoever wrote the files renews them. */
  readonly acme: AcmePlan | null
  readonly alpn: readonly string[]
  /** Null: clients are not asked for certificates. */
  readonly clients: {
    readonly mode: 'require' | 'request'
    readonly ca: string
    /** Tell endpoints of the certificate. */
    readonly forward: boolean
  } | null
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Files; null: none. */
  readonly ocsp: string | null
  readonly keyLog: string | null
}

export interface ListenerLimits {
  /** Bytes of a request head, request line included. Default 32 KiB. */
  readonly headBytes: number
  /** Bytes of a request line. Default 8 KiB; more is 414. */
  readonly requestLineBytes: number
  /** Field lines of a head. Default 100. */
  readonly fields: number
  /** Connections a worker. Default 10,000, less when the limit of file descriptors is lower. */
  readonly connections: number
  /** Requests a connection, then `Connection: close`. Default 10,000. */
  readonly requestsPerConnection: number
  /** Bytes of a request body; of one that a hook reads, also when it is decoded. Default Infinity. */
  readonly bodyBytes: number
}

/** All in milliseconds. */
export interface ListenerTimeouts {
  /** From the first byte (or the accept) to the end of the head. Default 10 s. */
  readonly requestHead: number
  /** Between two reads of a request body. Default 30 s. */
  readonly requestBodyIdle: number
  /** An idle connection between two requests. Default 75 s. */
  readonly keepAlive: number
  /** A client that does not take what is written. Default 60 s. */
  readonly sendIdle: number
  /** A tunnel without a byte either way. Default 1 h. */
  readonly tunnelIdle: number
  /** The response must have begun this long after the client closed its sending side; else it counts as gone. Default 1 s. */
  readonly halfClosed: number
}

export interface RoutePlan {
  /** `web/me`, `web[0]`, `web[2][1]` inside a group. */
  readonly id: string
  /** The hooks of the route and of the groups around it, outermost first. */
  readonly hooks: readonly Hook[]
  readonly destination: Destination
  /** Null: nobody gets a copy. */
  readonly mirror: MirrorPlan | null
  /** What a cache keeps for it is kept under this: the same as long as the same requests go to the same place. Empty: there is no cache. */
  readonly cacheSpace: string
}

/** Who gets copies of requests, of a share of them. */
export interface MirrorPlan {
  readonly upstream: UpstreamPlan
  /** From 0 to 1. */
  readonly share: number
  /** Of a request's body, framing included; there is no copy of more. Default 64 KiB. */
  readonly maxBytes: number
}

export interface SplitDestination {
  readonly kind: 'split'
  readonly parts: readonly { readonly upstream: UpstreamPlan; readonly weight: number }[]
  /** What the part is chosen by; null: they take turns. */
  readonly by: HashKey | null
  readonly rewrite: string | null
}

/** Files of a folder, or one file. */
export interface FilesDestination {
  readonly kind: 'files'
  /** Absolute. */
  readonly root: string
  readonly rewrite: string | null
  /** For a folder; null: nothing is sent. */
  readonly index: string | null
  readonly listing: boolean
  /** Inside of the root, for what is not there; null: 404. */
  readonly fallback: string | null
  /** Looked for beside a file, in this order; empty: none. */
  readonly precompressed: readonly ('br' | 'zstd' | 'gzip')[]
  /** By extension, `.map`, in lower case. */
  readonly types: Readonly<Record<string, string>>
  readonly dotfiles: boolean
  /** Those that lead out of the root are followed. */
  readonly links: boolean
}

export type Destination =
  | {
      readonly kind: 'upstream'
      readonly upstream: UpstreamPlan /** Path template such as `/*`; null: as received. */
      readonly rewrite: string | null
    }
  | SplitDestination
  | FilesDestination
  /** Of the forward side: the place that the request names. */
  | { readonly kind: 'named' }
  /** Where the client wanted to go. */
  | { readonly kind: 'original' }
  | { readonly kind: 'respond'; readonly status: number; readonly body: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'redirect' /** Template: `/new/*`, `https://x/:id`. */; readonly to: string; readonly status: number }
