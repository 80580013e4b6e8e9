/** The worker engine: the isolate lives in this very process and is entered synchronously. Fast; what V8 cannot stop costs the worker. */
import { Batch } from '../batch.ts'
import type { PluginSource } from '../source.ts'
import { IN_AT } from '../wire.ts'
import type { Engine, EngineSink, EngineUse, WishAnswer } from './engine.ts'
import { Executor } from './executor.ts'

export class WorkerEngine implements Engine {
  readonly kind = 'worker'
  readonly #executor: Executor
  /** One is enough: it is answered when `submit` returns. */
  readonly #batch: Batch

  constructor(source: PluginSource, memoryMb: number, sink: EngineSink) {
    this.#executor = new Executor(source, memoryMb, sink)
    this.#batch = new Batch(new Int32Array(this.#executor.memory), IN_AT, this.#executor)
  }

  async define(): Promise<string> {
    return this.#executor.define()
  }
  async setUp(use: EngineUse): Promise<string> {
    return this.#executor.setUp(use)
  }
  async reload(use: number): Promise<string> {
    return this.#executor.reload(use)
  }
  drop(use: number): void {
    this.#executor.drop(use)
  }
  open(): Batch {
    this.#batch.reset()
    return this.#batch
  }
  submit(batch: Batch): void {
    this.#executor.run(batch, batch.timeoutMs)
  }
  answerWishes(answers: readonly WishAnswer[]): void {
    this.#executor.answerWishes(answers)
  }
  close(): void {
    this.#executor.close()
  }
}
