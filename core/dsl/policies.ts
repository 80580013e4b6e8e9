/** Policies, which are built in, and what else `use` takes. */
import type { ConnectionHooks, Duration, HttpHooks, PluginUse, RequestView } from '../plugin.ts'

export type HttpUse = HttpPolicy | PluginUse | HttpHooks
export type ConnectionUse = ConnectionPolicy | PluginUse<'connection'> | ConnectionHooks

export interface HttpPolicy {
  readonly kind: 'policy'
  readonly layer: 'http'
  readonly name: string
  readonly options: unknown
}
export interface ConnectionPolicy {
  readonly kind: 'policy'
  readonly layer: 'connection'
  readonly name: string
  readonly options: unknown
}
/** Planned. */
export function rateLimit(options: { key: 'ip' | ((req: RequestView) => string); limit: number; window: Duration }): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'rateLimit', options }
}
/** Planned. */
export function basicAuth(options: { users: Readonly<Record<string, string>>; realm?: string | undefined }): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'basicAuth', options }
}
