/**
 * The endpoints of one upstream as its source tells them. The last set that was told stays in use while the source fails, and what is told
 * of it is told once.
 */
import type { Deadlines, Timed } from '../../deadlines.ts'
import type { EndpointPlan } from '../../plan/upstream-plan.ts'
import type { Source } from './source.ts'

/** A source that has not answered by then has failed; what it says later does not count. */
const MAX_WAIT_MS = 30_000

export interface DiscoveryEvents {
  /** The set is another one. */
  changed(endpoints: readonly EndpointPlan[], before: readonly EndpointPlan[]): void
  /** The source fails, and did not before in this way. */
  failed(why: string): void
  /** It fails no more, and the set is the one before. */
  recovered(): void
  /** Of what it tells something makes no sense, and is not in the set. */
  leftOut(what: string): void
}

export class Discovery implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  /** Null: nothing was told yet. */
  endpoints: readonly EndpointPlan[] | null
  readonly #source: Source
  readonly #deadlines: Deadlines
  readonly #events: DiscoveryEvents
  #question = 0
  #isAsking = false
  #failure = ''
  #leftOut = ''
  /** Ends the watch; null: there is none. */
  #unwatch: (() => void) | null = null

  /** `before`: what stays in use until the source tells more. */
  constructor(source: Source, { deadlines, events, before }: DiscoveryParts) {
    this.#source = source
    this.#deadlines = deadlines
    this.#events = events
    this.endpoints = before
  }

  /** Why the source fails; '' if it does not. */
  get failure(): string {
    return this.#failure
  }

  /** What of the set makes no sense; '' if all does. */
  get leftOut(): string {
    return this.#leftOut
  }

  start(): void {
    const { watch } = this.#source
    if (watch !== undefined) {
      // What was asked before would be older.
      if (this.#unwatch === null) this.#question++
      this.#unwatch ??= watch((found, odd) => this.#take(found, odd))
      return
    }
    if (this.slot < 0) this.#deadlines.add(this)
    if (!this.#isAsking) this.dueAt = this.#deadlines.in(this.#source.everyMs)
  }

  stop(): void {
    this.#question++
    this.#isAsking = false
    this.#deadlines.remove(this)
    this.#unwatch?.()
    this.#unwatch = null
  }

  onDeadline(): void {
    if (this.#isAsking) {
      this.#settle(`no answer in ${MAX_WAIT_MS / 1000} s`)
      return
    }
    this.ask(() => {})
  }

  /** Out of turn: before a plan is taken into use. */
  ask(done: () => void): void {
    const question = ++this.#question
    this.#isAsking = true
    this.dueAt = this.#deadlines.in(MAX_WAIT_MS)
    this.#source.ask((found) => {
      if (question === this.#question) this.#settle(found)
      done()
    })
  }

  #settle(found: readonly EndpointPlan[] | string): void {
    this.#question++
    this.#isAsking = false
    this.dueAt = this.#deadlines.in(this.#source.everyMs)
    this.#take(found, null)
  }

  #take(found: readonly EndpointPlan[] | string, odd: string | null): void {
    if (typeof found === 'string') {
      if (found !== this.#failure) this.#events.failed(found)
      this.#failure = found
      return
    }
    const hasFailed = this.#failure !== ''
    this.#failure = ''
    if (odd !== null && odd !== this.#leftOut) this.#events.leftOut(odd)
    this.#leftOut = odd ?? ''
    const before = this.endpoints
    if (before !== null && JSON.stringify(before) === JSON.stringify(found)) {
      if (hasFailed) this.#events.recovered()
      return
    }
    this.endpoints = found
    this.#events.changed(found, before ?? [])
  }
}

export interface DiscoveryParts {
  readonly deadlines: Deadlines
  readonly events: DiscoveryEvents
  readonly before: readonly EndpointPlan[] | null
}
