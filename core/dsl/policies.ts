/** Policies, which are built in, and what else `use` takes. */
import type { ConnectionHooks, HttpHooks, PluginUse } from '../plugin.ts'

export type HttpUse = HttpPolicy | AnyPolicy | PluginUse | HttpHooks
export type ConnectionUse = ConnectionPolicy | AnyPolicy | PluginUse<'connection'> | ConnectionHooks

export interface Policy {
  readonly kind: 'policy'
  readonly name: string
  readonly options: unknown
}
export interface HttpPolicy extends Policy {
  readonly layer: 'http'
}
export interface ConnectionPolicy extends Policy {
  readonly layer: 'connection'
}
/** For listeners of HTTP and of TCP. */
export interface AnyPolicy extends Policy {
  readonly layer: 'any'
}
