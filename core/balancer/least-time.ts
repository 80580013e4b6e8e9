/**
 * The one that is likely to answer first, of two that are drawn by weight: by how long its answers took of late, times what it has
 * under way, for its weight. Of one that has not answered yet one answer is waited for before it gets more.
 */
import type { Balancer, Candidate, IsAvailable, Tools } from './balancer.ts'
import { Sampler } from './sampler.ts'

type Timed = Pick<Candidate, 'weight' | 'inFlight' | 'time'>

/** So slow is one taken to be that is being tried. */
const UNKNOWN_MS = 1_000_000

export function leastTime(endpoints: readonly Timed[], { random, now }: Tools): Balancer {
  const weights = endpoints.map(({ weight }) => weight)
  const sampler = new Sampler(weights, random)
  return {
    pick(isAvailable: IsAvailable | null): number {
      const one = sampler.draw(isAvailable)
      const other = one < 0 ? -1 : sampler.draw(isAvailable, one)
      if (other < 0) return one
      const time = now()
      return costOf(endpoints[other]!, time) < costOf(endpoints[one]!, time) ? other : one
    },
  }
}

function costOf({ time, inFlight, weight }: Timed, now: number): number {
  const ms = time.isUnknown && inFlight > 0 ? UNKNOWN_MS : time.at(now)
  return (ms * (inFlight + 1)) / weight
}
