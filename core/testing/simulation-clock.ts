/** The machine's clock, which can be put forward: deadlines, and what plugins wait for, then come due in their order, as if the time had passed. */
import { Deadlines } from '../deadlines.ts'
import type { PluginClock } from '../proxy.ts'

/** A plugin may have timers without end. */
const MOST_STEPS = 10_000

export class SimulationClock {
  readonly deadlines: Deadlines
  /** Set once there are plugins. */
  plugins: PluginClock | null = null
  #offsetMs = 0

  constructor() {
    this.deadlines = new Deadlines(50, () => this.now)
  }

  get now(): number {
    return performance.now() + this.#offsetMs
  }

  /** `settle`: resolves when all that a deadline has set off has come to rest. */
  async advance(ms: number, settle: () => Promise<void>): Promise<void> {
    const end = this.now + ms
    for (;;) {
      await settle()
      const next = Math.min(this.deadlines.nextDueAt, this.#pluginsDueIn(ms / MOST_STEPS))
      if (next > end) break
      await this.#putForwardTo(next, settle)
    }
    await this.#putForwardTo(end, settle)
    await settle()
  }

  /** Plugins first: what one is about to answer is not late. */
  async #putForwardTo(time: number, settle: () => Promise<void>): Promise<void> {
    this.#offsetMs += Math.max(0, time - this.now)
    this.plugins?.shiftClock(this.#offsetMs)
    if (this.plugins !== null && this.plugins.sleeping > 0) await settle()
    this.plugins?.shiftDeadlines(this.#offsetMs)
    this.deadlines.tick()
  }

  #pluginsDueIn(leastMs: number): number {
    return this.plugins === null ? Number.POSITIVE_INFINITY : this.now + Math.max(leastMs, this.plugins.dueMs)
  }
}
