/** Claims of a verified token as values of header fields: whatever a claim holds, what comes out is one line of printable ASCII. */

export type Claims = Readonly<Record<string, unknown>>

/** More is no value for a header field: servers refuse heads of 8 to 16 KiB as a whole. */
const MOST_CHARACTERS = 4096

/**
 * The claim at that path: `sub`, `realm_access.roles`, or a list of names where one has dots. A name that is there as a whole goes before
 * its parts.
 */
export function claimAt(claims: Claims, path: string | readonly string[]): unknown {
  if (typeof path === 'string' && Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const name of typeof path === 'string' ? path.split('.') : path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Claims)[name]
  }
  return value
}

/** Null: there is nothing to say, or too much. Lists are joined; what is neither text, number nor boolean is written as JSON. */
export function fieldValue(claim: unknown, separator: string): string | null {
  if (claim === undefined || claim === null) return null
  const isList = Array.isArray(claim)
  const items = isList ? claim.filter((item) => item !== undefined && item !== null) : [claim]
  const value = items.map((item) => encoded(textOf(item), isList ? separator : '')).join(separator)
  return value === '' || value.length > MOST_CHARACTERS ? null : value
}

function textOf(item: unknown): string {
  return typeof item === 'string' ? item : typeof item === 'object' ? JSON.stringify(item) : String(item)
}

/** Percent-encodes what is not printable ASCII, `%` itself, the separator of a list, and spaces at the ends. */
function encoded(text: string, separator: string): string {
  let out = ''
  const last = text.length - 1
  for (const [i, char] of [...text.toWellFormed()].entries()) {
    const isPlain = char >= ' ' && char <= '~' && char !== '%' && !separator.includes(char)
    out += isPlain && !(char === ' ' && (i === 0 || i === last)) ? char : percent(char)
  }
  return out
}

function percent(char: string): string {
  // encodeURIComponent leaves some of ASCII as it is.
  return char < '\x80' ? `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}` : encodeURIComponent(char)
}
