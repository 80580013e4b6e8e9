/**
 * One plugin in a realm of this process's own isolate, where V8's profiler sees it. No wall by itself: it is for a process that holds
 * nothing else, may nothing, and lives for seconds (profile-host.ts). No object of the host is given to the guest, and what it throws
 * or returns is read as text.
 */
import { randomBytes } from 'node:crypto'
import { type Context, constants, createContext, runInContext, Script } from 'node:vm'
import type { PluginSource } from '../source.ts'
import { AT, CELL, DONE, IN_AT, TO } from '../wire.ts'
import { type ENTRIES, type Ending, pieces, type Room, type Rooms, wrapped } from './room.ts'

/** By its constructor a guest could reach the realm that made the memory: one that has nothing in it. */
const Memory = runInContext('SharedArrayBuffer', newRealm()) as SharedArrayBufferConstructor

export const realms: Rooms = {
  share: (bytes) => new Memory(bytes),
  open: (source, memory) => new PluginRealm(source, memory),
}

/** Its promises settle within the crossing, as they do in an isolate; but for an `import()`, which is refused by the next one. */
function newRealm(): Context {
  return createContext(constants.DONT_CONTEXTIFY, { microtaskMode: 'afterEvaluate' })
}

/** What the realm's own closure keeps of a crossing: nothing of it is reachable from the plugin's scope. */
interface Crossing {
  name: string
  /** Made in the realm. */
  readonly values: unknown[]
  output: unknown
  failure: unknown
}

/** Inside, and first of all: later a plugin may have changed what is called here. */
const OPENING = `(() => {
  const crossing = { name: '', values: [], output: '', failure: null }
  const { apply } = Reflect
  let guest = null
  const textOf = (error) => {
    try { return '' + ((typeof error === 'object' && error !== null && error.stack) || error) } catch { return 'what it threw cannot be read' }
  }
  return {
    crossing,
    begin(boot, memory, seed) { guest = boot(memory, seed) },
    cross() {
      crossing.failure = null
      try { crossing.output = apply(guest[crossing.name], undefined, crossing.values) } catch (error) { crossing.failure = textOf(error) }
    },
  }
})()`

class PluginRealm implements Room {
  output = ''
  ending: Ending = 'returned'
  readonly #tape: Int32Array
  readonly #realm = newRealm()
  readonly #crossing: Crossing
  readonly #cross: () => void
  /** Evaluated, it is what makes the realm's promises settle. */
  readonly #settle = new Script('0', { filename: 'sluice:crossing' })
  #isDisposed = false

  constructor(source: PluginSource, memory: SharedArrayBuffer) {
    this.#tape = new Int32Array(memory)
    this.#tape.fill(0, 0, IN_AT)
    const inside = runInContext(OPENING, this.#realm, { filename: 'sluice:crossing' }) as {
      readonly crossing: Crossing
      begin(boot: unknown, memory: SharedArrayBuffer, seed: string): void
      cross(): void
    }
    this.#crossing = inside.crossing
    const boot: unknown = runInContext(source.prelude, this.#realm, { filename: 'sluice:sandbox' })
    inside.begin(boot, memory, randomBytes(32).toString('latin1'))
    this.#cross = inside.cross
  }

  define(source: PluginSource): Ending {
    try {
      const wrapper: unknown = runInContext(wrapped(source), this.#realm, { filename: source.file, lineOffset: -1 })
      return this.#call('define', [wrapper])
    } catch (error) {
      this.output = textOf(error)
      this.ending = 'broken'
      return this.ending
    }
  }

  setUp(use: number, options: string, restore: string): Ending {
    return this.#call('setUp', [use, options, restore])
  }
  drop(use: number): Ending {
    return this.#call('drop', [use])
  }
  reload(use: number, begins: boolean): Ending {
    return this.#call('reload', [use, begins ? 1 : 0])
  }
  finished(): Ending {
    return this.#call('finished', [])
  }
  drain(): Ending {
    return this.#call('drain', [])
  }
  tick(): Ending {
    return this.#call('tick', [])
  }
  clock(shiftMs: number): Ending {
    return this.#call('clock', [shiftMs])
  }
  granted(id: number, isDone: boolean, text: string): Ending {
    return this.#call('granted', [id, isDone ? 1 : 0, ...pieces(text)])
  }
  attach(bytes: SharedArrayBuffer, outAt: number): Ending {
    return this.#call('attach', [bytes, outAt])
  }
  run(from: number, to: number, at: number, text: string): Ending {
    this.#tape[CELL] = from
    this.#tape[DONE] = from
    this.#tape[TO] = to
    this.#tape[AT] = at
    return this.#call('run', pieces(text))
  }

  get isDisposed(): boolean {
    return this.#isDisposed
  }

  dispose(): void {
    this.#isDisposed = true
  }

  /** No limit of time: whoever speaks to this process ends it when it is quiet for too long. */
  #call(name: (typeof ENTRIES)[number] | 'run', values: readonly unknown[]): Ending {
    const crossing = this.#crossing
    crossing.name = name
    for (const [i, value] of values.entries()) crossing.values[i] = value
    crossing.values.length = values.length
    this.#cross()
    this.#settle.runInContext(this.#realm)
    const { output, failure } = crossing
    this.ending = failure === null ? 'returned' : 'broken'
    const text = failure ?? output
    this.output = typeof text === 'string' ? text : ''
    return this.ending
  }
}

function textOf(error: unknown): string {
  try {
    return String((typeof error === 'object' && error !== null && (error as { stack?: unknown }).stack) || error)
  } catch {
    return 'what it threw cannot be read'
  }
}
