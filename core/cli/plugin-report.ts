/** What is told of the plugins of a running proxy: a line when one is loaded, and all of it for `/api/plugins` and `sluice status`. Pure. */
import type { KvUsage } from '../capability/kv-shares.ts'
import type { PluginCounts } from '../observe/metrics.ts'
import { fullName, type PluginState, type UseSummary } from '../sandbox/roster.ts'

/** All uses of one plugin. */
interface PluginUses {
  readonly first: UseSummary
  readonly uses: readonly UseSummary[]
  readonly hooks: readonly string[]
  readonly grants: readonly string[]
  /** Null: every field. */
  readonly sees: readonly string[] | null
}

export interface LoadLine {
  /** The same for as long as there is nothing new to tell. */
  readonly key: string
  readonly text: string
  readonly fields: Readonly<Record<string, string>>
}

export function loadLines(plugins: readonly UseSummary[]): LoadLine[] {
  return byPlugin(plugins).map(({ first, hooks, grants, sees }) => {
    const fields = {
      plugin: first.name,
      ...(first.package === null ? {} : { package: first.package.name, version: first.package.version }),
      isolation: first.isolation,
      hooks: listed(hooks, 'none'),
      grants: listed(grants, 'none'),
      sees: sees === null ? 'every field' : listed(sees, 'no field'),
    }
    return { key: JSON.stringify([first.id, fields]), text: `plugin ${fullName(first)} is loaded`, fields }
  })
}

/** What its workers and their counters say, as far as they have answered. */
export interface PluginNews {
  readonly workers: readonly { readonly slot: number; readonly plugins: readonly PluginState[] }[]
  readonly counts: ReadonlyMap<string, PluginCounts>
  /** Workers that each made end, by name; and the sources that run in processes since. */
  readonly crashes: Readonly<Record<string, number>>
  readonly moved: ReadonlySet<string>
  readonly kv: readonly KvUsage[]
}

/** The shape is part of the contract (README.md): fields are added, never changed. */
export function reportPlugins(plugins: readonly UseSummary[], { workers, counts, crashes, moved, kv }: PluginNews): unknown[] {
  return byPlugin(plugins).map(({ first, uses, hooks, grants, sees }) => {
    const { id, name, file } = first
    const states = workers.flatMap(({ slot, plugins: own }) => own.filter((one) => one.id === id).map((state) => ({ slot, ...state })))
    const count = counts.get(name) ?? { calls: 0, crossings: 0, seconds: 0, failures: {} }
    const parked = states.filter(({ state }) => state === 'parked')
    return {
      ...{ name, package: first.package?.name ?? null, version: first.package?.version ?? null, file },
      ...{ isolation: first.isolation, engine: engineOf(states, first), hooks, grants, sees },
      uses: uses.map(({ key, hooks, grant, timeoutMs, deadlineMs, memoryMb, kvBytes, onFailure }) => {
        return { key, hooks, grants: grant, limits: { timeoutMs, deadlineMs, memoryMb, kvBytes, onFailure } }
      }),
      calls: count.calls,
      crossings: count.crossings,
      failures: count.failures,
      microsecondsPerCall: count.calls === 0 ? null : Math.round((count.seconds / count.calls) * 1e7) / 10,
      parked: parked.map(({ slot, parkedUntil }) => ({ worker: slot, until: new Date(parkedUntil ?? 0).toISOString() })),
      restarts: states.reduce((sum, { restarts }) => sum + restarts, 0),
      workerCrashes: crashes[name] ?? 0,
      movedToProcess: moved.has(id),
      kv: kvOf(name, kv),
    }
  })
}

/** Null: it was not granted. */
function kvOf(name: string, kv: readonly KvUsage[]): Omit<KvUsage, 'plugin'> | null {
  const usage = kv.find(({ plugin }) => plugin === name)
  if (usage === undefined) return null
  const { plugin: _, ...figures } = usage
  return figures
}

/** `geo (sluice-plugin-geo 2.1.0)`, each once. */
export function pluginNames(plugins: readonly UseSummary[]): string[] {
  return [...new Set(plugins.map(fullName))]
}

/** Where it runs now; where workers differ, the stricter. */
function engineOf(states: readonly PluginState[], { isolation }: UseSummary): 'worker' | 'process' {
  if (states.length === 0) return isolation
  return states.some(({ engine }) => engine === 'process') ? 'process' : 'worker'
}

function byPlugin(plugins: readonly UseSummary[]): PluginUses[] {
  const groups = Map.groupBy(plugins, ({ id, isolation }) => `${id} ${isolation}`)
  return [...groups.values()].map((uses) => ({
    first: uses[0]!,
    uses,
    hooks: [...new Set(uses.flatMap(({ hooks }) => hooks))],
    grants: [...new Set(uses.flatMap(({ grant }) => grant))],
    sees: uses[0]!.sees,
  }))
}

function listed(words: readonly string[], none: string): string {
  return words.length === 0 ? none : words.join(', ')
}
