/**
 * Users by their names and passwords: of a config, of a file, and whom a function knows. Plain passwords are found by a keyed digest, so nothing that can be
 * measured depends on how much of one was right; hashed ones are computed apart, and remembered when they were right.
 */
import { parsePassword } from '../config/password-hash.ts'
import { type HashedPassword, isUserName, type UserFile } from '../config/user-file.ts'
import { type ErrorCode, ProxyError } from '../errors.ts'
import type { AskedUsers, Question } from './asked-users.ts'
import { isPassword } from './password-check.ts'
import { Recent } from './recent.ts'
import { secretDigest } from './secret-table.ts'

/** Too many passwords are being checked. */
export const BUSY: unique symbol = Symbol('busy')

/** The name of a user; null: of nobody. */
export type Identified = string | null | typeof BUSY

const MOST_REMEMBERED = 1024
const REMEMBERED_MS = 300_000
/** Longer credentials are nobody's. */
const MOST_LENGTH = 1024

/** Digests of `name:password` that were checked, and whose they are; another process has other digests. */
export function rememberedUsers(): Recent<string> {
  return new Recent(MOST_REMEMBERED)
}

export interface PasswordsOptions {
  /** As a config holds them. */
  readonly users?: Readonly<Record<string, string>> | undefined
  /** Those of a file; in both, `users` counts. Default: none. */
  readonly file?: UserFile | null
  /** Knows others. Default: nobody does. */
  readonly asked?: AskedUsers | null
  readonly remembered: Recent<string>
  readonly now: () => number
}

export class Passwords {
  readonly #hashed = new Map<string, HashedPassword>()
  /** Digests of `name:password` → name. */
  readonly #plain = new Map<string, string>()
  readonly #names: ReadonlySet<string>
  readonly #file: UserFile | null
  readonly #asked: AskedUsers | null
  readonly #remembered: Recent<string>
  readonly #underWay = new Map<string, Promise<boolean | null>>()
  readonly #now: () => number
  /** Checked for names that nobody has: how long an answer takes does not tell which there are. */
  readonly #decoy: HashedPassword | undefined

  constructor({ users = {}, file = null, asked = null, remembered, now }: PasswordsOptions) {
    for (const [name, text] of Object.entries(users)) {
      const stored = parsePassword(text)!
      if (stored.kind === 'plain') this.#plain.set(secretDigest(Buffer.from(`${name}:${text}`)), name)
      else this.#hashed.set(name, stored)
    }
    this.#names = new Set(Object.keys(users))
    this.#file = file
    this.#asked = asked
    this.#decoy = (this.#hashed.size > 0 ? this.#hashed : file?.users)?.values().next().value
    this.#remembered = remembered
    this.#now = now
  }

  /** Whose `name:password` it is; null: nobody's. A promise where it has to be computed, or asked for: it may reject with a ProxyError. */
  check(credentials: Buffer, client: string): Identified | Promise<Identified> {
    const digest = secretDigest(credentials)
    const key = this.#file === null ? digest : `${this.#file.digest} ${digest}`
    const user = this.#plain.get(digest) ?? this.#remembered.get(key, this.#now())
    if (user !== undefined) return user
    const colon = credentials.indexOf(58)
    const name = credentials.toString('utf8', 0, colon)
    const own = this.#names.has(name) ? this.#hashed.get(name) : this.#file?.users.get(name)
    if (this.#asked !== null && own === undefined && !this.#names.has(name))
      return this.#ask(this.#asked, { name, password: credentials.toString('utf8', colon + 1), client })
    const stored = own ?? this.#decoy
    if (stored === undefined) return null
    return this.#compute(digest, { password: credentials.subarray(colon + 1), client }, stored).then((isRight) => {
      if (isRight === null) return BUSY
      if (!isRight || own === undefined) return null
      this.#remembered.set(key, name, this.#now() + REMEMBERED_MS)
      return name
    })
  }

  /** Whether somebody of that name may still be here, as far as can be told without a password. */
  mayBe(name: string): boolean {
    return this.#asked !== null || this.#names.has(name) || this.#file?.users.has(name) === true
  }

  get asksFunction(): boolean {
    return this.#asked !== null
  }

  /** One who may come in, for who only tries out what becomes of such a one. */
  get anybody(): string {
    const [first = 'somebody'] = [...this.#names, ...(this.#file?.users.keys().take(1) ?? [])]
    return first
  }

  #ask(asked: AskedUsers, question: Question): Identified | Promise<Identified> {
    // What is no name would be one in the log, in metrics and in fields.
    if (!isUserName(question.name)) return null
    const { name } = question
    const answer = asked.ask(question)
    if (answer === null) return BUSY
    return typeof answer === 'boolean' ? (answer ? name : null) : answer.then((isRight) => (isRight ? name : null))
  }

  /** Several requests with the same credentials wait for one computation. */
  #compute(digest: string, { password, client }: { password: Buffer; client: string }, stored: HashedPassword): Promise<boolean | null> {
    const known = this.#underWay.get(digest)
    if (known !== undefined) return known
    const check = isPassword(password, stored, client).finally(() => this.#underWay.delete(digest))
    this.#underWay.set(digest, check)
    return check
  }
}

/** Why a check has rejected: a function of the config failed, or what nobody expects. */
export function whyUnchecked(error: unknown): { readonly code: ErrorCode; readonly detail: string } {
  if (error instanceof ProxyError) return { code: error.code, detail: error.message }
  return { code: 'internal', detail: `a password could not be checked: ${String(error)}` }
}

/** `name:password` of a field `Basic bmFtZTpwYXNzd29yZA==` (RFC 7617 §2); null for what is no such thing. */
export function credentialsIn(field: string): Buffer | null {
  const [, base64] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(field) ?? []
  if (base64 === undefined || base64.length > MOST_LENGTH) return null
  const credentials = Buffer.from(base64, 'base64')
  return credentials.includes(58) ? credentials : null
}
