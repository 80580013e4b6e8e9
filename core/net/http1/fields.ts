/** Grammar and look-up of field lines in received text (RFC 9110 §5, RFC 9112 §5). Pure; text is latin1, a character a byte. */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** HTAB, SP, VCHAR, obs-text: what a field value may hold (RFC 9110 §5.5). */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

export function isToken(text: string): boolean {
  return TOKEN.test(text)
}

export function isFieldValue(text: string): boolean {
  return VALUE.test(text)
}

/**
 * Fields a hook may neither see nor set: framing and hop-by-hop ones belong to the proxy (RFC 9110 §7.6.1).
 * Lower-case names.
 */
const hostOwned = new Set([
  'connection',
  'content-length',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export function isHostOwned(lowerName: string): boolean {
  return hostOwned.has(lowerName)
}

/** Start of the first line named so in [from, to), or -1. Every line ends with CRLF. */
export function findLine(text: string, from: number, to: number, lowerName: string): number {
  const length = lowerName.length
  for (let at = from; at < to; ) {
    if (text.charCodeAt(at + length) === 58 && isNamed(text, at, lowerName)) return at
    // There is no CR but at the end of a line.
    at = text.indexOf('\r', at) + 2
    if (at < 2) return -1
  }
  return -1
}

/** Does the line at `at` start with this lower-case name? The colon is the caller's to check. */
export function isNamed(text: string, at: number, lowerName: string): boolean {
  for (let i = 0; i < lowerName.length; i++) {
    let code = text.charCodeAt(at + i)
    if (code >= 65 && code <= 90) code |= 32
    if (code !== lowerName.charCodeAt(i)) return false
  }
  return true
}

/** The value of the line whose value starts at `from` (after the colon) and whose CR is at `to`, without the white space around it. */
export function trimmed(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}

/** Content-Length = 1*DIGIT (RFC 9110 §8.6), up to what a number holds exactly; -1 for anything else. */
export function parseLength(text: string): number {
  if (text.length === 0 || text.length > 15) return -1
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length
}
