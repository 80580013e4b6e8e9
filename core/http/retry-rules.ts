/** What a failed try allows: which failures count as which word of `retries.on`, and how long to wait before the same endpoint. Pure. */
import type { ErrorCode } from '../errors.ts'
import type { RetryPlan } from '../plan/upstream-plan.ts'

/** More of a request's body is not kept for another try. */
export const KEPT_BODY_BYTES = 65_536

const FIRST_PAUSE_MS = 25
const LONGEST_PAUSE_MS = 400

/** `connect`: nothing of the request was sent. The others may be tried again only with what may be sent twice. */
export type Repeatable = 'connect' | 'replay' | null

export function repeatable(code: ErrorCode, { onConnect, onReset, onTimeout }: RetryPlan): Repeatable {
  switch (code) {
    case 'dns_error':
    case 'connect_refused':
    case 'connect_failed':
    case 'tls_error':
      return onConnect ? 'connect' : null
    case 'dns_timeout':
    case 'connect_timeout':
      return onConnect || onTimeout ? 'connect' : null
    case 'upstream_closed':
    case 'response_incomplete':
      return onReset ? 'replay' : null
    case 'response_timeout':
      return onTimeout ? 'replay' : null
    default:
      return null
  }
}

/** Before the try that follows so many, on an endpoint that has failed this request already. `chance`: from 0 to 1. */
export function pauseMs(tries: number, chance: number): number {
  const whole = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries)
  return whole / 2 + (whole / 2) * chance
}
