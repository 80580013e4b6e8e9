/** Verifies a JWT and tells the endpoint its claims in header fields, which no client can set. Whatever is not verified gets 401. */

import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { definePlugin, type Reply, type Request, respond } from 'sluice/plugin'
import * as z from 'zod/mini'
import { type Claims, claimAt, fieldValue } from './claims.ts'
import { KeysUnavailable, RemoteKeys, readKey } from './keys.ts'
import { Verified } from './verified.ts'

const oneOrMany = z.union([z.string(), z.array(z.string())])
const name = z.string().check(z.regex(/^[\w-]{1,64}$/))

export default definePlugin({
  name: 'jwt-claims-to-headers',
  permissions: ['credentials'],
  sees: ['authorization', 'cookie'],
  options: z.strictObject({
    secret: z.optional(z.string()),
    publicKey: z.optional(z.string()),
    jwk: z.optional(z.record(z.string(), z.unknown())),
    jwksUrl: z.optional(z.string()),
    algorithms: z.optional(
      z.array(
        z.enum(['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']),
      ),
    ),
    issuer: z.optional(oneOrMany),
    audience: z.optional(oneOrMany),
    leeway: z.optional(z.int().check(z.gte(0), z.lte(600))),
    cookie: z.optional(name),
    required: z.optional(z.boolean()),
    scopes: z.optional(z.array(z.string())),
    claims: z.record(name, z.union([z.string(), z.array(z.string())])),
    separator: z.optional(z.enum([',', ' ', ';', '|'])),
    forward: z.optional(z.boolean()),
    realm: z.optional(z.string().check(z.regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}$/))),
    jwksTimeout: z.optional(z.custom<`${bigint}ms` | `${bigint}s`>((value) => typeof value === 'string' && /^\d{1,5}m?s$/.test(value))),
  }),
  async setup(options) {
    const { issuer, audience, leeway = 30, cookie, required = true, scopes = [], claims, separator = ',', forward = true } = options
    const { realm = 'sluice' } = options
    const key = await keyOf(options)
    const algorithms = [...(options.algorithms ?? (options.secret === undefined ? PUBLIC : ['HS256']))]
    const fields = Object.entries(claims).map(([field, path]) => ({ field: field.toLowerCase(), path }))
    const stripped = [...new Set(fields.flatMap(({ field }) => [field, field.replaceAll('-', '_')]))]
    const verified = new Verified({ leewayMs: leeway * 1000, now: Date.now })
    const checks = {
      algorithms,
      clockTolerance: leeway,
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    }
    const { challenge, refuse } = repliesOf(realm)

    const admit = (req: Request, payload: Claims): Reply | undefined => {
      const held = scopesOf(payload)
      if (!scopes.every((scope) => held.includes(scope))) return challenge(403, `error="insufficient_scope", scope="${scopes.join(' ')}"`)
      for (const { field, path } of fields) {
        const value = fieldValue(claimAt(payload, path), separator)
        if (value !== null) req.headers.set(field, value)
      }
      if (!forward && cookie === undefined) req.headers.delete('authorization')
      return undefined
    }
    const verify = async (req: Request, token: string): Promise<Reply | undefined> => {
      try {
        const { payload } = await jwtVerify(token, key, checks)
        verified.add(token, payload)
        return admit(req, payload)
      } catch (error) {
        return refuse(error)
      }
    }
    return {
      // Not async: a token that was verified a moment ago costs no promise.
      onRequest(req) {
        // Nobody says for himself who he is.
        for (const field of stripped) req.headers.delete(field)
        const token = cookie === undefined ? bearerOf(req.headers.get('authorization')) : cookieOf(req.headers.get('cookie') ?? '', cookie)
        if (token === null) return required ? challenge(401, '') : undefined
        if (token.length > MOST_CHARACTERS) return challenge(401, 'error="invalid_token", error_description="the token is too long"')
        const known = verified.get(token)
        return known === null ? verify(req, token) : admit(req, known)
      },
    }
  },
})

const MOST_CHARACTERS = 16_384
/** With a public key; a secret is never used as one, nor the other way round. */
const PUBLIC = ['RS256', 'PS256', 'ES256', 'EdDSA']

interface KeyOptions {
  readonly secret?: string | undefined
  readonly publicKey?: string | undefined
  readonly jwk?: Readonly<Record<string, unknown>> | undefined
  readonly jwksUrl?: string | undefined
  readonly algorithms?: readonly string[] | undefined
  readonly jwksTimeout?: `${bigint}ms` | `${bigint}s` | undefined
}

async function keyOf(options: KeyOptions): Promise<JWTVerifyGetKey> {
  const { secret, publicKey, jwk, jwksUrl, algorithms, jwksTimeout = '900ms' } = options
  if ([secret, publicKey, jwk, jwksUrl].filter((one) => one !== undefined).length !== 1)
    throw new Error('one of secret, publicKey, jwk and jwksUrl says which keys are right')
  if (secret === undefined && algorithms?.some((algorithm) => algorithm.startsWith('HS'))) throw new Error('algorithms: HS… takes a secret')
  if (secret !== undefined && algorithms?.some((algorithm) => !algorithm.startsWith('HS')))
    throw new Error('algorithms: a secret is for HS… alone')
  if (jwksUrl === undefined) {
    const alg = typeof jwk?.alg === 'string' ? jwk.alg : undefined
    if (publicKey !== undefined && algorithms?.length !== 1) throw new Error("publicKey takes algorithms with the one it is for: ['RS256']")
    const key = await readKey({ secret, publicKey, jwk }, alg ?? algorithms?.[0] ?? 'RS256')
    return async () => key
  }
  const load = async (url: string): Promise<unknown> => {
    const response = await fetch(url, { headers: { accept: 'application/jwk-set+json, application/json' }, timeout: jwksTimeout })
    if (response.status !== 200) throw new Error(`${url} answered ${response.status}`)
    return response.json()
  }
  const keys = new RemoteKeys({ url: jwksUrl, load, now: Date.now })
  await keys.refresh().catch((error: Error) => {
    // What is not granted never will be; an issuer that is away for a moment is no reason not to start.
    if (error.message.includes('takes the permission')) throw error
    console.warn(`no keys yet: ${error.message}`)
  })
  return keys.key
}

/** RFC 6750 §3. */
function repliesOf(realm: string) {
  const challenge = (status: number, parameters: string): Reply =>
    respond(status, status === 403 ? 'forbidden\n' : 'a valid token is required\n', {
      'www-authenticate': `Bearer realm="${realm}"${parameters === '' ? '' : `, ${parameters}`}`,
      'cache-control': 'no-store',
    })
  const refuse = (error: unknown): Reply => {
    const isKeyless = error instanceof KeysUnavailable || !(error instanceof errors.JOSEError)
    if (!isKeyless) return challenge(401, `error="invalid_token", error_description="${wordsOf(error)}"`)
    console.error(`cannot verify: ${error instanceof Error ? error.message : error}`)
    return respond(503, 'tokens cannot be verified at the moment\n', { 'retry-after': '10', 'cache-control': 'no-store' })
  }
  return { challenge, refuse }
}

function wordsOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the claim ${/^\w{1,20}$/.test(error.claim) ? error.claim : 'of the token'} is not as it has to be`
  if (error instanceof errors.JWKSNoMatchingKey) return 'no key of the issuer has signed it'
  return 'the token is not valid'
}

function bearerOf(field: string | null): string | null {
  return field === null ? null : (/^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(field)?.[1] ?? null)
}

/** RFC 6265 §4.2. */
function cookieOf(text: string, name: string): string | null {
  for (const pair of text.split(';')) {
    const equals = pair.indexOf('=')
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim() || null
  }
  return null
}

/** RFC 8693 §4.2 and what others write. */
function scopesOf({ scope, scp }: Claims): readonly string[] {
  const held = scope ?? scp
  return typeof held === 'string' ? held.split(' ') : Array.isArray(held) ? held.map(String) : []
}
