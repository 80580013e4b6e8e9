/**
 * What is told of a tunnel when it ends: facts alone, noted when it began, so that a tunnel keeps no exchange and no plan alive. Hooks of
 * the log are held until then.
 */
import { monotonicMs } from '../clock.ts'
import type { EndedExchange, Observer } from '../events.ts'
import type { Meter } from '../policy/quota.ts'
import type { Endpoint } from '../upstream/endpoint.ts'

/** What the proxy itself ended a WebSocket for. */
export type TunnelFailure = Pick<EndedExchange, 'reason' | 'detail' | 'decidedBy'> &
  /** Known since it began. */
  Partial<Pick<EndedExchange, 'endpoint' | 'attempts'>>
/** What the proxy cut a tunnel for; null: its sides ended it. */
export function cutFor(reason: TunnelFailure['reason']): TunnelFailure | null {
  return reason === null ? null : { reason, detail: null, decidedBy: null }
}
export type TunnelEnded = (bytesIn: number, bytesOut: number, why?: TunnelFailure | null) => void

export interface TunnelBeginning {
  readonly started: number
  readonly observer: Observer
  /** It counts the tunnel as under way until then. */
  readonly endpoint: Endpoint | null
  /** Null: there is no quota. */
  readonly meter: Meter | null
  /** To be called when it ends. */
  readonly endings: readonly (() => void)[] | null
}

/** Returns what to call, once, when both sides are closed. */
export function tunnelEnd(began: EndedExchange, { started, observer, endpoint, meter, endings }: TunnelBeginning): TunnelEnded {
  const facts = noteFacts(began)
  const hooks = facts.logHooks ?? []
  for (const hook of hooks) hook.hold()
  return (bytesIn, bytesOut, why = null) => {
    if (endpoint !== null) endpoint.inFlight--
    if (meter !== null) meter.end(bytesIn + bytesOut)
    observer.exchangeEnded({ ...facts, ...why, bytesIn, bytesOut, durationMs: monotonicMs() - started })
    for (const hook of hooks) hook.release()
    if (endings !== null) for (const ending of endings) ending()
  }
}

function noteFacts(x: EndedExchange): EndedExchange {
  const { listener, route, upstream, endpoint, id, protocol, method, host, path, search, userAgent, referer, ip, peer } = x
  const { status, reason, detail, decidedBy, bytesIn, bytesOut, startedAt, durationMs, upstreamMs, attempts, tunnel } = x
  const { serial, generation, scheme, logHooks, logged, clientCertificate, user, moved, cache, destination } = x
  // A copy: a slice would keep all that was read with it.
  const received = Buffer.from(x.received, 'latin1').latin1Slice()
  return {
    ...{ listener, route, upstream, endpoint, id, protocol, method, host, path, search, userAgent, referer, ip, peer },
    ...{ status, reason, detail, decidedBy, bytesIn, bytesOut, startedAt, durationMs, upstreamMs, attempts, tunnel },
    ...{ serial, generation, scheme, received, logHooks, logged, clientCertificate, user, moved, cache, destination },
  }
}
