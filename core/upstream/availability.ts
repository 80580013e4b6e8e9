/**
 * Which endpoints of an upstream get requests: not those that were ejected for what came of theirs, nor those that fail their health
 * checks. If too few are left all are used: rather some bad answers than one endpoint that falls under the load of all.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { UpstreamChange } from '../events.ts'
import type { OutlierPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Endpoint } from './endpoint.ts'
import { ejectionMs, mostEjected, OutlierRecord } from './outlier.ts'

/** How one endpoint is. It belongs to the endpoint: another plan that has the same one finds it as it was. */
export class EndpointHealth {
  /** Null: nothing is ejected here. */
  record: OutlierRecord | null = null
  /** When it gets requests again, on the clock of deadlines; NaN: it is not ejected. */
  ejectedUntil = Number.NaN
  /** The last ejection and those before it without a longer time in service in between. */
  ejections = 0
  /** When the last ejection was over, and how long it was. */
  returnedAt = Number.NEGATIVE_INFINITY
  lastMs = 0
  /** By the latest health checks; null: they have not said yet, or there are none. */
  isHealthy: boolean | null = null
  /** Why it was ejected the last time. */
  why = ''
  /** The last that health checks had to say. */
  checkWhy = ''

  get isEjected(): boolean {
    return !Number.isNaN(this.ejectedUntil)
  }
  get isAvailable(): boolean {
    return !this.isEjected && this.isHealthy !== false
  }
}

export interface AvailabilityEvents {
  upstreamChanged(change: UpstreamChange): void
}

export interface AvailabilityEnvironment {
  readonly deadlines: Deadlines
  readonly events: AvailabilityEvents
}

export class Availability implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  /** Some endpoints are to be kept off. False: all are used, since all are available, or too few. */
  narrows = false
  isPanicking = false
  readonly #plan: UpstreamPlan
  readonly #outlier: OutlierPlan | null
  readonly #environment: AvailabilityEnvironment
  #all: ReadonlySet<Endpoint> = new Set()
  /** Those with a weight. */
  #endpoints: readonly Endpoint[] = []
  #isClosed = false

  constructor(plan: UpstreamPlan, endpoints: readonly Endpoint[], environment: AvailabilityEnvironment) {
    this.#plan = plan
    this.#outlier = plan.outlier
    this.#environment = environment
    for (const { health } of endpoints) if (health !== null) health.record = null
    this.use(endpoints)
  }

  /** Takes over these endpoints as they are, and lets go of others. */
  use(endpoints: readonly Endpoint[]): void {
    const stay = new Set(endpoints)
    for (const endpoint of this.#all) if (!stay.has(endpoint)) this.#leave(endpoint, false)
    for (const endpoint of endpoints) {
      endpoint.health ??= new EndpointHealth()
      if (this.#outlier !== null) endpoint.health.record ??= new OutlierRecord(this.#outlier)
    }
    this.#all = stay
    this.#endpoints = endpoints.filter(({ weight }) => weight > 0)
    this.#weigh()
    this.#wait()
  }

  /** What came of one request, or of one connection where there are no requests. `failure`: why it failed; null: it was answered. */
  record(endpoint: Endpoint, failure: string | null, ms: number): void {
    const health = endpoint.health!
    const plan = this.#outlier
    const { record } = health
    if (plan === null || record === null || health.isEjected || this.#isClosed) return
    const { now } = this.#environment.deadlines
    const why = record.add(failure, ms, now)
    if (why === null || !this.#mayEject(endpoint, plan)) return
    health.ejections = now - health.returnedAt <= health.lastMs ? health.ejections + 1 : 1
    health.lastMs = ejectionMs(plan, health.ejections)
    health.ejectedUntil = now + health.lastMs
    record.clear()
    this.#change(endpoint, 'ejected', `for ${health.lastMs / 1000} s: ${why}`)
    this.#wait()
  }

  /** Not one that is not among its endpoints any more, nor too many. */
  #mayEject(endpoint: Endpoint, plan: OutlierPlan): boolean {
    const ejected = this.#endpoints.filter(({ health }) => health!.isEjected).length
    return this.#endpoints.includes(endpoint) && ejected < mostEjected(plan, this.#endpoints.length)
  }

  /** What health checks have shown. `isShared`: those of another worker. */
  check(endpoint: Endpoint, isHealthy: boolean, why: string, isShared = false): void {
    const health = endpoint.health!
    const before = health.isHealthy
    if (this.#isClosed || !this.#all.has(endpoint)) return
    health.isHealthy = isHealthy
    health.checkWhy = why
    if (before === isHealthy || (before === null && isHealthy)) return
    this.#change(endpoint, isHealthy ? 'healthy' : 'unhealthy', why, isShared)
  }

  onDeadline(): void {
    const { now } = this.#environment.deadlines
    for (const endpoint of this.#all) {
      const health = endpoint.health!
      if (!(health.ejectedUntil <= now)) continue
      health.ejectedUntil = Number.NaN
      health.returnedAt = now
      this.#change(endpoint, 'available', 'its time is over')
    }
    this.#wait()
  }

  /** Another one takes over those of its endpoints that are left. */
  close(left: readonly Endpoint[]): void {
    this.#isClosed = true
    this.#environment.deadlines.remove(this)
    const stay = new Set(left)
    for (const endpoint of this.#all) this.#leave(endpoint, stay.has(endpoint))
    if (this.isPanicking) this.#tell(null, 'calm', GONE, true)
  }

  /** `isKept`: the next plan goes on with it, ejected or not. */
  #leave(endpoint: Endpoint, isKept: boolean): void {
    const health = endpoint.health!
    if (health.isEjected && !isKept) {
      health.ejectedUntil = Number.NaN
      this.#tell(endpoint, 'available', GONE)
    }
    // Whoever checks it next may mean something else by it.
    if (health.isHealthy === false) this.#tell(endpoint, 'healthy', GONE, isKept)
    health.isHealthy = null
  }

  #change(endpoint: Endpoint, state: UpstreamChange['state'], why: string, isShared = false): void {
    if (state === 'ejected') endpoint.health!.why = why
    if (endpoint.health!.isAvailable) endpoint.availableSince = this.#environment.deadlines.now
    this.#tell(endpoint, state, why, isShared)
    this.#weigh(isShared)
  }

  #tell(endpoint: Endpoint | null, state: UpstreamChange['state'], why: string, isShared = false): void {
    const address = endpoint?.plan.address ?? null
    this.#environment.events.upstreamChanged({ upstream: this.#plan.name, endpoint: address, state, why, isShared })
  }

  #weigh(isShared = false): void {
    const all = this.#endpoints.length
    const available = this.#endpoints.filter(({ health }) => health!.isAvailable).length
    const isPanicking = available / all < this.#plan.panic
    this.narrows = available < all && !isPanicking
    if (isPanicking === this.isPanicking) return
    this.isPanicking = isPanicking
    this.#tell(null, isPanicking ? 'panic' : 'calm', `${available} of ${all} endpoints are available`, isShared)
  }

  /** For the next that is over. */
  #wait(): void {
    let next = Number.POSITIVE_INFINITY
    for (const { health } of this.#all) if (health!.ejectedUntil < next) next = health!.ejectedUntil
    if (next === Number.POSITIVE_INFINITY) return this.#environment.deadlines.remove(this)
    if (this.slot < 0) this.#environment.deadlines.add(this)
    this.dueAt = next
  }
}

const GONE = 'it is not among its endpoints any more'
