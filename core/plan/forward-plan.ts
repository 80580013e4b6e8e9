/** Of the plan: the forward side. */
import type { CheckUser } from '../dsl/users.ts'
import type { Access } from '../forward/access.ts'
import type { PacRules } from '../forward/pac.ts'
import type { ParentRule } from '../forward/parent-rules.ts'
import type { Times } from '../forward/times.ts'
import type { Hook } from '../hooks.ts'
import type { CidrSet } from '../net/cidr.ts'
import type { NamedDestination } from '../net/destination.ts'
import type { HostCondition } from '../route/conditions.ts'
import type { ListenAddress } from './plan.ts'

/** Of a listener for clients that name their destination themselves. */
export interface ForwardPlan {
  readonly access: Access
  /** Null: at any time. */
  readonly times: Times | null
  /** Null: nobody is asked who it is. */
  readonly auth: AuthPlan | null
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

export interface AuthPlan {
  /** Passwords, or hashes of them, by name. */
  readonly users: Readonly<Record<string, string>>
  /** Absolute; null: there is none. */
  readonly file: string | null
  /** Knows those that neither has; null: there is none. */
  readonly check: CheckUser | null
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
  /** Whose names certificates bear: the one that was asked for, or those of its server as well, which is looked at first. Default `asked`. */
  readonly names: 'asked' | 'server'
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

/** Of users, over all workers. */
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
