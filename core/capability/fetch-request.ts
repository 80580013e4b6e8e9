/** A plugin's request, read and checked: nothing in it can reach another hop's framing, and nothing is larger than it may be. */
import { isFieldValue, isHostOwned, isToken } from '../net/http1/fields.ts'
import type { Arguments } from './arguments.ts'

export type Fields = readonly (readonly [name: string, value: string])[]

export interface FetchRequest {
  readonly url: URL
  readonly method: string
  readonly fields: Fields
  readonly body: Buffer | null
  readonly timeoutMs: number
  readonly redirect: 'manual' | 'follow'
}

export const MOST_REQUEST_BODY = 1024 * 1024
const MOST_URL = 8 * 1024
const MOST_FIELDS = 100
const MOST_FIELD_TEXT = 32 * 1024
/** The longest, and what it is unless asked otherwise. */
const TIMEOUT_MS = 5000

export function readFetch(args: Arguments): FetchRequest {
  const method = readMethod(args)
  const body = readBody(args)
  if (body !== null && (method === 'GET' || method === 'HEAD')) throw args.wrong('body', `cannot go with ${method}`)
  const timeoutMs = args.duration('timeout', TIMEOUT_MS)
  if (timeoutMs > TIMEOUT_MS) throw args.wrong('timeout', `takes up to ${TIMEOUT_MS / 1000}s`)
  const redirect = args.one('redirect', ['manual', 'follow'], 'manual')
  return { url: readUrl(args), method, fields: readFields(args), body, timeoutMs, redirect }
}

function readUrl(args: Arguments): URL {
  const text = args.text('url', MOST_URL)
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
    throw args.wrong('url', `takes an absolute http or https URL, not ${JSON.stringify(text.slice(0, 200))}`)
  if (url.username !== '' || url.password !== '') throw args.wrong('url', 'takes no user and password: set the field authorization')
  return url
}

/** Those that browsers refuse: CONNECT makes a tunnel, TRACE sends credentials back. */
const refusedMethods = ['CONNECT', 'TRACE', 'TRACK']
const knownMethods = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']

function readMethod(args: Arguments): string {
  const written = args.textOrNull('method', 32) ?? 'GET'
  const upper = written.toUpperCase()
  if (!isToken(written) || refusedMethods.includes(upper)) throw args.wrong('method', `cannot be ${JSON.stringify(written)}`)
  return knownMethods.includes(upper) ? upper : written
}

/** Beside what belongs to the hop: what the client of Node does something about. */
const ownFields = new Set(['expect', 'proxy-authorization', 'proxy-authenticate'])

function readFields(args: Arguments): Fields {
  if (!args.has('headers')) return []
  let text = 0
  return args.list('headers', MOST_FIELDS).map((line) => {
    if (!Array.isArray(line) || line.length !== 2) throw args.wrong('headers', 'takes pairs of a name and a value')
    const [name, value] = line as readonly unknown[]
    if (typeof name !== 'string' || !isToken(name)) throw args.wrong('headers', 'takes names that are tokens (letters, digits, -)')
    if (typeof value !== 'string' || !isFieldValue(value))
      throw args.wrong('headers', `takes text in one line, of characters up to U+00FF; ${name} has another`)
    const lower = name.toLowerCase()
    if (isHostOwned(lower) || ownFields.has(lower)) throw args.wrong('headers', `cannot have ${lower}: it belongs to the connection`)
    text += name.length + value.length
    if (text > MOST_FIELD_TEXT) throw args.wrong('headers', `takes up to ${MOST_FIELD_TEXT} characters`)
    return [name, value] as const
  })
}

/** `{ text }` or `{ base64 }`. */
function readBody(args: Arguments): Buffer | null {
  if (!args.has('body')) return null
  const body = args.part('body')
  if (!body.has('text')) return body.bytes('base64', MOST_REQUEST_BODY)
  const text = body.text('text', MOST_REQUEST_BODY)
  const bytes = Buffer.from(text)
  if (bytes.length > MOST_REQUEST_BODY) throw args.wrong('body', `takes up to ${MOST_REQUEST_BODY} bytes`)
  return bytes
}
