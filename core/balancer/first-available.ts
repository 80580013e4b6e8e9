/** The first that is available, in the order they were written: the others stand by. */
import type { Balancer, Candidate, IsAvailable } from './balancer.ts'

export function firstAvailable(endpoints: readonly Pick<Candidate, 'weight'>[]): Balancer {
  return {
    pick(isAvailable: IsAvailable | null): number {
      for (let i = 0; i < endpoints.length; i++) if (endpoints[i]!.weight > 0 && (isAvailable === null || isAvailable(i))) return i
      return -1
    },
  }
}
