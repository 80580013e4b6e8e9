/** Policies that ask who the client is. */
import type { Duration } from '../plugin.ts'
import type { OneOrMany } from './lists.ts'
import type { AnyPolicy, HttpPolicy } from './policies.ts'
import type { Users } from './users.ts'

/** At least one of `users`, `file` and `check`. */
export interface BasicAuthOptions extends Users {
  /** What a browser shows when it asks for the password. Default `restricted`. */
  realm?: string | undefined
  /** Send `Authorization` on to the endpoint. Default true. */
  passOn?: boolean | undefined
  /** Tell the endpoint who it is in this field, which no client can set. Default: none. */
  userHeader?: string | undefined
}
/**
 * Asks for a name and a password (RFC 7617): 401 without right ones. The name stands in the access log. What was found right is remembered for
 * five minutes, so that a hash is not computed for every request.
 */
export function basicAuth(options: BasicAuthOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'basicAuth', options }
}

export interface IpAccessOptions {
  /** Addresses and networks that may pass; all others get 403. Default: everybody. */
  allow?: OneOrMany<string> | undefined
  /** Addresses and networks that get 403, also if `allow` has them. */
  deny?: OneOrMany<string> | undefined
}
/** Access by the client's address, as `trust` finds it. On a TCP listener, who may not pass is closed. */
export function ipAccess(options: IpAccessOptions): AnyPolicy {
  return { kind: 'policy', layer: 'any', name: 'ipAccess', options }
}

export interface ApiKeyOptions {
  /** The field that holds the key: `'x-api-key'`. */
  header?: string | undefined
  /** The parameter of the query that holds it, where the field is missing or not asked for: endpoints and logs see the query. */
  query?: string | undefined
  /** Keys by the names of those who have them. */
  keys: Readonly<Record<string, string>>
  /** Send the key on to the endpoint. Default true. */
  passOn?: boolean | undefined
  /** Tell the endpoint whose it is in this field, which no client can set. Default: none. */
  userHeader?: string | undefined
}
/** Asks for a key: 401 without a right one. Whose it is stands in the access log. */
export function apiKey(options: ApiKeyOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'apiKey', options }
}

export interface JwtOptions {
  /**
   * Keys that tokens are signed with: the URL of a JWK Set, fetched when it is first needed, again each ten minutes, and when a token names a key that it
   * has not (at most twice a minute); what was fetched last counts as long as no other can be had.
   */
  jwks?: string | undefined
  /** One public key instead, as PEM text. */
  publicKey?: string | undefined
  /** A secret that is shared with whoever signs, at least 32 characters, instead. */
  secret?: string | undefined
  /** Who must have issued it, one of several. Default: anybody with the key. */
  issuer?: OneOrMany<string> | undefined
  /** For whom it must be, one of several. Default: anybody. */
  audience?: OneOrMany<string> | undefined
  /** Default: HS256, HS384, HS512 with `secret`, and else those that have a public key, such as RS256, ES256, EdDSA. */
  algorithms?: OneOrMany<string> | undefined
  /** How far clocks may be apart. Default `5s`. */
  tolerance?: Duration | undefined
  /** Where the token is. Default: `Authorization: Bearer …`. */
  from?: { readonly header: string } | { readonly cookie: string } | { readonly query: string } | undefined
  /** Fields that tell the endpoint of claims, which no client can set: `{ 'x-user': 'sub', 'x-roles': 'realm_access.roles' }`. */
  claimsToHeaders?: Readonly<Record<string, string>> | undefined
}
/**
 * Asks for a JSON Web Token (RFC 7519, RFC 6750): 401 without a valid one. Its `sub` stands in the access log. What was found valid is remembered
 * for up to five minutes, and not beyond the token's own end.
 */
export function jwt(options: JwtOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'jwt', options }
}

export interface ForwardAuthOptions {
  /** Who is asked: `'http://auth.internal:9000/verify'`. */
  url: string
  /** Fields of the request that it is told, beside `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`. Default: `authorization`, `cookie`. */
  requestHeaders?: OneOrMany<string> | undefined
  /** Fields of its answer that the endpoint is told, which no client can set. Default: none. */
  responseHeaders?: OneOrMany<string> | undefined
  /** Default `5s`; 503 then, and where it cannot be reached. */
  timeout?: Duration | undefined
}
/**
 * Asks another server about each request: a status of 200 to 299 lets it pass, any other is the answer that the client gets, with its body (up to 64 KiB)
 * and `WWW-Authenticate`, `Location`, `Set-Cookie`, `Content-Type`, `Cache-Control` and `Retry-After`.
 */
export function forwardAuth(options: ForwardAuthOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'forwardAuth', options }
}
