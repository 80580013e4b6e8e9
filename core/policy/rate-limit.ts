/** `rateLimit`: so many requests a window for each key, evenly after a burst; who asks for more is told when to come again. */
import { parseDuration } from '../config/units.ts'
import type { RateLimitOptions } from '../dsl/traffic-policies.ts'
import { type Answer, type HookCall, makeHook } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { machineOffsetMs } from './counting.ts'
import { KeyHash } from './key-hash.ts'
import type { PolicyContext, PolicyKind } from './policy.ts'
import type { Rate, RateTable } from './rate-table.ts'
import { refusal } from './refusal.ts'
import { describeKey, type KeyOf, keyOf, networkOf } from './request-key.ts'

export const rateLimit: PolicyKind<RateLimitOptions> = {
  isPure: false,
  bind(options, context) {
    const limiter = new Limiter(options, context)
    return makeHook('rateLimit', {
      onRequest: (call) => limiter.ask(call),
      onResponse: options.fields === true ? (call) => limiter.tell(call) : null,
      onConnection: ({ part }) => (part?.kind !== 'connection' || limiter.take(networkOf(part.connection.ip)) ? null : DENY),
    })
  },
  describe({ key, limit, window, burst = limit }) {
    return `${limit} in ${window} for ${describeKey(key)}${burst === limit ? '' : `, ${burst} at once`}`
  },
}

const DENY = { kind: 'deny' } as const
const REFUSED = refusal('rate_limited', 'more than the limit')

class Limiter {
  readonly #keyOf: KeyOf
  readonly #table: RateTable
  readonly #hash: KeyHash
  readonly #rate: Rate
  readonly #context: PolicyContext
  readonly #policyField: string
  readonly #quoted: string
  /** What clients are told, if they are. */
  readonly #told = new WeakMap<RequestHead, string>()
  readonly #tells: boolean

  constructor({ key, limit, window, burst = limit, fields = false, name = 'default' }: RateLimitOptions, context: PolicyContext) {
    const { counting } = context
    const windowMs = parseDuration(window)!
    this.#keyOf = keyOf(key)
    this.#table = counting.table
    this.#hash = new KeyHash(this.#table.seed, context.id)
    // Without shared memory each worker lets its part through.
    const intervalUs = Math.max(1, Math.round((windowMs * 1000 * counting.workers) / limit))
    this.#rate = { intervalUs, burst: Math.max(1, Math.floor(burst / counting.workers)) }
    this.#context = context
    this.#tells = fields
    this.#quoted = `"${name}"`
    this.#policyField = `${this.#quoted};q=${limit};w=${Math.ceil(windowMs / 1000)}`
  }

  ask(call: HookCall): Answer {
    const key = this.#keyOf(call)
    if (key === null) return null
    const passes = this.take(key)
    const { remaining, waitUs, resetUs } = this.#table
    if (this.#tells) this.#told.set(call.request, `${this.#quoted};r=${remaining};t=${seconds(passes ? resetUs : waitUs)}`)
    return passes ? null : { ...REFUSED, fields: { 'Retry-After': String(Math.max(1, seconds(waitUs))) } }
  }

  /** Whether it may pass. */
  take(key: string): boolean {
    this.#hash.of(key)
    const nowUs = Math.floor((this.#context.deadlines.read() + machineOffsetMs) * 1000)
    return this.#table.take(this.#hash.upper, this.#hash.lower, nowUs, this.#rate)
  }

  tell({ request, response }: HookCall): null {
    const told = this.#told.get(request)
    if (told === undefined) return null
    response!.append('RateLimit-Policy', this.#policyField)
    response!.append('RateLimit', told)
    return null
  }
}

function seconds(us: number): number {
  return Math.ceil(us / 1e6)
}
