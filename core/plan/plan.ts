/** The plan: what the data path runs on. Compiled from a Config, frozen, without defaults left to fill in or units left to parse. */
import type { BalancerKind, HashKey } from '../balancer/balancer.ts'
import type { Access } from '../forward/access.ts'
import type { PacRules } from '../forward/pac.ts'
import type { ParentRule } from '../forward/parent-rules.ts'
import type { Hook } from '../hooks.ts'
import type { DnsZone } from '../index.ts'
import type { CidrSet } from '../net/cidr.ts'
import type { NamedDestination } from '../net/destination.ts'
import type { TransparentBy } from '../net/original-destination.ts'
import type { PortRange } from '../net/port-range.ts'
import type { HostCondition } from '../route/conditions.ts'
import type { RouteTable } from '../route/table.ts'
import type { TcpTable } from '../route/tcp-table.ts'

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

/** Of a listener for clients that name their destination themselves. */
export interface ForwardPlan {
  readonly access: Access
  /** Passwords, or hashes of them, by name; null: nobody is asked who it is. */
  readonly users: Readonly<Record<string, string>> | null
  /** Addresses that may be dialled although they are local to the machine; null: none. */
  readonly opened: CidrSet | null
  /** What origins are told: `none` the client's address and this proxy, `anonymous` this proxy, `high` neither. Default `none`. */
  readonly anonymity: 'none' | 'anonymous' | 'high'
  /** Null: nothing is. */
  readonly block: BlocklistPlan | null
  /** Of HTTP: tunnels to TLS end here; null: all pass unread. */
  readonly intercept: InterceptPlan | null
  /** Of HTTP: the file that tells browsers when to use this proxy; null: there is none. */
  readonly pac: PacPlan | null
  /** What each user may have in a period; null: as much as they like. */
  readonly quota: QuotaPlan | null
  /** How fast each user goes; null: as fast as may be. */
  readonly bandwidth: UserRatesPlan | null
  /** By way of which other proxies places are reached; empty: all directly. */
  readonly parents: readonly ParentRule[]
  /** The same as long as connections that are open would be opened again, and in the same way. */
  readonly dialKey: string
}

/** Of what clients say inside of TLS. */
export interface InterceptPlan {
  /** Files of the authority, by their whole paths. */
  readonly cert: string
  readonly key: string
  /** Where there are none, they are made. */
  readonly create: boolean
  /** Hosts whose tunnels pass unread; null: none. */
  readonly except: HostCondition | null
  /** Servers have to show a certificate that is good for their name. */
  readonly verifies: boolean
  /** Authorities beside the public ones: the whole path of a file, or PEM text; null: none. */
  readonly upstreamCa: string | null
  /** So often a client refuses us for a host, and then it has its way. Default Infinity. */
  readonly exceptAfter: number
}

/** Of users, both ways together. */
export interface QuotaPlan {
  /** Of each who is not in `byUser`; Infinity: as much as they like. */
  readonly bytes: number
  /** Whole minutes. */
  readonly periodMs: number
  readonly byUser: ReadonlyMap<string, number>
  /** The period as it was written. */
  readonly per: string
}

/** Of users, in each worker. */
export interface UserRatesPlan {
  /** Of each who is not in `byUser`. */
  readonly each: UserRatePlan
  readonly byUser: ReadonlyMap<string, UserRatePlan>
  /** The same for the same rates. */
  readonly key: string
}

/** Bytes a second; null: as fast as may be. */
export interface UserRatePlan {
  readonly up: number | null
  readonly down: number | null
  /** Bytes at once; null: what may pass in a second. */
  readonly burst: number | null
}

export interface SocksListenerPlan {
  readonly kind: 'socks'
  readonly name: string
  readonly addresses: readonly ListenAddress[]
  /** Connections a worker. Default 10,000. */
  readonly limits: { readonly connections: number }
  readonly timeouts: SocksTimeouts
  /** Asked about lines of the log; null: none. */
  readonly logHooks: readonly Hook[] | null
  /** Of this, `anonymity` is for HTTP alone. */
  readonly forward: ForwardPlan
  /** Addresses whose PROXY header is believed; null: nobody's. */
  readonly trust: CidrSet | null
  /** A connection begins with a header of the PROXY protocol, from such an address or over a unix socket. */
  readonly requiresProxyHeader: boolean
  /** Datagrams are passed on as well. */
  readonly udp: boolean
}

/** In milliseconds. */
export interface SocksTimeouts {
  /** From the accept until it is known where the client wants to go. Default 10 s. */
  readonly handshake: number
  /** A tunnel without a byte either way. Default 1 h. */
  readonly tunnelIdle: number
  /** A client of UDP without a datagram either way. Default 2 min. */
  readonly udpIdle: number
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

export interface PacPlan extends PacRules {
  /** Asked of the proxy itself, without a user. */
  readonly paths: readonly string[]
  /** Null: the name and port that it was asked by. */
  readonly proxy: NamedDestination | null
}

/** Names that are not reached. */
export interface BlocklistPlan {
  /** Of what `hosts` blocks. */
  readonly name: string
  /** In ASCII and lower case: `example.com`, `*.example.com`, `||example.com^`. */
  readonly hosts: readonly string[]
  readonly allow: readonly string[]
  readonly files: readonly ListFilePlan[]
}

export interface ListFilePlan {
  readonly name: string
  /** Absolute. */
  readonly file: string
  /** Where it is fetched from, so that it need not be there yet; null: it is somebody's file. */
  readonly fetched: FetchedListPlan | null
}

export interface FetchedListPlan {
  readonly url: string
  /** Absolute: where it is kept. */
  readonly file: string
  /** Milliseconds from one request to the next. */
  readonly everyMs: number
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

export interface UpstreamPlan {
  readonly name: string
  /** Where they are discovered, one that stands for them. */
  readonly endpoints: readonly EndpointPlan[]
  /** Null: its endpoints are those of the plan. */
  readonly discovery: DiscoveryPlan | null
  /** Where the proxy stands; null: that makes no difference. */
  readonly zone: string | null
  readonly balancer: BalancerKind
  /** Null: none. */
  readonly sticky: StickyPlan | null
  /** Milliseconds in which an endpoint comes to its weight; 0: at once. */
  readonly slowStart: number
  /** `preserve`: the client's Host; `endpoint`: host:port of the endpoint; `name`: `hostName`. */
  readonly host: 'preserve' | 'endpoint' | 'name'
  /** For `host: 'name'`: the authority of the URL or the upstream's name. */
  readonly hostName: string
  readonly tls: {
    /** Null: the endpoint's name. */
    readonly servername: string | null
    /** Absolute paths of files, or PEM texts. */
    readonly ca: string | null
    readonly cert: string | null
    readonly key: string | null
  } | null
  readonly timeouts: UpstreamTimeouts
  /** Connections kept open and idle, an endpoint and worker. Default 256. */
  readonly idleConnections: number
  /** Null: bodies pass as they come. */
  readonly buffer: BufferPlan | null
  /** Null: one try; a stale kept-alive connection is replaced beside it. */
  readonly retries: RetryPlan | null
  /** Null: no endpoint is ejected. */
  readonly outlier: OutlierPlan | null
  /** Null: none. */
  readonly circuitBreaker: CircuitBreakerPlan | null
  /** Null: none. */
  readonly healthCheck: HealthCheckPlan | null
  /** Below this share of available endpoints, all are used. Default 0.5. */
  readonly panic: number
  /** Version of the PROXY header that each connection begins with; null: none. */
  readonly proxyProtocol: 1 | 2 | null
  /** Connections an upstream and worker; Infinity. */
  readonly connections: number
  /** Who may wait where there are so many; null: nobody. */
  readonly pending: PendingPlan | null
  /** Null: each try is alone. */
  readonly hedging: HedgingPlan | null
  /** Null: as many requests as there are connections for. */
  readonly adaptive: AdaptivePlan | null
}

/** Bodies that are kept for whoever is slower. Null: of that side none. */
export interface BufferPlan {
  readonly request: BufferBounds | null
  readonly response: BufferBounds | null
  /** Bytes on disk of all bodies together, a worker; 0: none. */
  readonly diskBytes: number
}

export interface BufferBounds {
  /** Bytes of one body; what comes on top is on disk. Default 64 KiB. */
  readonly memoryBytes: number
}

export interface RetryPlan {
  /** Tries in all for one exchange, 2 or more. */
  readonly attempts: number
  readonly onConnect: boolean
  readonly onReset: boolean
  readonly onTimeout: boolean
  readonly statuses: readonly number[]
  /** Of the requests of the last ten seconds, how many may be sent once more. Default 0.2. */
  readonly budget: number
  /** Milliseconds for one try, until the head of its response is complete. Default Infinity. */
  readonly perTry: number
}

/** When an endpoint is kept off for what came of its requests. */
export interface OutlierPlan {
  /** Default 5. */
  readonly consecutiveFailures: number
  /** Of the requests within `window`, failed. Default Infinity. */
  readonly failureRatio: number
  /** So many within `window`, before their share or their times count. Default 20. */
  readonly minRequests: number
  /** Milliseconds on average within `window`, until the head of an answer. Default Infinity. */
  readonly latency: number
  /** Milliseconds. Default 10 s. */
  readonly window: number
  /** Milliseconds, the first time. Default 30 s. */
  readonly ejectFor: number
  /** Default 0.5. */
  readonly maxEjected: number
}

/** When a second endpoint is asked, too. */
export interface HedgingPlan {
  /** Milliseconds without the head of an answer; NaN: as `quantile` says. */
  readonly after: number
  /** Of the latest answers, from 0 to 1; null: as `after` says. */
  readonly quantile: number | null
}

/** How many requests are under way at a time. */
export interface AdaptivePlan {
  /** Default 4, 1,000 and 20. */
  readonly min: number
  readonly max: number
  readonly start: number
  /** Answers may take so many times as long as in calm times. Default 1.5. */
  readonly tolerance: number
  /** Requests that may wait, and for how many milliseconds. */
  readonly pending: number
  readonly maxWait: number
}

export interface PendingPlan {
  readonly most: number
  /** Milliseconds. Default: the time to connect. */
  readonly maxWait: number
}

/** When an upstream as a whole is left alone. */
export interface CircuitBreakerPlan {
  /** Of the requests within `window`, failed after all their tries. Default 0.5. */
  readonly failureRatio: number
  /** So many within `window`, before their share counts. Default 20. */
  readonly minRequests: number
  /** Milliseconds. Default 10 s. */
  readonly window: number
  /** Milliseconds. Default 10 s. */
  readonly openFor: number
}

export interface HealthCheckPlan {
  /** `tcp`: it accepts a connection; `tls`: it shakes hands, too; `http`: it answers a GET; `grpc`: it says over HTTP/2 that it serves. */
  readonly type: 'http' | 'tcp' | 'tls' | 'grpc'
  /** Of gRPC; `''`: the server as a whole. */
  readonly service: string
  readonly path: string
  /** Null: as requests name it, or the endpoint's own where they name their client's. */
  readonly host: string | null
  /** Null: 200 to 299. */
  readonly statuses: readonly number[] | null
  /** Milliseconds from one check to the next. Default 5 s. */
  readonly interval: number
  /** Milliseconds for one check. Default 1 s. */
  readonly timeout: number
  /** Default 3. */
  readonly unhealthyAfter: number
  /** Default 2. */
  readonly healthyAfter: number
}

/** Where endpoints come from. `zone`: the one that is preferred. */
export type DiscoveryPlan = { readonly zone: string | null } & (
  | { readonly kind: 'dns'; readonly host: string; readonly port: number }
  | { readonly kind: 'srv'; readonly name: string }
  | { readonly kind: 'file' /** Absolute. */; readonly path: string }
  | {
      readonly kind: 'etcd'
      readonly urls: readonly string[]
      readonly prefix: string
      readonly user: { readonly name: string; readonly password: string } | null
      readonly token: string | null
      readonly tls: RegistryTlsPlan
    }
  | {
      readonly kind: 'kubernetes'
      readonly service: string
      /** Null: the pod's own. */
      readonly namespace: string | null
      /** Null: the only one. */
      readonly port: string | number | null
      /** Null: that of the cluster that the proxy runs in. */
      readonly server: string | null
      readonly token: string | null
      readonly tokenFile: string | null
      readonly tls: RegistryTlsPlan
    }
  | { readonly kind: 'poll'; readonly find: () => unknown /** Milliseconds. */; readonly interval: number }
)

export interface RegistryTlsPlan {
  /** Absolute paths or PEM texts, read again for each connection: they may be exchanged. Null: none. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  /** Null: the host's. */
  readonly servername: string | null
}

/** A cookie by which clients stay with their endpoint. */
export interface StickyPlan {
  readonly cookie: string
  /** Null: that of this run of the proxy. */
  readonly secret: string | null
  /** Seconds; null: until the browser ends. */
  readonly maxAge: number | null
  readonly path: string
  /** Null: where the request came by TLS. */
  readonly secure: boolean | null
  readonly sameSite: 'Lax' | 'Strict' | 'None'
}

export interface EndpointPlan {
  /** As written, `127.0.0.1:3001`: the name in logs and metrics. */
  readonly address: string
  readonly target:
    | { readonly kind: 'ip'; readonly host: string; readonly port: number }
    | { readonly kind: 'name'; readonly host: string; readonly port: number }
    | { readonly kind: 'unix'; readonly path: string }
  /** Whole number ≥ 0; 0 takes nothing. */
  readonly weight: number
  /** Those of the least are chosen first, of the others only while none of the group before is available. By priority, then by zone. */
  readonly group: number
  /** Null: it takes requests, as far as it has a weight. `sticky`: only those of clients that stay with it. `all`: none. */
  readonly drain: 'sticky' | 'all' | null
}

/** All in milliseconds. */
export interface UpstreamTimeouts {
  /** Name look-up and connect. Default 5 s. */
  readonly connect: number
  /** From the end of the request to the end of the response head. Default 60 s. */
  readonly response: number
  /** Between two reads of a response body. Default 60 s. */
  readonly idle: number
  /** A kept-alive connection that nobody uses. Default 60 s. */
  readonly keepAlive: number
  /** From the first try until the head of the response that is passed on. Default Infinity. */
  readonly total: number
}
