/** Values for people: credentials are not shown, control characters cannot steer a terminal, lengths are bounded. */
import type { NamedValue } from './explanation.ts'

const CREDENTIAL = /^(?:proxy-)?authorization$|^cookie$|^set-cookie$|(?:api|access)[-_]?key|token|secret|passw(?:or)?d|credential|jwt/i
const MOST = 200

export function isSecret(name: string): boolean {
  return CREDENTIAL.test(name)
}

/** `Bearer ***`, `sid=***; beta=***`: what kind of value there is may be seen, and how many. */
export function shownValue(name: string, value: string): string {
  if (!isSecret(name)) return clean(value)
  if (/cookie$/i.test(name)) return clean(value.replace(/=[^;,]*/g, '=***'))
  const scheme = /^(Basic|Bearer|Digest|Negotiate|NTLM)\s/i.exec(value)
  return scheme === null ? '***' : `${scheme[1]} ***`
}

export function shownField(name: string, value: string): NamedValue {
  return { name: clean(name), value: shownValue(name, value) }
}

export function clean(text: string): string {
  const short = text.length > MOST ? `${text.slice(0, MOST)}…` : text
  return short.replace(/[\x00-\x1f\x7f-\x9f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
