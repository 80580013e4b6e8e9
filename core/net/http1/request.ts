/**
 * Received bytes → RequestHead, or the code of what is wrong. One pass looks at every byte once: it validates all of them and
 * finds what an intermediary must know (RFC 9112 §3, §5, §6; RFC 9110 §7.6). Nothing lenient: what is refused here never
 * reaches an endpoint.
 */
import type { ErrorCode } from '../../errors.ts'
import { areForConnection } from '../connection-credentials.ts'
import { parseDestination } from '../destination.ts'
import { escapeRawBytes, hasRawBytes, normalisePath, type PathRules } from '../path.ts'
import { parseLength, trimmed } from './fields.ts'
import { RequestHead } from './head.ts'
import {
  CR,
  INCOMPLETE,
  isNameAt,
  LF,
  type LineReader,
  nameBytes,
  nameLengths,
  SPACE,
  TARGET,
  TOKEN,
  TOO_MANY,
  versionAt,
  walkLines,
} from './octets.ts'

export interface RequestRules extends PathRules {
  readonly requestLineBytes: number
  readonly fields: number
  /**
   * Of a forward proxy: a target names its destination, as a whole URL or as that of CONNECT, and its path goes on as it is
   * (RFC 9110 §7.7).
   */
  readonly forward?: boolean
  /** Of a forward proxy: clients that know of none ask for a path alone. What they name is the Host field, and whoever reads it has to look at that. */
  readonly transparent?: boolean
  /** Of a forward proxy: paths that are asked of itself. */
  readonly own?: readonly string[]
  /** Paths go on as they are, although they are written as origins are asked: of what comes by a tunnel that ends here. */
  readonly asWritten?: boolean
}

/** host [ ":" port ] of RFC 3986 §3.2, as names that DNS and virtual hosts use; IPv6 in brackets. */
const AUTHORITY = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/
const ABSOLUTE = /^https?:\/\/([^/?]+)(.*)$/i
const NAME = {
  te: nameBytes('te'),
  host: nameBytes('host'),
  expect: nameBytes('expect'),
  upgrade: nameBytes('upgrade'),
  referer: nameBytes('referer'),
  userAgent: nameBytes('user-agent'),
  forwarded: nameBytes('forwarded'),
  connection: nameBytes('connection'),
  authorization: nameBytes('authorization'),
  keepAlive: nameBytes('keep-alive'),
  contentLength: nameBytes('content-length'),
  proxyConnection: nameBytes('proxy-connection'),
  transferEncoding: nameBytes('transfer-encoding'),
  proxyAuthorization: nameBytes('proxy-authorization'),
} as const
const IDENTITY = /^(?:x[-_]forwarded(?:[-_][a-z]+)*|x[-_]real[-_]ip)$/i
const CERTIFICATE = /^client[-_]cert(?:[-_]chain)?$/i

/** SP HTTP/1.1 CRLF */
const VERSION_BYTES = 11

/**
 * Reads the head that starts at `start` of what was received: `text` and `bytes` are the same, `length` long. Null: it is not
 * complete yet, and nothing is wrong with it so far. `head.end` is where its body starts.
 */
export function readRequestHead(
  text: string,
  bytes: Uint8Array,
  start: number,
  length: number,
  rules: RequestRules,
): RequestHead | ErrorCode | null {
  let at = start
  while (at < length && TOKEN[bytes[at]!] === 1) at++
  const methodEnd = at
  if (at === length) return at - start > rules.requestLineBytes ? 'uri_too_long' : null
  if (at === start || bytes[at] !== SPACE) return 'bad_request'
  const targetAt = ++at
  while (at < length && TARGET[bytes[at]!] === 1) at++
  const targetEnd = at
  if (at - start + VERSION_BYTES > rules.requestLineBytes) return 'uri_too_long'
  if (at === length) return null
  if (at === targetAt || bytes[at] !== SPACE) return 'bad_request'
  const version = versionAt(bytes, ++at, length)
  at += 8
  if (version === -2 || (version >= 0 && at >= length)) return null
  if (version === -1 || bytes[at] !== CR) return 'bad_request'
  if (at + 1 === length) return null
  if (bytes[at + 1] !== LF) return 'bad_request'
  if (version === 0) return 'unsupported_version'
  at += 2

  const head = new RequestHead(text, at, text.slice(start, methodEnd), version === 10 ? 0 : 1)
  head.startsAt = start
  const scan = new FieldScan(head)
  const end = walkLines(text, bytes, at, length, rules.fields, scan)
  if (end < 0) return end === INCOMPLETE ? null : end === TOO_MANY ? 'head_too_large' : 'bad_request'
  head.endFields(end, nameLengths)
  return readTarget(head, text.slice(targetAt, targetEnd), version === 11 ? start : -1, rules) ?? scan.judge()
}

/** A whole head, as text[start, end). */
export function parseRequestHead(text: string, start: number, end: number, rules: RequestRules): RequestHead | ErrorCode {
  const head = readRequestHead(text, Buffer.from(text, 'latin1'), start, end, rules)
  return head === null || (typeof head === 'object' && head.end !== end) ? 'bad_request' : head
}

/** A worker hears of the same host again and again: comparing is cheaper than judging. */
let lastAuthority = ''

/** Is this `host[:port]` as RFC 9110 §7.2 wants it in Host, and not empty? */
export function isAuthority(text: string): boolean {
  if (text === lastAuthority && text !== '') return true
  if (!AUTHORITY.test(text)) return false
  const colon = text.lastIndexOf(':')
  if (colon >= 0 && !text.endsWith(']') && Number(text.slice(colon + 1)) > 65535) return false
  lastAuthority = text
  return true
}

/** Does a field named so tell of the client or of proxies before? */
export function tellsIdentity(name: string): boolean {
  return IDENTITY.test(name) || CERTIFICATE.test(name) || name.toLowerCase() === 'forwarded'
}

/**
 * RFC 9112 §3.2: origin-form, absolute-form, and the asterisk of OPTIONS. `lineFrom`: where the request line starts, if it may go on as it
 * is; else -1.
 */
export function readTarget(head: RequestHead, target: string, lineFrom: number, rules: RequestRules): ErrorCode | null {
  if (rules.forward === true) return readNamingTarget(head, target, rules)
  if (target.charCodeAt(0) === 47) return readOriginForm(head, target, lineFrom, rules)
  if (head.method === 'CONNECT') return 'unsupported_method'
  if (target === '*') {
    head.path = '*'
    return head.method === 'OPTIONS' ? null : 'bad_request'
  }
  const absolute = ABSOLUTE.exec(target)
  if (absolute === null) return 'bad_request'
  head.host = absolute[1]!
  const rest = absolute[2]!
  if (rest === '' && head.method === 'OPTIONS') {
    // RFC 9112 §3.2.4: without a path it asks the server as a whole.
    head.path = '*'
    return null
  }
  return readOriginForm(head, rest.startsWith('/') ? rest : `/${rest}`, -1, rules)
}

/** RFC 9112 §3.2.2 and §3.2.3, as a proxy is asked. */
function readNamingTarget(head: RequestHead, target: string, { own = [], transparent = false }: RequestRules): ErrorCode | null {
  if (head.method === 'CONNECT') {
    head.destination = parseDestination(target, null)
    head.host = target
    head.path = ''
    return head.destination === null ? 'bad_host' : null
  }
  if (own.includes(target)) {
    head.path = target
    return null
  }
  if (target.startsWith('/') || target === '*') return transparent ? readPathAsItIs(head, target) : 'no_destination'
  const absolute = ABSOLUTE.exec(target)
  if (absolute === null || absolute[0].slice(0, 5).toLowerCase() === 'https')
    return /^(?!http:)[a-z][a-z0-9+.-]*:\/\//i.test(target) ? 'unsupported_scheme' : 'bad_request'
  const [, authority, rest] = absolute as unknown as readonly [string, string, string]
  head.destination = parseDestination(authority, 80)
  head.host = authority
  if (head.destination === null) return 'bad_host'
  if (rest === '' && head.method === 'OPTIONS') {
    head.path = '*'
    return null
  }
  return readPathAsItIs(head, rest)
}

/** What it names is the origin's to read (RFC 9110 §7.7). */
function readPathAsItIs(head: RequestHead, target: string): ErrorCode | null {
  if (target === '*' && head.method !== 'OPTIONS') return 'bad_request'
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  head.path = path === '' ? '/' : escapeRawBytes(path)
  if (mark >= 0) head.search = escapeRawBytes(target.slice(mark))
  return null
}

/** `lineFrom`: where the line starts that goes on as it is if it turns out to be normal; -1: it never does. */
function readOriginForm(head: RequestHead, target: string, lineFrom: number, rules: RequestRules): ErrorCode | null {
  if (head.method === 'CONNECT') return 'unsupported_method'
  const mark = target.indexOf('?')
  const received = mark < 0 ? target : target.slice(0, mark)
  const path = rules.asWritten === true ? escapeRawBytes(received) : normalisePath(received, rules)
  if (path === null) return 'bad_path'
  head.path = path
  const query = mark < 0 ? '' : target.slice(mark)
  const search = hasRawBytes(query) ? escapeRawBytes(query) : query
  if (mark >= 0) head.search = search
  // Normalising gives back the very string when there was nothing to do.
  if (path === received && search === query && lineFrom >= 0) head.keepLine(lineFrom)
  return null
}

/** One walk over the field lines; those that end at this hop are cut (RFC 9110 §7.6.1). Then each concern judges what it saw. */
class FieldScan implements LineReader {
  readonly #head: RequestHead
  #hosts = 0
  #host = ''
  #lengths = 0
  #length = ''
  #codings = 0
  #coding = ''
  #connection: string | null = null
  #expectation: string | null = null
  #upgrade: string | null = null
  #upgrades = 0

  constructor(head: RequestHead) {
    this.#head = head
  }

  /** By the length of the name: nearly every line is passed over after one comparison of numbers. */
  line(text: string, bytes: Uint8Array, at: number, colon: number, end: number): void {
    switch (colon - at) {
      case 2:
        if (isNameAt(bytes, at, NAME.te)) this.#te(trimmed(text, colon + 1, end), at, end)
        return
      case 4:
        if (!isNameAt(bytes, at, NAME.host)) return
        this.#hosts++
        this.#host = trimmed(text, colon + 1, end)
        return
      case 6:
        if (isNameAt(bytes, at, NAME.expect)) this.#expectation = joined(this.#expectation, trimmed(text, colon + 1, end))
        return
      case 7:
        if (isNameAt(bytes, at, NAME.referer)) this.#head.refererAt = colon + 1
        if (!isNameAt(bytes, at, NAME.upgrade)) return
        this.#upgrades++
        this.#upgrade = trimmed(text, colon + 1, end)
        return this.#head.cut(at, end + 2)
      case 10:
        if (isNameAt(bytes, at, NAME.connection)) this.#connection = joined(this.#connection, trimmed(text, colon + 1, end))
        else if (isNameAt(bytes, at, NAME.userAgent)) {
          this.#head.userAgentAt = colon + 1
          return
        } else if (!isNameAt(bytes, at, NAME.keepAlive)) return this.#identity(text, bytes, at, colon)
        return this.#head.cut(at, end + 2)
      case 13:
        if (!isNameAt(bytes, at, NAME.authorization)) return this.#identity(text, bytes, at, colon)
        if (areForConnection(trimmed(text, colon + 1, end))) this.#head.bindsConnection = true
        return
      case 14:
        if (!isNameAt(bytes, at, NAME.contentLength)) return this.#identity(text, bytes, at, colon)
        this.#lengths++
        this.#length = trimmed(text, colon + 1, end)
        return
      case 16:
        if (isNameAt(bytes, at, NAME.proxyConnection)) return this.#head.cut(at, end + 2)
        return this.#identity(text, bytes, at, colon)
      case 17:
        if (!isNameAt(bytes, at, NAME.transferEncoding)) return this.#identity(text, bytes, at, colon)
        this.#codings++
        this.#coding = trimmed(text, colon + 1, end)
        return this.#head.cut(at, end + 2)
      case 19:
        // For this hop alone (RFC 9110 §11.7.2).
        if (isNameAt(bytes, at, NAME.proxyAuthorization)) return this.#head.cut(at, end + 2)
        return this.#identity(text, bytes, at, colon)
      default:
        return this.#identity(text, bytes, at, colon)
    }
  }

  #te(value: string, at: number, end: number): void {
    if (/(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(value)) this.#head.acceptsTrailers = true
    this.#head.cut(at, end + 2)
  }

  /** X-Forwarded-*, X-Real-IP, Client-Cert*, their twins with underscores, and Forwarded: told by the first letter, then exactly. */
  #identity(text: string, bytes: Uint8Array, at: number, colon: number): void {
    const first = bytes[at]! | 32
    if (
      first === 120
        ? IDENTITY.test(text.slice(at, colon))
        : first === 99
          ? (colon - at === 11 || colon - at === 17) && CERTIFICATE.test(text.slice(at, colon))
          : first === 102 && colon - at === 9 && isNameAt(bytes, at, NAME.forwarded)
    ) {
      this.#head.hasIdentity = true
    }
  }

  /** Each concern on what the walk saw; the head, or what is wrong. */
  judge(): RequestHead | ErrorCode {
    return this.#applyHost() ?? this.#applyFraming() ?? this.#applyExpectation() ?? this.#applyConnection()
  }

  /** Exactly one valid Host (RFC 9112 §3.2), which an absolute-form target overrides (§3.2.2). */
  #applyHost(): ErrorCode | null {
    const head = this.#head
    if (this.#hosts !== 1 && !(this.#hosts === 0 && head.minor === 0)) return 'bad_host'
    if (this.#hosts === 1 && !isAuthority(this.#host)) return 'bad_host'
    if (head.host === '') head.host = this.#host
    else if (!isAuthority(head.host)) return 'bad_host'
    else if (head.host !== this.#host) head.set('Host', head.host)
    return null
  }

  /** RFC 9112 §6: one way to tell the length, or none. */
  #applyFraming(): ErrorCode | null {
    // What follows CONNECT is the tunnel's (RFC 9110 §9.3.6): a length would have it read in two ways.
    if (this.#head.method === 'CONNECT') return this.#codings > 0 || this.#lengths > 0 ? 'bad_framing' : null
    if (this.#codings > 0) {
      if (this.#lengths > 0 || this.#codings > 1 || this.#head.minor === 0) return 'bad_framing'
      if (this.#coding.toLowerCase() !== 'chunked') return /chunked|^$/i.test(this.#coding) ? 'bad_framing' : 'unsupported_transfer_coding'
      this.#head.contentLength = -1
      return null
    }
    if (this.#lengths === 0) return null
    const length = this.#lengths === 1 ? parseLength(this.#length) : -1
    if (length < 0) return 'bad_framing'
    this.#head.contentLength = length
    return null
  }

  /** RFC 9110 §10.1.1. An HTTP/1.0 client cannot wait for a 100. */
  #applyExpectation(): ErrorCode | null {
    if (this.#expectation === null) return null
    if (this.#expectation.toLowerCase() !== '100-continue') return 'unsupported_expectation'
    if (this.#head.minor === 0) this.#head.delete('expect')
    else this.#head.expectsContinue = true
    return null
  }

  /** RFC 9110 §7.6.1: persistence, upgrade, and the fields that Connection names. Last, so it hands over the head. */
  #applyConnection(): RequestHead {
    const head = this.#head
    head.keepAlive = head.minor === 1
    if (this.#connection === null) return head
    if (this.#connection === 'keep-alive') {
      head.keepAlive = true
      return head
    }
    let wantsUpgrade = false
    let wantsClose = false
    const named = new Set<string>()
    for (const option of this.#connection.toLowerCase().split(',')) {
      const name = option.trim()
      if (name === 'close') wantsClose = true
      else if (name === 'keep-alive') head.keepAlive = true
      else if (name === 'upgrade') wantsUpgrade = true
      else if (name !== '' && name !== 'host' && name !== 'content-length') named.add(name)
    }
    if (named.size > 0) head.deleteReceived(named)
    if (wantsClose) head.keepAlive = false
    if (wantsUpgrade && this.#upgrades === 1) head.upgrade = passableUpgrade(head, this.#upgrade!)
    return head
  }
}

/** One protocol, without a body, and never `h2c`: its frames would pass unread (RFC 9113 §3.1). */
function passableUpgrade(head: RequestHead, protocol: string): string | null {
  if (head.minor === 0 || head.contentLength !== 0 || head.method === 'CONNECT' || !/^[A-Za-z0-9.\-/]+$/.test(protocol)) return null
  return /^h2c?$/i.test(protocol) ? null : protocol
}

function joined(before: string | null, value: string): string {
  return before === null ? value : `${before},${value}`
}
