/** Of all that are available the one that this hash values most, by weight: takes a look at each, so it is for when others have failed. */
import type { Candidate, IsAvailable } from './balancer.ts'
import { spread } from './hash.ts'

export class LastResort {
  readonly #seeds: Uint32Array
  readonly #weights: Float64Array

  constructor(endpoints: readonly Pick<Candidate, 'weight'>[], seeds: Uint32Array) {
    this.#seeds = seeds
    this.#weights = Float64Array.from(endpoints, ({ weight }) => weight)
  }

  /** -1: there is none. */
  pick(isAvailable: IsAvailable | null, hash: number): number {
    let best = -1
    let most = Number.NEGATIVE_INFINITY
    for (let i = 0; i < this.#weights.length; i++) {
      const weight = this.#weights[i]!
      if (weight === 0 || (isAvailable !== null && !isAvailable(i))) continue
      // The logarithm makes it exactly by weight, as in rendezvous.ts.
      const value = weight / -Math.log((spread(hash ^ this.#seeds[i]!) + 1) / 0x1_0000_0001)
      if (value <= most) continue
      most = value
      best = i
    }
    return best
  }
}
