/** The worker engine: the isolate lives in this very process and is entered synchronously. Fast; what V8 cannot stop costs the worker. */
import { Batch } from '../batch.ts'
import type { PluginSource } from '../source.ts'
import { IN_AT } from '../wire.ts'
import type { Engine, EngineSink, EngineUse, WishAnswer } from './engine.ts'
import { Executor } from './executor.ts'
import { flightNote, noteNumber } from './flight-note.ts'
import { isolates } from './isolate.ts'

export class WorkerEngine implements Engine {
  readonly kind = 'worker'
  readonly #executor: Executor
  /** One is enough: it is answered when `submit` returns. */
  readonly #batch: Batch
  readonly #number: number

  constructor(source: PluginSource, memoryMb: number, sink: EngineSink) {
    this.#number = noteNumber(source.id)
    this.#executor = new Executor(source, memoryMb, { sink, rooms: isolates })
    this.#batch = new Batch(new Int32Array(this.#executor.memory), IN_AT, this.#executor)
  }

  async define(): Promise<string> {
    return this.#noted(() => this.#executor.define())
  }
  async setUp(use: EngineUse): Promise<string> {
    return this.#noted(() => this.#executor.setUp(use))
  }
  async reload(use: number): Promise<string> {
    return this.#noted(() => this.#executor.reload(use))
  }
  drop(use: number): void {
    this.#executor.drop(use)
  }
  open(): Batch {
    this.#batch.reset()
    return this.#batch
  }
  submit(batch: Batch): void {
    flightNote.enter(this.#number)
    this.#executor.run(batch, batch.timeoutMs)
    flightNote.leave()
  }
  answerWishes(answers: readonly WishAnswer[]): void {
    this.#noted(() => this.#executor.answerWishes(answers))
  }
  shiftClock(ms: number): void {
    this.#noted(() => this.#executor.shiftClock(ms))
  }
  get timerDueMs(): number | null {
    return this.#executor.timerDueMs
  }
  close(): void {
    this.#executor.close()
  }

  /** What it waits for afterwards is not the plugin's doing. */
  #noted<T>(enter: () => T): T {
    flightNote.enter(this.#number)
    try {
      return enter()
    } finally {
      flightNote.leave()
    }
  }
}
