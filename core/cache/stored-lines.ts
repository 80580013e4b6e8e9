/** The field lines of an answer that is kept: what of the received ones is kept, and what a 304 changes of them (RFC 9111 §3.1, §3.2). Pure. */
import type { ResponseHead } from '../net/http1/head.ts'
import { loosenResponse } from '../net/http1/loosen.ts'

/** Written anew for each answer; what tells of trailers, which are not kept; what is between two that stand next to each other (RFC 9111 §3.1). */
const NOT_KEPT = ['content-length', 'age', 'trailer', 'te', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization']
const NOT_KEPT_LENGTHS = NOT_KEPT.reduce((lengths, { length }) => lengths | (1 << length), 0)
/** A 304 is about the body that is kept, not about another one. */
const NOT_UPDATED = new Set([...NOT_KEPT, 'content-encoding', 'content-range', 'content-type', 'set-cookie'])
/** What a 304 to a client tells (RFC 9110 §15.4.5). */
const TOLD = new Set(['cache-control', 'cdn-cache-control', 'content-location', 'date', 'etag', 'expires', 'vary', 'cache-status'])

/** `now`: the Date where the endpoint said nothing (RFC 9110 §6.6.1), in milliseconds. */
export function linesToKeep(head: ResponseHead, now: number): string {
  let lines = withoutNamed(head.lines(), isNotKept, NOT_KEPT_LENGTHS)
  // Of what is no part it says nothing (RFC 9110 §14.4), and a later part of it has one of its own.
  if (head.status !== 206 && head.has('content-range')) lines = linesOfWhole(lines)
  return head.hasDate ? lines : `${lines}Date: ${new Date(now).toUTCString()}\r\n`
}

/** By comparison: a set would look the name up among all texts that there are first. */
function isNotKept(name: string): boolean {
  return NOT_KEPT.includes(name)
}

/** Of the same body in that coding; null: in none, as others may get one. The head has all but that. */
export function linesInCoding(head: ResponseHead, coding: string | null): string {
  if (coding !== null) {
    loosenResponse(head)
    head.set('Content-Encoding', coding)
  }
  let lines = ''
  head.forEach((name, value) => {
    lines += `${name}: ${value}\r\n`
  })
  return lines
}

/** `lines` with each field that the 304 has in the place of the one that was there. */
export function updatedLines(lines: string, update: ResponseHead, date: string): string {
  const named = new Set<string>()
  let added = ''
  update.forEach((name, value) => {
    const lower = name.toLowerCase()
    if (NOT_UPDATED.has(lower)) return
    named.add(lower)
    added += `${name}: ${value}\r\n`
  })
  if (!named.has('date')) {
    named.add('date')
    added += `Date: ${date}\r\n`
  }
  return withoutNamed(lines, (name) => named.has(name)) + added
}

/** `hasTag`: the client tells answers apart by that; else by Last-Modified. */
export function linesOf304(lines: string, hasTag: boolean): string {
  return withoutNamed(lines, (name) => !TOLD.has(name) && (hasTag || name !== 'last-modified'))
}

/** Of the whole that an answer is a part of. */
export function linesOfWhole(lines: string): string {
  return withoutNamed(lines, (name) => name === 'content-range')
}

/** Of an answer that has no body to describe. */
export function linesOf416(lines: string): string {
  return withoutNamed(lines, (name) => name.startsWith('content-') || name === 'etag' || name === 'last-modified')
}

/** `lengths`: a bit for each length (modulo 32) of a name that `isOut` may be true of. */
function withoutNamed(lines: string, isOut: (name: string) => boolean, lengths = -1): string {
  let left = ''
  let from = 0
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(':', at)
    const end = lines.indexOf('\n', colon) + 1
    if ((lengths & (1 << (colon - at))) !== 0 && isOut(lines.slice(at, colon).toLowerCase())) {
      left += lines.slice(from, at)
      from = end
    }
    at = end
  }
  return left + lines.slice(from)
}
