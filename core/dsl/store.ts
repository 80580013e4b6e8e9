/** A store that several proxies share: what one of them counts or keeps there, all do. */
import type { Duration } from '../plugin.ts'

/** Redis or Valkey; a URL alone stands for one with all defaults. */
export interface StoreOptions {
  /** `'redis://user:password@10.0.0.1:6379/0'`, `'rediss://…'` with TLS, `'unix:/run/redis.sock'`; `valkey://` and `valkeys://` are the same. */
  url: string
  /** Of TLS: a file, from the config's folder, or PEM text. Default: the authorities that Node trusts. */
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
  /** Default: the host of the URL. */
  servername?: string | undefined
  /** At most, in each worker; a second one is opened when the first is busy. Default 2. */
  connections?: number | undefined
  /** For one question. Default `100ms`. */
  timeout?: Duration | undefined
}
