/** `rateLimit`: so many requests a window for each key, evenly after a burst; who asks for more is told when to come again. */
import { hash } from 'node:crypto'
import { dataOf } from '../config/data.ts'
import { parseDuration } from '../config/units.ts'
import type { RateLimitOptions } from '../dsl/traffic-policies.ts'
import { type Answer, type HookCall, makeHook, PENDING } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { parseStoreUrl } from '../net/store-url.ts'
import { machineOffsetMs } from './counting.ts'
import { KeyHash } from './key-hash.ts'
import type { PolicyContext, PolicyKind } from './policy.ts'
import type { Rate, RateTable } from './rate-table.ts'
import { refusal } from './refusal.ts'
import { describeKey, type KeyOf, keyOf, networkOf } from './request-key.ts'
import { SharedRate, type Taken } from './shared-rate.ts'

export const rateLimit: PolicyKind<RateLimitOptions> = {
  isPure: false,
  bind(options, context) {
    const limiter = new Limiter(options, context)
    return makeHook('rateLimit', {
      onRequest: (call) => limiter.ask(call),
      onResponse: options.fields === true ? (call) => limiter.tell(call) : null,
      onConnection: (call) => limiter.admit(call),
    })
  },
  describe({ key, limit, window, burst = limit, store, ifStoreFails = 'local' }) {
    const rate = `${limit} in ${window} for ${describeKey(key)}${burst === limit ? '' : `, ${burst} at once`}`
    if (store === undefined) return rate
    const address = parseStoreUrl(typeof store === 'string' ? store : store.url)
    const away = ifStoreFails === 'local' ? 'this machine counts by itself' : 'nobody passes'
    return `${rate}, over all proxies that count in ${typeof address === 'string' ? 'its store' : address.name}; while that is away ${away}`
  },
}

const DENY = { kind: 'deny' } as const
const REFUSED = refusal('rate_limited', 'more than the limit')
const NO_STORE = refusal('policy_busy', 'the store that counts cannot be asked', { 'Retry-After': '1' })

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
  /** Null: this machine alone. */
  readonly #shared: SharedRate | null
  /** Who passes while the store cannot be asked is decided here. */
  readonly #standsIn: boolean

  constructor(options: RateLimitOptions, context: PolicyContext) {
    const { key, limit, window, burst = limit, fields = false, name = 'default', store, ifStoreFails = 'local' } = options
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
    this.#standsIn = ifStoreFails === 'local'
    const whole = { intervalUs: Math.max(1, Math.round((windowMs * 1000) / limit)), burst }
    const opened = store === undefined ? null : context.openStore(store)
    this.#shared = opened === null ? null : new SharedRate(opened, sharedName(options, context), whole)
  }

  ask(call: HookCall): Answer {
    const key = this.#keyOf(call)
    if (key === null) return null
    const shared = this.#shared
    if (shared === null) return this.#judge(this.#takeHere(key), call)
    if (shared.isAway) return this.#withoutStore(key, call)
    shared.take(key).then(
      (taken) => call.resume(this.#judge(taken, call)),
      () => call.resume(this.#withoutStore(key, call)),
    )
    return PENDING
  }

  admit(call: HookCall): Answer {
    const { part } = call
    if (part?.kind !== 'connection') return null
    const key = networkOf(part.connection.ip)
    const shared = this.#shared
    const here = (): typeof DENY | null => (this.#takeHere(key).passes ? null : DENY)
    if (shared === null) return here()
    const without = (): typeof DENY | null => (this.#standsIn ? here() : DENY)
    if (shared.isAway) return without()
    shared.take(key).then(
      ({ passes }) => call.resume(passes ? null : DENY),
      () => call.resume(without()),
    )
    return PENDING
  }

  tell({ request, response }: HookCall): null {
    const told = this.#told.get(request)
    if (told === undefined) return null
    response!.append('RateLimit-Policy', this.#policyField)
    response!.append('RateLimit', told)
    return null
  }

  #withoutStore(key: string, call: HookCall) {
    return this.#standsIn ? this.#judge(this.#takeHere(key), call) : NO_STORE
  }

  #judge({ passes, remaining, waitUs, resetUs }: Taken, { request }: HookCall) {
    if (this.#tells) this.#told.set(request, `${this.#quoted};r=${remaining};t=${seconds(passes ? resetUs : waitUs)}`)
    return passes ? null : { ...REFUSED, fields: { 'Retry-After': String(Math.max(1, seconds(waitUs))) } }
  }

  /** The same object each time, as the table has it. */
  #takeHere(key: string): Taken {
    this.#hash.of(key)
    const nowUs = Math.floor((this.#context.deadlines.read() + machineOffsetMs) * 1000)
    this.#table.take(this.#hash.upper, this.#hash.lower, nowUs, this.#rate)
    return this.#table
  }
}

/** The same in every proxy whose config has this limit, wherever it reaches the store; another for the second of two that are equal. */
function sharedName({ key, limit, window, burst = limit, name = 'default' }: RateLimitOptions, { id }: PolicyContext): string {
  const content = hash('sha256', dataOf([key, limit, window, burst]).join('\n'), 'base64url').slice(0, 16)
  return `${name}:${content}:${id.slice(id.lastIndexOf(' ') + 1)}`
}

function seconds(us: number): number {
  return Math.ceil(us / 1e6)
}
