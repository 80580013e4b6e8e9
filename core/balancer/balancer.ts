/** Which endpoint the next attempt goes to. Pure: what a balancer remembers are its own picks, nothing of the time or the network. */
import { roundRobin } from './round-robin.ts'

export interface Balancer {
  /** An index into the weights it was made with, of one that is available; -1 if none is. Null: all are. Never one of weight 0. */
  pick(isAvailable: ((index: number) => boolean) | null): number
}

export function createBalancer({ endpoints }: { readonly endpoints: readonly { readonly weight: number }[] }): Balancer {
  return roundRobin(endpoints.map((endpoint) => endpoint.weight))
}
