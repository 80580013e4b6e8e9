/**
 * The health checks of one upstream: each endpoint is asked in turn, no two checks of one at a time, and what that shows is told where
 * endpoints are chosen. They run where they are switched on: one worker checks for all.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { HealthCheckPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Availability } from './availability.ts'
import { CheckRecord } from './check-record.ts'
import { makeOrigination, type Origination } from './dial.ts'
import type { Endpoint } from './endpoint.ts'
import { HealthProbe } from './health-probe.ts'

/** The latest verdict on one endpoint, for other workers. */
export interface EndpointVerdict {
  readonly upstream: string
  readonly endpoint: string
  /** Of the same checks on the same endpoint. */
  readonly key: string
  /** Null: nothing is known yet. */
  readonly isHealthy: boolean | null
  readonly why: string
}

export interface HealthChecksOptions {
  readonly plan: UpstreamPlan
  readonly check: HealthCheckPlan
  readonly availability: Availability
  readonly deadlines: Deadlines
  /** From 0 up to 1. */
  readonly random: () => number
  /** A verdict is another one. */
  changed(): void
}

export class HealthChecks {
  readonly #options: HealthChecksOptions
  /** What identifies them: with others, verdicts are worth nothing. */
  readonly #text: string
  #checks: EndpointCheck[] = []
  #isOn = false

  constructor(options: HealthChecksOptions, endpoints: readonly Endpoint[]) {
    const { check, plan } = options
    this.#options = options
    this.#text = JSON.stringify([check, plan.tls, plan.proxyProtocol, plan.host, plan.hostName])
    this.use(endpoints)
  }

  /** These are its endpoints from now on; what is known of those that stay is kept. */
  use(endpoints: readonly Endpoint[]): void {
    const before = new Map(this.#checks.map((check) => [check.endpoint, check]))
    const tls = this.#options.check.type === 'tls' && this.#options.plan.tls === null ? plainTls() : null
    this.#checks = endpoints.map((endpoint) => before.get(endpoint) ?? new EndpointCheck(endpoint, this.#options, tls))
    const stay = new Set(endpoints)
    for (const [endpoint, check] of before) if (!stay.has(endpoint)) check.stop()
    if (this.#isOn) for (const check of this.#checks) if (!before.has(check.endpoint)) check.start()
  }

  /** Whether this worker is the one that checks. */
  set isOn(isOn: boolean) {
    if (isOn === this.#isOn) return
    this.#isOn = isOn
    for (const check of this.#checks) {
      if (isOn) check.start()
      else check.stop()
    }
  }

  get verdicts(): EndpointVerdict[] {
    const { name } = this.#options.plan
    return this.#checks.map(({ endpoint }) => {
      const { isHealthy, checkWhy } = endpoint.health!
      return { upstream: name, endpoint: endpoint.plan.address, key: this.#keyOf(endpoint), isHealthy, why: checkWhy }
    })
  }

  /** What another worker, or this upstream under another plan, has found. */
  apply(verdicts: ReadonlyMap<string, EndpointVerdict>): void {
    if (this.#isOn) return
    for (const { endpoint } of this.#checks) {
      const verdict = verdicts.get(this.#keyOf(endpoint))
      if (verdict === undefined || verdict.isHealthy === null) continue
      this.#options.availability.check(endpoint, verdict.isHealthy, verdict.why, true)
    }
  }

  #keyOf(endpoint: Endpoint): string {
    return `${this.#options.plan.name}\0${endpoint.plan.address}\0${this.#text}`
  }
}

class EndpointCheck implements Timed {
  readonly endpoint: Endpoint
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #options: HealthChecksOptions
  readonly #tls: Origination | null
  #record: CheckRecord
  #probe: HealthProbe | null = null

  constructor(endpoint: Endpoint, options: HealthChecksOptions, tls: Origination | null) {
    this.endpoint = endpoint
    this.#options = options
    this.#tls = tls
    this.#record = new CheckRecord(options.check)
  }

  /** The first check follows soon, but not those of all endpoints at once. */
  start(): void {
    const { deadlines, random, check } = this.#options
    this.#record = new CheckRecord(check, this.endpoint.health!.isHealthy)
    deadlines.add(this)
    this.dueAt = deadlines.in((random() * Math.min(check.interval, 1_000)) / 2)
  }

  stop(): void {
    this.#options.deadlines.remove(this)
    this.#probe?.cancel()
    this.#probe = null
  }

  onDeadline(): void {
    const { check, deadlines, plan } = this.#options
    const { address, target } = this.endpoint.plan
    const own = plan.host === 'name' ? plan.hostName : target.kind === 'unix' ? 'localhost' : address
    this.#probe = new HealthProbe({
      ...{ plan: check, pool: this.endpoint.pool, tls: this.#tls, host: check.host ?? own, isSecure: plan.tls !== null, deadlines },
      done: (passed, why) => this.#onDone(passed, why),
    })
    this.#probe.start()
  }

  #onDone(passed: boolean, why: string): void {
    const { availability, deadlines, random, changed, check } = this.#options
    this.#probe = null
    if (this.#record.add(passed)) {
      const times = passed ? check.healthyAfter : check.unhealthyAfter
      availability.check(
        this.endpoint,
        passed,
        `${times === 1 ? 'a check' : `${times} checks in a row`} ${passed ? 'passed' : 'failed'}, the last: ${why}`,
      )
      changed()
    }
    this.dueAt = deadlines.in(this.#record.delayMs(random()))
  }
}

let plain: Origination | null = null

/** For endpoints whose TLS is not ours to end: any server will do. */
function plainTls(): Origination {
  plain ??= makeOrigination({ servername: null, ca: null, cert: null, key: null })
  return plain
}
