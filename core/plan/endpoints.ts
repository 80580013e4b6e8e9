/** Endpoints as they are written → EndpointPlans: those of a config, which was found valid, and those that a discovery tells, which may be anything. */
import type { EndpointOptions } from '../index.ts'
import { parseEndpoint } from '../net/address.ts'
import type { EndpointPlan } from './upstream-plan.ts'

/** More are a mistake, and would be a burden. */
const MAX_DISCOVERED = 10_000

/** Each with the group that it falls into, by priority and then by zone. */
export function planEndpoints(written: readonly (string | EndpointOptions)[], zone: string | null): readonly EndpointPlan[] {
  const all = written.map((one): EndpointOptions => (typeof one === 'string' ? { address: one } : one))
  const rankOf = ({ priority = 0, zone: own }: EndpointOptions): number => 2 * priority + (zone === null || own === zone ? 0 : 1)
  return Object.freeze(
    all.map((one) => {
      const target = Object.freeze(parseEndpoint(one.address)!.target)
      const address = one.address.replace(/^(?:https?|tcp):\/\//i, '')
      return Object.freeze({ address, target, weight: one.weight ?? 1, group: rankOf(one), drain: null })
    }),
  )
}

/** Throws with a sentence for what is none. */
export function discoveredEndpoints(found: unknown, zone: string | null): readonly EndpointPlan[] {
  if (!Array.isArray(found)) throw new Error('it told no list of endpoints')
  if (found.length > MAX_DISCOVERED) throw new Error(`it told ${found.length} endpoints; ${MAX_DISCOVERED} are the most`)
  const byAddress = new Map<string, EndpointOptions>()
  for (const one of found as unknown[]) {
    const endpoint = (typeof one === 'string' ? { address: one } : one) as EndpointOptions
    const wrong = whyNoEndpoint(endpoint)
    if (wrong !== null) throw new Error(`${JSON.stringify(one)?.slice(0, 100)} is no endpoint: ${wrong}`)
    byAddress.set(endpoint.address, endpoint)
  }
  return planEndpoints([...byAddress.values()], zone)
}

/** Null: it is one. */
export function whyNoEndpoint(one: unknown): string | null {
  if (typeof one !== 'object' || one === null || !('address' in one) || typeof one.address !== 'string') return 'an address is missing'
  const { address, weight = 1, priority = 0, zone = '' } = one as Readonly<Record<string, unknown>> & { address: string }
  if (/^[a-z]+:\/\//i.test(address)) return 'an address that is discovered has no scheme'
  if (parseEndpoint(address) === null) return 'its address is none'
  if (!isWhole(weight, 1_000_000)) return 'its weight is none'
  if (!isWhole(priority, 65_535)) return 'its priority is none'
  return typeof zone === 'string' ? null : 'its zone is none'
}

function isWhole(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most
}
