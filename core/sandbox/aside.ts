/** Listens to an engine that is made ready beside the one in use: until it takes over, it has no say about calls. */
import type { Batch } from './batch.ts'
import type { Answers, Engine, EngineSink } from './engine/engine.ts'
import type { FailureWhy } from './wire.ts'

interface Listener extends EngineSink {
  settledAside(answers: Answers, engine: Engine): void
}

export class AsideSink implements EngineSink {
  /** Set as soon as it is made. */
  engine: Engine | null = null
  /** It has taken over. */
  isOn = false
  readonly #listener: Listener

  constructor(listener: Listener) {
    this.#listener = listener
  }

  answered(batch: Batch, done: number, answers: Answers): void {
    if (this.isOn) this.#listener.answered(batch, done, answers)
  }

  failed(batch: Batch, index: number, why: FailureWhy, detail: string): void {
    if (this.isOn) this.#listener.failed(batch, index, why, detail)
  }

  settled(answers: Answers): void {
    if (this.isOn) this.#listener.settled(answers)
    else if (this.engine !== null) this.#listener.settledAside(answers, this.engine)
  }

  overran(id: number, why: FailureWhy, detail: string): void {
    if (this.isOn) this.#listener.overran(id, why, detail)
  }

  lost(why: FailureWhy, detail: string): void {
    if (this.isOn) this.#listener.lost(why, detail)
  }

  gone(): void {
    if (this.isOn) this.#listener.gone()
  }
}
