/** Endpoints by a function of the config. Trusted, but what it returns is looked at as what a file says. */
import { discoveredEndpoints } from '../../plan/endpoints.ts'
import type { DiscoveryPlan } from '../../plan/upstream-plan.ts'
import type { Source } from './source.ts'

const LEAST_MS = 50

export function pollSource({ find, interval, zone }: Extract<DiscoveryPlan, { kind: 'poll' }>): Source {
  const ask = async () => discoveredEndpoints(await find(), zone)
  return {
    name: 'the function of its discovery',
    everyMs: Math.max(LEAST_MS, interval),
    ask: (done) => void ask().then(done, (error: unknown) => done(error instanceof Error ? error.message : String(error))),
  }
}
