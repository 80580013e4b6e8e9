/** Options of `faults`: shares of all requests, which together are no more than all. */
import { isObject } from './report.ts'
import { fieldMatches } from './schema-match.ts'
import { between, duration, object, ruled, type Schema, whole } from './schema-values.ts'

const share = between(0, 1)

const fields = {
  delay: object({ for: duration, share }, ['for', 'share']),
  abort: object({ status: whole(200, 599), share }, ['status', 'share']),
  cut: object({ share }, ['share']),
  headers: fieldMatches,
}

export const faultsOptions: Schema = ruled(fields, ({ delay, abort, cut }) => {
  if (delay === undefined && abort === undefined && cut === undefined) return 'expected delay, abort or cut'
  const isTooMuch = shareOf(abort) + shareOf(cut) > 1
  return isTooMuch ? 'abort and cut have more than all requests between them' : null
})

/** One that is none is told where it stands. */
function shareOf(fault: unknown): number {
  return isObject(fault) && typeof fault.share === 'number' && fault.share <= 1 ? fault.share : 0
}
