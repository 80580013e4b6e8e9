/**
 * Which worker checks the health of endpoints, for all: the first that carries traffic. What it finds goes by way of the supervisor to
 * the others, and to those that come later: so many workers do not make so many checks, and when one ends nothing is unknown again.
 */
import type { EndpointVerdict } from '../upstream/health-checks.ts'

/** A worker, as far as this is concerned. */
export interface Checking {
  readonly isLive: boolean
  checkHealth(isOn: boolean): void
  tellHealth(verdicts: readonly EndpointVerdict[]): void
}

export class HealthWatch<W extends Checking> {
  #by: W | null = null
  /** As many as there are endpoints that are checked. */
  #verdicts: readonly EndpointVerdict[] = []

  get verdicts(): readonly EndpointVerdict[] {
    return this.#verdicts
  }

  /** Workers have come or gone. `workers`: in the order of their slots. */
  appoint(workers: readonly W[]): void {
    const next = this.#by?.isLive === true && workers.includes(this.#by) ? this.#by : (workers.find(({ isLive }) => isLive) ?? null)
    if (next === this.#by) return
    this.#by?.checkHealth(false)
    this.#by = next
    next?.checkHealth(true)
  }

  /** A worker is about to prepare its first plan. */
  greet(worker: W): void {
    if (this.#verdicts.length > 0) worker.tellHealth(this.#verdicts)
  }

  heard(worker: W, verdicts: readonly EndpointVerdict[], others: Iterable<W>): void {
    // Said before it learnt that another one checks now.
    if (worker !== this.#by) return
    this.#verdicts = verdicts
    for (const other of others) if (other !== worker) other.tellHealth(verdicts)
  }
}
