/**
 * Draws one of many by weight. Most draws are one random number and a search in sums; where most of the weight is not available, all
 * that is available is looked at, so that a draw always ends and is always by weight.
 */
import type { IsAvailable } from './balancer.ts'

/** Draws that may miss before all are looked at. */
const TRIES = 8

export class Sampler {
  /** Of the weights up to and with each; null: they are all the same. */
  readonly #sums: Float64Array | null
  readonly #weights: Float64Array
  readonly #total: number
  readonly #random: () => number

  constructor(weights: readonly number[], random: () => number) {
    this.#weights = Float64Array.from(weights)
    this.#random = random
    const isEven = weights.every((weight) => weight === weights[0] && weight > 0)
    let sum = 0
    const sums = this.#weights.map((weight) => (sum += weight))
    this.#total = sum
    this.#sums = isEven ? null : sums
  }

  /** -1: there is none. `except`: an index that is not wanted. */
  draw(isAvailable: IsAvailable | null, except = -1): number {
    if (this.#total === 0) return -1
    for (let tries = 0; tries < TRIES; tries++) {
      const index = this.#drawAny()
      if (index !== except && (isAvailable === null || isAvailable(index))) return index
    }
    return this.#drawFromAll(isAvailable, except)
  }

  #drawAny(): number {
    const sums = this.#sums
    if (sums === null) return Math.floor(this.#random() * this.#weights.length)
    const at = this.#random() * this.#total
    // The first sum above it: those of weight 0 end where the one before them does.
    let low = 0
    let high = sums.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sums[middle]! > at) high = middle
      else low = middle + 1
    }
    return low
  }

  /** One pass: each takes the place of the one before by its share of the weight so far. */
  #drawFromAll(isAvailable: IsAvailable | null, except: number): number {
    let drawn = -1
    let sum = 0
    for (let i = 0; i < this.#weights.length; i++) {
      const weight = this.#weights[i]!
      if (weight === 0 || i === except || (isAvailable !== null && !isAvailable(i))) continue
      sum += weight
      if (drawn < 0 || this.#random() * sum < weight) drawn = i
    }
    return drawn
  }
}
