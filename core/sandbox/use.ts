/** One use of a plugin in the config, as a hook of the data path: what does not match or has no hook costs no crossing. */
import { ProxyError } from '../errors.ts'
import { type Answer, type Ask, type BodyHook, type Hook, type HookCall, PENDING, type Verdict } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { CallShape } from './batch.ts'
import type { Matcher } from './match.ts'
import type { RunningPlugin } from './running.ts'
import type { PluginSource } from './source.ts'
import type { Definition, SetUp } from './wire.ts'

/** A plugin in a `use` list, all limits filled in. */
export interface PluginUse {
  readonly source: PluginSource
  /** Unique among the uses of a plan, and the same for the same place in the next plan. */
  readonly key: string
  readonly options: unknown
  readonly grant: readonly string[]
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly memoryMb: number
  readonly isolation: 'worker' | 'process'
  readonly onFailure: 'deny' | 'continue'
}

export class LoadedUse implements Hook, CallShape {
  readonly name: string
  readonly index: number
  readonly sees: readonly string[] | null
  readonly credentials: boolean
  readonly requestNeeds: number
  readonly responseNeeds: number
  readonly viewNeeds: number
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly key: string
  /** Source, place, options, grants and limits as text: the same text, the same use. */
  readonly identity: string
  readonly plugin: RunningPlugin
  /** What the plugin says of itself. */
  readonly definition: Definition
  readonly onRequest: ((call: HookCall) => Answer) | null
  readonly onResponse: ((call: HookCall) => Answer) | null
  readonly onUpgrade: Ask | null = null
  readonly onError: Ask | null = null
  readonly onRequestBody: BodyHook | null = null
  readonly onResponseBody: BodyHook | null = null
  readonly onMessage: Ask | null = null
  readonly onLog: Ask | null = null
  readonly hasReload: boolean
  /** Plans that hold it. */
  holders = 1
  readonly #deny: boolean
  readonly #matcher: Matcher | null

  constructor(
    plugin: RunningPlugin,
    use: PluginUse,
    parts: { index: number; setUp: SetUp; definition: Definition; matcher: Matcher | null },
  ) {
    this.plugin = plugin
    this.name = plugin.name
    this.index = parts.index
    this.definition = parts.definition
    this.sees = parts.definition.sees
    this.credentials = use.grant.includes('credentials')
    this.requestNeeds = parts.setUp.requestNeeds
    this.responseNeeds = parts.setUp.responseNeeds
    this.viewNeeds = parts.setUp.viewNeeds
    this.hasReload = parts.setUp.onReload
    this.timeoutMs = use.timeoutMs
    this.deadlineMs = use.deadlineMs
    this.key = use.key
    this.identity = identityOf(use)
    this.#deny = use.onFailure === 'deny'
    const { matcher } = parts
    this.#matcher = matcher
    const ask = (call: HookCall): Answer => {
      if (matcher !== null && !matcher(call.request)) return null
      return plugin.accept(call, this) ? PENDING : this.onUnavailable()
    }
    this.onRequest = parts.setUp.onRequest ? ask : null
    this.onResponse = parts.setUp.onResponse ? ask : null
  }

  matches(request: RequestHead): boolean {
    return this.#matcher === null || this.#matcher(request)
  }

  forget(_state: number): void {}

  hold(): void {
    this.holders++
  }

  release(): void {
    this.holders--
  }

  /** The verdict on a call for which the plugin failed. */
  onFailed(detail: string): Verdict | null {
    return this.#deny ? { kind: 'fail', error: new ProxyError('plugin_failed', detail) } : null
  }

  onUnavailable(): Verdict | null {
    return this.#deny ? { kind: 'fail', error: new ProxyError('plugin_unavailable', `${this.name} is parked`) } : null
  }
}

export function identityOf(use: PluginUse): string {
  const { source, key, options, grant, timeoutMs, deadlineMs, memoryMb, isolation, onFailure } = use
  return JSON.stringify([source.id, key, options ?? {}, grant, timeoutMs, deadlineMs, memoryMb, isolation, onFailure])
}
