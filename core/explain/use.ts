/** The entries of `use` that a request passes, in their order: which are asked about it, and what each may see of it. */
import type { Path, Step } from '../config/positions.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { isPolicy, type UseConfig } from '../plan/uses.ts'
import type { SeenField, UseLimits, UseStep } from './explanation.ts'
import { policyStep } from './policy.ts'
import { clean, isSecret, shownValue } from './shown.ts'

/** What is known of one use of a plugin once it was loaded. */
export interface PluginFacts extends UseLimits {
  readonly key: string
  readonly name: string
  /** `sluice-plugin-geo 2.1.0`; null for one of the project's own. */
  readonly release: string | null
  readonly hooks: readonly string[]
  /** In lower case; null: all fields. */
  readonly sees: readonly string[] | null
  /** Its `match`, as text; null: every request. */
  readonly match: string | null
  matches(head: RequestHead): boolean
  readonly grant: readonly string[]
}

export interface KnownUse {
  readonly key: string
  readonly use: UseConfig
  /** Null: an inline hook, or a plugin that could not be loaded. */
  readonly facts: PluginFacts | null
}

export interface AskedHead {
  readonly head: RequestHead
  readonly ip: string
  /** Of the config. */
  readonly folder: string
}

export function useStep({ key, use, facts }: KnownUse, asked: AskedHead, place: string): UseStep {
  const { head } = asked
  if (isPolicy(use)) return { ...policyStep(use, asked), key, place }
  if (facts === null) {
    const isInline = !('kind' in use)
    const hooks = isInline
      ? Object.entries(use).flatMap(([name, hook]) => (typeof hook === 'function' || isBodyHook(hook) ? [name] : []))
      : []
    const step = { key, name: isInline ? key : use.name, kind: isInline ? 'inline' : 'plugin', place, hooks } as const
    return { ...step, release: null, isAsked: true, match: null, sees: null, grant: [], limits: null, policy: null }
  }
  const { name, release, hooks, match, grant, timeoutMs, deadlineMs, memoryMb, kvBytes, isolation, onFailure } = facts
  const limits = { timeoutMs, deadlineMs, memoryMb, kvBytes, isolation, onFailure }
  const step = { key, name, release, kind: 'plugin', place } as const
  return { ...step, hooks, isAsked: facts.matches(head), match, sees: seenFields(facts, head), grant, limits, policy: null }
}

/** `{ mode, max, types, handle }` */
function isBodyHook(hook: unknown): boolean {
  return typeof hook === 'object' && hook !== null && 'handle' in hook
}

/** A plugin without the grant `credentials` is not shown any. */
function seenFields({ sees, grant }: PluginFacts, head: RequestHead): SeenField[] {
  const names: string[] = []
  if (sees === null)
    head.forEach((name) => {
      names.push(name.toLowerCase())
    })
  const isGranted = grant.includes('credentials')
  return [...new Set(sees ?? names)].map((name) => {
    const value = head.get(name)
    const isHidden = value !== null && !isGranted && isCredential(name)
    return { name: clean(name), value: value === null || isHidden ? null : shownValue(name, value), isHidden }
  })
}

/** What the sandbox keeps back: less than what is not printed. */
function isCredential(name: string): boolean {
  return isSecret(name) && /^(?:authorization|proxy-authorization|cookie|set-cookie)$/.test(name)
}

/** `web[2]/use[0]` → the path of that entry; `owners`: paths of the listener, its groups and routes by their ids. */
export function pathOfUse(key: string, owners: ReadonlyMap<string, Path>): Path {
  const [, owner = '', index = '0'] = /^(?:(.*)\/)?use\[(\d+)\]$/.exec(key) ?? []
  const steps: Step[] = ['use', Number(index)]
  return [...(owners.get(owner) ?? []), ...steps]
}
