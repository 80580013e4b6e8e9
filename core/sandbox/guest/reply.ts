/** What a hook may return, copied into plain strings and checked: `respond(…)`, `routeTo(…)`, or nothing. */
import { MAX_ASK_TEXT, MAX_BUFFERED } from '../wire.ts'
import { arrayKind, Failure, isArray, ownKeys, stringify } from './primordials.ts'
import { check, isStatus } from './views.ts'

export type Reply =
  | { readonly kind: 'respond'; readonly status: number; readonly body: string; readonly fields: readonly string[] }
  | { readonly kind: 'routeTo'; readonly upstream: string }

/** What a hook of a part answered: bytes in the place of a chunk or a message, entries of the log as they are to be written … */
export type PartReply =
  | Reply
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'deny' }
  | { readonly kind: 'entries'; readonly text: string }

export function readBodyReply(value: unknown, mayRespond: boolean): PartReply {
  if (typeof value === 'string') {
    if (value.length > MAX_BUFFERED) throw new Failure(`more than ${MAX_BUFFERED / 2 ** 20} MiB of text in one answer`)
    return { kind: 'text', text: value }
  }
  if (arrayKind(value) === 'Uint8Array') return { kind: 'bytes', bytes: value as Uint8Array }
  if (typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'deny') return { kind: 'deny' }
  if (!mayRespond)
    throw new Failure(`a hook of a body, a message or data returns bytes (Uint8Array), text, deny() or nothing, not ${got(value)}`)
  const reply = readReply(value)
  if (reply.kind !== 'respond') throw new Failure('routeTo is for onRequest: a body may already be on its way')
  return reply
}

export function readConnectionReply(value: unknown): PartReply {
  const { kind } = (typeof value === 'object' && value !== null ? value : {}) as { kind?: unknown }
  if (kind === 'deny') return { kind: 'deny' }
  if (kind === 'routeTo') return readReply(value)
  throw new Failure(`a hook of a connection returns deny(), routeTo(…) or nothing, not ${got(value)}`)
}

/** As many as were given. */
export function readEntries(value: unknown, count: number): PartReply {
  if (!isArray(value) || value.length !== count) throw new Failure(`onLog returns as many entries as it was given, ${count}, or nothing`)
  const text = stringify(value)
  if (text.length > MAX_ASK_TEXT) throw new Failure('onLog returned more than 2 MiB')
  return { kind: 'entries', text }
}

/** A reply may be written by hand, as an object with a status. */
export function readReply(value: unknown): Reply {
  if (typeof value !== 'object' || value === null || isArray(value))
    throw new Failure(`a hook returns respond(…), routeTo(…) or nothing, not ${got(value)}`)
  const { kind, status, body, headers, upstream } = value as Record<string, unknown>
  if (kind === 'routeTo') {
    if (typeof upstream !== 'string' || upstream.length > 256) throw new Failure('routeTo takes the name of an upstream')
    return { kind: 'routeTo', upstream }
  }
  if (kind === 'deny') throw new Failure('deny() is for hooks of a connection; a request is refused with respond(403)')
  if (!isStatus(status))
    throw new Failure(
      `a hook returns respond(…), routeTo(…) or nothing; a status is a whole number from 200 to 599, not ${typeof status === 'number' ? status : typeof status}`,
    )
  if (body !== undefined && typeof body !== 'string') throw new Failure('the body of an answer is a string')
  return { kind: 'respond', status, body: body ?? '', fields: readFields(headers) }
}

function readFields(headers: unknown): string[] {
  const fields: string[] = []
  if (headers === undefined) return fields
  if (typeof headers !== 'object' || headers === null) throw new Failure('the headers of an answer are an object of names and values')
  let n = 0
  for (const name of ownKeys(headers)) {
    if (typeof name !== 'string') continue
    const value = `${(headers as Record<string, unknown>)[name]}`
    check(name, value)
    fields[n++] = name
    fields[n++] = value
  }
  return fields
}

/** What a hook returned, in words. */
function got(value: unknown): string {
  if (value === null) return 'null'
  if (isArray(value)) return 'an array'
  const kind = arrayKind(value)
  if (typeof kind === 'string') return `a ${kind}`
  return typeof value === 'object' ? 'such an object' : `a ${typeof value}`
}
