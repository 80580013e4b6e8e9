/**
 * Reads lists of names as they are published: hosts files, plain names, wildcards and the rules of ad blockers, line by line and in
 * pieces of any size. A line says by itself what it is; one that cannot be understood is counted and told, and stops nothing.
 */
import { domainToASCII } from 'node:url'
import { isHostName, isIp } from '../net/address.ts'
import { BELOW, SELF } from './name-set.ts'

/** A name of ASCII between `from` and `to`; the bytes are valid during the call only. */
export type OnName = (bytes: Uint8Array, from: number, to: number, entry: ListEntry) => void

export interface ListEntry {
  /** `SELF`, `BELOW` (name-set.ts) or both. */
  readonly kinds: number
  /** A rule that begins with `@@`: whatever is under it is let through. */
  readonly isException: boolean
}

export interface BadLine {
  /** From 1. */
  readonly line: number
  /** Its beginning. */
  readonly text: string
}

const MOST_TOLD = 5
const LONGEST_LINE = 65_536
const NOTHING = Buffer.alloc(0)
const [TAB, CR, LF, SPACE, HASH, DOLLAR, DOT] = [9, 13, 10, 32, 35, 36, 46]

const ITSELF: ListEntry = { kinds: SELF, isException: false }
const WITH_ALL_BELOW: ListEntry = { kinds: SELF | BELOW, isException: false }
const EXCEPTION: ListEntry = { kinds: SELF | BELOW, isException: true }

export class ListReader {
  names = 0
  /** Rules that are about less than whole hosts: paths, elements of a page, kinds of requests. */
  skipped = 0
  bad = 0
  /** The first of them. */
  readonly badLines: BadLine[] = []
  readonly #onName: OnName
  #line = 0
  /** The beginning of a line whose end has not come. */
  #rest = NOTHING
  #isTooLong = false
  /** In a list for browsers a bare word is a pattern for addresses of pages. */
  #isForBrowsers = false

  constructor(onName: OnName) {
    this.#onName = onName
  }

  push(piece: Buffer): void {
    let from = 0
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, from)) {
      this.#endLine(piece, from, end)
      from = end + 1
    }
    if (from === piece.length) return
    if (this.#isTooLong || this.#rest.length + piece.length - from > LONGEST_LINE) this.#isTooLong = true
    // A copy: the piece is its reader's.
    else this.#rest = Buffer.concat([this.#rest, piece.subarray(from)])
  }

  end(): void {
    if (this.#rest.length > 0 || this.#isTooLong) this.#endLine(NOTHING, 0, 0)
  }

  #endLine(piece: Buffer, from: number, end: number): void {
    this.#line++
    const rest = this.#rest
    this.#rest = NOTHING
    if (this.#isTooLong) {
      this.#isTooLong = false
      return this.#tell(rest, 0, rest.length)
    }
    if (rest.length === 0) return this.#readLine(piece, from, end)
    const whole = Buffer.concat([rest, piece.subarray(from, end)])
    this.#readLine(whole, 0, whole.length)
  }

  #readLine(bytes: Buffer, start: number, stop: number): void {
    const from =
      this.#line === 1 && bytes[start] === 0xef && bytes[start + 1] === 0xbb
        ? skipBlank(bytes, start + 3, stop)
        : skipBlank(bytes, start, stop)
    const to = trimEnd(bytes, from, stop)
    if (from === to) return
    switch (bytes[from]) {
      // Comments: # of hosts files, ! of rules, ; of zones.
      case 35:
      case 33:
      case 59:
        return
      case 91:
        if (/^\[(?:Adblock|uBlock)/i.test(bytes.latin1Slice(from, Math.min(to, from + 16)))) this.#isForBrowsers = true
        return
      case 124:
        return this.#readRule(bytes, from, to, WITH_ALL_BELOW)
      case 64:
        return this.#readRule(bytes, from + 2, to, EXCEPTION)
      case 47:
        return this.#skip()
      case 42:
        if (bytes[from + 1] !== 46) return this.#skip()
        return this.#readWildcard(bytes, from + 2, to)
      case 46:
        return this.#readWildcard(bytes, from + 1, to)
      default:
        return this.#readPlain(bytes, from, to)
    }
  }

  /** `||name^`, with `*.` before the name or options behind it. */
  #readRule(bytes: Buffer, from: number, to: number, entry: ListEntry): void {
    if (bytes[from] !== 124 || bytes[from + 1] !== 124) return this.#skip()
    const begin = bytes[from + 2] === 42 && bytes[from + 3] === 46 ? from + 4 : from + 2
    let end = begin
    while (end < to && isNameByte(bytes[end]!)) end++
    if (!isWholeHost(bytes, end, to)) return this.#skip()
    this.#take(bytes, begin, end, entry)
  }

  #readWildcard(bytes: Buffer, from: number, to: number): void {
    const end = this.#tokenEnd(bytes, from, to)
    if (end < 0) return
    if (this.#isForBrowsers) return this.#skip()
    this.#take(bytes, from, end, WITH_ALL_BELOW)
  }

  /** A name, or an address and names. */
  #readPlain(bytes: Buffer, from: number, to: number): void {
    let end = from
    while (end < to && !isBlank(bytes[end]!) && bytes[end] !== HASH) end++
    if (isElementRule(bytes, end, to)) return this.#skip()
    const next = skipBlank(bytes, end, to)
    const isAlone = next === to || bytes[next] === HASH
    if (!isAlone && mayBeIp(bytes, from, end) && isIp(bytes.latin1Slice(from, end))) return this.#readHosts(bytes, next, to)
    if (this.#isForBrowsers) return this.#skip()
    // One label is a word rather than a name: || is for top-level domains.
    if (!isAlone || !holds(bytes, DOT, from, end)) return this.#tell(bytes, from, to)
    this.#take(bytes, from, end, ITSELF)
  }

  #readHosts(bytes: Buffer, start: number, to: number): void {
    for (let from = start; from < to && bytes[from] !== HASH; ) {
      let end = from
      while (end < to && !isBlank(bytes[end]!) && bytes[end] !== HASH) end++
      // Every hosts file has the machine's own names.
      const isOwn = !holds(bytes, DOT, from, end) || isOneOf(OWN_NAMES, bytes, from, end)
      if (!isOwn) this.#take(bytes, from, end, ITSELF)
      from = skipBlank(bytes, end, to)
    }
  }

  /** Of a line that is one word; -1: it is not, and that is told. */
  #tokenEnd(bytes: Buffer, from: number, to: number): number {
    let end = from
    while (end < to && !isBlank(bytes[end]!) && bytes[end] !== HASH) end++
    const next = skipBlank(bytes, end, to)
    if (next === to || bytes[next] === HASH) return end
    this.#tell(bytes, from, to)
    return -1
  }

  #take(bytes: Buffer, from: number, to: number, entry: ListEntry): void {
    const end = bytes[to - 1] === 46 ? to - 1 : to
    if (isPlainName(bytes, from, end)) {
      this.names++
      return this.#onName(bytes, from, end, entry)
    }
    const name = domainToASCII(bytes.toString('utf8', from, end))
    if (!isHostName(name) && !isIp(name)) return this.#tell(bytes, from, to)
    const ascii = Buffer.from(name, 'latin1')
    this.names++
    this.#onName(ascii, 0, ascii.length, entry)
  }

  #skip(): void {
    this.skipped++
  }

  #tell(bytes: Buffer, from: number, to: number): void {
    this.bad++
    if (this.badLines.length < MOST_TOLD)
      this.badLines.push({ line: this.#line, text: bytes.toString('utf8', from, Math.min(to, from + 60)) })
  }
}

const OWN_NAMES: readonly Buffer[] = [Buffer.from('localhost.localdomain'), Buffer.from('0.0.0.0')]

function isOneOf(names: readonly Buffer[], bytes: Buffer, from: number, to: number): boolean {
  return names.some((name) => name.length === to - from && name.compare(bytes, from, to) === 0)
}

/** Without the view that subarray would make: of a million lines they are what loading costs. */
function holds(bytes: Buffer, code: number, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === code) return true
  return false
}

/** What follows the name lets it stand for the host and all under it: nothing, `^`, and options that ask for no less. */
function isWholeHost(bytes: Buffer, at: number, to: number): boolean {
  const next = bytes[at] === 94 ? at + 1 : at
  if (next >= to) return true
  if (bytes[next] !== DOLLAR) return false
  const options = bytes.latin1Slice(next + 1, to).split(',')
  return options.every((option) => WHOLE.has(option))
}

const WHOLE: ReadonlySet<string> = new Set(['all', 'doc', 'document', 'important'])

/** `##`, `#@#`, `#?#`, `#$#`, `#%#`: rules for the elements of a page. */
function isElementRule(bytes: Buffer, at: number, to: number): boolean {
  if (bytes[at] !== HASH || at + 1 >= to) return false
  return bytes[at + 1] === HASH || (/[@?$%]/.test(String.fromCharCode(bytes[at + 1]!)) && bytes.indexOf(HASH, at + 1) > 0)
}

function skipBlank(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to && isBlank(bytes[at]!)) at++
  return Math.min(at, to)
}

function trimEnd(bytes: Buffer, from: number, to: number): number {
  let end = to
  while (end > from && isBlank(bytes[end - 1]!)) end--
  return end
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB || code === CR
}

function mayBeIp(bytes: Buffer, from: number, to: number): boolean {
  const code = bytes[from]!
  // Digits, a colon, or the letters of hexadecimal digits with a colon further on.
  return (code >= 48 && code <= 58) || holds(bytes, 58, from, Math.min(to, from + 5))
}

/** Not ASCII counts: such names are put into ASCII later. */
function isNameByte(code: number): boolean {
  return isPlainByte(code) || code === 46 || code >= 128
}

function isPlainByte(code: number): boolean {
  const letter = code | 32
  return (letter >= 97 && letter <= 122) || (code >= 48 && code <= 57) || code === 45 || code === 95
}

/** Labels of letters, digits, - and _, as lists have them nearly always; the rest is looked at more closely. */
function isPlainName(bytes: Buffer, from: number, to: number): boolean {
  if (to - from > 253) return false
  let label = 0
  for (let i = from; i < to; i++) {
    const code = bytes[i]!
    if (code === 46) {
      if (label === 0) return false
      label = 0
    } else if (!isPlainByte(code) || ++label > 63) return false
  }
  return label > 0
}
