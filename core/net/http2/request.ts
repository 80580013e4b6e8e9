/**
 * The fields of an HTTP/2 request → the head that HTTP/1.1 would have had: the same text, judged by the same rules. What could mean
 * something else as text, or to a server behind us, is refused (RFC 9113 §8.2, §8.3, §10.3).
 */
import type { ErrorCode } from '../../errors.ts'
import { areForConnection } from '../connection-credentials.ts'
import { isFieldValue, isToken, parseLength } from '../http1/fields.ts'
import { RequestHead } from '../http1/head.ts'
import { isAuthority, type RequestRules, readTarget, tellsIdentity } from '../http1/request.ts'
import type { FieldReader } from './hpack-decoder.ts'
import type { Field } from './hpack-table.ts'

/** What a field is: found out once for each entry of a table. */
const kinds = {
  bad: 1,
  plain: 2,
  method: 3,
  scheme: 4,
  authority: 5,
  path: 6,
  protocol: 7,
  host: 8,
  cookie: 9,
  te: 10,
  contentLength: 11,
  expect: 12,
  userAgent: 13,
  referer: 14,
  identity: 15,
  dropped: 16,
  authorization: 17,
} as const

const SPECIAL: ReadonlyMap<string, number> = new Map([
  [':method', kinds.method],
  [':scheme', kinds.scheme],
  [':authority', kinds.authority],
  [':path', kinds.path],
  [':protocol', kinds.protocol],
  ['host', kinds.host],
  ['cookie', kinds.cookie],
  ['te', kinds.te],
  ['content-length', kinds.contentLength],
  ['expect', kinds.expect],
  ['user-agent', kinds.userAgent],
  ['authorization', kinds.authorization],
  ['referer', kinds.referer],
  // For this hop alone (RFC 9110 §11.7.2).
  ['proxy-authorization', kinds.dropped],
  // About the connection: HTTP/2 has no place for them (§8.2.2).
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map((name) => [name, kinds.bad] as const),
])

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** As in the request line of HTTP/1, and nothing but origin-form or the asterisk (§8.3.1). */
const TARGET = /^(?:\/[!"$-\x7e\x80-\xff]*|\*)$/
/** A value neither begins nor ends with white space (§8.2.1). */
const PADDED = /^[\t ]|[\t ]$/
const [HOST_LENGTH, COOKIE_LENGTH] = [1 << 'host'.length, 1 << 'cookie'.length]
/** `: ` and CRLF. */
const LINE_OVERHEAD = 4

export class RequestFields implements FieldReader {
  #rules: RequestRules | null = null
  #headBytes = 0
  #wrong: ErrorCode | null = null
  #bytes = 0
  #fields = 0
  #method = ''
  #scheme = ''
  #authority = ''
  #path = ''
  #protocol = ''
  #lines = ''
  #nameLengths = 0
  #host: string | null = null
  #cookie: string | null = null
  #length: string | null = null
  #expectation: string | null = null
  #acceptsTrailers = false
  #hasIdentity = false
  #bindsConnection = false
  #userAgentAt = 0
  #refererAt = 0

  /** Before the fields of another request. */
  begin(rules: RequestRules, headBytes: number): void {
    this.#rules = rules
    this.#headBytes = headBytes
    this.#wrong = null
    this.#bytes = this.#fields = 0
    this.#method = this.#scheme = this.#authority = this.#path = this.#protocol = this.#lines = ''
    this.#nameLengths = HOST_LENGTH
    this.#host = this.#cookie = this.#length = this.#expectation = null
    this.#acceptsTrailers = this.#hasIdentity = this.#bindsConnection = false
    this.#userAgentAt = this.#refererAt = 0
  }

  field(field: Field): void {
    if (this.#wrong !== null) return
    if (field.kind === 0) judge(field)
    this.#bytes += field.name.length + field.value.length + LINE_OVERHEAD
    if (this.#bytes > this.#headBytes) this.#wrong = 'head_too_large'
    else if (field.kind === kinds.bad) this.#wrong = 'bad_request'
    else if (field.kind >= kinds.method && field.kind <= kinds.protocol) this.#pseudo(field)
    // Split for the sake of compression; one line for HTTP/1.1 (§8.2.3).
    else if (field.kind === kinds.cookie) this.#cookie = this.#cookie === null ? field.value : `${this.#cookie}; ${field.value}`
    else if (++this.#fields > this.#rules!.fields) this.#wrong = 'head_too_large'
    else this.#regular(field)
  }

  /** Each once, none unknown, all before the fields (§8.3). */
  #pseudo({ kind, value }: Field): void {
    const isFirst = this.#fields === 0 && this.#cookie === null
    if (!isFirst || value === '') this.#wrong = 'bad_request'
    else if (kind === kinds.method && this.#method === '') this.#method = value
    else if (kind === kinds.scheme && this.#scheme === '') this.#scheme = value
    else if (kind === kinds.authority && this.#authority === '') this.#authority = value
    else if (kind === kinds.path && this.#path === '') this.#path = value
    else if (kind === kinds.protocol && this.#protocol === '') this.#protocol = value
    else this.#wrong = 'bad_request'
  }

  #regular(field: Field): void {
    const { value } = field
    switch (field.kind) {
      case kinds.dropped:
        return
      case kinds.te:
        this.#acceptsTrailers = true
        return
      case kinds.host:
        if (this.#host !== null) this.#wrong = 'bad_host'
        this.#host = value
        return
      case kinds.contentLength:
        if (this.#length !== null) this.#wrong = 'bad_framing'
        this.#length = value
        break
      case kinds.expect:
        this.#expectation = this.#expectation === null ? value : `${this.#expectation},${value}`
        break
      case kinds.userAgent:
        this.#userAgentAt = this.#lines.length + 'user-agent:'.length
        break
      case kinds.referer:
        this.#refererAt = this.#lines.length + 'referer:'.length
        break
      case kinds.authorization:
        this.#bindsConnection ||= areForConnection(value)
        break
      case kinds.identity:
        this.#hasIdentity = true
    }
    this.#lines += field.line
    this.#nameLengths |= 1 << field.name.length
  }

  /** After the last field; `ended`: no body follows. */
  finish(ended: boolean): RequestHead | ErrorCode {
    const wrong = this.#wrong ?? this.#judgePseudo() ?? this.#judgeFraming(ended)
    const result = wrong ?? this.#makeHead(ended)
    // An idle connection must not keep what its last request said.
    this.#path = this.#lines = ''
    this.#cookie = this.#host = null
    return result
  }

  /** Of all of them together (§8.3.1; RFC 8441 §4). */
  #judgePseudo(): ErrorCode | null {
    if (this.#method === 'CONNECT') {
      if (this.#protocol !== 'websocket') return 'unsupported_method'
    } else if (this.#protocol !== '') return 'bad_request'
    if (this.#method === '' || this.#scheme === '' || this.#path === '') return 'bad_request'
    if (this.#authority === '') this.#authority = this.#host ?? ''
    if (!isAuthority(this.#authority)) return 'bad_host'
    return this.#host === null || this.#host.toLowerCase() === this.#authority.toLowerCase() ? null : 'bad_host'
  }

  #judgeFraming(ended: boolean): ErrorCode | null {
    if (this.#expectation !== null && this.#expectation.toLowerCase() !== '100-continue') return 'unsupported_expectation'
    if (this.#protocol !== '' && (ended || this.#length !== null)) return 'bad_framing'
    if (this.#length === null) return null
    const length = parseLength(this.#length)
    return length < 0 || (ended && length > 0) ? 'bad_framing' : null
  }

  #makeHead(ended: boolean): RequestHead | ErrorCode {
    const rules = this.#rules!
    const isWebSocket = this.#protocol !== ''
    const method = isWebSocket ? 'GET' : this.#method
    const line = `${method} ${this.#path} HTTP/1.1\r\n`
    if (line.length > rules.requestLineBytes) return 'uri_too_long'
    const host = `host: ${this.#authority}\r\n`
    const cookie = this.#cookie === null ? '' : `cookie: ${this.#cookie}\r\n`
    const text = `${line}${host}${this.#lines}${cookie}\r\n`
    if (text.length > this.#headBytes) return 'head_too_large'
    const head = new RequestHead(text, line.length, method, 1)
    head.host = this.#authority
    const nameLengths = cookie === '' ? this.#nameLengths : this.#nameLengths | COOKIE_LENGTH
    head.endFields(text.length - 2, nameLengths)
    const start = line.length + host.length
    if (this.#userAgentAt > 0) head.userAgentAt = start + this.#userAgentAt
    if (this.#refererAt > 0) head.refererAt = start + this.#refererAt
    head.hasIdentity = this.#hasIdentity
    head.bindsConnection = this.#bindsConnection
    head.acceptsTrailers = this.#acceptsTrailers
    head.expectsContinue = this.#expectation !== null
    if (isWebSocket) head.upgrade = 'websocket'
    else if (this.#length !== null) head.contentLength = parseLength(this.#length)
    else if (!ended) head.contentLength = -1
    return readTarget(head, this.#path, 0, rules) ?? head
  }
}

/** Trailers as lines of HTTP/1.1, for the rules of net/http1 to look through; null if they are malformed (§8.1) or too many. */
export class TrailerFields implements FieldReader {
  lines: string | null = ''

  field(field: Field): void {
    if (this.lines === null) return
    if (field.kind === 0) judge(field)
    const isRegular = field.kind !== kinds.bad && field.name.charCodeAt(0) !== 58
    this.lines = isRegular && this.lines.length + field.line.length <= MAX_TRAILER_BYTES ? this.lines + field.line : null
  }
}
const MAX_TRAILER_BYTES = 8192

/** Whether it may stand in any request, and where it needs to be looked at. */
function judge(field: Field): void {
  const { name, value } = field
  const special = SPECIAL.get(name)
  field.kind = isValid(field, special) ? (special ?? (tellsIdentity(name) ? kinds.identity : kinds.plain)) : kinds.bad
  if (field.kind !== kinds.bad) field.line = `${name}: ${value}\r\n`
}

function isValid({ name, value }: Field, special: number | undefined): boolean {
  switch (special) {
    case kinds.method:
      return isToken(value)
    case kinds.scheme:
      return value === 'https' || value === 'http'
    case kinds.path:
      return TARGET.test(value)
    case kinds.te:
      // §8.2.2: and nothing else.
      if (value.toLowerCase() !== 'trailers') return false
  }
  return (special !== undefined || NAME.test(name)) && isFieldValue(value) && !PADDED.test(value)
}
