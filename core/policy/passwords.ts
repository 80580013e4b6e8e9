/**
 * Users by their names and passwords. Plain passwords are found by a keyed digest, so nothing that can be measured depends on how much of
 * one was right; hashed ones are computed apart, and remembered when they were right.
 */
import { parsePassword, type StoredPassword } from '../config/password-hash.ts'
import { isPassword } from './password-check.ts'
import { Recent } from './recent.ts'
import { secretDigest } from './secret-table.ts'

type Hashed = Exclude<StoredPassword, { kind: 'plain' }>

/** Too many passwords are being checked. */
export const BUSY: unique symbol = Symbol('busy')

const MOST_REMEMBERED = 1024
const REMEMBERED_MS = 300_000
/** Longer credentials are nobody's. */
const MOST_LENGTH = 1024

/** Digests of `name:password` that were checked, and whose they are; another process has other digests. */
export function rememberedUsers(): Recent<string> {
  return new Recent(MOST_REMEMBERED)
}

export class Passwords {
  readonly #hashed = new Map<string, Hashed>()
  /** Digests of `name:password` → name. */
  readonly #plain = new Map<string, string>()
  readonly #remembered: Recent<string>
  readonly #underWay = new Map<string, Promise<boolean | null>>()
  readonly #now: () => number
  /** Checked for names that nobody has: how long an answer takes does not tell which there are. */
  readonly #decoy: Hashed | undefined

  constructor(users: Readonly<Record<string, string>>, remembered: Recent<string>, now: () => number) {
    for (const [name, text] of Object.entries(users)) {
      const stored = parsePassword(text)!
      if (stored.kind === 'plain') this.#plain.set(secretDigest(Buffer.from(`${name}:${text}`)), name)
      else this.#hashed.set(name, stored)
    }
    this.#decoy = this.#hashed.values().next().value
    this.#remembered = remembered
    this.#now = now
  }

  /** Whose `name:password` it is; null: nobody's. A promise where it has to be computed. */
  check(credentials: Buffer): string | null | Promise<string | null | typeof BUSY> {
    const digest = secretDigest(credentials)
    const user = this.#plain.get(digest) ?? this.#remembered.get(digest, this.#now())
    if (user !== undefined) return user
    const colon = credentials.indexOf(58)
    const name = credentials.toString('utf8', 0, colon)
    const own = this.#hashed.get(name)
    const stored = own ?? this.#decoy
    if (stored === undefined) return null
    return this.#compute(digest, credentials.subarray(colon + 1), stored).then((isRight) => {
      if (isRight === null) return BUSY
      if (!isRight || own === undefined) return null
      this.#remembered.set(digest, name, this.#now() + REMEMBERED_MS)
      return name
    })
  }

  /** Several requests with the same credentials wait for one computation. */
  #compute(digest: string, password: Buffer, stored: Hashed): Promise<boolean | null> {
    const known = this.#underWay.get(digest)
    if (known !== undefined) return known
    const check = isPassword(password, stored).finally(() => this.#underWay.delete(digest))
    this.#underWay.set(digest, check)
    return check
  }
}

/** `name:password` of a field `Basic bmFtZTpwYXNzd29yZA==` (RFC 7617 §2); null for what is no such thing. */
export function credentialsIn(field: string): Buffer | null {
  const [, base64] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(field) ?? []
  if (base64 === undefined || base64.length > MOST_LENGTH) return null
  const credentials = Buffer.from(base64, 'base64')
  return credentials.includes(58) ? credentials : null
}
