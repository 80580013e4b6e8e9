/** What `sluice explain` finds out: plain data, printed as text (format.ts) or as JSON. Credentials are not in it. */
import type { ErrorCode } from '../errors.ts'
import type { FirewallAsked } from './firewall.ts'

/** A request to explain. Plain data. */
export interface Asked {
  readonly method: string
  /** As typed: `http://example.com/a`, `example.com/a`, `/a`. */
  readonly url: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Address of the peer. */
  readonly from: string
  /** Null: the one that the URL reaches. */
  readonly listener: string | null
  /** A head as a proxy received it, instead of method, url and headers; latin1. */
  readonly head: string | null
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  /** Tells of every route, of however many. */
  readonly all: boolean
  /** Milliseconds since the epoch. Default: now. */
  readonly at?: number
  /** Instead of a request: draws the ways in, of all listeners or the one that is named. */
  readonly diagram?: boolean
  /** Instead of a request, too: what the firewall needs. */
  readonly firewall?: FirewallAsked
}

export interface Explanation {
  readonly asked: { readonly method: string; readonly url: string; readonly headers: readonly NamedValue[]; readonly from: string }
  /** Why nothing could be explained; then the rest is null. */
  readonly wrong: string | null
  /** What becomes of a client that asks by no request, as of UDP; then the rest is null but for `access`. */
  readonly passed: string | null
  /** Drawn ways in, or rules of a firewall, only if they were asked for; then the rest is null. */
  readonly diagram: string | null
  readonly listener: ListenerStep | null
  readonly request: RequestStep | null
  /** Of a forward listener: its rules as far as they were asked; null for others, which ask nobody. */
  readonly access: readonly AccessCheck[] | null
  /** In the order they run; null when the request does not come so far. */
  readonly use: readonly UseStep[] | null
  readonly routes: RoutesStep | null
  readonly outcome: Outcome | null
  /** Keys of the uses that see the response, in their order. */
  readonly responseUse: readonly string[]
  readonly timeouts: readonly { readonly name: string; readonly ms: number; readonly of: string }[]
}

export interface NamedValue {
  readonly name: string
  readonly value: string
}

export interface ListenerStep {
  readonly name: string
  readonly place: string
  readonly addresses: readonly string[]
  readonly scheme: 'http' | 'https'
  /** Why this one. */
  readonly because: string
  readonly others: readonly { readonly name: string; readonly addresses: readonly string[] }[]
}

export interface RequestStep {
  readonly method: string
  readonly host: string
  /** In its normal form: what routes are matched against. */
  readonly path: string
  readonly search: string
  /** As it was asked for, if that is another; else null. */
  readonly writtenPath: string | null
  readonly client: { readonly ip: string; readonly peer: string; readonly because: string }
  /** Refused before anything else looks at it. */
  readonly refused: Refusal | null
}

/** One rule about who may reach what: `clients`, `auth`, `loop`, `allow`, `block`. */
export interface AccessCheck {
  readonly rule: string
  readonly text: string
  readonly isRefused: boolean
}

export interface Refusal {
  readonly code: ErrorCode
  readonly status: number
  readonly because: string
}

/** One entry of a `use` list. */
export interface UseStep {
  readonly key: string
  readonly name: string
  /** The package that it came in: `sluice-plugin-geo 2.1.0`; null if it came in none. */
  readonly release: string | null
  readonly kind: 'plugin' | 'policy' | 'inline'
  readonly place: string
  /** `onRequest`, `onResponse`. */
  readonly hooks: readonly string[]
  /** Whether it is asked about this request: false if its own `match` says no. */
  readonly isAsked: boolean
  /** Its `match`, as text; null: every request. */
  readonly match: string | null
  /** What it may read of the fields of this request; null: trusted, all of them. */
  readonly sees: readonly SeenField[] | null
  readonly grant: readonly string[]
  readonly limits: UseLimits | null
  /** Of a policy: what it does, and what it says to this request. */
  readonly policy: PolicyStep | null
}

export interface PolicyStep {
  readonly does: string
  /** The answer it gives in the place of what follows; null: it lets the request pass, or cannot tell without acting. */
  readonly answer: { readonly status: number; readonly code: ErrorCode | null; readonly because: string } | null
  /** Whether its answer was asked for: it counts nothing and asks nobody. */
  readonly isAsked: boolean
}

/** `value` is null if the request has none; hidden: it has one, but the plugin may not see it. */
export interface SeenField {
  readonly name: string
  readonly value: string | null
  readonly isHidden: boolean
}

export interface UseLimits {
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly memoryMb: number
  /** What the plugin may keep in kv; null: it is not granted. */
  readonly kvBytes: number | null
  readonly isolation: 'worker' | 'process'
  readonly onFailure: 'deny' | 'continue'
}

export type MatchField = 'host' | 'path' | 'method' | 'from' | 'headers' | 'query' | 'cookies' | 'when'

export interface Mismatch {
  readonly field: MatchField
  /** Of the header, query parameter or cookie; else null. */
  readonly name: string | null
  readonly wanted: string
  readonly got: string
}

/** A route, or a group, that did not match. */
export interface RouteStep {
  readonly id: string
  readonly place: string
  /** How many routes it stands for: those of a group whose own field did not match. */
  readonly routes: number
  readonly isGroup: boolean
  readonly mismatch: Mismatch
}

export interface RoutesStep {
  /** Of the listener. */
  readonly total: number
  /** Before the one that matched; in written order. */
  readonly earlier: readonly RouteStep[]
  /** The others before it: how many failed by which field. */
  readonly counted: readonly { readonly field: MatchField; readonly routes: number }[]
  /** A `when` that threw. */
  readonly failed: { readonly id: string; readonly place: string; readonly error: string } | null
  readonly matched: MatchedRoute | null
  /** Without a match: the one with the fewest fields in the way. */
  readonly nearest: { readonly id: string; readonly place: string; readonly mismatches: readonly Mismatch[] } | null
}

export interface MatchedRoute {
  readonly id: string
  readonly place: string
  /** What it asked for, all of which the request has; nothing if it takes every request. */
  readonly held: readonly Omit<Mismatch, 'got'>[]
  /** What its path and the groups' captured. */
  readonly params: Readonly<Record<string, string>>
}

export type Outcome =
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly status: number; readonly because: string }
  | { readonly kind: 'respond'; readonly status: number; readonly headers: readonly NamedValue[]; readonly body: string }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  | FilesStep
  /** CONNECT: bytes that nobody reads. */
  | { readonly kind: 'tunnel'; readonly to: string }
  | Sent

/** What is sent of files. */
export interface FilesStep {
  readonly kind: 'files'
  readonly root: string
  readonly status: number
  /** Or the folder whose listing it is. */
  readonly file: string
  readonly type: string
  /** As it is stored; null: plain. */
  readonly coding: string | null
}

/** What goes to an endpoint. */
export interface Sent {
  readonly kind: 'upstream'
  readonly upstream: string
  readonly place: string | null
  /** Null: all of it goes there. */
  readonly split: readonly { readonly upstream: string; readonly percent: number }[] | null
  /** Why it goes to this part of it. */
  readonly splitBecause: string | null
  /** Null: nobody gets a copy. */
  readonly mirror: { readonly upstream: string; readonly percent: number } | null
  readonly endpoints: readonly { readonly address: string; readonly weight: number }[]
  /** Which is the next one, and how it goes on; null: that depends on more than the request. */
  readonly first: string | null
  readonly balancing: string
  /** What keeps it in service: a line each. */
  readonly safeguards: readonly string[]
  readonly requestLine: string
  /** The path came about by `rewrite`. */
  readonly isRewritten: boolean
  readonly host: { readonly value: string; readonly because: string }
  /** Null: plain text; the name is empty for an address. */
  readonly tls: { readonly servername: string } | null
  readonly added: readonly NamedValue[]
  /** Names of fields that do not go on. */
  readonly removed: readonly string[]
}
