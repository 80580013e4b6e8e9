/** What a hook may return, copied into plain strings and checked: `respond(…)`, `routeTo(…)`, or nothing. */
import { Failure, isArray, ownKeys } from './primordials.ts'
import { check, isStatus } from './views.ts'

export type Reply =
  | { readonly kind: 'respond'; readonly status: number; readonly body: string; readonly fields: readonly string[] }
  | { readonly kind: 'routeTo'; readonly upstream: string }

/** A reply may be written by hand, as an object with a status. */
export function readReply(value: unknown): Reply {
  if (typeof value !== 'object' || value === null || isArray(value)) throw new Failure('a hook returns respond(…), routeTo(…) or nothing')
  const { kind, status, body, headers, upstream } = value as Record<string, unknown>
  if (kind === 'routeTo') {
    if (typeof upstream !== 'string' || upstream.length > 256) throw new Failure('routeTo takes the name of an upstream')
    return { kind: 'routeTo', upstream }
  }
  if (kind === 'deny') throw new Failure('deny() is for hooks of a connection; a request is refused with respond(403)')
  if (!isStatus(status)) throw new Failure('a hook returns respond(…), routeTo(…) or nothing; a status is a whole number from 200 to 599')
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
