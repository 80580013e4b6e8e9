/** By lot: each as often as its weight says, in the long run. */
import type { Balancer, Candidate, IsAvailable, Tools } from './balancer.ts'
import { Sampler } from './sampler.ts'

export function random(endpoints: readonly Pick<Candidate, 'weight'>[], tools: Pick<Tools, 'random'>): Balancer {
  const weights = endpoints.map(({ weight }) => weight)
  const sampler = new Sampler(weights, tools.random)
  return { pick: (isAvailable: IsAvailable | null) => sampler.draw(isAvailable) }
}
