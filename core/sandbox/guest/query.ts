/** A query string as pairs and back; what is not touched keeps its spelling. Percent-decoding never throws. */
import { charCodeAt, fromCharCode, indexOf, slice } from './primordials.ts'
import { decodeUtf8, encodeUtf8 } from './utf8.ts'

/** Name, value, name, value … decoded. `search` is empty or starts with `?`. */
export function readQuery(search: string): string[] {
  const pairs: string[] = []
  let n = 0
  for (let at = 1; at < search.length; ) {
    let end = indexOf(search, '&', at)
    if (end < 0) end = search.length
    if (end > at) {
      const equals = indexOf(search, '=', at)
      const split = equals < 0 || equals > end ? end : equals
      pairs[n++] = decodePart(slice(search, at, split))
      pairs[n++] = split === end ? '' : decodePart(slice(search, split + 1, end))
    }
    at = end + 1
  }
  return pairs
}

/** The pairs with every value of `name` replaced by one, or taken out if it is null. */
export function writeQuery(pairs: readonly string[], name: string, value: string | null): string {
  let out = ''
  let done = value === null
  for (let i = 0; i < pairs.length; i += 2) {
    if (pairs[i] !== name) out += `&${encodePart(pairs[i]!)}=${encodePart(pairs[i + 1]!)}`
    else if (!done) {
      done = true
      out += `&${encodePart(name)}=${encodePart(value!)}`
    }
  }
  if (!done) out += `&${encodePart(name)}=${encodePart(value!)}`
  return out === '' ? '' : `?${slice(out, 1)}`
}

/** application/x-www-form-urlencoded. */
export function encodePart(text: string): string {
  const bytes = encodeUtf8(text)
  let out = ''
  for (let i = 0; i < bytes.length; i++) {
    const code = bytes[i]!
    if (code === 32) out += '+'
    else if (isPlain(code)) out += fromCharCode(code)
    else out += percent(code)
  }
  return out
}

export function decodePart(text: string): string {
  if (indexOf(text, '%') < 0 && indexOf(text, '+') < 0 && isAscii(text)) return text
  const bytes: number[] = []
  const raw = encodeUtf8(text)
  for (let i = 0, n = 0; i < raw.length; i++) {
    const code = raw[i]!
    const high = code === 37 ? hex(raw[i + 1]) : -1
    const low = high >= 0 ? hex(raw[i + 2]) : -1
    if (low >= 0) {
      bytes[n++] = high * 16 + low
      i += 2
    } else bytes[n++] = code === 43 ? 32 : code
  }
  return decodeUtf8(bytes)
}

export function percent(code: number): string {
  return `%${HEX[code >> 4]}${HEX[code & 15]}`
}

export function hex(code: number | undefined): number {
  if (code === undefined) return -1
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

const HEX = '0123456789ABCDEF'

function isPlain(code: number): boolean {
  const lower = code | 32
  return (lower >= 97 && lower <= 122) || (code >= 48 && code <= 57) || code === 42 || code === 45 || code === 46 || code === 95
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (charCodeAt(text, i) > 127) return false
  return true
}
