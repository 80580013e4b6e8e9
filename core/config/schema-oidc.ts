/** Options of the policy `oidc`. */
import { show } from './report.ts'
import { fieldName, fieldToken } from './schema-field-policies.ts'
import { anyText, duration, list, object, record, type Schema, text, textThat } from './schema-values.ts'

const issuer = textThat((written) => {
  const url = URL.parse(written)
  if (url === null || !/^https?:$/.test(url.protocol)) return `expected a URL such as 'https://login.example.com', got ${show(written)}`
  if (url.username !== '' || url.password !== '') return 'a URL here has no user and no password'
  return url.search === '' && url.hash === '' ? null : 'an issuer has no query and no fragment (OpenID Connect Discovery §3)'
})
const secret = textThat((written) => (written.length < 32 ? 'a secret of less than 32 characters is guessed' : null))
const ownPath = textThat((written) => (isPath(written) ? null : `expected a path such as '/oauth2/logout', got ${show(written)}`))
const pathOrUrl = textThat((written) =>
  isPath(written) || /^https?:$/.test(URL.parse(written)?.protocol ?? '') ? null : `expected a path or a URL, got ${show(written)}`,
)
const scope = textThat((written) => (/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(written) ? null : `not a scope: ${show(written)}`))

/** Those that make a login what it is. */
const OURS = new Set([
  ...['client_id', 'client_secret', 'response_type', 'response_mode', 'redirect_uri', 'scope', 'state', 'nonce'],
  ...['code_challenge', 'code_challenge_method', 'request', 'request_uri'],
])
const parameter = textThat((written) => (OURS.has(written) ? `${written} is said by the policy itself` : null))

function isPath(written: string): boolean {
  return /^\/(?![/\\])[\x21\x24-\x3e\x40-\x5b\x5d-\x7e]*$/.test(written)
}

export const oidcOptions: Schema = object(
  {
    ...{ issuer, clientId: text, clientSecret: text, secret, scopes: list(scope), callback: pathOrUrl, logout: ownPath },
    ...{ afterLogout: pathOrUrl, cookie: fieldToken, maxAge: duration, claimsToHeaders: record(text, fieldName) },
    loginParameters: record(anyText, parameter),
  },
  ['issuer', 'clientId', 'secret'],
)
