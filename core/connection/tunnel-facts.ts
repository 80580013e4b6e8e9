/** What is told of one connection to a TCP or SOCKS listener, or of one session of UDP, when it ends. Facts alone: a tunnel keeps no plan alive. */

import { monotonicMs, toEpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { EndedTunnel, Observer } from '../events.ts'

export interface TunnelBeginning {
  readonly listener: string
  readonly id: string
  readonly ip: string
}

export class TunnelFacts implements EndedTunnel {
  readonly listener: string
  readonly id: string
  readonly ip: string
  protocol: EndedTunnel['protocol'] = 'TCP'
  destination: string | null = null
  user: string | null = null
  sni: string | null = null
  route: string | null = null
  upstream: string | null = null
  endpoint: string | null = null
  reason: ErrorCode | null = null
  detail: string | null = null
  decidedBy: string | null = null
  bytesIn = 0
  bytesOut = 0
  datagramsIn = 0
  datagramsOut = 0
  durationMs = 0
  connectMs = Number.NaN
  attempts = 0
  readonly started = monotonicMs()
  readonly #observer: Observer
  #told = false

  constructor({ listener, id, ip }: TunnelBeginning, observer: Observer) {
    this.listener = listener
    this.id = id
    this.ip = ip
    this.#observer = observer
  }

  get startedAt(): number {
    return toEpochMs(this.started)
  }

  /** Told once: the first end is the reason. */
  end(reason: ErrorCode | null, detail: string | null): void {
    if (this.#told) return
    this.#told = true
    this.reason = reason
    this.detail = detail
    this.durationMs = monotonicMs() - this.started
    this.#observer.tunnelEnded(this)
  }
}
