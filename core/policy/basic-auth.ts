/** `basicAuth`: a name and a password with each request (RFC 7617). */
import type { BasicAuthOptions } from '../dsl/access-policies.ts'
import { type Answer, type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { dropField, fieldText } from './identity-field.ts'
import { BUSY, credentialsIn, Passwords, rememberedUsers } from './passwords.ts'
import type { PolicyKind } from './policy.ts'
import type { Recent } from './recent.ts'
import { refusal } from './refusal.ts'

export const basicAuth: PolicyKind<BasicAuthOptions> = {
  isPure: true,
  bind(options, { deadlines, keep }) {
    const verified = keep(rememberedUsers)
    const guard = new Guard(options, verified, () => deadlines.in(0))
    return makeHook('basicAuth', { onRequest: (call) => guard.ask(call) })
  },
  describe({ users, realm = 'restricted' }) {
    const count = Object.keys(users).length
    return `realm ${realm}, ${count} user${count === 1 ? '' : 's'}`
  },
}

class Guard {
  readonly #passwords: Passwords
  readonly #passOn: boolean
  readonly #userHeader: string | null
  readonly #missing: Verdict
  readonly #wrong: Verdict

  constructor({ users, realm = 'restricted', passOn = true, userHeader }: BasicAuthOptions, verified: Recent<string>, now: () => number) {
    this.#passwords = new Passwords(users, verified, now)
    this.#passOn = passOn
    this.#userHeader = userHeader ?? null
    const fields = { 'WWW-Authenticate': `Basic realm="${realm.replace(/["\\]/g, '\\$&')}", charset="UTF-8"` }
    this.#missing = refusal('unauthorized', 'no credentials', fields)
    this.#wrong = refusal('unauthorized', 'wrong credentials', fields)
  }

  ask(call: HookCall): Answer {
    if (this.#userHeader !== null) dropField(call.request, this.#userHeader)
    const field = call.request.get('authorization')
    if (field === null) return this.#missing
    const credentials = credentialsIn(field)
    if (credentials === null) return this.#wrong
    const found = this.#passwords.check(credentials)
    if (!(found instanceof Promise)) return this.#judge(call, found)
    found.then(
      (user) => call.resume(this.#judge(call, user)),
      (error: unknown) => call.resume(refusal('internal', `a password could not be checked: ${String(error)}`)),
    )
    return PENDING
  }

  #judge(call: HookCall, found: string | null | typeof BUSY): Verdict | null {
    if (found === BUSY) return TOO_MANY
    return found === null ? this.#wrong : this.#pass(call, found)
  }

  #pass({ request }: HookCall, user: string): null {
    request.user = user
    request.isPersonal = true
    if (!this.#passOn) request.delete('authorization')
    if (this.#userHeader !== null) request.set(this.#userHeader, fieldText(user))
    return null
  }
}

const TOO_MANY = refusal('policy_busy', 'too many passwords are being checked', { 'Retry-After': '1' })
