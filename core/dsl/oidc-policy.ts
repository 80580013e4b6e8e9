/** The policy that has browsers log in at a provider of OpenID Connect. */
import type { Duration } from '../plugin.ts'
import type { List } from './lists.ts'
import type { HttpPolicy } from './policies.ts'

export interface OidcOptions {
  /** `'https://login.example.com'`: what it says of itself is at `/.well-known/openid-configuration` beneath it. */
  issuer: string
  clientId: string
  /** What the provider knows this client by. Default: none, for a public client; PKCE is used in any case. */
  clientSecret?: string | undefined
  /** What cookies are encrypted with, at least 32 characters: the same on all machines. Another one ends all sessions. */
  secret: string
  /** Default `['openid', 'profile', 'email']`; with `offline_access` many providers give a refresh token, and are then asked with `prompt=consent` (OpenID Connect Core §11). */
  scopes?: List<string> | undefined
  /**
   * More parameters of the login's URL: `{ prompt: 'select_account' }`, `{ access_type: 'offline' }` for a refresh token of Google. An empty one is left out: `{ prompt: '' }` with
   * `offline_access` asks nobody for consent, which some providers allow.
   */
  loginParameters?: Readonly<Record<string, string>> | undefined
  /**
   * Where the provider sends browsers back to: a path, under the scheme and host that the browser asked for, or a whole URL that says those, too. The provider has to know it.
   * The policy has to stand where that path leads: on the listener, or on a route whose `path` matches it. Default `/oauth2/callback`.
   */
  callback?: string | undefined
  /** Default `/oauth2/logout`. */
  logout?: string | undefined
  /** Where a browser goes then, a path or a URL. Default `/`. */
  afterLogout?: string | undefined
  /** The name of the session's cookie. Default `sluice_session`. */
  cookie?: string | undefined
  /** From login on a session lasts so long. Default `12h`. */
  maxAge?: Duration | undefined
  /** Fields that tell the endpoint of claims, which no client can set: `{ 'x-user': 'email', 'x-roles': 'realm_access.roles' }`. */
  claimsToHeaders?: Readonly<Record<string, string>> | undefined
}

/**
 * Has browsers log in (OpenID Connect Core, authorization code with PKCE): a page that is opened without a session leads to the provider and back, anything else gets 401. The
 * session is an encrypted cookie, which endpoints do not see, and is renewed by its refresh token if the provider gave one. Its `sub` stands in the access log.
 */
export function oidc(options: OidcOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'oidc', options }
}
