/** What is to be seen of plugins from outside: what each use of one does and was granted, and how each fares. Plain data. */
import type { PluginPackage } from './source.ts'
import type { LoadedUse, PluginUse } from './use.ts'

/** One use of a plugin, as it was loaded. */
export interface UseSummary {
  readonly key: string
  /** What the plugin calls itself. */
  readonly name: string
  /** Of its source. */
  readonly id: string
  readonly file: string
  readonly package: PluginPackage | null
  /** What its use or its source asks for; where it runs now is told by PluginState. */
  readonly isolation: 'worker' | 'process'
  readonly hooks: readonly string[]
  /** Header fields that it reads, in lower case; null: all. */
  readonly sees: readonly string[] | null
  readonly grant: readonly string[]
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly memoryMb: number
  /** What the plugin may keep in kv; null: it is not granted. */
  readonly kvBytes: number | null
  readonly onFailure: 'deny' | 'continue'
}

/** A plugin of one worker, now. */
export interface PluginState {
  /** Of its source. */
  readonly id: string
  readonly name: string
  readonly engine: 'worker' | 'process'
  readonly state: 'ready' | 'starting' | 'parked'
  /** Milliseconds since the epoch; null unless it is parked. */
  readonly parkedUntil: number | null
  /** How often it got a new isolate or process in the place of one that was lost. */
  readonly restarts: number
}

const MOMENTS = [
  'onConnection',
  'onClientHello',
  'onData',
  'onRequest',
  'onRequestBody',
  'onResponse',
  'onResponseBody',
  'onUpgrade',
  'onMessage',
  'onError',
  'onLog',
] as const

/** The hooks that it has, in the order of an exchange's life. */
export function hooksOf(loaded: LoadedUse): string[] {
  const hooks: string[] = MOMENTS.filter((moment) => loaded[moment] !== null)
  return loaded.hasReload ? [...hooks, 'onReload'] : hooks
}

export function summarizeUse(use: PluginUse, loaded: LoadedUse): UseSummary {
  const { key, source, isolation, grant, timeoutMs, deadlineMs, memoryMb, kvBytes, onFailure } = use
  const { id, file } = source
  const { name, sees } = loaded.definition
  const limits = { timeoutMs, deadlineMs, memoryMb, kvBytes, onFailure }
  return { key, name, id, file, package: source.package, isolation, hooks: hooksOf(loaded), sees, grant, ...limits }
}

/** `geo (sluice-plugin-geo 2.1.0)`, or its name alone. */
export function fullName({ name, package: from }: { readonly name: string; readonly package: PluginPackage | null }): string {
  return from === null ? name : `${name} (${from.name} ${from.version})`
}
