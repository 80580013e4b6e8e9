/**
 * How many requests an upstream answers at a time without getting slower. It grows while answers take as long as in calm times and as many are
 * asked for, and shrinks by as much as they take longer, or when they fail (after Netflix' concurrency-limits, Gradient2). Pure: the time is a parameter.
 */
import type { AdaptivePlan } from '../plan/upstream-plan.ts'

/** What is learnt from at once: so long, and so many answers; or the longer time, and any. */
const WINDOW_MS = 100
const LONGEST_WINDOW_MS = 1_000
const ENOUGH = 10
/** Of the way to what one window says. */
const SMOOTHING = 0.3
/** What is taken for calm follows faster answers soon, slower ones over minutes. */
const FASTER = 0.3
const SLOWER = 0.002
/** More failures than this share are too many. */
const FAILED = 0.1
const BACK_OFF = 0.8

export class GradientLimit {
  readonly #plan: AdaptivePlan
  #limit: number
  #calmMs = Number.NaN
  #sumMs = 0
  #answers = 0
  #failures = 0
  #mostUnderWay = 0
  #startedAt = Number.NaN

  constructor(plan: AdaptivePlan) {
    this.#plan = plan
    this.#limit = plan.start
  }

  get limit(): number {
    return Math.floor(this.#limit)
  }

  /** Milliseconds of an answer in calm times; NaN: not known yet. */
  get calmMs(): number {
    return this.#calmMs
  }

  /** One of so many under way was answered in `ms`, or, NaN, failed. Returns whether the limit may be another one. */
  observe(ms: number, underWay: number, now: number): boolean {
    if (Number.isNaN(this.#startedAt)) this.#startedAt = now
    if (Number.isNaN(ms)) this.#failures++
    else {
      this.#sumMs += ms
      this.#answers++
    }
    this.#mostUnderWay = Math.max(this.#mostUnderWay, underWay)
    const took = now - this.#startedAt
    if (took < WINDOW_MS || (took < LONGEST_WINDOW_MS && this.#answers + this.#failures < ENOUGH)) return false
    this.#learn()
    this.#startedAt = now
    this.#sumMs = this.#answers = this.#failures = this.#mostUnderWay = 0
    return true
  }

  #learn(): void {
    const { min, max } = this.#plan
    const next = this.#failures > FAILED * (this.#answers + this.#failures) ? this.#limit * BACK_OFF : this.#byTimes()
    this.#limit = Math.min(max, Math.max(min, this.#limit + (next - this.#limit) * SMOOTHING))
  }

  #byTimes(): number {
    const ms = Math.max(0.1, this.#sumMs / this.#answers)
    if (Number.isNaN(this.#calmMs)) this.#calmMs = ms
    else this.#calmMs += (ms - this.#calmMs) * (ms < this.#calmMs ? FASTER : SLOWER)
    const gradient = Math.min(1, Math.max(0.5, (this.#plan.tolerance * this.#calmMs) / ms))
    // Who does not use what it has learns nothing of more.
    const room = this.#mostUnderWay * 2 >= this.#limit ? Math.sqrt(this.#limit) : 0
    return this.#limit * gradient + room
  }
}
