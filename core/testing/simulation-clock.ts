/** The machine's clock, which can be put forward: deadlines then come due in their order, as if the time had passed. */
import { Deadlines } from '../deadlines.ts'

export class SimulationClock {
  readonly deadlines: Deadlines
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
      const next = this.deadlines.nextDueAt
      if (next > end) break
      this.#putForwardTo(next)
    }
    this.#putForwardTo(end)
    await settle()
  }

  #putForwardTo(time: number): void {
    this.#offsetMs += Math.max(0, time - this.now)
    this.deadlines.tick()
  }
}
