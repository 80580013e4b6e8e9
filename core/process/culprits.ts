/**
 * Whose code ran when a worker ended in a way that V8 or a loop brings about: read from the note that the worker left. A plugin that
 * does it twice within ten minutes runs in processes of its own from then on, in every worker.
 */
import type { PluginSource } from '../config/bundle.ts'
import { noteNumber } from '../sandbox/engine/flight-note.ts'
import type { LogEntry, PlanSummary } from './messages.ts'

const WINDOW_MS = 10 * 60_000
const MOST_CRASHES = 2
/** By V8's own hand: an assertion, memory that could not be had, code that is not what it was. */
const OF_V8 = ['SIGTRAP', 'SIGABRT', 'SIGSEGV', 'SIGILL', 'SIGBUS']

export interface EndedWorker {
  readonly slot: number
  readonly suspects: Suspects
  /** Number of the plugin whose code it was in; 0: none. */
  readonly note: number
  /** It was killed because its event loop stood still. */
  readonly hasHung: boolean
  readonly killedFor: string | null
}

/** The plugins that a worker was given, by their numbers. */
export class Suspects {
  readonly #known = new Map<number, { readonly id: string; name: string }>()

  add(plugins: readonly PluginSource[]): void {
    for (const { id, file, package: from } of plugins) {
      const number = noteNumber(id)
      if (!this.#known.has(number)) this.#known.set(number, { id, name: from?.name ?? file })
    }
  }

  /** What they call themselves, once they have said it. */
  name({ plugins }: PlanSummary): void {
    for (const { id, name } of plugins) {
      const known = this.#known.get(noteNumber(id))
      if (known !== undefined) known.name = name
    }
  }

  find(number: number): { readonly id: string; readonly name: string } | null {
    return this.#known.get(number) ?? null
  }
}

export interface CulpritOptions {
  readonly tell: (entry: LogEntry) => void
  readonly now?: () => number
}

export class Culprits {
  /** Workers that each plugin made end, by its name. */
  readonly crashes: Record<string, number> = {}
  /** Sources that run in processes since. */
  readonly moved = new Set<string>()
  readonly #options: CulpritOptions
  readonly #times = new Map<string, number[]>()

  constructor(options: CulpritOptions) {
    this.#options = options
  }

  /** `why`: the signal or exit code. Returns the source that is to be moved now; null if none is. */
  ended(worker: EndedWorker, why: string): string | null {
    const { slot, suspects, note, hasHung, killedFor } = worker
    const plugin = note !== 0 && (hasHung || OF_V8.includes(why)) ? suspects.find(note) : null
    if (plugin === null) return null
    const { id, name } = plugin
    this.crashes[name] = (this.crashes[name] ?? 0) + 1
    this.#tell(`plugin ${name} made worker ${slot} end (${hasHung ? (killedFor ?? why) : why})`, name)
    const now = (this.#options.now ?? (() => performance.now()))()
    const times = [...(this.#times.get(id) ?? []).filter((at) => now - at < WINDOW_MS), now]
    this.#times.set(id, times)
    if (times.length < MOST_CRASHES || this.moved.has(id)) return null
    this.moved.add(id)
    this.#tell(`plugin ${name} made ${times.length} workers end: from now on it runs in a process of its own, in every worker`, name)
    return id
  }

  #tell(text: string, plugin: string): void {
    this.#options.tell({ level: 'error', text, fields: { plugin } })
  }
}
