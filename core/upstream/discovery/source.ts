/** Where endpoints may come from: asked again and again, one question at a time. */
import type { EndpointPlan } from '../../plan/upstream-plan.ts'

export interface Source {
  /** As it stands in the log: `DNS api.internal:80`. */
  readonly name: string
  /** From one question to the next. */
  readonly everyMs: number
  /** Answers once, maybe at once: endpoints, or why there are none to be had. */
  ask(done: Found): void
  /** Where it can be followed: tells by itself from now on, and is not asked again and again. Returns how to end. */
  watch?(told: Told): () => void
}

export type Found = (found: readonly EndpointPlan[] | string) => void
/** `odd`: what was left out, for it makes no sense; null: nothing. */
export type Told = (found: readonly EndpointPlan[] | string, odd: string | null) => void
