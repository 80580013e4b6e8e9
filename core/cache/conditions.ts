/** Conditions and ranges of a request against a stored answer (RFC 9110 §13, §14). Pure. */
import { NameSet, type RequestHead } from '../net/http1/head.ts'
import { parseHttpDate } from './http-dates.ts'

/** What a stored answer is told apart by. */
export interface Validators {
  /** As received, `W/` included; null: none. */
  readonly etag: string | null
  /** Milliseconds since the epoch; NaN: none. */
  readonly lastModified: number
  /** Of the answer's Date, in milliseconds. */
  readonly date: number
}

/** What a request asks of an answer, as it came. */
export interface Conditions {
  readonly noneMatch: string | null
  readonly modifiedSince: string | null
  readonly range: string | null
  readonly ifRange: string | null
}

const CONDITIONAL = new NameSet(['if-none-match', 'if-modified-since', 'range'])

/** Null: nothing is asked, as mostly. */
export function readConditions(request: RequestHead): Conditions | null {
  if (!request.hasAny(CONDITIONAL)) return null
  const noneMatch = request.get('if-none-match')
  const modifiedSince = request.get('if-modified-since')
  // RFC 9110 §14.2: of other methods a range means nothing.
  const range = request.method === 'GET' ? request.get('range') : null
  if (noneMatch === null && modifiedSince === null && range === null) return null
  return { noneMatch, modifiedSince, range, ifRange: range === null ? null : request.get('if-range') }
}

/** What the client asks under that the endpoint is not told. */
const NOT_ASKED_OF_PART = ['if-none-match', 'if-modified-since']
const NOT_ASKED = [...NOT_ASKED_OF_PART, 'range', 'if-range']

/** In the place of the client's conditions those that ask about what is kept, if that is something. `range`: what is asked for; null: all. */
export function askUnder(request: RequestHead, range: string | null, kept: Validators | null): void {
  for (const name of range === null ? NOT_ASKED : NOT_ASKED_OF_PART) request.delete(name)
  if (kept === null) return
  if (kept.etag !== null) request.set('If-None-Match', kept.etag)
  if (!Number.isNaN(kept.lastModified)) request.set('If-Modified-Since', new Date(kept.lastModified).toUTCString())
}

/** Whether the client has this answer already: it gets 304 (RFC 9110 §13.2.2; RFC 9111 §4.3.2). */
export function isUnchanged({ noneMatch, modifiedSince }: Conditions, { etag, lastModified, date }: Validators, now: number): boolean {
  if (noneMatch !== null) return etag === null ? noneMatch.trim() === '*' : namesTag(noneMatch, etag)
  if (modifiedSince === null) return false
  const time = parseHttpDate(modifiedSince, now)
  return !Number.isNaN(time) && (Number.isNaN(lastModified) ? date : lastModified) <= time
}

const TAG = /\s*(W\/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)/y

/** Weak comparison (RFC 9110 §8.8.3.2). A list that is malformed names nothing. */
function namesTag(list: string, etag: string): boolean {
  if (list === etag) return true
  if (list.trim() === '*') return true
  const opaque = opaqueOf(etag)
  for (let at = 0; at < list.length; ) {
    TAG.lastIndex = at
    const found = TAG.exec(list)
    if (found === null) return false
    if (found[2] === opaque) return true
    at = TAG.lastIndex
  }
  return false
}

/** The same, of two. */
export function isSameTag(one: string, other: string): boolean {
  return opaqueOf(one) === opaqueOf(other)
}

function opaqueOf(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}

/** Bytes [from, to) of a body; `all`: the range is not to be minded; `none`: it is not in the body (416). */
export type Wanted = { readonly from: number; readonly to: number } | 'all' | 'none'

const RANGE = /^bytes[ \t]*=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/i

/** Of several ranges all is sent: RFC 9110 §14.2 lets a server, and what they cost has been abused. */
export function wantedRange({ range, ifRange }: Conditions, length: number, validators: Validators, now: number): Wanted {
  const parts = range === null ? null : RANGE.exec(range)
  if (parts === null || !isSameForRange(ifRange, validators, now)) return 'all'
  if (parts[3] !== undefined) {
    const last = Math.min(Number(parts[3]), length)
    return last === 0 ? 'none' : { from: length - last, to: length }
  }
  const from = Number(parts[1])
  const to = parts[2] === '' ? length : Math.min(Number(parts[2]) + 1, length)
  // first-pos behind last-pos makes the field invalid, and then it is not minded (RFC 9110 §14.1.1).
  if (parts[2] !== '' && Number(parts[2]) < from) return 'all'
  return from >= length ? 'none' : { from, to }
}

/** If-Range (RFC 9110 §13.1.5): by strong comparison; a date counts if it is the very Last-Modified, and that one is a strong validator. */
function isSameForRange(field: string | null, { etag, lastModified, date }: Validators, now: number): boolean {
  if (field === null) return true
  if (field.startsWith('"')) return field === etag
  const time = parseHttpDate(field, now)
  return !Number.isNaN(time) && time === lastModified && isStrongDate(lastModified, date)
}

/** One range, which may have a beginning and an end, and names nothing that is not to be minded. */
export function isOneRange(range: string): boolean {
  const parts = RANGE.exec(range)
  return parts !== null && !(parts[2] !== undefined && parts[2] !== '' && Number(parts[2]) < Number(parts[1]))
}

/** Which part of which whole an answer is. */
export interface ContentRange {
  readonly from: number
  readonly to: number
  /** Of the whole. */
  readonly of: number
}

/** `bytes 0-499/1234` (RFC 9110 §14.4); null: it says something else, or not how long the whole is. */
export function readContentRange(field: string | null): ContentRange | null {
  const parts = field === null ? null : /^bytes[ \t]+(\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(field.trim())
  if (parts === null) return null
  const range = { from: Number(parts[1]), to: Number(parts[2]) + 1, of: Number(parts[3]) }
  return range.from < range.to && range.to <= range.of ? range : null
}

/** By which parts of the same are known (RFC 9110 §8.8.1); null: there is no such. */
export function strongValidator({ etag, lastModified, date }: Validators): string | null {
  if (etag !== null) return etag.startsWith('"') ? etag : null
  return isStrongDate(lastModified, date) ? String(lastModified) : null
}

/** RFC 9110 §8.8.2.2. */
function isStrongDate(lastModified: number, date: number): boolean {
  return date - lastModified >= 1000
}

/** `bytes=0-`: all of it, however it is asked for. */
export function asksForAll(range: string): boolean {
  return /^bytes[ \t]*=[ \t]*0-[ \t]*$/i.test(range)
}
