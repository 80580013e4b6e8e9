/**
 * Received bytes → ResponseHead, or the code of what is wrong: as strict with endpoints as with clients, for a malformed answer
 * desynchronises a kept-alive connection just as a malformed request does (RFC 9112 §4, §6).
 */
import type { ErrorCode } from '../../errors.ts'
import { parseLength, trimmed } from './fields.ts'
import { ResponseHead } from './head.ts'
import {
  CR,
  INCOMPLETE,
  isNameAt,
  LF,
  type LineReader,
  nameBytes,
  nameLengths,
  SPACE,
  TOO_MANY,
  VALUE,
  versionAt,
  walkLines,
} from './octets.ts'

const NAME = {
  date: nameBytes('date'),
  upgrade: nameBytes('upgrade'),
  connection: nameBytes('connection'),
  keepAlive: nameBytes('keep-alive'),
  contentLength: nameBytes('content-length'),
  proxyConnection: nameBytes('proxy-connection'),
  transferEncoding: nameBytes('transfer-encoding'),
} as const

/**
 * Reads the head that starts at `start` of what was received: `text` and `bytes` are the same, `length` long. Null: it is not
 * complete yet, and nothing is wrong with it so far. `head.end` is where its body starts.
 */
export function readResponseHead(
  text: string,
  bytes: Uint8Array,
  start: number,
  length: number,
  maxFields: number,
): ResponseHead | ErrorCode | null {
  const version = versionAt(bytes, start, length)
  if (version === -2) return null
  if (version !== 10 && version !== 11) return 'response_malformed'
  // SP status [ SP reason ] CRLF (RFC 9112 §4); the space before an empty reason may be missing.
  let at = start + 12
  if (at >= length) return null
  const status = statusAt(bytes, start + 8)
  if (status < 100) return 'response_malformed'
  const reasonAt = at + 1
  if (bytes[at] === SPACE) while (at < length && VALUE[bytes[at]!] === 1) at++
  if (at >= length) return null
  if (bytes[at] !== CR) return 'response_malformed'
  if (at + 1 === length) return null
  if (bytes[at + 1] !== LF) return 'response_malformed'
  const reason = at > reasonAt ? text.slice(reasonAt, at) : ''
  const head = new ResponseHead(text, at + 2, status, reason, version === 10 ? 0 : 1)
  if (version === 11 && bytes[reasonAt - 1] === SPACE) head.keepLine(start)
  const scan = new FieldScan(head)
  const end = walkLines(text, bytes, at + 2, length, maxFields, scan)
  if (end < 0) return end === INCOMPLETE ? null : end === TOO_MANY ? 'response_head_too_large' : 'response_malformed'
  head.endFields(end, nameLengths)
  return scan.judge()
}

/** A whole head, as text[start, end). */
export function parseResponseHead(text: string, start: number, end: number, maxFields: number): ResponseHead | ErrorCode {
  const head = readResponseHead(text, Buffer.from(text, 'latin1'), start, end, maxFields)
  return head === null || (typeof head === 'object' && head.end !== end) ? 'response_malformed' : head
}

/** SP and three digits; 0 if they are not there. */
function statusAt(bytes: Uint8Array, at: number): number {
  const [hundreds, tens, ones] = [bytes[at + 1]! - 48, bytes[at + 2]! - 48, bytes[at + 3]! - 48]
  if (bytes[at] !== SPACE || hundreds < 1 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return 0
  return hundreds * 100 + tens * 10 + ones
}

class FieldScan implements LineReader {
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

  line(text: string, bytes: Uint8Array, at: number, colon: number, end: number): void {
    switch (colon - at) {
      case 4:
        if (isNameAt(bytes, at, NAME.date)) this.#head.hasDate = true
        return
      case 7:
        if (!isNameAt(bytes, at, NAME.upgrade)) return
        this.#upgrade = trimmed(text, colon + 1, end)
        return this.#head.cut(at, end + 2)
      case 10:
        if (isNameAt(bytes, at, NAME.connection)) {
          const value = trimmed(text, colon + 1, end)
          this.#connection = this.#connection === null ? value : `${this.#connection},${value}`
        } else if (!isNameAt(bytes, at, NAME.keepAlive)) return
        return this.#head.cut(at, end + 2)
      case 14:
        if (!isNameAt(bytes, at, NAME.contentLength)) return
        this.#lengths++
        this.#length = trimmed(text, colon + 1, end)
        return
      case 16:
        if (isNameAt(bytes, at, NAME.proxyConnection)) this.#head.cut(at, end + 2)
        return
      case 17:
        if (!isNameAt(bytes, at, NAME.transferEncoding)) return
        this.#codings++
        this.#coding = trimmed(text, colon + 1, end)
        return this.#head.cut(at, end + 2)
    }
  }

  judge(): ResponseHead | ErrorCode {
    return this.#applyFraming() ?? this.#applyConnection()
  }

  /** RFC 9112 §6.3; whether a body follows at all is for who knows the request to say. */
  #applyFraming(): ErrorCode | null {
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

  #applyConnection(): ResponseHead {
    const head = this.#head
    head.keepAlive = head.minor === 1
    head.upgrade = this.#upgrade
    if (this.#connection === null) return head
    if (this.#connection === 'keep-alive') {
      head.keepAlive = true
      return head
    }
    let wantsClose = false
    const named = new Set<string>()
    for (const option of this.#connection.toLowerCase().split(',')) {
      const name = option.trim()
      if (name === 'close') wantsClose = true
      else if (name === 'keep-alive') head.keepAlive = true
      else if (name !== '' && name !== 'upgrade' && name !== 'content-length') named.add(name)
    }
    if (named.size > 0) head.deleteReceived(named)
    if (named.has('date')) head.hasDate = false
    if (wantsClose) head.keepAlive = false
    return head
  }
}
