/**
 * Cache-Control of requests and of responses (RFC 9111 §5.2), read leniently where that makes a cache store less or ask more often, and
 * never the other way. Pure.
 */
import { flat } from './flat-text.ts'

/** Ages are in seconds; -1: not said. */
export interface ResponseDirectives {
  noStore: boolean
  /** Also `no-cache="field"`: told of some fields, it is kept for all. */
  noCache: boolean
  /** Also `private="field"`. */
  isPrivate: boolean
  isPublic: boolean
  mustRevalidate: boolean
  proxyRevalidate: boolean
  mustUnderstand: boolean
  /** RFC 8246. */
  immutable: boolean
  maxAge: number
  sMaxage: number
  /** RFC 5861. */
  staleWhileRevalidate: number
  staleIfError: number
}

export interface RequestDirectives {
  noStore: boolean
  noCache: boolean
  onlyIfCached: boolean
  maxAge: number
  minFresh: number
  /** Infinity: however stale. */
  maxStale: number
  staleIfError: number
}

/** RFC 9111 §1.2.2: more than a cache can count is this. */
const MOST_SECONDS = 2147483648

export function noDirectives(): ResponseDirectives {
  return {
    ...{ noStore: false, noCache: false, isPrivate: false, isPublic: false, mustRevalidate: false, proxyRevalidate: false },
    ...{ mustUnderstand: false, immutable: false, maxAge: -1, sMaxage: -1, staleWhileRevalidate: -1, staleIfError: -1 },
  }
}

/** The same object for the same text, most of the time: an endpoint says the same of most of its answers. */
export function readResponseDirectives(text: string | null): Readonly<ResponseDirectives> {
  if (text === null) return NOTHING
  if (text === lastText) return lastFound
  const found = noDirectives()
  eachDirective(text, (name, value) => applyDirective(found, name, value))
  lastText = flat(text)
  lastFound = found
  return found
}

const NOTHING: Readonly<ResponseDirectives> = noDirectives()
let lastText = ''
let lastFound = NOTHING

/** One directive of a response, by its lower-case name. */
export function applyDirective(found: ResponseDirectives, name: string, value: string | null): void {
  switch (name) {
    case 'no-store':
      found.noStore = true
      return
    case 'no-cache':
      found.noCache = true
      return
    case 'private':
      found.isPrivate = true
      return
    case 'public':
      found.isPublic = true
      return
    case 'must-revalidate':
      found.mustRevalidate = true
      return
    case 'proxy-revalidate':
      found.proxyRevalidate = true
      return
    case 'must-understand':
      found.mustUnderstand = true
      return
    case 'immutable':
      found.immutable = true
      return
    case 'max-age':
      found.maxAge = shorter(found.maxAge, value)
      return
    case 's-maxage':
      found.sMaxage = shorter(found.sMaxage, value)
      return
    case 'stale-while-revalidate':
      found.staleWhileRevalidate = shorter(found.staleWhileRevalidate, value)
      return
    case 'stale-if-error':
      found.staleIfError = shorter(found.staleIfError, value)
  }
}

export function readRequestDirectives(text: string): RequestDirectives {
  const found = { noStore: false, noCache: false, onlyIfCached: false, maxAge: -1, minFresh: -1, maxStale: -1, staleIfError: -1 }
  eachDirective(text, (name, value) => {
    if (name === 'no-store') found.noStore = true
    else if (name === 'no-cache') found.noCache = true
    else if (name === 'only-if-cached') found.onlyIfCached = true
    else if (name === 'max-age') found.maxAge = shorter(found.maxAge, value)
    else if (name === 'min-fresh') found.minFresh = Math.max(found.minFresh, secondsOf(value) ?? MOST_SECONDS)
    else if (name === 'max-stale') found.maxStale = value === null ? Number.POSITIVE_INFINITY : shorter(found.maxStale, value)
    else if (name === 'stale-if-error') found.staleIfError = shorter(found.staleIfError, value)
  })
  return found
}

/**
 * Of two that differ the one that ends sooner, and what is no number ends at once (RFC 9111 §4.2.1): no cache may hold an answer longer
 * than any reading of its head allows.
 */
function shorter(before: number, value: string | null): number {
  const seconds = secondsOf(value) ?? 0
  return before < 0 ? seconds : Math.min(before, seconds)
}

/** delta-seconds (RFC 9111 §1.2.2); null if it is none. */
export function secondsOf(text: string | null): number | null {
  if (text === null || !/^\d+$/.test(text)) return null
  return Math.min(Number(text), MOST_SECONDS)
}

/** `name`, `name=token`, `name="text"`, separated by commas (RFC 9111 §5.2); names in lower case, values without their quotes. */
export function eachDirective(text: string, see: (name: string, value: string | null) => void): void {
  const { length } = text
  for (let at = 0; at < length; ) {
    let end = at
    while (end < length && text.charCodeAt(end) !== COMMA && text.charCodeAt(end) !== EQUALS) end++
    const name = text.slice(at, end).trim().toLowerCase()
    if (text.charCodeAt(end) !== EQUALS) {
      if (name !== '') see(name, null)
      at = end + 1
      continue
    }
    let from = end + 1
    while (isBlank(text.charCodeAt(from))) from++
    at = text.charCodeAt(from) === QUOTE ? endOfQuoted(text, from) : from
    while (at < length && text.charCodeAt(at) !== COMMA) at++
    const value = text.slice(from, at).trim()
    if (name !== '') see(name, unquoted(value))
    at++
  }
}

const COMMA = 44
const EQUALS = 61
const QUOTE = 34
const BACKSLASH = 92

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}

/** Behind the quote that ends it; the end of the text if none does. */
function endOfQuoted(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return at + 1
    if (code === BACKSLASH) at++
  }
  return text.length
}

function unquoted(value: string): string {
  if (value.length < 2 || value.charCodeAt(0) !== QUOTE || value.charCodeAt(value.length - 1) !== QUOTE) return value
  return value.slice(1, -1).replace(/\\(.)/g, '$1')
}
