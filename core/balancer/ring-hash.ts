/**
 * Consistent hashing on a ring: an endpoint stands on it at points made of its address, 160 for each unit of weight, and takes the
 * hashes up to each of them. When one of ten leaves, its tenth moves and nothing else.
 */
import type { Balancer, Candidate, IsAvailable } from './balancer.ts'
import { hashText, spread } from './hash.ts'
import { LastResort } from './last-resort.ts'

const POINTS = 160
/** Of the whole ring: 2 MB. Of more, each has half of its points, or a quarter … */
const MAX_POINTS = 262_144
/** So far it is walked past what is not available; then all that is available is looked at. */
const MAX_STEPS = 64
const INDEX = 2 ** 20

export function ringHash(endpoints: readonly Pick<Candidate, 'address' | 'weight'>[]): Balancer {
  return new Ring(endpoints)
}

class Ring implements Balancer {
  readonly #hashes: Uint32Array
  readonly #owners: Uint32Array
  readonly #rest: LastResort

  constructor(endpoints: readonly Pick<Candidate, 'address' | 'weight'>[]) {
    const seeds = Uint32Array.from(endpoints, ({ address }) => hashText(address))
    const points = planPoints(endpoints, seeds)
    this.#hashes = new Uint32Array(points.length)
    this.#owners = new Uint32Array(points.length)
    for (let i = 0; i < points.length; i++) {
      this.#hashes[i] = points[i]! / INDEX
      this.#owners[i] = points[i]! % INDEX
    }
    this.#rest = new LastResort(endpoints, seeds)
  }

  pick(isAvailable: IsAvailable | null, hash = 0): number {
    const owners = this.#owners
    if (owners.length === 0) return -1
    let at = this.#find(hash)
    for (let steps = Math.min(MAX_STEPS, owners.length); steps > 0; steps--) {
      const owner = owners[at]!
      if (isAvailable === null || isAvailable(owner)) return owner
      at = at + 1 === owners.length ? 0 : at + 1
    }
    return this.#rest.pick(isAvailable, hash)
  }

  /** The first point at or behind it; behind the last one the first. */
  #find(hash: number): number {
    const hashes = this.#hashes
    let low = 0
    let high = hashes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (hashes[middle]! < hash) low = middle + 1
      else high = middle
    }
    return low === hashes.length ? 0 : low
  }
}

/** In order, each a hash and the index of who it belongs to in one number: 52 bits. */
function planPoints(endpoints: readonly Pick<Candidate, 'weight'>[], seeds: Uint32Array): Float64Array {
  const total = endpoints.reduce((sum, { weight }) => sum + weight, 0)
  let each = POINTS
  // Halves, so that the points stay where they are when others come: fewer of the same.
  while (each * total > MAX_POINTS) each /= 2
  const counts = endpoints.map(({ weight }) => (weight === 0 ? 0 : Math.max(1, Math.round(weight * each))))
  const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0))
  let at = 0
  for (const [index, count] of counts.entries())
    for (let i = 0; i < count; i++) points[at++] = spread(seeds[index]! + Math.imul(i, 0x9e3779b1)) * INDEX + index
  return points.sort()
}
