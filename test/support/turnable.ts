/** A clock of deadlines that goes as the test says. */
import { Deadlines } from '../../core/deadlines.ts'

const TICK_MS = 50

export interface Turnable {
  readonly deadlines: Deadlines
  /** So much later. */
  turn(ms: number): void
}

export function turnable(): Turnable {
  let now = 1_000
  const deadlines = new Deadlines(TICK_MS, () => now)
  return {
    deadlines,
    turn(ms) {
      now += ms
      deadlines.tick()
    },
  }
}
