/** `basicAuth`: a name and a password with each request (RFC 7617). */
import type { BasicAuthOptions } from '../dsl/access-policies.ts'
import { type Answer, type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { AskedUsers } from './asked-users.ts'
import { dropField, fieldText } from './identity-field.ts'
import { BUSY, credentialsIn, type Identified, Passwords, rememberedUsers, whyUnchecked } from './passwords.ts'
import type { PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'

export const basicAuth: PolicyKind<BasicAuthOptions> = {
  isPure: true,
  bind(options, { deadlines, keep, loadUsers }) {
    const { users, file, check } = options
    const passwords = new Passwords({
      users,
      file: file === undefined ? null : loadUsers(file),
      asked: check === undefined ? null : new AskedUsers(check, 'basicAuth.check', deadlines),
      remembered: keep(rememberedUsers),
      now: () => deadlines.in(0),
    })
    const guard = new Guard(options, passwords)
    return makeHook('basicAuth', { onRequest: (call) => guard.ask(call) })
  },
  describe({ users = {}, file, check, realm = 'restricted' }) {
    const count = Object.keys(users).length
    const own = count === 0 && (file ?? check) !== undefined ? '' : `, ${count} user${count === 1 ? '' : 's'}`
    return `realm ${realm}${own}${file === undefined ? '' : `, users of ${file}`}${check === undefined ? '' : ', a function'}`
  },
}

class Guard {
  readonly #passwords: Passwords
  readonly #passOn: boolean
  readonly #userHeader: string | null
  readonly #missing: Verdict
  readonly #wrong: Verdict

  constructor({ realm = 'restricted', passOn = true, userHeader }: BasicAuthOptions, passwords: Passwords) {
    this.#passwords = passwords
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
    const found = this.#passwords.check(credentials, call.ip)
    if (!(found instanceof Promise)) return this.#judge(call, found)
    found.then(
      (user) => call.resume(this.#judge(call, user)),
      (error: unknown) => {
        const { code, detail } = whyUnchecked(error)
        call.resume(refusal(code, detail))
      },
    )
    return PENDING
  }

  #judge(call: HookCall, found: Identified): Verdict | null {
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
