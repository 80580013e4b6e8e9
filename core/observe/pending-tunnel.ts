/**
 * A line of the access log that is not of HTTP, a tunnel's or a session's, while hooks are asked about it. As of requests (pending-line.ts),
 * only texts that tell of the client are taken over.
 */
import type { EndedTunnel } from '../events.ts'
import type { LogFields } from '../hooks.ts'
import type { LogEntry } from '../plugin.ts'
import { isoTime } from './access-line.ts'
import { MASK, textOf } from './pending-line.ts'
import { isOfDatagrams } from './tunnel-line.ts'

export class PendingTunnel implements EndedTunnel {
  readonly listener: string
  readonly route: string | null
  readonly upstream: string | null
  readonly id: string
  readonly serial: number
  readonly generation: number
  readonly protocol: EndedTunnel['protocol']
  readonly reason: EndedTunnel['reason']
  readonly decidedBy: string | null
  readonly bytesIn: number
  readonly bytesOut: number
  readonly datagramsIn: number
  readonly datagramsOut: number
  readonly startedAt: number
  readonly durationMs: number
  readonly connectMs: number
  readonly attempts: number
  readonly logHooks = null
  endpoint: string | null
  destination: string | null
  user: string | null
  sni: string | null
  ip: string
  detail: string | null
  isMasked = false

  constructor(x: EndedTunnel) {
    this.listener = x.listener
    this.route = x.route
    this.upstream = x.upstream
    this.id = x.id
    this.serial = x.serial
    this.generation = x.generation
    this.protocol = x.protocol
    this.reason = x.reason
    this.decidedBy = x.decidedBy
    this.bytesIn = x.bytesIn
    this.bytesOut = x.bytesOut
    this.datagramsIn = x.datagramsIn
    this.datagramsOut = x.datagramsOut
    this.startedAt = x.startedAt
    this.durationMs = x.durationMs
    this.connectMs = x.connectMs
    this.attempts = x.attempts
    this.endpoint = x.endpoint
    this.destination = x.destination
    this.user = x.user
    this.sni = x.sni
    this.ip = x.ip
    this.detail = x.detail
  }

  /** As hooks see it. */
  fields(): LogFields {
    return {
      kind: isOfDatagrams(this) ? 'session' : 'tunnel',
      time: isoTime(this.startedAt),
      id: this.id,
      listener: this.listener,
      route: this.route,
      upstream: this.upstream,
      endpoint: this.endpoint,
      protocol: this.protocol,
      ...{ method: '', status: 0, host: '', path: '', query: '' },
      ip: this.ip,
      peer: this.ip,
      ...{ userAgent: null, referer: null, clientSubject: null },
      user: this.user,
      destination: this.destination,
      sni: this.sni,
      cache: null,
      reason: this.reason,
      decidedBy: this.decidedBy,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      datagramsIn: this.datagramsIn,
      datagramsOut: this.datagramsOut,
      durationMs: Math.round(this.durationMs * 1_000) / 1_000,
    } satisfies LogEntry & LogFields
  }

  /** Takes over what `isEntry` has found good. A text that is missing was taken out. */
  take(entry: LogFields): void {
    const { ip, user, destination, sni } = this
    this.ip = textOf(entry.ip) ?? MASK
    this.user = textOf(entry.user)
    this.sni = textOf(entry.sni)
    this.#moveTo(textOf(entry.destination))
    // It may say the same once more.
    if (this.ip !== ip || this.user !== user || this.destination !== destination || this.sni !== sni) this.detail = null
  }

  /** Nothing that a hook might have hidden is left in it. */
  mask(): void {
    this.isMasked = true
    this.ip = MASK
    this.detail = null
    if (this.user !== null) this.user = MASK
    if (this.sni !== null) this.sni = MASK
    if (this.destination !== null) this.#moveTo(MASK)
  }

  /** What a client names is its endpoint, too. */
  #moveTo(destination: string | null): void {
    if (this.endpoint === this.destination) this.endpoint = destination
    this.destination = destination
  }
}
