/** What the supervisor and its workers say to each other over IPC: every message is one of these, nothing else crosses. */
import type { Announced } from '../cache/announcements.ts'
import type { CacheAsk, CacheTold } from '../cache/asks.ts'
import type { KvOperation, KvOutcome } from '../capability/kv-store.ts'
import type { Bundle } from '../config/bundle.ts'
import type { Problem } from '../config/problems.ts'
import type { Challenge, RecordChange } from '../listener/challenges.ts'
import type { SocketsBy } from '../net/kernel.ts'
import type { SeriesDelta } from '../observe/counters.ts'
import type { Recalled } from '../observe/recorder.ts'
import type { Difference } from '../plan/difference.ts'
import type { FetchedListPlan } from '../plan/forward-plan.ts'
import type { AcmePlan, ListenAddress, LogPlan } from '../plan/plan.ts'
import type { PluginProfile } from '../sandbox/profiling.ts'
import type { PluginState, UseSummary } from '../sandbox/roster.ts'
import type { EndpointChange } from '../upstream/endpoint-changes.ts'
import type { EndpointVerdict } from '../upstream/health-checks.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'

/** How a listener is told of: what its clients speak. */
export type Scheme = 'http' | 'https' | 'tcp' | 'udp' | 'socks'

/** What the supervisor needs to know of a plan. It never runs the config itself: a worker prepares it and tells. */
export interface PlanSummary {
  readonly listeners: readonly { readonly name: string; readonly addresses: readonly ListenAddress[]; readonly scheme: Scheme }[]
  readonly log: LogPlan
  readonly admin: { readonly listen: readonly ListenAddress[] } | null
  readonly plugins: readonly UseSummary[]
  readonly acme: readonly AcmePlan[]
  /** Block lists that are fetched. */
  readonly lists: readonly FetchedListPlan[]
}

/** Where access lines go: null is standard output. */
export type LogTarget = string | null

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogEntry {
  readonly level: LogLevel
  readonly text: string
  readonly fields: Readonly<Record<string, string | number>>
}

/** A worker's counters: the series that are new since its last message, and all values. */
export interface MetricsSnapshot {
  readonly delta: SeriesDelta
  readonly values: Float64Array
}

/** How a worker is. */
export interface Vitals {
  readonly connections: number
  /** Resident bytes. */
  readonly memory: number
  readonly sockets: SocketsBy
  readonly plugins: readonly PluginState[]
  readonly metrics: MetricsSnapshot
}

/** To a worker. One with an `id` is answered by an Answer with the same id. */
export type ToWorker =
  | {
      readonly kind: 'begin'
      readonly slot: number
      readonly heartbeatMs: number
      readonly drainMs: number
      readonly logTarget: LogTarget
      /** Open in the worker: where it notes whose code it enters. Null: nowhere. */
      readonly noteFd: number | null
      /** Sources of plugins that run in processes. */
      readonly toProcess: readonly string[]
      readonly ticketKeys: readonly Uint8Array[]
      /** Of the memory that all workers count in; null: there is none. */
      readonly countersFd: number | null
      /** Its number there. */
      readonly seat: number | null
      readonly workers: number
      readonly challenges: readonly Challenge[]
      /** Of this run of the proxy: cookies are signed with it. */
      readonly secret: Uint8Array
      readonly endpointChanges: readonly EndpointChange[]
    }
  | { readonly kind: 'prepare'; readonly id: number; readonly bundle: Bundle; readonly generation: number }
  | { readonly kind: 'commit'; readonly id: number; readonly generation: number }
  | { readonly kind: 'abort'; readonly generation: number }
  /** All that was changed about endpoints at run time. */
  | { readonly kind: 'endpoint-changes'; readonly id: number; readonly changes: readonly EndpointChange[] }
  /** Travels with a handle, but where handles cannot be bound apart from listening: then the worker binds by itself. */
  | {
      readonly kind: 'listen'
      readonly id: number
      readonly listener: string
      /** Of the address (plan/addresses.ts). */
      readonly key: string
      readonly address: ListenAddress
      readonly alone: boolean
      /** Whose socket it is. */
      readonly slot: number
    }
  /** Stop accepting from the sockets of another slot. */
  | { readonly kind: 'release'; readonly slot: number }
  | { readonly kind: 'collect'; readonly id: number }
  /** The plugin of that source runs in a process of its own from now on: it made workers end. */
  | { readonly kind: 'plugin-to-process'; readonly sourceId: string }
  | { readonly kind: 'recall'; readonly id: number; readonly requestId: string }
  | { readonly kind: 'cache'; readonly id: number; readonly ask: CacheAsk }
  /** What requests to another worker have put out of its caches. */
  | { readonly kind: 'invalidated'; readonly announced: readonly Announced[] }
  /** Of the plugin of that name, for so long. */
  | { readonly kind: 'profile'; readonly id: number; readonly plugin: string; readonly ms: number }
  | { readonly kind: 'reopen-log' }
  /** Whether it is the one that checks endpoints. */
  | { readonly kind: 'check-health'; readonly isOn: boolean }
  /** Those of the one that does, all of them. */
  | { readonly kind: 'health'; readonly verdicts: readonly EndpointVerdict[] }
  | { readonly kind: 'upstreams'; readonly id: number }
  /** Of TLS sessions, the newest first. */
  | { readonly kind: 'ticket-keys'; readonly keys: readonly Uint8Array[] }
  /** What authorities are to be shown from now on. Answered when it is. */
  | { readonly kind: 'challenges'; readonly id: number; readonly challenges: readonly Challenge[] }
  /** Of the zone of the certificate that is kept in that file. Answered when it is done. */
  | { readonly kind: 'dns-record'; readonly id: number; readonly certificate: string; readonly change: RecordChange }
  /** One outcome for each operation of that batch. */
  | { readonly kind: 'kv-answers'; readonly batch: number; readonly outcomes: readonly KvOutcome[] }
  /** Answered when it accepts no more. Said again it can only make it end sooner. */
  | { readonly kind: 'drain'; readonly id: number; readonly deadlineMs: number }

/** To the supervisor. */
export type FromWorker =
  /** Its modules are loaded. `cold`: the cache did not have them all, now it has. */
  | { readonly kind: 'loaded'; readonly cold: boolean }
  | ({ readonly kind: 'alive' } & Vitals)
  /** It let go of its listening handles, for it is short of descriptors; or it asks for them again. */
  | { readonly kind: 'pressure'; readonly pressed: boolean }
  /** It was told to end by somebody else: it drains, and the slot is free. */
  | { readonly kind: 'leaving' }
  | { readonly kind: 'log'; readonly entries: readonly LogEntry[] }
  /** What checks of endpoints have shown, all of it. */
  | { readonly kind: 'health'; readonly verdicts: readonly EndpointVerdict[] }
  /** What requests have put out of its caches: for the others. */
  | { readonly kind: 'invalidated'; readonly announced: readonly Announced[] }
  /** What plugins ask of their store within one turn of the event loop. */
  | { readonly kind: 'kv'; readonly batch: number; readonly operations: readonly KvOperation[] }
  /** Its last words: nothing is left to do. */
  | { readonly kind: 'drained'; readonly metrics: MetricsSnapshot }
  | Answer

export type Answer =
  /** `difference`: from the plan it runs on; null if there is none. */
  | { readonly kind: 'prepared'; readonly id: number; readonly summary: PlanSummary; readonly difference: Difference | null }
  /** `touched` of its `connections` are told to end. */
  | { readonly kind: 'committed'; readonly id: number; readonly touched: number; readonly connections: number }
  | { readonly kind: 'done'; readonly id: number }
  /** `problems`: where in the config or a plugin, if that is known. */
  | { readonly kind: 'failed'; readonly id: number; readonly error: string; readonly problems: readonly Problem[] }
  /** null: it knows nothing of that request. */
  | { readonly kind: 'cache-told'; readonly id: number; readonly told: CacheTold }
  | { readonly kind: 'recalled'; readonly id: number; readonly found: Recalled | null }
  | { readonly kind: 'upstreams'; readonly id: number; readonly states: readonly UpstreamState[] }
  | ({ readonly kind: 'profiled'; readonly id: number } & PluginProfile)
  | ({ readonly kind: 'collected'; readonly id: number } & Vitals)
