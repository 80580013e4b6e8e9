/** UTF-8 (WHATWG Encoding): lone surrogates and malformed bytes become U+FFFD, as in a browser. */
import { apply, Bytes, charCodeAt, codePointAt, fromCharCode, fromCodePoint, List } from './primordials.ts'

export function encodeUtf8(text: string): Uint8Array {
  const { length } = text
  let size = length
  for (let i = 0; i < length; i++) {
    const code = charCodeAt(text, i)
    // The two halves of a pair make four bytes together, and so does each alone not: it becomes U+FFFD, of three.
    if (code >= 0x80) size += code < 0x800 ? 1 : isPairAt(text, i) ? 1 : 2
    if (code >= 0xd800 && code <= 0xdbff && isPairAt(text, i)) {
      size += 1
      i++
    }
  }
  const out = new Bytes(size)
  let n = 0
  for (let i = 0; i < length; i++) {
    let code = codePointAt(text, i)!
    if (code < 0x80) {
      out[n++] = code
      continue
    }
    if (code > 0xffff) i++
    else if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd
    if (code < 0x800) out[n++] = 0xc0 | (code >> 6)
    else {
      if (code < 0x10000) out[n++] = 0xe0 | (code >> 12)
      else {
        out[n++] = 0xf0 | (code >> 18)
        out[n++] = 0x80 | ((code >> 12) & 63)
      }
      out[n++] = 0x80 | ((code >> 6) & 63)
    }
    out[n++] = 0x80 | (code & 63)
  }
  return out
}

function isPairAt(text: string, i: number): boolean {
  return codePointAt(text, i)! > 0xffff
}

/** So many characters are made at once: one by one costs six times as much. */
const AT_ONCE = 4096
const codes: number[] = []
for (let i = 0; i < AT_ONCE; i++) codes[i] = 0

/** Bytes [from, to) as the characters of the same numbers. */
export function latin1Text(bytes: ArrayLike<number>, from: number, to: number): string {
  let out = ''
  for (let at = from; at < to; at += AT_ONCE) {
    const count = to - at < AT_ONCE ? to - at : AT_ONCE
    const list = count === AT_ONCE ? codes : new List<number>(count)
    for (let i = 0; i < count; i++) list[i] = bytes[at + i]!
    out += apply(fromCharCode, undefined, list)
  }
  return out
}

/** How many bytes at the end begin a character that is not complete. */
export function incompleteTail(bytes: ArrayLike<number>): number {
  const { length } = bytes
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back]!
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return needed > back ? back : 0
  }
  return 0
}

/** The decoder of the Encoding standard, §8.1.1; with `fatal`, malformed bytes throw. */
export function decodeUtf8(bytes: ArrayLike<number>, fatal = false): string {
  let out = ''
  let code = 0
  let needed = 0
  let lower = 0x80
  let upper = 0xbf
  const malformed = () => {
    if (fatal) throw new TypeError('the bytes are not valid UTF-8')
    out += '\ufffd'
  }
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (needed === 0) {
      if (byte < 0x80) {
        let end = i + 1
        while (end < bytes.length && bytes[end]! < 0x80) end++
        out += latin1Text(bytes, i, end)
        i = end - 1
      } else if (byte >= 0xc2 && byte <= 0xdf) {
        needed = 1
        code = byte & 31
      } else if (byte >= 0xe0 && byte <= 0xef) {
        if (byte === 0xe0) lower = 0xa0
        if (byte === 0xed) upper = 0x9f
        needed = 2
        code = byte & 15
      } else if (byte >= 0xf0 && byte <= 0xf4) {
        if (byte === 0xf0) lower = 0x90
        if (byte === 0xf4) upper = 0x8f
        needed = 3
        code = byte & 7
      } else malformed()
      continue
    }
    if (byte < lower || byte > upper) {
      needed = 0
      lower = 0x80
      upper = 0xbf
      malformed()
      i--
      continue
    }
    lower = 0x80
    upper = 0xbf
    code = (code << 6) | (byte & 63)
    if (--needed === 0) out += fromCodePoint(code)
  }
  if (needed > 0) malformed()
  return out
}

/** Text whose characters are bytes, as numbers. */
export function latin1Bytes(text: string): number[] {
  const out: number[] = []
  for (let i = 0; i < text.length; i++) out[i] = charCodeAt(text, i) & 255
  return out
}
