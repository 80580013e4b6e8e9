/**
 * `jwt`: a JSON Web Token with each request, checked by the library jose. Which algorithms may be used is the config's word, never the token's: `none`
 * is no algorithm, and a public key is never taken for a secret.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { createRequire } from 'node:module'
import type * as jose from 'jose'
import { PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from '../config/jwt-algorithms.ts'
import { toList } from '../config/lists.ts'
import { parseDuration } from '../config/units.ts'
import type { JwtOptions } from '../dsl/access-policies.ts'
import { type Answer, type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { cookieOf } from '../request-view.ts'
import { type ClaimFields, claimFields } from './claims.ts'
import { dropField } from './identity-field.ts'
import type { Kept, PolicyContext, PolicyKind } from './policy.ts'
import { Recent } from './recent.ts'
import { refusal } from './refusal.ts'
import { KeysUnavailable, RemoteKeys } from './remote-keys.ts'
import { secretDigest } from './secret-table.ts'

const MOST_REMEMBERED = 4096
const REMEMBERED_MS = 300_000
const MOST_LENGTH = 16_384
/** Tokens that are being checked: more are told that there is no time for them. */
const MOST_AT_ONCE = 256

export const jwt: PolicyKind<JwtOptions> = {
  isPure: false,
  bind(options, context) {
    const guard = new Guard(options, context)
    return makeHook('jwt', { onRequest: (call) => guard.ask(call) })
  },
  describe({ jwks, publicKey, issuer, audience, from }) {
    const keys =
      jwks !== undefined ? `keys of ${URL.parse(jwks)?.host ?? jwks}` : publicKey !== undefined ? 'one public key' : 'a shared secret'
    const parts = [
      keys,
      issuer === undefined ? 'any issuer' : `issued by ${toList(issuer).join(' or ')}`,
      audience === undefined ? 'for any audience' : `for ${toList(audience).join(' or ')}`,
      from === undefined ? '' : `in the ${Object.entries(from).flat().join(' ')}`,
    ]
    return parts.filter((part) => part !== '').join(', ')
  },
}

/** What is known of a valid token. */
interface Identity {
  readonly user: string | null
  readonly fields: ClaimFields
}

class State implements Kept {
  readonly verified = new Recent<Identity>(MOST_REMEMBERED)
  readonly keys: RemoteKeys | null

  constructor(keys: RemoteKeys | null) {
    this.keys = keys
  }

  close(): void {
    this.verified.close()
    this.keys?.close()
  }
}

type Jose = Pick<typeof jose, 'jwtVerify' | 'createLocalJWKSet'>

class Guard {
  readonly #options: JwtOptions
  readonly #state: State
  readonly #jose: Jose
  readonly #key: KeyObject | Uint8Array | null
  readonly #rules: jose.JWTVerifyOptions
  readonly #now: () => number
  readonly #tokenOf: (request: RequestHead) => string | null
  readonly #names: readonly string[]
  #underWay = 0

  constructor(options: JwtOptions, { deadlines, keep, send }: PolicyContext) {
    // Loaded only where it is used: half a megabyte of source.
    const library = createRequire(import.meta.url)('jose') as Jose
    this.#jose = library
    this.#options = options
    this.#now = () => deadlines.read()
    this.#key = keyOf(options)
    const { jwks, issuer, audience, algorithms, tolerance = '5s' } = options
    const makeKeys = (): RemoteKeys | null =>
      jwks === undefined ? null : new RemoteKeys({ url: jwks, send, now: this.#now, makeSet: library.createLocalJWKSet })
    this.#state = keep(() => new State(makeKeys()))
    this.#rules = {
      algorithms:
        algorithms === undefined
          ? options.secret === undefined
            ? [...PUBLIC_KEY_ALGORITHMS]
            : [...SECRET_ALGORITHMS]
          : [...toList(algorithms)],
      clockTolerance: parseDuration(tolerance)! / 1000,
      ...(issuer !== undefined && { issuer: [...toList(issuer)] }),
      ...(audience !== undefined && { audience: [...toList(audience)] }),
    }
    this.#tokenOf = tokenIn(options.from)
    this.#names = Object.keys(options.claimsToHeaders ?? {})
  }

  ask(call: HookCall): Answer {
    for (const name of this.#names) dropField(call.request, name)
    const token = this.#tokenOf(call.request)
    if (token === null) return MISSING
    if (token.length > MOST_LENGTH) return INVALID
    const digest = secretDigest(Buffer.from(token, 'latin1'))
    const known = this.#state.verified.get(digest, this.#now())
    if (known !== undefined) return this.#pass(call, known)
    if (this.#underWay >= MOST_AT_ONCE) return BUSY
    this.#underWay++
    this.#verify(token, digest).then(
      (identity) => call.resume(this.#pass(call, identity)),
      (error: unknown) => call.resume(verdictOn(error)),
    )
    return PENDING
  }

  async #verify(token: string, digest: string): Promise<Identity> {
    try {
      const { payload } = await (this.#state.keys === null
        ? this.#jose.jwtVerify(token, this.#key!, this.#rules)
        : this.#jose.jwtVerify(token, this.#state.keys.find, this.#rules))
      const identity = this.#identify(payload)
      const left = payload.exp === undefined ? REMEMBERED_MS : payload.exp * 1000 - Date.now()
      if (left > 0) this.#state.verified.set(digest, identity, this.#now() + Math.min(left, REMEMBERED_MS))
      return identity
    } finally {
      this.#underWay--
    }
  }

  #identify(payload: jose.JWTPayload): Identity {
    const fields = claimFields(payload, this.#options.claimsToHeaders ?? {})
    return { user: typeof payload.sub === 'string' ? payload.sub : null, fields }
  }

  #pass({ request }: HookCall, { user, fields }: Identity): null {
    request.user = user
    request.isPersonal = true
    for (const [name, value] of fields) request.set(name, value)
    return null
  }
}

const bearer = (error: string): Record<string, string> => ({
  'WWW-Authenticate': `Bearer error="invalid_token", error_description="${error}"`,
})
const MISSING = refusal('unauthorized', 'no token', { 'WWW-Authenticate': 'Bearer' })
const INVALID = refusal('unauthorized', 'the token is not valid', bearer('the token is not valid'))
const BUSY = refusal('policy_busy', 'too many tokens are being checked')

/** The client is told no more than whether its token has expired. */
function verdictOn(error: unknown): Verdict {
  if (error instanceof KeysUnavailable) return refusal('policy_busy', `the keys of tokens cannot be had: ${error.message}`)
  const { code = '', message = '' } = error instanceof Error ? (error as Error & { readonly code?: string }) : {}
  if (code === 'ERR_JWT_EXPIRED') return refusal('unauthorized', 'the token has expired', bearer('the token has expired'))
  return refusal('unauthorized', message.slice(0, 200), bearer('the token is not valid'))
}

function keyOf({ secret, publicKey }: JwtOptions): KeyObject | Uint8Array | null {
  if (secret !== undefined) return Buffer.from(secret)
  return publicKey === undefined ? null : createPublicKey(publicKey)
}

function tokenIn(from: JwtOptions['from']): (request: RequestHead) => string | null {
  if (from === undefined) return (request) => bearerIn(request.get('authorization'))
  if ('header' in from) return (request) => bearerIn(request.get(from.header)) ?? request.get(from.header)
  if ('cookie' in from) return (request) => cookieOf(request, from.cookie)
  return ({ search }) => (search === '' ? null : new URLSearchParams(search).get(from.query))
}

function bearerIn(field: string | null): string | null {
  return field === null ? null : (/^bearer +([\w.~+/=-]+) *$/i.exec(field)?.[1] ?? null)
}
