/**
 * Clients that stay with their endpoint by a cookie of ours. It names the endpoint by a keyed hash of its address, which tells nothing
 * of the address, and is signed: what was not made with this key for this upstream is as good as no cookie.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { cookieIn } from '../net/http1/cookie.ts'
import type { StickyPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Endpoint } from './endpoint.ts'
import type { Asked } from './request-key.ts'

/** Why a client got another endpoint than the one its cookie names: that one is gone, drains, is kept off, or has just failed this request. */
export type Moved = 'removed' | 'drained' | 'unhealthy' | 'ejected' | 'failed'

const NAME_BYTES = 9
const SIGNATURE_BYTES = 18
/** In base64url. */
const VALUE_LENGTH = (NAME_BYTES + SIGNATURE_BYTES) * (4 / 3) + 1

export class Stickiness {
  readonly #plan: StickyPlan
  readonly #upstream: string
  readonly #key: Buffer
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #values = new Map<Endpoint, string>()

  /** `secret`: where the plan has none. */
  constructor(plan: StickyPlan, upstream: Pick<UpstreamPlan, 'name'>, { endpoints, secret, before }: StickyParts) {
    this.#plan = plan
    this.#upstream = upstream.name
    this.#key = createHmac('sha256', plan.secret ?? secret)
      .update('sluice sticky')
      .digest()
    const known = before === null ? null : before.#values
    for (const endpoint of endpoints) {
      const value = known?.get(endpoint) ?? this.#valueFor(endpoint)
      this.#endpoints.set(value, endpoint)
      this.#values.set(endpoint, value)
    }
  }

  #valueFor({ address }: Endpoint): string {
    const name = this.#mac(`endpoint ${address}`, NAME_BYTES).toString('base64url')
    return `${name}.${this.#mac(`cookie ${name}`, SIGNATURE_BYTES).toString('base64url')}`
  }

  get cookie(): string {
    return this.#plan.cookie
  }

  /** Where the client belongs; `gone`: to one that is not there any more; null: it has no cookie of ours. */
  endpointOf(asked: Asked): Endpoint | 'gone' | null {
    const value = asked.request === null ? null : cookieIn(asked.request.get('cookie'), this.#plan.cookie)
    if (value === null) return null
    return this.#endpoints.get(value) ?? (this.#isOurs(value) ? 'gone' : null)
  }

  /** Null: it did not move. */
  whyMoved(asked: Asked, to: Endpoint): Moved | null {
    const from = this.endpointOf(asked)
    if (from === null || from === to) return null
    if (from === 'gone') return 'removed'
    if (from.plan.drain === 'all') return 'drained'
    if (from.health?.isEjected === true) return 'ejected'
    return from.health?.isHealthy === false ? 'unhealthy' : 'failed'
  }

  /** The value of a Set-Cookie field that makes the client stay with this endpoint; null: it does already. */
  setCookie(asked: Asked, endpoint: Endpoint, isSecure: boolean): string | null {
    const value = this.#values.get(endpoint)
    // Another plan has taken that one out.
    if (value === undefined || this.endpointOf(asked) === endpoint) return null
    const { cookie, path, maxAge, sameSite, secure } = this.#plan
    const age = maxAge === null ? '' : `; Max-Age=${maxAge}`
    return `${cookie}=${value}; Path=${path}${age}; HttpOnly${(secure ?? isSecure) ? '; Secure' : ''}; SameSite=${sameSite}`
  }

  #isOurs(value: string): boolean {
    if (value.length !== VALUE_LENGTH) return false
    const [name = '', signature = ''] = value.split('.')
    const given = Buffer.from(signature, 'base64url')
    return given.length === SIGNATURE_BYTES && timingSafeEqual(given, this.#mac(`cookie ${name}`, SIGNATURE_BYTES))
  }

  #mac(text: string, bytes: number): Buffer {
    return createHmac('sha256', this.#key).update(`${this.#upstream}\n${text}`).digest().subarray(0, bytes)
  }
}

export interface StickyParts {
  readonly endpoints: readonly Endpoint[]
  /** The same with other endpoints: those that stay have their values. */
  readonly before: Stickiness | null
  readonly secret: Uint8Array
}
