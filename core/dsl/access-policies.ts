/** Policies that ask who the client is. */
import type { OneOrMany } from './lists.ts'
import type { AnyPolicy, HttpPolicy } from './policies.ts'

export interface BasicAuthOptions {
  /**
   * Passwords by the names of users: plain text, or a hash: `$2y$…` (bcrypt, as `htpasswd -B` writes it), `$scrypt$…` and `$argon2id$…` (PHC
   * strings), `{SHA}…`.
   */
  users: Readonly<Record<string, string>>
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
