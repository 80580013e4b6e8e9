/**
 * How long answers take: an average that follows a slower answer at once and a faster one over ten seconds, as in Finagle's peak EWMA.
 * Without answers it fades, so that one which was slow gets its chance again.
 */
const FADE_MS = 10_000

export class PeakAverage {
  #ms = 0
  #at = Number.NEGATIVE_INFINITY

  /** Nothing was observed yet. */
  get isUnknown(): boolean {
    return this.#at === Number.NEGATIVE_INFINITY
  }

  /** Milliseconds, and when. */
  observe(ms: number, now: number): void {
    const kept = this.#keptAt(now)
    this.#ms = ms > this.#ms ? ms : this.#ms * kept + ms * (1 - kept)
    this.#at = now
  }

  at(now: number): number {
    return this.isUnknown ? 0 : this.#ms * this.#keptAt(now)
  }

  /** What share of it counts still. */
  #keptAt(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / FADE_MS)
  }
}
