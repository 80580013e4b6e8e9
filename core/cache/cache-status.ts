/** Cache-Status (RFC 9211): what the cache did with a request, told on its answer. Pure. */

/** Why a request went on (RFC 9211 §2.2). */
export type Forwarded = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'request' | 'stale' | 'partial'

/** One of the answers that the cache gives itself. `ttl`: seconds left, negative when it is stale. */
export function hitStatus(name: string, ttl: number, detail: string | null = null): string {
  return `${name}; hit; ttl=${ttl}${detail === null ? '' : `; detail=${detail}`}`
}

export interface ForwardedStatus {
  /** Null: it did not go on. */
  readonly why: Forwarded | null
  /** Of the endpoint's answer, where the client gets another one. */
  readonly status?: number
  readonly stored: boolean
  /** It waited for another request's answer. */
  readonly collapsed?: boolean
  /** A token: why it was not stored, or what else is to be said. */
  readonly detail?: string | null
}

export function forwardedStatus(name: string, { why, status, stored, collapsed = false, detail = null }: ForwardedStatus): string {
  let text = why === null ? name : `${name}; fwd=${why}`
  if (status !== undefined) text += `; fwd-status=${status}`
  if (stored) text += '; stored'
  if (collapsed) text += '; collapsed'
  return detail === null ? text : `${text}; detail=${detail}`
}

/** A name as a token of structured fields, or as a string of them. */
export function cacheName(name: string): string {
  if (/^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(name)) return name
  return `"${name.replace(/["\\]/g, '\\$&')}"`
}
