/**
 * The health checks of all upstreams of a worker: whether it is the one that makes them, and what they have shown, here or in the worker
 * that does. Verdicts outlive plans: what is checked alike is not unknown again.
 */
import type { EndpointVerdict, HealthChecks } from './health-checks.ts'
import type { Upstream } from './upstream.ts'

export class HealthBoard {
  /** All verdicts, some of which are others than before. */
  onVerdicts: ((verdicts: readonly EndpointVerdict[]) => void) | null = null
  #checks = new Set<HealthChecks>()
  #known = new Map<string, EndpointVerdict>()
  #isOn = false
  #isAboutToTell = false

  get isOn(): boolean {
    return this.#isOn
  }

  /** Whether this worker is the one that checks. */
  set isOn(isOn: boolean) {
    this.#isOn = isOn
    for (const checks of this.#checks) checks.isOn = isOn
  }

  /** Before an upstream is closed. */
  remember({ safeguards }: Upstream): void {
    for (const verdict of safeguards?.checks?.verdicts ?? []) this.#known.set(verdict.key, verdict)
  }

  /** Those of the plan in use. */
  use(upstreams: readonly Upstream[]): void {
    this.#checks = new Set(upstreams.flatMap(({ safeguards }) => safeguards?.checks ?? []))
    for (const checks of this.#checks) {
      checks.apply(this.#known)
      checks.isOn = this.#isOn
    }
    // What this plan does not check is forgotten.
    this.#known = new Map(this.#verdicts().map((verdict) => [verdict.key, verdict]))
    this.changed()
  }

  /** Those of the worker that checks. */
  apply(verdicts: readonly EndpointVerdict[]): void {
    if (this.#isOn) return
    this.#known = new Map(verdicts.map((verdict) => [verdict.key, verdict]))
    for (const checks of this.#checks) checks.apply(this.#known)
  }

  /** Told once for all that change in one turn. */
  changed(): void {
    if (this.#isAboutToTell || !this.#isOn) return
    this.#isAboutToTell = true
    queueMicrotask(() => {
      this.#isAboutToTell = false
      if (this.#isOn) this.onVerdicts?.(this.#verdicts())
    })
  }

  #verdicts(): EndpointVerdict[] {
    return [...this.#checks].flatMap((checks) => checks.verdicts)
  }
}
