/**
 * The one form of a path that routes match and endpoints receive (RFC 3986 §6.2.2): needless escapes decoded, dot segments and
 * repeated slashes resolved. What two servers could read in two ways is refused, so that nothing slips past a protected prefix.
 */

/** What a path that is not normal yet must contain; most paths have none of it and cost this one look. */
const SUSPECT = /[%\\\x80-\xff]|\/[/.]/
const UNRESERVED = /[A-Za-z0-9\-._~]/

export interface PathRules {
  /** Let `%2f` and `%5c` pass, undecoded. */
  readonly encodedSlashes: boolean
}

/** The normal form of a path that starts with `/`, or null if it must be refused. */
export function normalisePath(path: string, rules: PathRules): string | null {
  if (!SUSPECT.test(path)) return path
  const decoded = /[%\\\x80-\xff]/.test(path) ? decodeUnreserved(path, rules) : path
  return decoded === null ? null : resolveSegments(decoded)
}

/** Decodes `%61`, writes the others' hex digits in capitals, escapes raw bytes that a URI may not hold; null if refused. */
function decodeUnreserved(path: string, rules: PathRules): string | null {
  let out = ''
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    if (code === 92) return null
    if (code >= 0x80) {
      out += `%${code.toString(16).toUpperCase()}`
      continue
    }
    if (code !== 37) {
      out += path[i]
      continue
    }
    const hex = path.slice(i + 1, i + 3)
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return null
    const byte = Number.parseInt(hex, 16)
    if (byte === 0) return null
    if ((byte === 47 || byte === 92) && !rules.encodedSlashes) return null
    const char = String.fromCharCode(byte)
    out += UNRESERVED.test(char) ? char : `%${hex.toUpperCase()}`
    i += 2
  }
  return out
}

/** RFC 3986 §5.2.4, with runs of slashes merged first; null for `..;x`, however spelt, which some servers take for `..`. */
function resolveSegments(path: string): string | null {
  const kept: string[] = []
  const segments = path.split('/')
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!
    const last = i === segments.length - 1
    if (segment.startsWith('.') && /^\.{1,2}(?:;|%3B)/.test(segment)) return null
    if (segment === '..') kept.pop()
    if (segment === '' || segment === '.' || segment === '..') {
      if (last) kept.push('')
      continue
    }
    kept.push(segment)
  }
  return `/${kept.join('/')}`
}

export function hasRawBytes(text: string): boolean {
  return /[\x80-\xff]/.test(text)
}

/** Raw bytes above ASCII in a query, escaped; everything else stays as received. */
export function escapeRawBytes(search: string): string {
  return search.replace(/[\x80-\xff]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}
