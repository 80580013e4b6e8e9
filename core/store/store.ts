/** A store that several proxies share, Redis or Valkey, as whoever keeps something in it sees it: every question settles, by its deadline at the latest. */
import { createHash } from 'node:crypto'

export interface StorePlan {
  /** As `net/store-url.ts` reads it. */
  readonly url: string
  /** PEM texts, or null. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  /** Null: the host of the URL. */
  readonly servername: string | null
  /** At most, in each worker. */
  readonly connections: number
  /** Milliseconds for one question. */
  readonly timeout: number
}

/** `away`: it cannot be reached. `timeout`: no answer in time. `busy`: too many questions wait already. `error`: it refused. */
export type StoreFailure = 'away' | 'timeout' | 'busy' | 'error'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly kind: StoreFailure
  constructor(kind: StoreFailure, message: string) {
    super(message)
    this.kind = kind
  }
}

export type Argument = string | number | Buffer

/** A script, which runs as one step. It is sent once, and named by its hash from then on. */
export interface Script {
  readonly source: string
  readonly hash: string
}

export function scriptOf(source: string): Script {
  return { source, hash: createHash('sha1').update(source).digest('hex') }
}

export interface AskOptions {
  /** Default: that of the plan. */
  readonly timeoutMs?: number
  /** Answers with the bytes of strings as Buffers. Default: as text. */
  readonly asBytes?: boolean
}

export interface Store {
  /** `redis://10.0.0.1:6379`, without a password. */
  readonly name: string
  /** It cannot be reached at the moment: a question fails at once. */
  readonly isAway: boolean
  /** Rejects with StoreError. */
  ask(command: string, args: readonly Argument[], options?: AskOptions): Promise<unknown>
  /** The same for a script. */
  run(script: Script, keys: readonly (string | Buffer)[], args: readonly Argument[], options?: AskOptions): Promise<unknown>
  /** Whoever opened it needs it no more. */
  close(): void
}

export interface StoreEvents {
  /** Told once for each change: it cannot be reached, and why; or it can be again. */
  changed(store: string, isAway: boolean, why: string): void
  /** It answers that it will not, `NOPERM …`: told once for each such word. */
  refused(store: string, why: string): void
  /** A question failed. */
  failed(store: string, why: StoreFailure): void
}

/** What `store/redis.ts` makes: one connection, which is opened again when it ends. */
export interface Link {
  readonly isReady: boolean
  /** Questions that wait for its answer. */
  readonly underWay: number
  /** When it last answered, on the clock of deadlines. */
  readonly heardAt: number
  /** Rejects with the store's own error, or when the connection ends. */
  send(command: string, args: readonly Argument[], asBytes: boolean): Promise<unknown>
  /** It is opened anew, for it says nothing any more. */
  reset(why: string): void
  close(): void
}

export interface LinkEvents {
  ready(): void
  /** It ended, or did not come about. Told again for each attempt. */
  lost(why: string): void
}
