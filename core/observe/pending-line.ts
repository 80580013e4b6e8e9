/**
 * A line of the access log that hooks are asked about before it is written: what its exchange was, copied so that nothing of it stays
 * alive. Of what a hook answers only texts that tell of the client are taken over; everything else stays as it happened.
 */
import type { ErrorCode } from '../errors.ts'
import type { EndedExchange } from '../events.ts'
import type { LogFields } from '../hooks.ts'
import type { ClientCertificate } from '../net/client-certificate.ts'
import type { LogEntry } from '../plugin.ts'
import { isoTime } from './access-line.ts'

/** What a hook may write anew. */
const TEXTS = [
  'host',
  'path',
  'query',
  'userAgent',
  'referer',
  'ip',
  'user',
  'cache',
  'peer',
  'clientSubject',
  'destination',
  'sni',
] as const satisfies readonly (keyof LogEntry)[]
/** Of each: more than any request line has. */
const MOST_TEXT = 8_192
export const MASK = '-'

export class PendingLine implements EndedExchange {
  readonly listener: string
  readonly route: string | null
  readonly upstream: string | null
  readonly endpoint: string | null
  readonly id: string
  readonly serial: number
  readonly generation: number
  readonly scheme: 'http' | 'https'
  readonly protocol: EndedExchange['protocol']
  readonly method: string
  readonly status: number
  readonly reason: ErrorCode | null
  readonly detail: string | null
  readonly decidedBy: string | null
  readonly bytesIn: number
  readonly bytesOut: number
  readonly startedAt: number
  readonly durationMs: number
  readonly upstreamMs: number
  readonly attempts: number
  readonly moved: EndedExchange['moved']
  readonly tunnel: boolean
  /** No line says it, and it is the longest of all. */
  readonly received = ''
  readonly logHooks = null
  destination: string | null
  host: string
  path: string
  search: string
  userAgent: string | null
  referer: string | null
  ip: string
  peer: string
  clientCertificate: ClientCertificate | null
  logged: EndedExchange['logged']
  user: string | null
  readonly cache: string | null
  isMasked = false

  constructor(x: EndedExchange) {
    this.listener = x.listener
    this.route = x.route
    this.upstream = x.upstream
    this.endpoint = x.endpoint
    this.id = x.id
    this.serial = x.serial
    this.generation = x.generation
    this.scheme = x.scheme
    this.protocol = x.protocol
    this.status = x.status
    this.reason = x.reason
    this.detail = x.detail
    this.decidedBy = x.decidedBy
    this.bytesIn = x.bytesIn
    this.bytesOut = x.bytesOut
    this.startedAt = x.startedAt
    this.durationMs = x.durationMs
    this.upstreamMs = x.upstreamMs
    this.attempts = x.attempts
    this.moved = x.moved
    this.tunnel = x.tunnel
    this.destination = x.destination
    const take = copied(x.method, x.host, x.path, x.search, x.ip, x.userAgent ?? '', x.referer ?? '')
    this.method = take()
    this.host = take()
    this.path = take()
    this.search = take()
    this.ip = take()
    const userAgent = take()
    this.userAgent = x.userAgent === null ? null : userAgent
    const referer = take()
    this.referer = x.referer === null ? null : referer
    this.peer = x.peer
    this.clientCertificate = x.clientCertificate
    this.logged = x.logged
    this.user = x.user
    this.cache = x.cache
  }

  /** As hooks see it. */
  fields(): LogFields {
    return {
      kind: 'exchange',
      time: isoTime(this.startedAt),
      id: this.id,
      listener: this.listener,
      route: this.route,
      upstream: this.upstream,
      endpoint: this.endpoint,
      protocol: this.protocol,
      method: this.method,
      status: this.status,
      host: this.host,
      path: this.path,
      query: this.search,
      ip: this.ip,
      peer: this.peer,
      userAgent: this.userAgent,
      referer: this.referer,
      clientSubject: this.clientCertificate?.subject ?? null,
      user: this.user,
      destination: this.destination,
      sni: null,
      cache: this.cache,
      reason: this.reason,
      decidedBy: this.decidedBy,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      datagramsIn: 0,
      datagramsOut: 0,
      durationMs: Math.round(this.durationMs * 1_000) / 1_000,
    } satisfies LogEntry & LogFields
  }

  /** Takes over what `isEntry` has found good. A text that is missing was taken out. */
  take(entry: LogFields): void {
    const { host } = this
    const isAlone = this.peer === this.ip
    const ip = textOf(entry.ip) ?? MASK
    const peer = textOf(entry.peer) ?? MASK
    // A line tells of the peer only where that is not the client: to hide the client's address is enough.
    this.peer = isAlone && peer === this.peer ? ip : peer
    this.ip = ip
    // To hide one of the two is enough.
    const isHidden = entry.destination !== this.destination
    this.host = textOf(isHidden ? entry.destination : entry.host) ?? MASK
    if (this.destination !== null) this.destination = isHidden || entry.host === host ? textOf(entry.destination) : this.host
    this.path = textOf(entry.path) ?? MASK
    const query = textOf(entry.query) ?? ''
    this.search = query === '' || query.startsWith('?') ? query : `?${query}`
    this.userAgent = textOf(entry.userAgent)
    this.referer = textOf(entry.referer)
    this.user = textOf(entry.user)
    // The rest of a certificate tells as much as its subject.
    if (entry.clientSubject !== this.clientCertificate?.subject) this.clientCertificate = null
  }

  /** Nothing that a hook might have hidden is left in it. */
  mask(): void {
    this.isMasked = true
    this.host = this.path = this.ip = this.peer = MASK
    if (this.destination !== null) this.destination = MASK
    this.search = ''
    this.clientCertificate = null
    if (this.logged !== null) this.logged = { ...this.logged, more: null }
    if (this.user !== null) this.user = MASK
    if (this.userAgent !== null) this.userAgent = MASK
    if (this.referer !== null) this.referer = MASK
  }
}

/** Whether it can be taken over: an object whose texts are texts, null, or missing. */
export function isEntry(entry: unknown): entry is LogFields {
  if (typeof entry !== 'object' || entry === null) return false
  const fields = entry as Readonly<Record<string, unknown>>
  return TEXTS.every((name) => fields[name] === undefined || fields[name] === null || typeof fields[name] === 'string')
}

export function textOf(value: LogFields[string] | undefined): string | null {
  return typeof value === 'string' ? value.slice(0, MOST_TEXT) : null
}

/** The same texts, one at a call: slices of one copy. As they were, each would keep all that was read with it. */
function copied(...texts: readonly string[]): () => string {
  const all = texts.join('')
  // Only a hook can have written what is not latin1, and then there is nothing of a read behind it.
  const copy = /[^\x00-\xff]/.test(all) ? all : Buffer.from(all, 'latin1').latin1Slice()
  let [next, at] = [0, 0]
  return () => {
    const from = at
    at += texts[next++]!.length
    return copy.slice(from, at)
  }
}
