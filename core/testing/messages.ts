/** What a test's process and its simulation say to each other over IPC: every message is one of these, nothing else crosses. */
import type { EndedExchange, EndedTunnel } from '../events.ts'
import type { UseOptions } from '../plugin.ts'

/** What is simulated. */
export type Source =
  | { readonly kind: 'config'; readonly file: string }
  | {
      readonly kind: 'plugin'
      readonly file: string
      readonly options: unknown
      readonly use: UseOptions
      /** Whose hooks it has. */
      readonly layer: 'http' | 'tcp'
    }

/** The one upstream that a plugin alone is simulated with. */
export const PLUGIN_UPSTREAM = 'endpoint'

/** How an upstream without a function behaves; `call`: the test's process is asked. */
export type StubKind = 'call' | 'refused' | 'unreachable' | 'reset' | 'hangs'
export type StubKinds = Readonly<Record<string, StubKind>>

/** Lines of a head, names as they were written. */
export type Fields = readonly (readonly [name: string, value: string])[]

/** A request as a client sends it. */
export interface ClientRequest {
  readonly method: string
  readonly url: string
  /** As sent in the request line. */
  readonly target: string
  readonly fields: Fields
  readonly body: Uint8Array
  readonly from: string
  readonly listener: string | null
  readonly http: '1.0' | '1.1'
}

/** A request as an endpoint got it. */
export interface SentRequest {
  readonly method: string
  readonly target: string
  readonly fields: Fields
  readonly body: Uint8Array
  readonly upstream: string
  readonly endpoint: string
  readonly ip: string
  readonly scheme: 'http' | 'https'
}

export type StubAnswer =
  | { readonly kind: 'response'; readonly status: number; readonly reason: string; readonly fields: Fields; readonly body: Uint8Array }
  | { readonly kind: 'reset'; readonly why: string }
  | { readonly kind: 'hangs' }

/** A request of a plugin's `fetch`. */
export interface FetchedRequest {
  readonly method: string
  readonly url: string
  readonly fields: Fields
  readonly body: Uint8Array
}

export type FetchAnswer = (StubAnswer & { kind: 'response' }) | { readonly kind: 'failed'; readonly why: string }

/** Text by its key, by the plugin's name; `''` of a plugin that is simulated by itself. */
export type KvContents = Readonly<Record<string, Readonly<Record<string, string>>>>

export interface LogLine {
  /** Name of the plugin. */
  readonly plugin: string
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
  /** Where it was printed, `/project/plugins/tag/index.ts:12`. */
  readonly at?: string
}

/** One change of a request or of its response. */
export interface Change {
  /** The plugin's name, an inline hook's place (`web/use[0]`), or `sluice` for what the proxy does itself. */
  readonly by: string
  /** Null for the proxy itself. */
  readonly hook: 'onRequest' | 'onResponse' | null
  /** A field in lower case, or `:method`, `:path` (with its query), `:status`; `:upstream` for `routeTo`. */
  readonly field: string
  /** Null: it was not there. */
  readonly from: string | null
  /** Null: it was taken out. */
  readonly to: string | null
  /** The same for people: `set x-tag: v1-/me`. */
  readonly what: string
}

/** What became of a request. */
export interface Outcome {
  readonly status: number
  readonly statusText: string
  readonly fields: Fields
  readonly body: Uint8Array
  readonly exchange: Facts
  readonly sent: SentRequest | null
  readonly changes: readonly Change[]
  readonly logs: readonly LogLine[]
  /** Why there is no complete response; null: there is one. */
  readonly broken: string | null
}

export type Facts = Pick<
  EndedExchange,
  'listener' | 'route' | 'upstream' | 'endpoint' | 'id' | 'reason' | 'detail' | 'decidedBy' | 'attempts' | 'durationMs'
>

/** A connection of TCP as a client opens it. */
export interface ConnectRequest {
  /** Null: the only one. */
  readonly listener: string | null
  readonly hello: { readonly serverName: string | null; readonly alpn: readonly string[] } | null
  readonly from: string
  readonly data: readonly Uint8Array[]
}

/** What became of it. */
export interface Connected {
  readonly facts: ConnectedFacts
  readonly sent: Uint8Array
  readonly received: Uint8Array
  readonly isReset: boolean
  readonly logs: readonly LogLine[]
}

export interface ConnectedFacts
  extends Pick<EndedTunnel, 'listener' | 'route' | 'upstream' | 'endpoint' | 'sni' | 'reason' | 'detail' | 'decidedBy' | 'attempts'> {
  readonly protocol: 'TCP' | 'TLS' | 'HTTP'
}

/** What an endpoint of TCP got. */
export interface RawPiece {
  readonly data: Uint8Array
  readonly upstream: string
  readonly endpoint: string
}

export type RawAnswer = { readonly kind: 'bytes'; readonly bytes: Uint8Array } | { readonly kind: 'reset'; readonly why: string }

/** Of HTTP, and of TCP. */
export interface AllStubKinds {
  readonly http: StubKinds
  readonly tcp: StubKinds
}

/** To the simulation. One with an `id` is answered by `done` or `failed` with the same id. */
export type ToSimulation =
  | { readonly kind: 'begin'; readonly id: number; readonly source: Source; readonly stubs: AllStubKinds; readonly kv: KvContents }
  | { readonly kind: 'fetch'; readonly id: number; readonly request: ClientRequest }
  | { readonly kind: 'connect'; readonly id: number; readonly request: ConnectRequest }
  | { readonly kind: 'stubbed-raw'; readonly call: number; readonly answer: RawAnswer }
  /** The client of that fetch closes its connection. */
  | { readonly kind: 'abort'; readonly fetch: number }
  | { readonly kind: 'stubbed'; readonly call: number; readonly answer: StubAnswer }
  | { readonly kind: 'fetched'; readonly call: number; readonly answer: FetchAnswer }
  /** What plugins have stored. */
  | { readonly kind: 'kv'; readonly id: number }
  | { readonly kind: 'stubs'; readonly id: number; readonly stubs: AllStubKinds }
  | { readonly kind: 'settle'; readonly id: number }
  | { readonly kind: 'advance'; readonly id: number; readonly duration: string | number }
  | { readonly kind: 'reload'; readonly id: number; readonly source: Source }
  | { readonly kind: 'ping' }

export type FromSimulation =
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }
  | { readonly kind: 'call'; readonly call: number; readonly key: string; readonly request: SentRequest }
  | { readonly kind: 'call-raw'; readonly call: number; readonly key: string; readonly piece: RawPiece }
  /** Of a plugin: what its `fetch` is to be answered. */
  | { readonly kind: 'fetching'; readonly call: number; readonly request: FetchedRequest }
  | { readonly kind: 'log'; readonly line: LogLine }
  | { readonly kind: 'alive' }
