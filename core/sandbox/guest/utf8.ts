/** UTF-8 (WHATWG Encoding): lone surrogates and malformed bytes become U+FFFD, as in a browser. */
import { charCodeAt, codePointAt, fromCodePoint } from './primordials.ts'

export function encodeUtf8(text: string): number[] {
  const out: number[] = []
  let n = 0
  for (let i = 0; i < text.length; i++) {
    let code = codePointAt(text, i)!
    if (code > 0xffff) i++
    else if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd
    if (code < 0x80) out[n++] = code
    else if (code < 0x800) {
      out[n++] = 0xc0 | (code >> 6)
      out[n++] = 0x80 | (code & 63)
    } else {
      if (code < 0x10000) out[n++] = 0xe0 | (code >> 12)
      else {
        out[n++] = 0xf0 | (code >> 18)
        out[n++] = 0x80 | ((code >> 12) & 63)
      }
      out[n++] = 0x80 | ((code >> 6) & 63)
      out[n++] = 0x80 | (code & 63)
    }
  }
  return out
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
      if (byte < 0x80) out += fromCodePoint(byte)
      else if (byte >= 0xc2 && byte <= 0xdf) {
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
