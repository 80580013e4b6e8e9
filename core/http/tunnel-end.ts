/** What is told of a tunnel when it ends: facts alone, noted when it began, so that a tunnel keeps no exchange and no plan alive. */
import { monotonicMs } from '../clock.ts'
import type { EndedExchange, Observer } from '../events.ts'

/** Returns what to call, once, when both sides are closed. */
export function tunnelEnd(began: EndedExchange, started: number, observer: Observer): (bytesIn: number, bytesOut: number) => void {
  const facts = noteFacts(began)
  return (bytesIn, bytesOut) => observer.exchangeEnded({ ...facts, bytesIn, bytesOut, durationMs: monotonicMs() - started })
}

function noteFacts(x: EndedExchange): EndedExchange {
  const {
    listener,
    route,
    upstream,
    endpoint,
    id,
    serial,
    generation,
    scheme,
    received,
    protocol,
    method,
    host,
    path,
    search,
    userAgent,
    referer,
    ip,
    peer,
  } = x
  const { serial, generation, scheme } = x
  const { status, reason, detail, decidedBy, bytesIn, bytesOut, startedAt, durationMs, upstreamMs, attempts, tunnel } = x
  return {
    ...{
      listener,
      route,
      upstream,
      endpoint,
      id,
      serial,
      generation,
      scheme,
      received,
      protocol,
      method,
      host,
      path,
      search,
      userAgent,
      referer,
      ip,
      peer,
    },
    // A copy: a slice would keep all that was read with it.
    ...{ serial, generation, scheme, received: Buffer.from(x.received, 'latin1').latin1Slice() },
    ...{ status, reason, detail, decidedBy, bytesIn, bytesOut, startedAt, durationMs, upstreamMs, attempts, tunnel },
  }
}
