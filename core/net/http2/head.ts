/**
 * HTTP/2 field lists → the same heads that HTTP/1 has, and back. A request becomes the text of an HTTP/1.1 head and goes through the
 * same parser, so that one set of rules judges both; what could mean something else as text is refused before (RFC 9113 §8.2, §10.3).
 */
import type { ErrorCode } from '../../errors.ts'
import { isFieldValue, isToken, trimmed } from '../http1/fields.ts'
import type { RequestHead, ResponseHead } from '../http1/head.ts'
import { isAuthority, parseRequestHead, type RequestRules } from '../http1/request.ts'

export interface Http2Rules extends RequestRules {
  readonly headBytes: number
}

/** What node:http2 takes: lower-case names, several values as a list. */
export type FieldMap = Record<string, string | string[]>

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** As in the request line of HTTP/1, and nothing but origin-form or the asterisk (§8.3.1). */
const TARGET = /^(?:\/[!"$-\x7e\x80-\xff]*|\*)$/
/** About the connection: HTTP/2 has no place for them (§8.2.2). */
const CONNECTION_FIELD = /^(?:connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/

/** `raw`: names and values by turns, as received; `ended`: no body follows. */
export function parseRequestFields(raw: readonly string[], ended: boolean, rules: Http2Rules): RequestHead | ErrorCode {
  const fields = new RequestFields()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const wrong = fields.add(raw[i]!, raw[i + 1]!)
    if (wrong !== null) return wrong
  }
  const wrong = fields.judge()
  if (wrong !== null) return wrong
  const text = fields.toText(ended)
  if (text.length > rules.headBytes) return 'head_too_large'
  const head = parseRequestHead(text, 0, text.length, rules)
  if (typeof head === 'string') return head
  return ended && head.contentLength > 0 ? 'bad_framing' : head
}

class RequestFields {
  readonly #pseudo: Record<string, string | null> = { ':method': null, ':scheme': null, ':authority': null, ':path': null }
  #lines = ''
  #host: string | null = null
  #cookie: string | null = null
  #hasLength = false

  add(name: string, value: string): ErrorCode | null {
    if (name.charCodeAt(0) === 58) return this.#addPseudo(name, value)
    if (!NAME.test(name) || !isFieldValue(value) || CONNECTION_FIELD.test(name)) return 'bad_request'
    switch (name) {
      case 'host':
        if (this.#host !== null) return 'bad_host'
        this.#host = value
        return null
      case 'cookie':
        // Split for the sake of compression; one line for HTTP/1.1 (§8.2.3).
        this.#cookie = this.#cookie === null ? value : `${this.#cookie}; ${value}`
        return null
      case 'te':
        if (value.toLowerCase() !== 'trailers') return 'bad_request'
        break
      case 'content-length':
        this.#hasLength = true
    }
    this.#lines += `${name}: ${value}\r\n`
    return null
  }

  /** Each once, none unknown, all before the fields (§8.3). */
  #addPseudo(name: string, value: string): ErrorCode | null {
    const isFirst = this.#pseudo[name] === null && this.#lines === '' && this.#host === null && this.#cookie === null
    if (!isFirst || value === '') return 'bad_request'
    this.#pseudo[name] = value
    return null
  }

  /** Of all of them together (§8.3.1). */
  judge(): ErrorCode | null {
    const { ':method': method, ':scheme': scheme, ':path': path } = this.#pseudo
    if (method === 'CONNECT') return 'unsupported_method'
    if (!method || !isToken(method) || !path || !TARGET.test(path) || !/^https?$/.test(scheme ?? '')) return 'bad_request'
    if (!isAuthority(this.#authority)) return 'bad_host'
    return this.#host === null || this.#host.toLowerCase() === this.#authority.toLowerCase() ? null : 'bad_host'
  }

  /** The HTTP/1.1 head that says the same. */
  toText(ended: boolean): string {
    const { ':method': method, ':path': path } = this.#pseudo
    const cookie = this.#cookie === null ? '' : `cookie: ${this.#cookie}\r\n`
    const framing = ended || this.#hasLength ? '' : 'transfer-encoding: chunked\r\n'
    return `${method} ${path} HTTP/1.1\r\nhost: ${this.#authority}\r\n${this.#lines}${cookie}${framing}\r\n`
  }

  get #authority(): string {
    return this.#pseudo[':authority'] ?? this.#host ?? ''
  }
}

/** The fields of a response as HTTP/2 sends them, `:status` included. */
export function responseFields(head: ResponseHead): FieldMap {
  const fields: FieldMap = Object.create(null)
  fields[':status'] = `${head.status}`
  head.forEach((name, value) => {
    const lower = name.toLowerCase()
    if (!CONNECTION_FIELD.test(lower)) addField(fields, lower, value)
  })
  return fields
}

/** Trailer lines, each ended by CRLF. */
export function trailerFields(lines: string): FieldMap {
  const fields: FieldMap = Object.create(null)
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf('\r\n', at)
    const colon = lines.indexOf(':', at)
    addField(fields, lines.slice(at, colon).toLowerCase(), trimmed(lines, colon + 1, end))
    at = end + 2
  }
  return fields
}

/** Received trailers as lines of HTTP/1.1, for the rules of net/http1 to look through; null if they are malformed (§8.1). */
export function trailerLines(raw: readonly string[]): string | null {
  let lines = ''
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (!NAME.test(raw[i]!) || !isFieldValue(raw[i + 1]!)) return null
    lines += `${raw[i]}: ${raw[i + 1]}\r\n`
  }
  return lines
}

function addField(fields: FieldMap, name: string, value: string): void {
  const known = fields[name]
  if (known === undefined) fields[name] = value
  else if (typeof known === 'string') fields[name] = [known, value]
  else known.push(value)
}
