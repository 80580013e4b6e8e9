/**
 * How long a share of the latest answers took at most, by counts of a logarithmic scale: to within a tenth, over the last ten to twenty
 * seconds, in one kilobyte. Pure: the time is a parameter.
 */

/** From a tenth of a millisecond to an hour, in steps of 9 %. */
const STEPS = 8
const LEAST_MS = 0.1
const BUCKETS = 202
const HALF_MS = 10_000
/** What is said is said again for so long. */
const FRESH_MS = 100

export class LatencyQuantile {
  readonly #quantile: number
  readonly #leastCount: number
  #current = new Float64Array(BUCKETS)
  #previous = new Float64Array(BUCKETS)
  #count = 0
  #countBefore = 0
  #turnsAt = Number.NEGATIVE_INFINITY
  #known = Number.NaN
  #knownUntil = Number.NEGATIVE_INFINITY

  /** `leastCount`: of fewer answers nothing is said. */
  constructor(quantile: number, leastCount: number) {
    this.#quantile = quantile
    this.#leastCount = leastCount
  }

  observe(ms: number, now: number): void {
    this.#turn(now)
    this.#current[bucketOf(ms)]! += 1
    this.#count++
  }

  /** Milliseconds; NaN: too little is known. */
  value(now: number): number {
    if (now < this.#knownUntil) return this.#known
    this.#turn(now)
    this.#known = this.#find()
    this.#knownUntil = now + FRESH_MS
    return this.#known
  }

  #find(): number {
    const total = this.#count + this.#countBefore
    if (total < this.#leastCount) return Number.NaN
    let seen = 0
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#current[i]! + this.#previous[i]!
      if (seen >= total * this.#quantile) return LEAST_MS * 2 ** ((i + 1) / STEPS)
    }
    return Number.NaN
  }

  #turn(now: number): void {
    if (now < this.#turnsAt) return
    const isOld = now >= this.#turnsAt + HALF_MS
    const free = this.#previous
    this.#previous = this.#current
    this.#countBefore = this.#count
    if (isOld) {
      this.#previous.fill(0)
      this.#countBefore = 0
    }
    this.#current = free
    free.fill(0)
    this.#count = 0
    this.#turnsAt = now + HALF_MS
  }
}

function bucketOf(ms: number): number {
  if (!(ms > LEAST_MS)) return 0
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(ms / LEAST_MS) * STEPS))
}
