/**
 * One isolate with one plugin in it, entered synchronously only. The one file that knows isolated-vm. Strings and numbers cross;
 * no reference of the host is ever given to the guest.
 */
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import type ivm from 'isolated-vm'
import type { PluginSource } from '../source.ts'
import { AT, CELL, DONE, IN_AT, PIECE, TAPE_INTS, TO } from '../wire.ts'
import { demandIsolateFlags } from './isolate-flags.ts'
import { ENTRIES, type Ending, pieces, type Room, type Rooms, wrapped } from './room.ts'
import { loosenTimers } from './timer-slack.ts'

type Boot = (memory: unknown, seed: string) => Record<string, (...values: unknown[]) => unknown>

export const isolates: Rooms = {
  share: (bytes) => new SharedArrayBuffer(bytes),
  open: (source, memory, memoryMb) => {
    load()
    loosenTimers()
    return new PluginIsolate(source, memory, memoryMb)
  },
}

/** Null as long as there is no isolate: a proxy without plugins does not load it. */
let library: typeof ivm | null = null

function load(): void {
  demandIsolateFlags()
  library ??= createRequire(import.meta.url)('isolated-vm') as typeof ivm
}

class PluginIsolate implements Room {
  readonly tape: Int32Array
  /** How the last crossing ended, and what it returned or why it failed. */
  ending: Ending = 'returned'
  output = ''
  readonly #isolate: ivm.Isolate
  readonly #context: ivm.Context
  readonly #entries: Record<string, ivm.Reference>
  readonly #run: ivm.Reference
  readonly #options: { timeout: number } = { timeout: 0 }

  /** `memory` is shared with the guest, and outlives it. Throws if the isolate cannot be made. */
  constructor(source: PluginSource, memory: SharedArrayBuffer, memoryMb: number) {
    if (memory.byteLength !== TAPE_INTS * 4) throw new RangeError('the shared memory has the wrong size')
    this.tape = new Int32Array(memory)
    this.tape.fill(0, 0, IN_AT)
    this.#isolate = new library!.Isolate({ memoryLimit: Math.max(8, memoryMb) })
    this.#context = this.#isolate.createContextSync()
    const prelude = this.#isolate.compileScriptSync(source.prelude, { filename: 'sluice:sandbox' })
    const boot: ivm.Reference<Boot> = prelude.runSync(this.#context, { reference: true, timeout: 1000 })
    const shared = new library!.ExternalCopy(memory)
    const guest = boot.applySync(undefined, [shared.copyInto(), randomBytes(32).toString('latin1')], {
      result: { reference: true },
    })
    const entry = (name: string): ivm.Reference => guest.getSync(name, { reference: true })
    this.#entries = Object.fromEntries(ENTRIES.map((name) => [name, entry(name)]))
    this.#run = entry('run')
  }

  /** Evaluates the plugin and returns its Definition as JSON, in `output`. */
  define(source: PluginSource, timeoutMs: number): Ending {
    return this.#guarded(() => {
      const script = this.#isolate.compileScriptSync(wrapped(source), { filename: source.file, lineOffset: -1 })
      const wrapper = script.runSync(this.#context, { timeout: timeoutMs, reference: true })
      return this.#entries.define!.applySync(undefined, [wrapper.derefInto({ release: true })], { timeout: timeoutMs })
    })
  }

  setUp(use: number, options: string, restore: string, timeoutMs: number): Ending {
    return this.#call('setUp', [use, options, restore], timeoutMs)
  }
  drop(use: number, timeoutMs: number): Ending {
    return this.#call('drop', [use], timeoutMs)
  }
  reload(use: number, begins: boolean, timeoutMs: number): Ending {
    return this.#call('reload', [use, begins ? 1 : 0], timeoutMs)
  }
  finished(timeoutMs: number): Ending {
    return this.#call('finished', [], timeoutMs)
  }
  drain(timeoutMs: number): Ending {
    return this.#call('drain', [], timeoutMs)
  }
  tick(timeoutMs: number): Ending {
    return this.#call('tick', [], timeoutMs)
  }
  clock(shiftMs: number, timeoutMs: number): Ending {
    return this.#call('clock', [shiftMs], timeoutMs)
  }
  /** The answer to one wish. */
  granted(id: number, isDone: boolean, text: string, timeoutMs: number): Ending {
    return this.#call('granted', [id, isDone ? 1 : 0, ...pieces(text)], timeoutMs)
  }
  /** From now on the bytes of calls and answers lie in there, those of the answers from `outAt` on. */
  attach(bytes: SharedArrayBuffer, outAt: number): Ending {
    const copy = new library!.ExternalCopy(bytes)
    return this.#guarded(() => this.#entries.attach!.applySync(undefined, [copy.copyInto({ release: true }), outAt], { timeout: 100 }))
  }

  /** Runs calls [from, to) of the batch on the tape, the first of which begins at `at`. Their answers are in `output`, how many in the cell DONE. */
  run(from: number, to: number, at: number, text: string, timeoutMs: number): Ending {
    const { tape } = this
    tape[CELL] = from
    tape[DONE] = from
    tape[TO] = to
    tape[AT] = at
    this.#options.timeout = timeoutMs
    try {
      const output = this.#run.applySync(undefined, text.length <= PIECE ? [text] : pieces(text), this.#options)
      this.output = typeof output === 'string' ? output : ''
      this.ending = 'returned'
    } catch (error) {
      this.#failed(error)
    }
    return this.ending
  }

  get isDisposed(): boolean {
    return this.#isolate.isDisposed
  }

  dispose(): void {
    if (!this.#isolate.isDisposed) this.#isolate.dispose()
  }

  #call(name: string, values: (string | number)[], timeoutMs: number): Ending {
    return this.#guarded(() => this.#entries[name]!.applySync(undefined, values, { timeout: timeoutMs }))
  }

  #guarded(enter: () => unknown): Ending {
    try {
      const output = enter()
      this.output = typeof output === 'string' ? output : ''
      this.ending = 'returned'
    } catch (error) {
      this.#failed(error)
    }
    return this.ending
  }

  /** The error is isolated-vm's own, or a copy of one that the guest threw. */
  #failed(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    if (this.#isolate.isDisposed) this.ending = 'memory'
    else if (text === 'Script execution timed out.') this.ending = 'timeout'
    else this.ending = 'broken'
    this.output = this.ending === 'broken' && error instanceof Error ? (error.stack ?? text) : text
  }
}
