/** What a client gets of a file: all of it, a part, the word that it has it already, or that its condition does not hold. Pure. */
import { isUnchanged, readConditions, wantedRange } from '../cache/conditions.ts'
import { parseHttpDate } from '../cache/http-dates.ts'
import type { ErrorCode } from '../errors.ts'
import { type RequestHead, ResponseHead } from '../net/http1/head.ts'
import { reasonPhrases } from '../net/http1/reason.ts'
import type { OpenFile } from './find.ts'

/** Bytes [from, to) of the file behind a head. */
export interface FileAnswer {
  readonly head: ResponseHead
  readonly from: number
  readonly to: number
}
export interface FileRefusal {
  readonly code: ErrorCode
  readonly fields: Readonly<Record<string, string>>
}

export function answerOf(file: OpenFile, request: RequestHead, now: number): FileAnswer | FileRefusal {
  const { size, modifiedMs, coding, varies, type } = file
  const etag = etagOf(file)
  // As the field tells it: no finer than a second, and never in the future (RFC 9110 §8.8.2.1).
  const lastModified = Math.floor(Math.min(modifiedMs, now) / 1000) * 1000
  if (!holds(request, { etag, lastModified, now })) return { code: 'precondition_failed', fields: {} }
  const validators = { etag, lastModified, date: now }
  const conditions = readConditions(request)
  const vary = varies ? 'Vary: Accept-Encoding\r\n' : ''
  const about = `ETag: ${etag}\r\nLast-Modified: ${new Date(lastModified).toUTCString()}\r\n${vary}`
  if (conditions !== null && isUnchanged(conditions, validators, now)) return { head: makeHead(304, about, 0), from: 0, to: 0 }
  const wanted = conditions === null ? 'all' : wantedRange(conditions, size, validators, now)
  if (wanted === 'none') return { code: 'range_not_satisfiable', fields: { 'Content-Range': `bytes */${size}` } }
  const coded = coding === null ? '' : `Content-Encoding: ${coding}\r\n`
  const lines = `Content-Type: ${type}\r\n${coded}${about}Accept-Ranges: bytes\r\n`
  if (wanted === 'all') return { head: makeHead(200, lines, size), from: 0, to: size }
  const { from, to } = wanted
  const range = `Content-Range: bytes ${from}-${to - 1}/${size}\r\n`
  return { head: makeHead(206, lines + range, to - from), from, to }
}

/** Another one whenever the file is written, to the microsecond; and for each coding. */
function etagOf({ size, modifiedMs, coding }: OpenFile): string {
  const time = Math.round(modifiedMs * 1000)
  return `"${size.toString(36)}-${time.toString(36)}${coding === null ? '' : `-${coding}`}"`
}

interface Told {
  readonly etag: string
  readonly lastModified: number
  readonly now: number
}

/** If-Match and, without one, If-Unmodified-Since (RFC 9110 §13.2.2). */
function holds(request: RequestHead, { etag, lastModified, now }: Told): boolean {
  const match = request.get('if-match')
  if (match !== null) {
    // By strong comparison: a weak tag has another beginning.
    return match.trim() === '*' || match.split(',').some((tag) => tag.trim() === etag)
  }
  const since = request.get('if-unmodified-since')
  const time = since === null ? Number.NaN : parseHttpDate(since, now)
  return Number.isNaN(time) || lastModified <= time
}

function makeHead(status: number, lines: string, length: number): ResponseHead {
  const head = new ResponseHead('', 0, status, reasonPhrases[status] ?? '', 1)
  head.addLines(status === 304 ? lines : `${lines}Content-Length: ${length}\r\n`)
  head.contentLength = status === 304 ? -1 : length
  return head
}
