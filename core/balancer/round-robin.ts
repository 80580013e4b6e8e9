/**
 * Smooth weighted round robin: over one round each index is picked exactly as often as its weight says, spread out as evenly as
 * can be (5:1:1 gives a a b a c a a). A round is worked out once, so a pick is one look into an array.
 */
import type { Balancer, IsAvailable } from './balancer.ts'

/** Work for a precomputed round; that of a longer one is saved by sorting. */
const MAX_ROUND_STEPS = 1_000_000
/** Of a round: 1 MB. Longer ones are stepped through as they come. */
const MAX_ROUND = 262_144
/** When a turn comes, as a share of the round, and whose it is, in one number of 52 bits. */
const TIME = 2 ** 32
const INDEX = 2 ** 20

/** Weights are numbers ≥ 0, whole or not; also picks the parts of a split. `maxRoundSteps` is there for tests. */
export function roundRobin(weights: readonly number[], maxRoundSteps = MAX_ROUND_STEPS): Balancer {
  const stepper = new Stepper(weights)
  if (stepper.total === 0) return { pick: () => -1 }
  const round = planRound(weights, maxRoundSteps)
  return round === null ? { pick: (isAvailable) => stepper.next(isAvailable) } : new Round(round, stepper)
}

class Round implements Balancer {
  readonly #round: Uint32Array
  /** Stands in when the one whose turn it is is not available: its turns go to the others by their weights. */
  readonly #stepper: Stepper
  #at = 0

  constructor(round: Uint32Array, stepper: Stepper) {
    this.#round = round
    this.#stepper = stepper
  }

  pick(isAvailable: IsAvailable | null): number {
    const index = this.#round[this.#at]!
    this.#at = this.#at + 1 === this.#round.length ? 0 : this.#at + 1
    return isAvailable === null || isAvailable(index) ? index : this.#stepper.next(isAvailable)
  }
}

/** One step: everyone available gains its weight, the richest is picked and pays what all gained. */
class Stepper {
  readonly total: number
  readonly #weights: Float64Array
  readonly #credit: Float64Array

  constructor(weights: readonly number[]) {
    this.#weights = Float64Array.from(weights)
    this.#credit = new Float64Array(weights.length)
    this.total = weights.reduce((sum, weight) => sum + weight, 0)
  }

  next(isAvailable: IsAvailable | null): number {
    let best = -1
    let gained = 0
    for (let i = 0; i < this.#weights.length; i++) {
      const weight = this.#weights[i]!
      if (weight === 0 || (isAvailable !== null && !isAvailable(i))) continue
      this.#credit[i]! += weight
      gained += weight
      if (best < 0 || this.#credit[i]! > this.#credit[best]!) best = i
    }
    if (best >= 0) this.#credit[best]! -= gained
    return best
  }
}

function planRound(weights: readonly number[], maxSteps: number): Uint32Array | null {
  if (!weights.every(Number.isSafeInteger)) return null
  const divisor = weights.reduce(greatestDivisor)
  const length = weights.reduce((sum, weight) => sum + weight / divisor, 0)
  const isEven = weights.every((weight) => weight === 0 || weight === divisor)
  if (isEven) return Uint32Array.from(weights.flatMap((weight, i) => (weight > 0 ? [i] : [])))
  if (maxSteps === 0 || length > MAX_ROUND) return null
  const turns = weights.map((weight) => weight / divisor)
  if (length * weights.length > maxSteps) return sortedRound(turns, length)
  const stepper = new Stepper(turns)
  return Uint32Array.from({ length }, () => stepper.next(null))
}

/** Each takes its turns at even distances, the first after half of one. */
function sortedRound(turns: readonly number[], length: number): Uint32Array {
  const times = new Float64Array(length)
  let at = 0
  for (const [index, count] of turns.entries())
    for (let i = 0; i < count; i++) times[at++] = Math.floor(((i + 0.5) / count) * TIME) * INDEX + index
  times.sort()
  return new Uint32Array(length).map((_, i) => times[i]! % INDEX)
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}
