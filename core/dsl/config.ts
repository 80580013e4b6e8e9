/** The whole of a config, and what is said of the proxy itself. */
import type { Listen, Listener } from './http.ts'
import type { List } from './lists.ts'
import type { HttpUse } from './policies.ts'
import type { Upstream } from './upstreams.ts'

export interface Config {
  /** By name; the name stands in logs and metrics. */
  listeners: Readonly<Record<string, Listener>>
  /** For all listeners, before their own. */
  use?: List<HttpUse> | undefined
  /** Upstreams that no route names, only the `routeTo` of a plugin. */
  upstreams?: List<Upstream> | undefined
  /** Metrics and health of the proxy itself. Without it there is none. */
  admin?: AdminOptions | undefined
  log?: LogOptions | undefined
}

export interface AdminOptions {
  /** `'127.0.0.1:9900'` */
  listen: Listen
}

export interface LogOptions {
  /** The access log, a line an exchange. Default true. */
  access?: boolean | undefined
  /** Default `info`. */
  level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent' | undefined
  /** Default: `pretty` on a terminal, `json` elsewhere. */
  format?: 'json' | 'combined' | 'pretty' | undefined
}

export type ConfigInput = Config | (() => Config | Promise<Config>)

/** The default export of a config: a value, a function or an async function. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config
}
