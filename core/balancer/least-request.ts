/**
 * The one with the fewest attempts under way for its weight, of a few that are drawn by weight: of two already, the busiest is hardly
 * ever picked, and no two workers rush to the same idle one. Where they are even, the lot decides: by weight.
 */
import type { Balancer, Candidate, IsAvailable, Tools } from './balancer.ts'
import { Sampler } from './sampler.ts'

type Counted = Pick<Candidate, 'weight' | 'inFlight'>

export function leastRequest(
  endpoints: readonly Counted[],
  { choices, random }: { readonly choices: number } & Pick<Tools, 'random'>,
): Balancer {
  const weights = endpoints.map(({ weight }) => weight)
  const sampler = new Sampler(weights, random)
  return {
    pick(isAvailable: IsAvailable | null): number {
      let best = sampler.draw(isAvailable)
      if (best < 0) return -1
      for (let drawn = 1; drawn < choices; drawn++) {
        const other = sampler.draw(isAvailable, best)
        if (other < 0) break
        if (loadOf(endpoints[other]!) < loadOf(endpoints[best]!)) best = other
      }
      return best
    },
  }
}

function loadOf({ inFlight, weight }: Counted): number {
  return inFlight / weight
}
