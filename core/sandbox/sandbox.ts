/**
 * The sandbox of a worker: loads plugins as hooks of the data path, all or none, and sends each plugin's calls of one turn of the
 * event loop across the wall together. A plugin that did not change is not touched by a reload.
 */
import type { Observer } from '../events.ts'
import type { Hook } from '../hooks.ts'
import { atTurnEnd } from '../net/kernel.ts'
import { isPermission, permissionNames } from '../permissions.ts'
import { isCredential } from './batch.ts'
import { type Capabilities, noCapabilities } from './capabilities.ts'
import { readDefinition } from './definition.ts'
import type { Engine, EngineSink, EngineUse } from './engine/engine.ts'
import { ProcessEngine } from './engine/process.ts'
import { WorkerEngine } from './engine/worker.ts'
import { KvNames } from './kv-names.ts'
import { createMatcher } from './match.ts'
import { type PluginProfile, profilePlugin } from './profiling.ts'
import type { PluginState } from './roster.ts'
import { RunningPlugin } from './running.ts'
import { readSetUp } from './set-up.ts'
import { PluginError, type PluginSource } from './source.ts'
import { identityOf, LoadedUse, type PluginUse } from './use.ts'
import type { Definition } from './wire.ts'

export { fullName, hooksOf, type PluginState, summarizeUse, type UseSummary } from './roster.ts'
export { PluginError, type PluginPackage } from './source.ts'
export { LoadedUse, type PluginUse } from './use.ts'
export type { Definition } from './wire.ts'

/** How often deadlines of async hooks are looked at, ms. */
const DEADLINE_TICK_MS = 20
/** Rounds of chained plugins in one turn; then the event loop gets its chance. */
const MOST_ROUNDS = 32

interface Loaded {
  /** Source and isolation. */
  readonly id: string
  readonly plugin: RunningPlugin
  readonly memoryMb: number
  readonly definition: Definition
}

export interface SandboxOptions {
  readonly observer: Observer
  readonly capabilities?: Capabilities | undefined
  /** Whatever the uses say: in a simulation, whose process holds nothing else. */
  readonly engine?: 'worker'
}

export class Sandbox {
  /** What its plugins may have done for them. */
  readonly capabilities: Capabilities
  readonly #observer: Observer
  readonly #engine: 'worker' | null
  readonly #plugins = new Set<Loaded>()
  readonly #uses = new Set<LoadedUse>()
  /** Sources that run in a process whatever their use says: they made workers end. */
  readonly #exiled = new Set<string>()
  #waiting: RunningPlugin[] = []
  #isFlushSet = false
  #deadlines: NodeJS.Timeout | null = null
  #nextUse = 0
  /** The plugin that is being profiled. */
  #profiled: string | null = null
  #loading: Promise<unknown> = Promise.resolve()
  #closed = false
  /** Of a simulation; null: the machine's clock. */
  #clockMs: number | null = null
  #deadlineShiftMs = 0
  /** Made once: one made while a use is loaded would keep the use before it alive, and that the one before. */
  readonly #releaseOne = (use: LoadedUse): void => this.release([use])

  constructor(options: SandboxOptions) {
    this.#engine = options.engine ?? null
    this.#observer = options.observer
    this.capabilities = options.capabilities ?? noCapabilities
  }

  /**
   * One hook a use, in their order. A PluginError names the first that cannot be loaded, and nothing is left of the others.
   * `current`: the hooks of the plan in use. What did not change is taken from there, and what did is handed the state from there.
   */
  load(uses: readonly PluginUse[], current: readonly Hook[] = []): Promise<readonly Hook[]> {
    return this.#alone(() => this.#load(uses, current))
  }

  /** After what was begun before. */
  #alone<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#loading.then(run)
    this.#loading = done.catch(() => undefined)
    return done
  }

  /** What a plugin says of itself, without a use of it. */
  async define(use: PluginUse): Promise<Definition> {
    return (await this.#running(use)).definition
  }

  /** Says that a plan no longer holds these hooks. The last one to go takes the isolate along. */
  release(hooks: readonly Hook[]): void {
    for (const use of hooks) {
      if (!(use instanceof LoadedUse) || !this.#uses.has(use) || --use.holders > 0) continue
      this.#uses.delete(use)
      this.#drop(use)
    }
  }

  get states(): PluginState[] {
    return [...this.#plugins].map(({ plugin }) => plugin.state)
  }

  /** The plugin of that source runs in a process of its own from now on, wherever it is used. */
  moveToProcess(sourceId: string): void {
    this.#exiled.add(sourceId)
    for (const { plugin } of this.#plugins) if (plugin.source.id === sourceId) plugin.moveToProcess()
  }

  /** What a plugin of that name spends the processor on, for so long. Rejects with a sentence. */
  async profile(name: string, ms: number): Promise<PluginProfile> {
    const named = [...this.#plugins].filter(({ plugin }) => plugin.name === name)
    const loaded = named.find(({ plugin }) => plugin.isReady)
    if (loaded === undefined)
      throw new Error(named.length === 0 ? `there is no plugin ${name}` : `${name} is parked: try again when it runs`)
    if (this.#profiled !== null) throw new Error(`${this.#profiled} is being profiled: one at a time`)
    this.#profiled = name
    const { plugin, memoryMb } = loaded
    const { source } = plugin
    const { kind } = plugin.engine
    const kindAfter = (): 'worker' | 'process' => (this.#exiled.has(source.id) ? 'process' : kind)
    try {
      return await profilePlugin({
        ...{ plugin, ms },
        createProfiled: (sink) => new ProcessEngine(source, memoryMb, sink, true),
        createUsual: (sink) => this.#createEngine(kindAfter(), { source, memoryMb, sink }),
        kindAfter,
        alone: (run) => this.#alone(run),
      })
    } finally {
      this.#profiled = null
    }
  }

  /** In a simulation: for plugins it is so much later than the machine says. */
  shiftClock(ms: number): void {
    this.#clockMs = ms
    for (const { plugin } of this.#plugins) plugin.engine.shiftClock(ms)
  }

  /** The same for the deadlines of hooks: first a plugin may do what is due by then. */
  shiftDeadlines(ms: number): void {
    this.#deadlineShiftMs = ms
    for (const { plugin } of this.#plugins) plugin.expire(this.#now())
  }

  /** How long until a plugin does something by itself, or a hook of it is late; infinite where nothing of that is to come. */
  get dueMs(): number {
    const now = this.#now()
    const due = [...this.#plugins].flatMap(({ plugin }) => [plugin.engine.timerDueMs ?? Number.POSITIVE_INFINITY, plugin.deadline - now])
    return Math.min(...due, Number.POSITIVE_INFINITY)
  }

  /** Calls that nothing but the clock will answer. */
  get sleeping(): number {
    let calls = 0
    for (const { plugin } of this.#plugins) calls += plugin.sleeping
    return calls
  }

  #now(): number {
    return performance.now() + this.#deadlineShiftMs
  }

  close(): void {
    this.#closed = true
    if (this.#deadlines !== null) clearInterval(this.#deadlines)
    for (const { plugin } of this.#plugins) plugin.close()
    this.#plugins.clear()
    this.#uses.clear()
  }

  async #load(uses: readonly PluginUse[], current: readonly Hook[]): Promise<readonly Hook[]> {
    const hooks: LoadedUse[] = []
    const before = new Map<string, LoadedUse>()
    const kvNames = new KvNames()
    for (const hook of current) if (hook instanceof LoadedUse && this.#uses.has(hook)) before.set(hook.key, hook)
    try {
      for (const use of uses) {
        if (this.#closed) throw new Error('the sandbox is closed')
        const hook = await this.#loadUse(use, before.get(use.key) ?? null)
        hooks.push(hook)
        const { name, plugin, definition } = hook
        const problem = kvNames.problemOf({ name, file: use.source.file, grant: use.grant })
        if (problem !== null) throw new PluginError(name, problem, plugin.stacks.place(definition.at))
      }
    } catch (error) {
      this.release(hooks)
      this.#dropUnused()
      throw error
    }
    return hooks
  }

  /** `before`: what stands at the same place of the plan in use. */
  async #loadUse(use: PluginUse, before: LoadedUse | null): Promise<LoadedUse> {
    if (before !== null && before.identity === identityOf(use)) {
      before.holders++
      return before
    }
    const { plugin, definition } = await this.#running(use)
    return located(plugin, definition, async () => {
      checkGrants(definition, use.grant)
      const matcher = createMatcher(definition.match)
      const index = this.#nextUse++
      const start: EngineUse = {
        index,
        options: JSON.stringify(use.options ?? {}),
        // What the version before hands on.
        restore: before?.hasReload ? await before.plugin.handOver(before.index) : '',
        timeoutMs: use.timeoutMs,
      }
      const setUp = readSetUp(await plugin.granting(use.grant, () => plugin.engine.setUp(start)))
      const loaded = new LoadedUse(plugin, use, { index, setUp, definition, matcher, release: this.#releaseOne })
      plugin.uses.set(index, { use: loaded, start: { ...start, restore: '' } })
      this.#uses.add(loaded)
      return loaded
    })
  }

  /** The plugin of that source, started if it does not run yet. */
  async #running(use: PluginUse): Promise<Loaded> {
    const { source, isolation, memoryMb } = use
    const id = `${source.id} ${isolation}`
    // One that is parked, or moves, is left to those who have it: a new use gets a fresh start.
    const known = [...this.#plugins].find((loaded) => loaded.id === id && loaded.plugin.isReady)
    if (known !== undefined) return known
    const plugin = new RunningPlugin(
      {
        source,
        name: source.file,
        observer: this.#observer,
        capabilities: this.capabilities,
        createEngine: (kind, sink) => this.#createEngine(kind, { source, memoryMb, sink }),
        now: () => this.#now(),
        schedule: (waiting) => this.#schedule(waiting),
        watchDeadlines: () => this.#watchDeadlines(),
      },
      this.#exiled.has(source.id) ? 'process' : (this.#engine ?? isolation),
    )
    try {
      const definition = await located(plugin, null, async () => readDefinition(await plugin.engine.define()))
      plugin.name = definition.name
      const running = { id, plugin, memoryMb, definition }
      this.#plugins.add(running)
      return running
    } catch (error) {
      plugin.close()
      throw error
    }
  }

  #createEngine(kind: 'worker' | 'process', { source, memoryMb, sink }: EngineParts): Engine {
    const engine = new (kind === 'worker' ? WorkerEngine : ProcessEngine)(source, memoryMb, sink)
    if (this.#clockMs !== null) engine.shiftClock(this.#clockMs)
    return engine
  }

  #drop(use: LoadedUse): void {
    use.plugin.uses.delete(use.index)
    if (use.plugin.uses.size > 0) use.plugin.engine.drop(use.index)
    else this.#dropUnused()
  }

  #dropUnused(): void {
    for (const loaded of this.#plugins) {
      if (loaded.plugin.uses.size > 0) continue
      this.#plugins.delete(loaded)
      loaded.plugin.close()
    }
  }

  #schedule(plugin: RunningPlugin): void {
    this.#waiting.push(plugin)
    if (this.#isFlushSet) return
    this.#isFlushSet = true
    atTurnEnd(this.#flush)
  }

  readonly #flush = (): void => {
    for (let round = 0; this.#waiting.length > 0 && round < MOST_ROUNDS; round++) {
      const plugins = this.#waiting
      this.#waiting = []
      for (const plugin of plugins) plugin.flush()
    }
    this.#isFlushSet = this.#waiting.length > 0
    if (this.#isFlushSet) setImmediate(this.#flush)
  }

  #watchDeadlines(): void {
    this.#deadlines ??= setInterval(() => {
      const now = this.#now()
      let isIdle = true
      for (const { plugin } of this.#plugins) {
        plugin.expire(now)
        if (plugin.hasPending) isIdle = false
      }
      if (!isIdle || this.#deadlines === null) return
      clearInterval(this.#deadlines)
      this.#deadlines = null
    }, DEADLINE_TICK_MS)
  }
}

interface EngineParts {
  readonly source: PluginSource
  readonly memoryMb: number
  readonly sink: EngineSink
}

function checkGrants(definition: Definition, grant: readonly string[]): void {
  const [first] = missingGrants(definition, grant)
  if (first !== undefined) throw new Error(first)
}

/** What a plugin wants and is not granted, a sentence each. */
export function missingGrants(definition: Definition, grant: readonly string[]): string[] {
  const missing: string[] = []
  for (const permission of definition.permissions) {
    if (!isPermission(permission)) missing.push(`there is no permission ${permission}; there are ${permissionNames}`)
    else if (!grant.includes(permission))
      missing.push(`it asks for the permission ${permission}: { grant: ['${permission}'] } beside its options gives it`)
  }
  const hidden = definition.sees?.find(isCredential)
  if (hidden !== undefined && !grant.includes('credentials') && !definition.permissions.includes('credentials'))
    missing.push(
      `it wants to see ${hidden}, which takes the permission credentials: { grant: ['credentials'] } beside its options gives it`,
    )
  return missing
}

/** Runs it; what it throws becomes a PluginError at the place its stack tells. */
async function located<T>(plugin: RunningPlugin, definition: Definition | null, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    const own = plugin.stacks.place(text)
    const place = own.line > 0 || definition === null ? own : plugin.stacks.place(definition.at)
    const [first = '', ...rest] = plugin.stacks.readable(text).split('\n')
    const words = first.replace(/^(Uncaught )?(\w*Error): /, '')
    throw new PluginError(definition?.name ?? plugin.source.file, [words, ...rest].join('\n'), place)
  }
}
