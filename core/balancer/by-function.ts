/** As a function of the config says. Trusted, but not believed: what it answers must be one of those that it was shown. */
import { ProxyError } from '../errors.ts'
import type { Balancer, Candidate, IsAvailable, Viewed } from './balancer.ts'

/** What the function sees of an endpoint. */
export interface EndpointView {
  readonly address: string
  readonly weight: number
  readonly inFlight: number
}

/** Of those that take requests just now: the index in this list, or the address. */
export type EndpointFunction = (endpoints: readonly EndpointView[], request: never) => unknown

export function byFunction(endpoints: readonly Candidate[], choose: EndpointFunction): Balancer {
  const views = endpoints.map(
    (endpoint): EndpointView => ({
      address: endpoint.address,
      weight: endpoint.weight,
      get inFlight() {
        return endpoint.inFlight
      },
    }),
  )
  const taking = Object.freeze(views.filter(({ weight }) => weight > 0))
  const indexOf = new Map(views.map((view, index) => [view, index]))
  return {
    pick(isAvailable: IsAvailable | null, _hash?: number, asked: Viewed | null = null): number {
      const shown = isAvailable === null ? taking : Object.freeze(views.filter(({ weight }, index) => weight > 0 && isAvailable(index)))
      return shown.length === 0 ? -1 : indexOf.get(chosen(choose, shown, asked))!
    },
  }
}

function chosen(choose: EndpointFunction, shown: readonly EndpointView[], asked: Viewed | null): EndpointView {
  let answer: unknown
  try {
    // The config's types promised this view to the function.
    answer = choose(shown, (asked?.view() ?? null) as never)
  } catch (error) {
    throw new ProxyError('hook_failed', `balancer: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  if (typeof answer !== 'string' && typeof answer !== 'number') throw wrong(answer)
  const view = typeof answer === 'string' ? shown.find(({ address }) => address === answer) : shown[answer]
  if (view !== undefined) return view
  throw new ProxyError('hook_failed', `balancer: ${JSON.stringify(answer)} is none of the ${shown.length} endpoints that it was shown`)
}

function wrong(answer: unknown): ProxyError {
  // Nobody else would hear of its end.
  if (answer instanceof Promise) answer.catch(() => {})
  const what = answer instanceof Promise ? 'a promise' : answer === null ? 'null' : typeof answer
  return new ProxyError('hook_failed', `balancer: it returned ${what}; expected the index of an endpoint, or its address`)
}
