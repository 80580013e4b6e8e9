/** Which part of a split a hash falls into. When weights change, only those hashes move that lie between the old bounds and the new. */
import { spread } from './hash.ts'

/** So that what one part's balancer makes of the same key does not depend on its having fallen into this part. */
const SALT = 0x51ed270b

export function partOfHash(weights: readonly number[], hash: number): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let left = (spread(hash ^ SALT) / 0x1_0000_0000) * total
  for (const [i, weight] of weights.entries()) {
    if (left < weight) return i
    left -= weight
  }
  // Sums of fractions may end a little short.
  return weights.findLastIndex((weight) => weight > 0)
}
