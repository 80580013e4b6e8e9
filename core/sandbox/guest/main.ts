/**
 * Entry of the sandbox, evaluated before any plugin: takes away what breaks the wall, brings what a fresh context lacks, and gives
 * the host its few functions. Nothing it returns, and nothing of the host, is reachable from a plugin's scope.
 */
import { deny, respond, routeTo } from '../../plugin.ts'
import { useTape } from './asks.ts'
import { createConsole } from './console.ts'
import { definePlugin } from './definition.ts'
import { defineProperty } from './primordials.ts'
import { createGuest, type Guest } from './runtime.ts'
import { createTimers } from './timers.ts'
import { webGlobals } from './web.ts'

/** `seed`: 32 numbers below 256 for the random generator. */
export default function boot(memory: SharedArrayBuffer, seed: string): Guest {
  const tape = new Int32Array(memory)
  const scope = globalThis as unknown as Record<string, unknown> // the plugin's global object: any name may be put there
  for (const name of ['SharedArrayBuffer', 'Atomics', 'WebAssembly']) delete scope[name]
  const add = (name: string, value: unknown) =>
    defineProperty(scope, name, { value, writable: true, configurable: true, enumerable: false })
  useTape(tape)
  add('console', createConsole(tape))
  for (const [name, value] of Object.entries({ ...createTimers(tape), ...webGlobals(seed) })) add(name, value)

  return createGuest(tape, Object.freeze({ definePlugin, respond, routeTo, deny }))
}
