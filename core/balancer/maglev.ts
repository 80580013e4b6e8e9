/**
 * Consistent hashing by a table (Maglev, Eisenbud 2016): endpoints take its places in turns, each in an order of its own, until it is
 * full. More even than a ring and one look to pick; when one of ten leaves, a little more than its tenth moves.
 */
import type { Balancer, Candidate, IsAvailable } from './balancer.ts'
import { hashText, spread } from './hash.ts'
import { LastResort } from './last-resort.ts'

/** Primes, so that each order comes to every place. With a hundred places each, shares differ by one in a hundred; with ten, the table grows. */
const PLACES = 65_537
const MANY_PLACES = 655_373
/** Other places that are asked when one is not available; then all that is available is looked at. */
const MAX_STEPS = 16
/** When a turn comes and whose it is, in one number of 52 bits. */
const TIME = 2 ** 30
const INDEX = 2 ** 20

export function maglev(endpoints: readonly Pick<Candidate, 'address' | 'weight'>[]): Balancer {
  return new Table(endpoints)
}

class Table implements Balancer {
  readonly #owners: Int32Array
  readonly #rest: LastResort

  constructor(endpoints: readonly Pick<Candidate, 'address' | 'weight'>[]) {
    const seeds = Uint32Array.from(endpoints, ({ address }) => hashText(address))
    const size = endpoints.length * 10 <= PLACES ? PLACES : MANY_PLACES
    this.#owners = fill(endpoints, seeds, size)
    this.#rest = new LastResort(endpoints, seeds)
  }

  pick(isAvailable: IsAvailable | null, hash = 0): number {
    const owners = this.#owners
    if (owners.length === 0) return -1
    let at = hash
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const owner = owners[at % owners.length]!
      if (isAvailable === null || isAvailable(owner)) return owner
      at = spread(at + 0x9e3779b1)
    }
    return this.#rest.pick(isAvailable, hash)
  }
}

function fill(endpoints: readonly Pick<Candidate, 'address' | 'weight'>[], seeds: Uint32Array, size: number): Int32Array {
  const turns = planTurns(endpoints, size)
  if (turns.length === 0) return new Int32Array(0)
  const owners = new Int32Array(size).fill(-1)
  const steps = seeds.map((seed) => 1 + (spread(seed ^ 0x5bd1e995) % (size - 1)))
  const next = seeds.map((seed) => seed % size)
  for (let turn = 0; turn < size; turn++) {
    const index = turns[turn]!
    let place = next[index]!
    while (owners[place]! >= 0) place = (place + steps[index]!) % size
    owners[place] = index
    next[index] = (place + steps[index]!) % size
  }
  return owners
}

/** At least `size` of them, evenly by weight: the first of one of weight 2 comes as early as the second of weight 4, whoever else is there. */
function planTurns(endpoints: readonly Pick<Candidate, 'address' | 'weight'>[], size: number): Uint32Array {
  const total = endpoints.reduce((sum, { weight }) => sum + weight, 0)
  // Who comes first when two are even must not depend on the order they are written in.
  const sorted = endpoints.map((_, index) => index).sort((a, b) => (endpoints[a]!.address < endpoints[b]!.address ? -1 : 1))
  const counts = sorted.map((index) => (total === 0 ? 0 : Math.ceil((size * endpoints[index]!.weight) / total)))
  const turns = new Float64Array(counts.reduce((sum, count) => sum + count, 0))
  let at = 0
  for (const [rank, count] of counts.entries()) {
    const gap = total / (endpoints[sorted[rank]!]!.weight * size)
    for (let i = 1; i <= count; i++) turns[at++] = Math.floor(Math.min(2, i * gap) * TIME) * INDEX + rank
  }
  turns.sort()
  return new Uint32Array(turns.length).map((_, i) => sorted[turns[i]! % INDEX]!)
}
