/** The requests of an upstream that may be under way at a time, as many as it answers in good time; others wait in turn, so many and so long as the plan says. */
import type { Deadlines } from '../deadlines.ts'
import type { AdaptivePlan } from '../plan/upstream-plan.ts'
import { GradientLimit } from './gradient-limit.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

/** After the last one that had to wait, or was refused: so long it is said to be limited. */
const CALM_MS = 10_000

export interface AdaptiveLimitParts {
  readonly plan: AdaptivePlan
  readonly deadlines: Deadlines
  /** So many more, or less, wait. */
  counted(change: 1 | -1): void
  /** It is another one. */
  moved(limit: number): void
  /** Some have to wait or are refused, for the first time in a while; or, false, none any more. */
  changed(isLimited: boolean, why: string): void
}

/** Who wants in. `late` is said instead of `letIn`. */
export interface LimitedRequest extends Waiter {
  letIn(): void
}

export class AdaptiveLimit {
  readonly #parts: AdaptiveLimitParts
  readonly #limit: GradientLimit
  readonly #queue: WaitQueue<Place>
  #underWay = 0
  #told = 0
  /** When somebody had to wait last; NaN: nobody has, for long enough. */
  #limitedAt = Number.NaN

  constructor(parts: AdaptiveLimitParts) {
    const { plan, deadlines } = parts
    this.#parts = parts
    this.#limit = new GradientLimit(plan)
    this.#queue = new WaitQueue({ most: plan.pending, maxWaitMs: plan.maxWait, deadlines })
    this.#tellLimit()
  }

  get limit(): number {
    return this.#limit.limit
  }
  get underWay(): number {
    return this.#underWay
  }
  get waiting(): number {
    return this.#queue.size
  }
  get isLimited(): boolean {
    return !Number.isNaN(this.#limitedAt)
  }

  /** True: it is in, and `leave` is owed. */
  enter(): boolean {
    if (this.#queue.size > 0 || this.#underWay >= this.limit) return false
    this.#underWay++
    return true
  }

  /** After `enter` said no. Returns how to leave the queue before `letIn` or `late`; null: it is full. */
  wait(request: LimitedRequest): (() => void) | null {
    this.#tellLimited()
    const place = new Place(request, () => this.#parts.counted(-1))
    if (!this.#queue.add(place)) return null
    this.#parts.counted(1)
    return () => {
      if (this.#queue.remove(place)) this.#parts.counted(-1)
    }
  }

  /** It was answered in `ms`; NaN: it failed; null: that says nothing of the upstream. */
  leave(ms: number | null): void {
    const now = this.#parts.deadlines.read()
    if (ms !== null && this.#limit.observe(ms, this.#underWay, now)) this.#tellLimit()
    this.#underWay--
    while (this.#queue.size > 0 && this.#underWay < this.limit) {
      const place = this.#queue.first!
      this.#queue.remove(place)
      this.#parts.counted(-1)
      this.#underWay++
      place.request.letIn()
    }
    if (this.isLimited && this.#queue.size === 0 && now - this.#limitedAt >= CALM_MS) {
      this.#limitedAt = Number.NaN
      this.#parts.changed(false, `${this.limit} at a time are as many as are asked for`)
    }
  }

  /** Nobody will ask again; who waits and who is under way still gets its due. */
  close(): void {
    if (!this.isLimited) return
    this.#limitedAt = Number.NaN
    this.#parts.changed(false, 'its upstream is another one by now')
  }

  #tellLimited(): void {
    const wasLimited = this.isLimited
    this.#limitedAt = this.#parts.deadlines.read()
    if (wasLimited) return
    const { calmMs } = this.#limit
    const calm = Number.isNaN(calmMs) ? '' : `, answers take ${calmMs.toFixed(1)} ms in calm times`
    this.#parts.changed(true, `${this.limit} at a time${calm}`)
  }

  #tellLimit(): void {
    if (this.limit === this.#told) return
    this.#told = this.limit
    this.#parts.moved(this.limit)
  }
}

class Place implements Waiter {
  readonly request: LimitedRequest
  readonly #left: () => void

  constructor(request: LimitedRequest, left: () => void) {
    this.request = request
    this.#left = left
  }

  late(): void {
    this.#left()
    this.request.late()
  }
}
