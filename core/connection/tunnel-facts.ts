/**
 * What is told of one connection to a TCP or SOCKS listener, or of one session of UDP, when it ends. Facts alone: a tunnel keeps no plan
 * alive. Hooks of the log are held until then.
 */
import { monotonicMs, toEpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { EndedTunnel, Observer } from '../events.ts'
import type { Hook } from '../hooks.ts'
import type { GrantedTunnel } from '../http/interception.ts'

/** What a service of any kind has, to begin with. */
export interface TunnelService {
  readonly listener: { readonly name: string; readonly logHooks: readonly Hook[] | null }
  readonly generation: number
  readonly observer: Pick<Observer, 'tunnelEnded'>
  requestId(serial: number): string
  nextSerial(): number
}

export class TunnelFacts implements EndedTunnel {
  readonly listener: string
  readonly id: string
  readonly serial: number
  readonly generation: number
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
  logHooks: readonly Hook[] | null = null
  readonly started = monotonicMs()
  readonly #observer: Pick<Observer, 'tunnelEnded'>
  #ending: (() => void) | null = null
  #isOver = false

  constructor({ listener, generation, observer, requestId, nextSerial }: TunnelService, ip: string) {
    this.listener = listener.name
    this.generation = generation
    this.serial = nextSerial()
    this.id = requestId(this.serial)
    this.ip = ip
    this.#observer = observer
    this.#hold(listener.logHooks)
  }

  get startedAt(): number {
    return toEpochMs(this.started)
  }

  /** A route was chosen, which may have more hooks of the log than its listener. */
  routed({ id, logHooks }: { readonly id: string; readonly logHooks: readonly Hook[] | null }): void {
    this.route = id
    this.#hold(logHooks)
  }

  /** At most one. */
  whenEnded(ending: () => void): void {
    this.#ending = ending
  }

  /** Told once: the first end is the reason. */
  end(reason: ErrorCode | null, detail: string | null): void {
    if (this.#isOver) return
    this.reason = reason
    this.detail = detail
    this.durationMs = monotonicMs() - this.started
    this.#isOver = true
    this.#observer.tunnelEnded(this)
    this.#ending?.()
    this.#hold(null)
  }

  /** It goes on as something that tells of itself: nothing is told of it. */
  handedOver(): void {
    this.#isOver = true
    this.#hold(null)
  }

  #hold(hooks: readonly Hook[] | null): void {
    if (hooks === this.logHooks) return
    if (hooks !== null) for (const hook of hooks) hook.hold()
    if (this.logHooks !== null) for (const hook of this.logHooks) hook.release()
    this.logHooks = hooks
  }
}

/** Of a tunnel that CONNECT was granted: its exchange is told of what came of it. */
export function factsOfGranted(listener: string, { id, serial, generation, ip, ended }: GrantedTunnel): TunnelFacts {
  const observer: TunnelService['observer'] = {
    tunnelEnded: ({ bytesIn, bytesOut, reason, detail, decidedBy, endpoint, attempts }) =>
      ended(bytesIn, bytesOut, { reason, detail, decidedBy, endpoint, attempts }),
  }
  // Hooks of the log are the exchange's.
  const listenerOf = { name: listener, logHooks: null }
  return new TunnelFacts({ listener: listenerOf, generation, observer, requestId: () => id, nextSerial: () => serial }, ip)
}
