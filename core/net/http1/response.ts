/**
 * Received bytes → ResponseHead, or the code of what is wrong: as strict with endpoints as with clients, for a malformed answer
 * desynchronises a kept-alive connection just as a malformed request does (RFC 9112 §4, §6).
 */
import type { ErrorCode } from '../../errors.ts'
import { isNamed, nameEnd, parseLength, trimmed } from './fields.ts'
import { ResponseHead } from './head.ts'

/** HTTP/1.x SP status [ SP reason ] CRLF (RFC 9112 §4); the space before an empty reason may be missing. */
const STATUS_LINE = /HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n/y
const FIELD_LINES = /(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n/y

/** Parses the head in text[start, end), where `end` is just after its empty line. */
export function parseResponseHead(text: string, start: number, end: number, maxFields: number): ResponseHead | ErrorCode {
  STATUS_LINE.lastIndex = start
  if (!STATUS_LINE.test(text)) return 'response_malformed'
  const fieldsAt = STATUS_LINE.lastIndex
  FIELD_LINES.lastIndex = fieldsAt
  if (!FIELD_LINES.test(text) || FIELD_LINES.lastIndex !== end) return 'response_malformed'
  const minor = text.charCodeAt(start + 7) === 48 ? 0 : 1
  const status = (text.charCodeAt(start + 9) - 48) * 100 + (text.charCodeAt(start + 10) - 48) * 10 + (text.charCodeAt(start + 11) - 48)
  const head = new ResponseHead(text, fieldsAt, end - 2, status, text.slice(start + 13, fieldsAt - 2), minor)
  // The space before an empty reason may be missing where it comes from, not where it goes to (RFC 9112 §4).
  if (minor === 1 && fieldsAt - start > 14) head.keepLine(start)
  const scan = new FieldScan(head)
  return scan.walk(text, fieldsAt, end - 2, maxFields) ?? scan.applyFraming() ?? scan.applyConnection()
}

class FieldScan {
  readonly #head: ResponseHead
  #lengths = 0
  #length = ''
  #codings = 0
  #coding = ''
  #connection: string | null = null
  #upgrade: string | null = null

  constructor(head: ResponseHead) {
    this.#head = head
  }

  walk(text: string, from: number, to: number, maxFields: number): ErrorCode | null {
    let fields = 0
    for (let at = from; at < to; ) {
      if (++fields > maxFields) return 'response_head_too_large'
      const colon = nameEnd(text, at)
      const end = text.indexOf('\r', colon)
      this.#line(text, at, colon, end)
      at = end + 2
    }
    return null
  }

  #line(text: string, at: number, colon: number, end: number): void {
    switch (colon - at) {
      case 4:
        if (isNamed(text, at, 'date')) this.#head.hasDate = true
        return
      case 7:
        if (!isNamed(text, at, 'upgrade')) return
        this.#upgrade = trimmed(text, colon + 1, end)
        return this.#head.cut(at, end + 2)
      case 10:
        if (isNamed(text, at, 'connection')) {
          const value = trimmed(text, colon + 1, end)
          this.#connection = this.#connection === null ? value : `${this.#connection},${value}`
        } else if (!isNamed(text, at, 'keep-alive')) return
        return this.#head.cut(at, end + 2)
      case 14:
        if (!isNamed(text, at, 'content-length')) return
        this.#lengths++
        this.#length = trimmed(text, colon + 1, end)
        return
      case 16:
        if (isNamed(text, at, 'proxy-connection')) this.#head.cut(at, end + 2)
        return
      case 17:
        if (!isNamed(text, at, 'transfer-encoding')) return
        this.#codings++
        this.#coding = trimmed(text, colon + 1, end)
        return this.#head.cut(at, end + 2)
    }
  }

  /** RFC 9112 §6.3; whether a body follows at all is for who knows the request to say. */
  applyFraming(): ErrorCode | null {
    const head = this.#head
    if (this.#codings > 0) {
      if (this.#lengths > 0 || this.#codings > 1 || head.minor === 0) return 'response_malformed'
      if (this.#coding.toLowerCase() !== 'chunked') return 'response_transfer_coding'
      head.contentLength = -1
      return null
    }
    if (this.#lengths === 0) return null
    const length = this.#lengths === 1 ? parseLength(this.#length) : -1
    if (length < 0) return 'response_malformed'
    head.contentLength = length
    return null
  }

  applyConnection(): ResponseHead {
    const head = this.#head
    head.keepAlive = head.minor === 1
    head.upgrade = this.#upgrade
    if (this.#connection === null) return head
    if (this.#connection === 'keep-alive') {
      head.keepAlive = true
      return head
    }
    let wantsClose = false
    for (const option of this.#connection.toLowerCase().split(',')) {
      const name = option.trim()
      if (name === 'close') wantsClose = true
      else if (name === 'keep-alive') head.keepAlive = true
      else if (name !== '' && name !== 'upgrade' && name !== 'content-length') head.delete(name)
    }
    if (wantsClose) head.keepAlive = false
    return head
  }
}
