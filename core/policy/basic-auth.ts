/**
 * `basicAuth`: a name and a password with each request (RFC 7617). Plain passwords are found by a keyed digest, so nothing that can be
 * measured depends on how much of one was right; hashed ones are computed apart, and remembered when they were right.
 */
import { hash, randomBytes } from 'node:crypto'
import { parsePassword, type StoredPassword } from '../config/password-hash.ts'
import type { BasicAuthOptions } from '../dsl/access-policies.ts'
import { type Answer, type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { isPassword } from './password-check.ts'
import type { PolicyKind } from './policy.ts'
import { Recent } from './recent.ts'
import { refusal } from './refusal.ts'

const MOST_REMEMBERED = 1024
const REMEMBERED_MS = 300_000
/** Longer credentials are nobody's. */
const MOST_LENGTH = 1024

export const basicAuth: PolicyKind<BasicAuthOptions> = {
  isPure: true,
  bind(options, { deadlines, keep }) {
    const verified = keep(() => new Recent<string>(MOST_REMEMBERED))
    const guard = new Guard(options, verified, () => deadlines.in(0))
    return makeHook('basicAuth', { onRequest: (call) => guard.ask(call) })
  },
  describe({ users, realm = 'restricted' }) {
    const count = Object.keys(users).length
    return `realm ${realm}, ${count} user${count === 1 ? '' : 's'}`
  },
}

class Guard {
  readonly #users: ReadonlyMap<string, Exclude<StoredPassword, { kind: 'plain' }>>
  /** Digests of `name:password` → name. */
  readonly #plain = new Map<string, string>()
  /** The same of those that were checked; another process has other digests. */
  readonly #verified: Recent<string>
  readonly #underWay = new Map<string, Promise<boolean | null>>()
  readonly #now: () => number
  readonly #passOn: boolean
  readonly #userHeader: string | null
  readonly #missing: Verdict
  readonly #wrong: Verdict
  /** Checked for names that nobody has: how long an answer takes does not tell which there are. */
  readonly #decoy: Exclude<StoredPassword, { kind: 'plain' }> | undefined

  constructor({ users, realm = 'restricted', passOn = true, userHeader }: BasicAuthOptions, verified: Recent<string>, now: () => number) {
    const hashed = new Map<string, Exclude<StoredPassword, { kind: 'plain' }>>()
    for (const [name, text] of Object.entries(users)) {
      const stored = parsePassword(text)!
      if (stored.kind === 'plain') this.#plain.set(digestOf(Buffer.from(`${name}:${text}`)), name)
      else hashed.set(name, stored)
    }
    this.#users = hashed
    this.#decoy = hashed.values().next().value
    this.#verified = verified
    this.#now = now
    this.#passOn = passOn
    this.#userHeader = userHeader ?? null
    const fields = { 'WWW-Authenticate': `Basic realm="${realm.replace(/["\\]/g, '\\$&')}", charset="UTF-8"` }
    this.#missing = refusal('unauthorized', 'no credentials', fields)
    this.#wrong = refusal('unauthorized', 'wrong credentials', fields)
  }

  ask(call: HookCall): Answer {
    if (this.#userHeader !== null) call.request.delete(this.#userHeader)
    const field = call.request.get('authorization')
    if (field === null) return this.#missing
    const credentials = credentialsIn(field)
    if (credentials === null) return this.#wrong
    const digest = digestOf(credentials)
    const user = this.#plain.get(digest) ?? this.#verified.get(digest, this.#now())
    if (user !== undefined) return this.#pass(call, user)
    const colon = credentials.indexOf(58)
    const name = credentials.toString('utf8', 0, colon)
    const own = this.#users.get(name)
    const stored = own ?? this.#decoy
    if (stored === undefined) return this.#wrong
    this.#check(digest, credentials.subarray(colon + 1), stored).then(
      (isRight) => call.resume(isRight === null ? BUSY : isRight && own !== undefined ? this.#remember(call, digest, name) : this.#wrong),
      (error: unknown) => call.resume(refusal('internal', `a password could not be checked: ${String(error)}`)),
    )
    return PENDING
  }

  /** Several requests with the same credentials wait for one check. */
  #check(digest: string, password: Buffer, stored: Exclude<StoredPassword, { kind: 'plain' }>): Promise<boolean | null> {
    const known = this.#underWay.get(digest)
    if (known !== undefined) return known
    const check = isPassword(password, stored).finally(() => this.#underWay.delete(digest))
    this.#underWay.set(digest, check)
    return check
  }

  #remember(call: HookCall, digest: string, name: string): null {
    this.#verified.set(digest, name, this.#now() + REMEMBERED_MS)
    return this.#pass(call, name)
  }

  #pass({ request }: HookCall, user: string): null {
    request.user = user
    if (!this.#passOn) request.delete('authorization')
    if (this.#userHeader !== null) request.set(this.#userHeader, Buffer.from(user).latin1Slice())
    return null
  }
}

const BUSY = refusal('policy_busy', 'too many passwords are being checked', { 'Retry-After': '1' })
const SALT = randomBytes(32)

function digestOf(credentials: Buffer): string {
  return hash('sha256', Buffer.concat([SALT, credentials]), 'base64')
}

/** `name:password`; null for what is no such thing. */
function credentialsIn(field: string): Buffer | null {
  const [, base64] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(field) ?? []
  if (base64 === undefined || base64.length > MOST_LENGTH) return null
  const credentials = Buffer.from(base64, 'base64')
  return credentials.includes(58) ? credentials : null
}
