/** What is taken out of text that goes to the log: secrets of queries and paths, the end of addresses. Never shows more than it was told to. */
import { parseAddress, words } from './address.ts'

/** Names of parameters whose value is a secret wherever it is met; compared without case, `-` and `_`. */
export const SECRET_PARAMETERS: readonly string[] = [
  ...['token', 'access_token', 'refresh_token', 'id_token', 'auth_token', 'csrf_token', 'bearer', 'jwt', 'assertion', 'client_assertion'],
  ...['code', 'device_code', 'user_code', 'otp', 'pin', 'totp', 'code_verifier'],
  ...['password', 'passwd', 'pass', 'pwd', 'new_password', 'old_password', 'passphrase', 'secret', 'client_secret'],
  ...['key', 'api_key', 'apikey', 'access_key', 'private_key', 'sig', 'signature', 'hmac', 'auth', 'authorization', 'credentials'],
  ...['session', 'session_id', 'sid', 'jsessionid', 'phpsessid', 'samlresponse', 'samlrequest', 'relaystate'],
  ...['x-amz-signature', 'x-amz-credential', 'x-amz-security-token', 'x-goog-signature', 'x-goog-credential'],
]

export interface Rules {
  readonly mask: string
  /** As `plain` gives them. */
  readonly names: ReadonlySet<string>
  readonly query: 'listed' | 'all' | 'drop'
  readonly paths: readonly PathPattern[]
  /** What looks like a token goes wherever it stands. */
  readonly tokens: boolean
}

/** A name as it is compared. */
export function plain(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Segments as they are wanted; null: any one, which is kept; true: any one, which is masked. */
export interface PathPattern {
  readonly segments: readonly (string | null | true)[]
  /** Ends with `/*`: what follows is masked. */
  readonly open: boolean
}

/** `/reset/:token` masks the second segment; `*` is any segment and stays; `/s/**` masks all that follows. */
export function readPattern(text: string): PathPattern {
  if (!text.startsWith('/')) throw new Error(`a path begins with a slash: ${text}`)
  const open = text.endsWith('/**')
  const segments = (open ? text.slice(0, -3) : text).split('/').slice(1)
  return { open, segments: segments.map((segment) => (segment.startsWith(':') ? true : segment === '*' ? null : segment)) }
}

export function redactPath(path: string, { paths, mask, names, tokens }: Rules): string {
  const segments = path.split('/').slice(1)
  for (const pattern of paths) {
    if (!fits(pattern, segments)) continue
    for (let i = 0; i < segments.length; i++) if (i >= pattern.segments.length || pattern.segments[i] === true) segments[i] = mask
  }
  for (let i = 0; i < segments.length; i++) {
    const [first = '', ...matrix] = segments[i]!.split(';')
    const shown = tokens && holdsToken(first) ? mask : first
    segments[i] = [shown, ...matrix.map((pair) => redactPair(pair, { mask, names, tokens }))].join(';')
  }
  return path.startsWith('/') ? `/${segments.join('/')}` : path === '' || path === '*' ? path : mask
}

function fits({ segments: wanted, open }: PathPattern, segments: readonly string[]): boolean {
  if (open ? segments.length <= wanted.length : segments.length !== wanted.length) return false
  return wanted.every((want, i) => typeof want !== 'string' || want === segments[i] || want === decoded(segments[i]!))
}

/** With its question mark, or empty. */
export function redactQuery(query: string, rules: Rules): string {
  if (query === '' || query === '?') return query
  if (rules.query === 'drop') return ''
  const pairs = query.slice(1).split(/([&;])/)
  return `?${pairs.map((pair, i) => (i % 2 === 1 ? pair : redactPair(pair, rules, rules.query === 'all'))).join('')}`
}

/** An absolute or relative reference, as in `Referer`: its path, query and fragment; without userinfo. */
export function redactUrl(url: string, rules: Rules): string {
  const found = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#]*)([^?#]*)(\?[^#]*)?/i.exec(url)
  if (found === null) return rules.mask
  const [, scheme = '', authority = '', path = '', query = ''] = found
  if (scheme === '' && authority !== '') return rules.mask
  return scheme + authority.slice(authority.lastIndexOf('@') + 1) + redactPath(path, rules) + redactQuery(query, rules)
}

function redactPair(pair: string, { mask, names, tokens }: Pick<Rules, 'mask' | 'names' | 'tokens'>, all = false): string {
  const equals = pair.indexOf('=')
  // Without a name, all of it may be a value.
  if (equals < 0) return pair !== '' && (all || (tokens && holdsToken(pair))) ? mask : pair
  const value = pair.slice(equals + 1)
  if (value === '') return pair
  const name = pair.slice(0, equals)
  const isSecret = all || isSecretName(name, names) || (tokens && holdsToken(value))
  return isSecret ? `${tokens && holdsToken(name) ? mask : name}=${mask}` : pair
}

/** Of `user[password]` and `login.password` the last part counts, as does any part before it. */
function isSecretName(name: string, names: ReadonlySet<string>): boolean {
  const text = decoded(name)
  return text === null || names.has(plain(text)) || text.split(/[[\].:]/).some((part) => part !== '' && names.has(plain(part)))
}

/** Percent-decoded until nothing changes; null if it cannot be. */
function decoded(text: string): string | null {
  let current = text.replaceAll('+', ' ')
  try {
    for (let i = 0; i < 3 && current.includes('%'); i++) current = decodeURIComponent(current)
  } catch {
    return null
  }
  return current.includes('%') ? null : current
}

/** A JWT, or a run of 32 characters and more as only machines write them: letters of both kinds and digits, or hexadecimal. */
function holdsToken(text: string): boolean {
  if (text.length < 20) return false
  if (/eyJ[\w-]{5,}/.test(text)) return true
  for (const [run] of text.matchAll(/[\w-]{32,}/g)) {
    const isUuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(run)
    if (!isUuid && /\d/.test(run) && (/^[0-9a-f]+$/i.test(run) || (/[a-z]/.test(run) && /[A-Z]/.test(run)))) return true
  }
  return false
}

/** The network of an address, `192.0.2.0` and `2001:db8:1::`; `mask` if it is no address. */
export function truncateAddress(ip: string, { v4, v6 }: { readonly v4: number; readonly v6: number }, mask: string): string {
  const family = parseAddress(ip)
  if (family === 0) return ip === '' ? '' : mask
  if (family === 4) {
    const kept = v4 === 0 ? 0 : (words[3]! & (0xffffffff << (32 - v4))) >>> 0
    return [24, 16, 8, 0].map((shift) => (kept >>> shift) & 255).join('.')
  }
  const groups: string[] = []
  for (let i = 0; i < 8 && i * 16 < v6; i++) {
    const group = (words[i >> 1]! >>> (i % 2 === 0 ? 16 : 0)) & 0xffff
    const bits = Math.min(16, v6 - i * 16)
    groups.push((group & (0xffff << (16 - bits)) & 0xffff).toString(16))
  }
  return groups.length === 8 ? groups.join(':') : `${groups.join(':')}::`
}
