/**
 * Classes of octets, as tables: a head is read in one pass over its bytes, about a nanosecond each, that validates every one of
 * them (RFC 9110 §5.5, §5.6.2; RFC 9112 §3, §5).
 */

/** tchar: method and field names. */
export const TOKEN = table((code) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)))
/** HTAB, SP, VCHAR, obs-text: a field value or a reason phrase. No CR, no LF, no NUL. */
export const VALUE = table((code) => code === 9 || (code >= 0x20 && code !== 0x7f))
/** What a request target may hold, and raw bytes above ASCII, which will be escaped. No `#`. */
export const TARGET = table((code) => code >= 0x21 && code !== 0x23 && code !== 0x7f)

export const CR = 13
export const LF = 10
export const SPACE = 32
export const COLON = 58

/** A lower-case name, to compare bytes with. */
export function nameBytes(name: string): Uint8Array {
  return Uint8Array.from(name, (char) => char.charCodeAt(0))
}

/** Do the bytes at `at`, which are tchars, spell this name in any case? */
export function isNameAt(bytes: Uint8Array, at: number, name: Uint8Array): boolean {
  // Bit 5 makes capitals small; among tchars nothing else becomes a letter or a hyphen by it.
  for (let i = 0; i < name.length; i++) if ((bytes[at + i]! | 32) !== name[i]) return false
  return true
}

/** The version here: 10, 11, or 12 for a higher minor one; 0 if it is not HTTP/1; -1 if it is none; -2 if bytes are missing. */
export function versionAt(bytes: Uint8Array, at: number, length: number): number {
  for (let i = 0; i < 8; i++) {
    if (at + i >= length) return -2
    const byte = bytes[at + i]!
    if (VERSION[i] === 0 ? byte < 48 || byte > 57 : byte !== VERSION[i]) return -1
  }
  if (bytes[at + 5] !== 49) return 0
  return 10 + Math.min(2, bytes[at + 7]! - 48)
}

/** Gets the lines of a head, as they are read. */
export interface LineReader {
  /** Name in [at, colon), value after it up to the CR at `end`. */
  line(text: string, bytes: Uint8Array, at: number, colon: number, end: number): void
}

export const MALFORMED = -1
export const INCOMPLETE = -2
export const TOO_MANY = -3

/** After `walkLines`: a bit for each length of a name, modulo 32. */
export let nameLengths = 0

/**
 * Reads field lines up to the empty one (RFC 9112 §5): no obs-fold, no bare CR or LF, no NUL, no space before a colon. Returns where
 * the empty line is, or one of the negative numbers above.
 */
export function walkLines(text: string, bytes: Uint8Array, from: number, length: number, maxFields: number, reader: LineReader): number {
  let at = from
  nameLengths = 0
  for (let fields = 0; at < length; at += 2) {
    const start = at
    while (at < length && TOKEN[bytes[at]!] === 1) at++
    if (at === length) return INCOMPLETE
    if (at > start) {
      if (bytes[at] !== COLON) return MALFORMED
      const colon = at++
      while (at < length && VALUE[bytes[at]!] === 1) at++
      if (at === length) return INCOMPLETE
      if (++fields > maxFields) return TOO_MANY
      if (bytes[at] === CR && at + 1 < length && bytes[at + 1] === LF) {
        nameLengths |= 1 << (colon - start)
        reader.line(text, bytes, start, colon, at)
      }
    }
    if (bytes[at] !== CR) return MALFORMED
    if (at + 1 === length) return INCOMPLETE
    if (bytes[at + 1] !== LF) return MALFORMED
    if (at === start) return at
  }
  return INCOMPLETE
}

/** `HTTP/d.d`, 0 for a digit. */
const VERSION = Uint8Array.from([72, 84, 84, 80, 47, 0, 46, 0])

function table(has: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (has(code) ? 1 : 0))
}
