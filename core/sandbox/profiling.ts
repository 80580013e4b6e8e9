/**
 * A profile of one running plugin: for its time the plugin lives in a process that can be profiled, and then in a fresh engine of the
 * kind it had. Calls go on throughout; those under way at either change are asked again.
 */
import type { Engine, EngineSink } from './engine/engine.ts'
import type { ProcessEngine } from './engine/process.ts'
import { type CpuProfile, profileOf } from './profile.ts'
import type { RunningPlugin } from './running.ts'

export interface PluginProfile {
  /** Calls that the plugin was asked meanwhile. */
  readonly calls: number
  readonly profile: CpuProfile
}

export interface ProfilingParts {
  readonly plugin: RunningPlugin
  readonly ms: number
  createProfiled(sink: EngineSink): ProcessEngine
  /** As it is to run afterwards. */
  createUsual(sink: EngineSink): Engine
  kindAfter(): 'worker' | 'process'
  /** While it runs, no use of a plugin comes or goes. */
  alone<T>(run: () => Promise<T>): Promise<T>
}

/** Bodies that are in the middle may end so long before an engine goes with what it keeps of them. */
const BODIES_MS = 1000
const LOOK_MS = 5

export async function profilePlugin(parts: ProfilingParts): Promise<PluginProfile> {
  const { plugin, ms } = parts
  const engine = await parts.alone(() => changeEngine(plugin, parts.createProfiled))
  try {
    const before = plugin.calls
    await engine.startProfile()
    await new Promise((resolve) => setTimeout(resolve, ms))
    const calls = plugin.calls - before
    const recorded = JSON.parse(await engine.stopProfile()) as CpuProfile
    const { stacks, source } = plugin
    return { calls, profile: profileOf(recorded, { file: source.file, locate: (line, column) => stacks.locate(line, column) }) }
  } catch (error) {
    throw new Error(`the profile of ${plugin.name} was lost: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    await parts.alone(() => giveBack(engine, parts))
  }
}

/** Parked, moved or gone meanwhile: then it has another engine already, or needs none. It never stays in this one. */
async function giveBack(engine: Engine, { plugin, createUsual, kindAfter }: ProfilingParts): Promise<void> {
  if (plugin.engine !== engine || !plugin.isReady) return
  try {
    await changeEngine(plugin, createUsual)
  } catch {
    if (plugin.engine === engine) plugin.startAnew(kindAfter())
  }
}

async function changeEngine<E extends Engine>(plugin: RunningPlugin, create: (sink: EngineSink) => E): Promise<E> {
  const before = plugin.engine
  const engine = await plugin.prepare(create)
  const deadline = performance.now() + BODIES_MS
  while (plugin.isAmidBodies && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  if (plugin.engine !== before || !plugin.isReady) {
    engine.close()
    throw new Error(`${plugin.name} was moved, parked or unloaded meanwhile: try again`)
  }
  plugin.take(engine)
  return engine
}
