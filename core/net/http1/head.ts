/**
 * A message head: the received text plus a list of edits. Nothing is copied into a map; lines that nobody touched leave as the
 * slices they arrived in. HTTP/1 writes `lines()`; HTTP/2 reads `forEach`. Names are matched in any case.
 */

import type { ClientCertificate } from '../client-certificate.ts'
import type { NamedDestination } from '../destination.ts'
import { findLine, isFieldValue, isToken, trimmed } from './fields.ts'
import { reasonPhrases } from './reason.ts'

/** Names to be looked for together, in lower case. */
export class NameSet {
  readonly names: readonly string[]
  /** A bit for each length, modulo 32. */
  readonly lengths: number

  constructor(names: readonly string[]) {
    this.names = names
    this.lengths = names.reduce((lengths, { length }) => lengths | (1 << length), 0)
  }
}

export abstract class Head {
  /** Holds the field lines in [#from, #to), each ended by CRLF, valid by the grammar. */
  readonly #text: string
  readonly #from: number
  #to: number
  /** Ranges of #text that are gone: start, end, start, end …, ascending, whole lines. */
  #cuts: number[] | null = null
  /** Which lengths the names of received lines have, a bit each (modulo 32): most fields looked for are not there, and this tells. */
  #nameLengths = -1
  /** Lines that were added, each ended by CRLF. */
  #added = ''

  constructor(text: string, from: number) {
    this.#text = text
    this.#from = from
    this.#to = from
  }

  /** For the parser: the field lines end at `to`, where the empty line is; `nameLengths` has a bit for each length of a name. */
  endFields(to: number, nameLengths = -1): void {
    this.#to = to
    this.#nameLengths = nameLengths
  }

  /** Just after the empty line: where the body starts in the received text. */
  get end(): number {
    return this.#to + 2
  }

  /** From `start` up to the end of the head, as it came. */
  protected receivedFrom(start: number): string {
    return this.#text.slice(start, this.end)
  }

  /** The value, several lines joined by `, `; null if there is none. Bytes as latin1. */
  get(name: string): string | null {
    const lower = name.toLowerCase()
    const text = this.#text
    let value: string | null = null
    for (let at = this.#findKept(lower, this.#from); at >= 0; ) {
      const end = text.indexOf('\r', at)
      value = joined(value, trimmed(text, at + lower.length + 1, end))
      at = this.#findKept(lower, end + 2)
    }
    const added = this.#added
    if (added === '') return value
    for (let at = findLine(added, 0, added.length, lower); at >= 0; ) {
      const end = added.indexOf('\r', at)
      value = joined(value, trimmed(added, at + lower.length + 1, end))
      at = findLine(added, end + 2, added.length, lower)
    }
    return value
  }

  has(name: string): boolean {
    const lower = name.toLowerCase()
    return this.#findKept(lower, this.#from) >= 0 || findLine(this.#added, 0, this.#added.length, lower) >= 0
  }

  /** Whether there is a line of one of these names: mostly the lengths of names tell. */
  hasAny({ names, lengths }: NameSet): boolean {
    if ((this.#nameLengths & lengths) === 0 && this.#added === '') return false
    for (let i = 0; i < names.length; i++) if (this.has(names[i]!)) return true
    return false
  }

  /** Replaces every line of that name by one. Throws TypeError if the name or the value is not valid in a field line. */
  set(name: string, value: string): void {
    checkLine(name, value)
    this.delete(name)
    this.#added += `${name}: ${value}\r\n`
  }

  /** Adds a line. Throws TypeError as `set`. */
  append(name: string, value: string): void {
    checkLine(name, value)
    this.#added += `${name}: ${value}\r\n`
  }

  delete(name: string): void {
    const lower = name.toLowerCase()
    for (let at = this.#findKept(lower, this.#from); at >= 0; ) {
      const end = this.#text.indexOf('\r\n', at) + 2
      this.cut(at, end)
      at = this.#findKept(lower, end)
    }
    for (let at = findLine(this.#added, 0, this.#added.length, lower); at >= 0; ) {
      const end = this.#added.indexOf('\r\n', at) + 2
      this.#added = this.#added.slice(0, at) + this.#added.slice(end)
      at = findLine(this.#added, at, this.#added.length, lower)
    }
  }

  /** Takes out the received lines that have one of these lower-case names: one walk, however many names a message lists. */
  deleteReceived(names: ReadonlySet<string>): void {
    const text = this.#text
    for (let at = this.#from; at < this.#to; ) {
      const end = text.indexOf('\r', at) + 2
      if (names.has(text.slice(at, text.indexOf(':', at)).toLowerCase())) this.cut(at, end)
      at = end
    }
  }

  /** Every line that is left, in order. */
  forEach(visit: (name: string, value: string) => void): void {
    const text = this.lines()
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf('\r\n', at)
      const colon = text.indexOf(':', at)
      visit(text.slice(at, colon), trimmed(text, colon + 1, end))
      at = end + 2
    }
  }

  /** All field lines that are left, each ended by CRLF, without the empty line. */
  lines(): string {
    return this.#kept(this.#from)
  }

  /** The same with the received line in front of them, which starts at `from`. */
  protected withLine(from: number): string {
    return this.#kept(from)
  }

  /** The received value that starts at `at`. */
  protected valueAt(at: number): string {
    return trimmed(this.#text, at, this.#text.indexOf('\r', at))
  }

  #kept(start: number): string {
    const cuts = this.#cuts
    if (cuts === null) {
      const all = this.#text.slice(start, this.#to)
      return this.#added === '' ? all : all + this.#added
    }
    let out = ''
    let from = start
    for (let i = 0; i < cuts.length; i += 2) {
      if (cuts[i]! > from) out += this.#text.slice(from, cuts[i])
      from = cuts[i + 1]!
    }
    if (from < this.#to) out += this.#text.slice(from, this.#to)
    return out + this.#added
  }

  /** Adds whole lines, valid and ended by CRLF: for the proxy's own. */
  addLines(lines: string): void {
    this.#added += lines
  }

  /** Takes the received line [start, end) out, CRLF included. Cheap when called in ascending order, as a parser does. */
  cut(start: number, end: number): void {
    if (this.#cuts === null) {
      this.#cuts = [start, end]
      return
    }
    const cuts = this.#cuts
    let i = cuts.length
    while (i > 0 && cuts[i - 2]! >= start) i -= 2
    if (cuts[i] === start) return
    if (i === cuts.length) cuts.push(start, end)
    else cuts.splice(i, 0, start, end)
  }

  /** The next received line named so at or after `from` that is not cut, or -1. */
  #findKept(lower: string, from: number): number {
    if ((this.#nameLengths & (1 << lower.length)) === 0) return -1
    let at = findLine(this.#text, from, this.#to, lower)
    while (at >= 0 && this.#isCut(at)) at = findLine(this.#text, this.#text.indexOf('\r\n', at) + 2, this.#to, lower)
    return at
  }

  #isCut(at: number): boolean {
    const cuts = this.#cuts
    if (cuts === null) return false
    for (let i = 0; i < cuts.length; i += 2) if (cuts[i]! <= at && at < cuts[i + 1]!) return true
    return false
  }
}

/** A request head as the proxy understood it. `method`, `path` and `search` may be changed until it is sent. */
export class RequestHead extends Head {
  #method: string
  #path = '/'
  #search = ''
  /** Where the request line starts, if it may be sent as it was received; else -1. */
  #lineFrom = -1
  readonly minor: 0 | 1
  /** The authority asked for, `example.com:8080`, as received; `''` for HTTP/1.0 without Host. */
  host = ''
  /** Bytes of the body: -1 if it is chunked, 0 if there is none. */
  contentLength = 0
  /** The client will take another exchange on this connection. */
  keepAlive = true
  /** `Expect: 100-continue`. */
  expectsContinue = false
  /** The protocol asked for with `Connection: upgrade`; null if none, or one that must not pass. */
  upgrade: string | null = null
  /** It carries a field that tells of the client or of proxies before: `X-Forwarded-*`, `Forwarded`, `X-Real-IP`, their twins. */
  hasIdentity = false
  /** `http://example.com`, for a proxy that is asked next by the whole URL. */
  origin = ''
  /** What a client of a forward proxy has named; null for others. */
  destination: NamedDestination | null = null
  /** What its connection has shown, not the request. */
  clientCertificate: ClientCertificate | null = null
  /** Who the client has proved to be, by a policy that asked. */
  user: string | null = null
  /** Its credentials are for the connection that it is sent on. */
  bindsConnection = false
  /** A policy has found out who asks, and the answer may be for that one alone. */
  isPersonal = false
  /** Which of the hooks that are for some requests alone are for this one: decided in their turn, whatever becomes of its path later. For `sandbox/use.ts`. */
  decisions: number[] | null = null
  /** More of a body is refused. */
  mostBody = Number.POSITIVE_INFINITY
  /** How much of a body of unknown length has come with the head. */
  bodyBytes = 0
  #endings: (() => void)[] | null = null
  /** `TE: trailers`. */
  acceptsTrailers = false
  /** For the parser: where the request line starts. */
  startsAt = 0
  /** For the parser: where these values start; 0 if there are none. */
  userAgentAt = 0
  refererAt = 0

  constructor(text: string, from: number, method: string, minor: 0 | 1) {
    super(text, from)
    this.#method = method
    this.minor = minor
  }

  /** Request line, fields and the empty line, as they came. */
  get received(): string {
    return this.receivedFrom(this.startsAt)
  }
  /** As received, whatever was edited since: for the log. */
  get userAgent(): string | null {
    return this.userAgentAt === 0 ? null : this.valueAt(this.userAgentAt)
  }
  get referer(): string | null {
    return this.refererAt === 0 ? null : this.valueAt(this.refererAt)
  }

  /** To be called once, when its exchange has ended, or the tunnel that came of it. */
  whenEnded(ending: () => void): void {
    this.#endings ??= []
    this.#endings.push(ending)
  }

  /** What is to be called; null: nothing. It is the caller's now. */
  takeEndings(): readonly (() => void)[] | null {
    const endings = this.#endings
    this.#endings = null
    return endings
  }

  get method(): string {
    return this.#method
  }
  set method(method: string) {
    this.#method = method
    this.#lineFrom = -1
  }

  /**
   * Normalised: starts with `/`, dot segments and needless escapes resolved; or `*` of `OPTIONS *`. On the forward side as received, and `''`
   * of CONNECT.
   */
  get path(): string {
    return this.#path
  }
  set path(path: string) {
    this.#path = path
    this.#lineFrom = -1
  }

  /** `''`, or from the `?` on, as received. */
  get search(): string {
    return this.#search
  }
  set search(search: string) {
    this.#search = search
    this.#lineFrom = -1
  }

  /** For the parser: the received line, which starts at `from`, says just what method, path and search say, as HTTP/1.1. */
  keepLine(from: number): void {
    this.#lineFrom = from
  }

  /** Request line and field lines as HTTP/1.1, each ended by CRLF, without the empty line. */
  text(): string {
    if (this.#lineFrom >= 0) return this.withLine(this.#lineFrom)
    // RFC 9112 §3.2.4: without a path it asks the server as a whole.
    const path = this.#path === '*' && this.origin !== '' ? '' : this.#path
    return `${this.#method} ${this.origin}${path}${this.#search} HTTP/1.1\r\n${this.lines()}`
  }
}

export class ResponseHead extends Head {
  #status: number
  #reason: string
  /** Where the status line starts, if it may be sent as it was received; else -1. */
  #lineFrom = -1
  readonly minor: 0 | 1
  /** Bytes of the body as the fields tell: -1 chunked, -2 until the connection closes. */
  contentLength = -2
  /** The endpoint will take another exchange on this connection. */
  keepAlive = true
  /** The protocol of a 101; null if it names none. */
  upgrade: string | null = null
  /** It came with a Date. */
  hasDate = false
  /** Made here: no endpoint has said it. */
  isOwn = false
  /** More of its body does not go on. */
  mostBody = Number.POSITIVE_INFINITY

  constructor(text: string, from: number, status: number, reason: string, minor: 0 | 1) {
    super(text, from)
    this.#status = status
    this.#reason = reason
    this.minor = minor
  }

  get status(): number {
    return this.#status
  }
  /** A new status brings its own reason phrase. */
  set status(status: number) {
    this.#status = status
    this.#reason = reasonPhrases[status] ?? ''
    this.#lineFrom = -1
  }

  /** As received; may be empty. */
  get reason(): string {
    return this.#reason
  }

  /** For the parser: the received line, which starts at `from`, says just what status and reason say, as HTTP/1.1. */
  keepLine(from: number): void {
    this.#lineFrom = from
  }

  /** Status line and field lines as HTTP/1.1, each ended by CRLF, without the empty line. */
  text(): string {
    if (this.#lineFrom >= 0) return this.withLine(this.#lineFrom)
    return `HTTP/1.1 ${this.#status} ${this.#reason}\r\n${this.lines()}`
  }
}

function joined(before: string | null, value: string): string {
  return before === null ? value : `${before}, ${value}`
}

function checkLine(name: string, value: string): void {
  if (!isToken(name)) throw new TypeError(`not a field name: ${JSON.stringify(name)}`)
  if (!isFieldValue(value)) throw new TypeError(`not a value for the field ${name}: ${JSON.stringify(value)}`)
}

/** In the place of a request where there is none. */
export const noRequest: RequestHead = new RequestHead('', 0, '-', 1)
