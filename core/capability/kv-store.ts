/** The store behind `host.kv` as a contract: one operation in, one outcome out; text keys and values, apart for each space. */

export interface KvStore {
  /** Rejects with an Error for people: what was asked cannot be done, or the store does not answer. */
  perform(operation: KvOperation): Promise<KvValue>
}

/** `ttlMs` 0: it stays. `space`: the plugin's name. */
export type KvOperation =
  | { readonly kind: 'get'; readonly space: string; readonly key: string }
  | { readonly kind: 'set'; readonly space: string; readonly key: string; readonly value: string; readonly ttlMs: number }
  /** Whether there was something. */
  | { readonly kind: 'delete'; readonly space: string; readonly key: string }
  /** The sum. `ttlMs` counts from the first. */
  | { readonly kind: 'incr'; readonly space: string; readonly key: string; readonly by: number; readonly ttlMs: number }
  /** Whether it was as expected; null: nothing. */
  | {
      readonly kind: 'compareAndSet'
      readonly space: string
      readonly key: string
      readonly expected: string | null
      readonly value: string
      readonly ttlMs: number
    }

export type KvValue = string | number | boolean | null

/** As it crosses between processes. */
export type KvOutcome = { readonly value: KvValue } | { readonly error: string }

/** Characters. */
export const MOST_KEY = 512
/** Bytes of UTF-8. */
export const MOST_VALUE = 64 * 1024
