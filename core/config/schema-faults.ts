/** Options of `faults`: shares of all requests, which together are no more than all. */
import { isObject } from './report.ts'
import { fieldMatches } from './schema-match.ts'
import { between, chosen, duration, object, refused, type Schema, whole } from './schema-values.ts'

const share = between(0, 1)

const fields = object({
  delay: object({ for: duration, share }, ['for', 'share']),
  abort: object({ status: whole(200, 599), share }, ['status', 'share']),
  cut: object({ share }, ['share']),
  headers: fieldMatches,
})

export const faultsOptions: Schema = chosen((value) => {
  if (!isObject(value)) return fields
  const { delay, abort, cut } = value
  if (delay === undefined && abort === undefined && cut === undefined) return refused('expected delay, abort or cut')
  if (shareOf(abort) + shareOf(cut) > 1) return refused('abort and cut have more than all requests between them')
  return fields
})

function shareOf(fault: unknown): number {
  return isObject(fault) && typeof fault.share === 'number' ? fault.share : 0
}
