/** What the health checks of one endpoint have shown, and when the next is due. Pure: chance is a parameter. */
import type { HealthCheckPlan } from '../plan/upstream-plan.ts'

/** While a verdict may be about to change, checks follow so many times faster. */
const HURRY = 5
/** But not faster than this, unless the interval is shorter. */
const SHORTEST_MS = 250

export class CheckRecord {
  readonly #plan: HealthCheckPlan
  /** Null: too little is known; it counts as healthy. */
  isHealthy: boolean | null
  /** Checks in a row that speak against the verdict. */
  #against = 0

  constructor(plan: HealthCheckPlan, isHealthy: boolean | null = null) {
    this.#plan = plan
    this.isHealthy = isHealthy
  }

  /** Returns whether the verdict is another one now. */
  add(passed: boolean): boolean {
    if (this.isHealthy === passed) {
      this.#against = 0
      return false
    }
    this.#against++
    if (this.#against < this.#needed(passed)) return false
    this.#against = 0
    this.isHealthy = passed
    return true
  }

  /** From the end of a check to the next one. `chance`, from 0 to 1, keeps checks of many endpoints apart. */
  delayMs(chance: number): number {
    const { interval } = this.#plan
    const base = this.#against > 0 ? Math.min(interval, Math.max(interval / HURRY, SHORTEST_MS)) : interval
    return base * (0.9 + 0.2 * chance)
  }

  /** Of an endpoint of which nothing is known, one good check says enough. */
  #needed(passed: boolean): number {
    if (!passed) return this.#plan.unhealthyAfter
    return this.isHealthy === null ? 1 : this.#plan.healthyAfter
  }
}
