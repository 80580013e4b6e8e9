/**
 * What an isolate keeps of bodies that are on their way goes with it: a later piece of such a body cannot be asked about any more, for
 * its answer would be wrong. Kept here is which body began in which isolate.
 */
import type { BodyPart, HookCall } from '../hooks.ts'
import type { LoadedUse } from './use.ts'

interface Begun {
  readonly first: HookCall
  readonly epoch: number
}

export class Keeping {
  /** Counts the isolates. */
  epoch = 0
  readonly #begun = new Map<number, Begun>()

  lost(): void {
    this.epoch++
  }

  /** Some body has begun in the isolate of now, and has not ended. */
  get isAmid(): boolean {
    return this.#begun.values().some((begun) => begun.epoch === this.epoch)
  }

  /** Why the call cannot be asked; null if it can. */
  problemOf(call: HookCall, use: LoadedUse, kind: number): string | null {
    if (!use.keepsState(kind)) return null
    const { state, last } = call.part as BodyPart
    const begun = this.#begun.get(state)
    if (last) this.#begun.delete(state)
    // The first piece may be asked about twice, if its isolate was lost on the way.
    if (begun === undefined || begun.first === call) {
      if (!last) this.#begun.set(state, { first: call, epoch: this.epoch })
      return null
    }
    return begun.epoch === this.epoch ? null : 'the plugin was started anew in the middle of this body'
  }

  forget(state: number): void {
    this.#begun.delete(state)
  }
}
