/** The forward side: listeners for clients that name their destination themselves. */
import type { Duration, Size } from '../plugin.ts'
import type { Listen, ListenerLimits, ListenerTimeouts, Transparent } from './http.ts'
import type { List, OneOrMany } from './lists.ts'
import type { HttpUse } from './policies.ts'
import type { Users } from './users.ts'

export interface Allow {
  /** The ports that tunnels reach, instead of 443 alone (of SOCKS: 80 and 443). Plain HTTP reaches every port but those of other protocols, and these. */
  ports?: readonly number[] | undefined
  /** The only hosts that are reached: `'example.com'`, `'*.example.com'` (one or more labels), an address. Default: every one. */
  hosts?: OneOrMany<string> | undefined
  /**
   * Addresses that may be reached although they are refused by default: loopback, link-local, those of metadata services, and this machine's
   * own. Looked at when they are dialled, whatever name led to them. `'127.0.0.0/8'`
   */
  networks?: OneOrMany<string> | undefined
  /** The only clients that are served: `'10.0.0.0/8'`. Default: every one. */
  clients?: OneOrMany<string> | undefined
  /**
   * When: `{ days: 'mon-fri', from: '08:00', to: '18:00', zone: 'Europe/Berlin' }`, or several. Where some name what is asked for (`hosts`, `clients`,
   * `users`), those alone count for it, and else those that name nothing; it may be at the times of any of them. What none is for may always be.
   * Each request and each new tunnel is asked; tunnels that are open when the time ends stay open. Default: always.
   */
  times?: OneOrMany<AllowedTimes> | undefined
}
export interface AllowedTimes {
  /** `'mon-fri'`, `'sat'`, `'mon,wed-fri'`, or a list: those that it begins on. Default: every day. */
  days?: OneOrMany<string> | undefined
  /** `'08:00'`. Default: midnight. */
  from?: string | undefined
  /** `'18:00'`. If that is not after `from`, of the next day: `from: '22:00', to: '06:00'`. Default: midnight. */
  to?: string | undefined
  /** By whose clock, daylight saving included: `'Europe/Berlin'`. Default: that of this machine. */
  zone?: string | undefined
  /** For these hosts alone, written as in `allow.hosts`. Default: all. */
  hosts?: OneOrMany<string> | undefined
  /** For these clients alone: `'10.0.0.0/8'`. Default: all. */
  clients?: OneOrMany<string> | undefined
  /** For these users alone (`auth`). Default: all. */
  users?: OneOrMany<string> | undefined
}
/**
 * Bytes both ways together, of all workers. Who has used it up is refused (429, SOCKS reply 2) until the period ends, and its tunnels are cut; a request
 * that has begun is carried out. Where nobody is asked who it is (`auth`), each client's address counts as a user, of IPv6 the /64. What was
 * counted goes on through reloads, and is gone when the proxy ends.
 */
export interface Quota {
  /** Of each user that is not in `byUser`: `'10gb'`. Default: as much as they like. */
  bytes?: Size | undefined
  /** Whole minutes, up to 30 days: `'1h'`, `'1d'`. Periods follow each other without a gap, in UTC: a day ends at midnight. */
  per: Duration
  /** Of some users, instead; false: as much as they like. */
  byUser?: Readonly<Record<string, Size | false>> | undefined
}
/** By way of whom some places are reached. */
export interface ParentRule {
  /** `'example.com'`, `'*.example.com'`, addresses; and networks (`'10.0.0.0/8'`), for addresses that clients write, not for those that names resolve to. */
  hosts: OneOrMany<string>
  /** Default: every port. */
  ports?: readonly number[] | undefined
  /**
   * Parents, in the order in which they are asked: the next one if one cannot be connected to (5 s), does not answer (10 s), or answers that it cannot lead
   * on: 502, 503, 504, or replies 1 and 3 to 6 of SOCKS5. Who was silent or not there three times running is left out for 10 s, then for twice as
   * long, up to 2 minutes. `'direct'`: nobody.
   */
  via: 'direct' | OneOrMany<string>
}
/** Of all that a user has under way in a worker together. Who has to wait is not read from meanwhile. */
export interface UserBandwidth extends UserRate {
  /** Of some users, instead; false: as fast as may be. */
  byUser?: Readonly<Record<string, UserRate | false>> | undefined
}
export interface UserRate {
  /** Bytes a second from the user: `'256kb'`. Default: no limit. */
  up?: Size | undefined
  /** Bytes a second to the user. Default: no limit. */
  down?: Size | undefined
  /** So many at once, for who has not had any lately; a fifth of a second's worth at the least. Default: what may pass in a second. */
  burst?: Size | undefined
}
interface ForwardSide {
  listen: Listen
  /** Who may use it, by name and password: at least one of `users`, `file` and `check`. Tunnels that are open stay open when their user goes. */
  auth?: Users | undefined
  allow?: Allow | undefined
  /** Names that are not reached, whoever asks: as destinations, and as what TLS in a tunnel asks for (SNI). */
  block?: Blocklist | undefined
  /**
   * Another proxy by way of which everything goes: `'http://ann:pw@10.0.0.1:3128'`, `'socks5://10.0.0.1:1080'`. It resolves the names; what they
   * resolve to is its to judge. Or rules, of which the first that fits counts, and at the end perhaps parents for all else, in the order in which they
   * are asked; what no rule fits is reached directly. `[{ hosts: '*.corp.example', via: 'direct' }, 'http://10.0.0.1:3128', 'http://10.0.0.2:3128']`
   */
  parent?: string | readonly (string | ParentRule)[] | undefined
  /** How much each user may have in a period: `{ bytes: '10gb', per: '1d' }`. Default: as much as they like. */
  quota?: Quota | undefined
  /** How fast each user goes, over all workers: `{ down: '2mb' }`. Of datagrams 64 KiB and 64 wait for each client and way, more are dropped. Default: as fast as may be. */
  bandwidth?: UserBandwidth | undefined
  /** Whoever reaches it may use it, from other machines too. */
  open?: true | undefined
  /** Networks whose PROXY header is believed. Default: nobody's. What clients say in fields of HTTP is never believed. */
  trust?: OneOrMany<string> | undefined
  /**
   * Every connection begins with a header of the PROXY protocol (version 1 or 2), from an address in `trust`; others are closed. The client that it
   * names is the one of `allow.clients`, quotas, hooks and the log.
   */
  proxyProtocol?: 'require' | undefined
}
export interface ForwardOptions extends ForwardSide {
  /** A file that tells browsers when to use this proxy, at `http://proxy:3128/proxy.pac`: `pac: pac({ except: '*.internal' })`. */
  pac?: Pac | undefined
  /** Also speak SOCKS 4, 4a and 5 on this port, told from HTTP by the first byte, under the same rules. Default false. */
  socks?: boolean | undefined
  /**
   * Also takes clients that know of no proxy, whose connections a firewall sends here: plain HTTP goes to the host that it names, TLS to the name
   * that it asks for, each to the port that the client wanted, under the same rules. What names nothing goes where the client wanted to go.
   */
  transparent?: Transparent | undefined
  /**
   * End tunnels to TLS here, and read what is inside, as an authority that clients trust: `intercept: intercept({ ca: { cert: './ca.pem', key: './ca.key'
   * } })`. Also for clients that come by `socks: true` or `transparent`. Only for people who know of it.
   */
  intercept?: Intercept | undefined
  /**
   * What servers learn of clients by HTTP, plain or intercepted: `'none'` (the default) tells them the client's address (`X-Forwarded-For`) and of this proxy
   * (`Via`); `'anonymous'` of this proxy alone; `'high'` nothing. In the latter two, fields with which clients and other proxies tell of
   * themselves are taken out.
   */
  anonymity?: 'none' | 'anonymous' | 'high' | undefined
  /**
   * Policies, plugins and inline hooks, in this order; on the response in reverse. Asked about every request of plain HTTP, and inside of tunnels that
   * `intercept` ends. Of `CONNECT` they are asked `onRequest` alone, with an empty path.
   */
  use?: List<HttpUse> | undefined
  limits?: ListenerLimits | undefined
  timeouts?: ListenerTimeouts | undefined
}
export interface PacOptions {
  /** Hosts that are asked without the proxy, beside plain names and the machine itself: `'example.com'`, `'*.example.com'`, `'10.0.0.0/8'`. */
  except?: OneOrMany<string> | undefined
  /** Also at `/wpad.dat`, where browsers that look for a proxy by themselves ask the host `wpad`. Default false. */
  wpad?: boolean | undefined
  /** What browsers are told to use: `'proxy.example.com:3128'`. Default: the name and port by which they asked for the file. */
  proxy?: string | undefined
}
export interface Pac {
  readonly kind: 'pac'
  readonly options: PacOptions
}
export interface SocksOptions extends ForwardSide {
  /**
   * Also pass datagrams on (UDP ASSOCIATE, RFC 1928 §7): each is looked at as a tunnel would be, fragments are dropped, and answers come in only
   * from where the client sent something. Default false.
   */
  udp?: boolean | undefined
  timeouts?:
    | {
        /** From the accept until it is known where the client wants to go. Default `10s`. */
        handshake?: Duration | undefined
        /** A tunnel without a byte either way. Default `1h`. */
        tunnelIdle?: Duration | undefined
        /** A client of UDP without a datagram either way. Default `2m`. */
        udpIdle?: Duration | undefined
      }
    | undefined
  limits?: { /** A worker. Default 10,000. */ connections?: number | undefined } | undefined
}
export interface ForwardListener {
  readonly kind: 'forward'
  readonly options: ForwardOptions
}
export interface SocksListener {
  readonly kind: 'socks'
  readonly options: SocksOptions
}
/** A list in a file, under a name of its own: `{ file: './adult.txt', name: 'adult' }`. */
export interface ListFile {
  /** From the folder of the config. */
  file: string
  /** What the log and the answer call it. Default: the name of the file. */
  name?: string | undefined
}
/** A list that is published somewhere: `{ url: 'https://example.com/adult.txt', name: 'adult', every: '6h' }`. */
export interface ListUrl {
  /** Of HTTP or HTTPS. */
  url: string
  /** What the log and the answer call it: its category, say. Default: the last part of its path. */
  name?: string | undefined
  /** How often it is asked for, by a conditional request. Default `1d`, at least `1m`. */
  every?: Duration | undefined
}
/** Names that are not reached, by themselves or by lists of them. A million take about 17 MB a worker. */
export interface BlocklistOptions {
  /**
   * Lists as they are published: hosts files (`0.0.0.0 ads.example.com`), names, one a line (`ads.example.com`), wildcards (`*.example.com`) and
   * rules of ad blockers (`||example.com^`, exceptions `@@||www.example.com^`). Hosts and bare names stand for themselves alone, the others for
   * all that is under them too. A line that is not understood is told by `check` and left out; a file that changes is read again.
   */
  files?: List<string | ListFile> | undefined
  /**
   * Lists of the same kinds that are fetched, at the start and then as often as `every` says, in one minute and up to 64 MB; their servers may lead to other
   * places of HTTP, but to none of this machine, its links and its cloud (loopback, link-local, metadata). The last good one is kept
   * on disk, so that a start without a network has it: one that does not come whole, or has no name in it, changes nothing. Before the first has come
   * nothing of it is blocked.
   */
  urls?: List<string | ListUrl> | undefined
  /** Where fetched lists are kept, from the folder of the config. Default `.sluice/lists`. */
  storage?: string | undefined
  /** `'example.com'`: that name alone; `'*.example.com'`: every name under it, as in routes; `'||example.com^'`: both. Addresses, too. */
  hosts?: OneOrMany<string> | undefined
  /** Never blocked, whatever lists say. Written as `hosts` is. */
  allow?: OneOrMany<string> | undefined
  /** What the log and the answer call those of `hosts`. Default `hosts`. */
  name?: string | undefined
}
export interface Blocklist {
  readonly kind: 'blocklist'
  readonly options: BlocklistOptions
}
export interface InterceptOptions {
  /**
   * Files of the authority that signs for the hosts that clients ask for, as `sluice ca create` makes them; the key is for its owner alone (0600).
   * `create`: make them where there are none. Default false.
   */
  ca: { cert: string; key: string; create?: boolean | undefined }
  /**
   * Hosts whose tunnels pass unread, by the name that `CONNECT` or TLS asks for: `'bank.example.com'`, `'*.example.com'` (all under it), addresses.
   * Programs that accept their own certificates alone belong in here.
   */
  except?: readonly string[] | undefined
  /**
   * Servers have to show a certificate that is valid for their name, by a public authority or by `ca` (a file, or PEM text), else the client gets 502 with
   * the reason. `false`: whoever answers is believed, and so is whoever stands in between.
   */
  verifyUpstream?: { ca?: string | undefined } | false | undefined
  /**
   * A client that has refused our certificate for a host so many times, one after the other, has its tunnels to that host passed unread for a day. It goes by
   * the client's address and the host, of others and to other hosts nothing passes; who shares an address (behind NAT) shares it. Any client can bring that
   * about for itself. Each worker counts by itself, 4,096 addresses with hosts. Default: never.
   */
  exceptAfter?: number | undefined
  /**
   * What certificates are for. `'asked'`: the name that the client asks for, alone. `'server'`: also up to 100 names of the certificate that its server shows,
   * which is connected to and verified first (5 s at most; then, and where it fails, as `'asked'`), so that browsers send requests for several hosts
   * of one server by one connection. Each is asked about, and reached, by its own name. Default `'asked'`.
   */
  names?: 'asked' | 'server' | undefined
}
export interface Intercept {
  readonly kind: 'intercept'
  readonly options: InterceptOptions
}

/**
 * A forward proxy for HTTP: for clients that name it as their proxy. Plain requests by their whole URL, everything else by tunnels
 * (`CONNECT`), which reach port 443 alone. Nothing local to the machine is reached, until `allow` opens it.
 */
export function forward(options: ForwardOptions): ForwardListener {
  return { kind: 'forward', options }
}
/**
 * A SOCKS proxy: versions 4, 4a and 5 (RFC 1928), with names and passwords (RFC 1929) in 5 alone. Names are resolved here, whatever the client
 * could do itself; rules are those of `forward`, with 80 and 443 as the ports that are reached.
 */
export function socks(options: SocksOptions): SocksListener {
  return { kind: 'socks', options }
}
/** A proxy auto-configuration file, for whoever may use the listener, without a password. */
export function pac(options: PacOptions = {}): Pac {
  return { kind: 'pac', options }
}
/** Names that a forward listener does not reach: `block: blocklist({ files: ['./ads.txt'], hosts: '||example.com^' })`. */
export function blocklist(options: BlocklistOptions): Blocklist {
  return { kind: 'blocklist', options }
}
/**
 * Reads TLS of a forward proxy's clients: what is inside is HTTP/1.1 or HTTP/2, is asked of hooks, policies and plugins as other requests are, and stands
 * in the log. What is no TLS, or says that it is not HTTP (ALPN), passes unread; a request for another host than that of its certificate gets 421.
 */
export function intercept(options: InterceptOptions): Intercept {
  return { kind: 'intercept', options }
}
