/** When a request of an upstream is asked for a second time, of another endpoint, because its answer is late. */
import { Deadlines } from '../deadlines.ts'
import type { HedgingPlan } from '../plan/upstream-plan.ts'
import { LatencyQuantile } from './latency-quantile.ts'

/** The clock of all others is too coarse for what is late by milliseconds; this one ticks only while requests are under way. */
const TICK_MS = 5
/** Of fewer answers it is not known what is late. */
const LEAST_ANSWERS = 50

export class Hedging {
  readonly clock: Deadlines
  readonly #afterMs: number
  /** Null: it is late after a time that the plan says. */
  readonly #quantile: LatencyQuantile | null

  constructor({ after, quantile }: HedgingPlan, deadlines: Deadlines) {
    this.clock = new Deadlines(TICK_MS, () => deadlines.read())
    this.#afterMs = after
    this.#quantile = quantile === null ? null : new LatencyQuantile(quantile, LEAST_ANSWERS)
  }

  /** Milliseconds; NaN: that is not known yet. */
  get delayMs(): number {
    return this.#quantile === null ? this.#afterMs : this.#quantile.value(this.clock.read())
  }

  /** A first try was answered after so long, or had not been when another one was answered. */
  observe(ms: number): void {
    this.#quantile?.observe(ms, this.clock.read())
  }
}
