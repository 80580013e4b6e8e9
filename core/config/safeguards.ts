/** What must hold between the parts of an upstream that keep it in service. What is wrong in shape is told elsewhere, and passed over here. */
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import { parseDuration } from './units.ts'

export function checkSafeguards({ retries, timeouts }: Plain, path: Path, report: Report): void {
  if (isObject(retries) && isObject(timeouts) && msOf(retries.perTry) > msOf(timeouts.total))
    report.error(
      [...path, 'retries', 'perTry'],
      `one try may take longer than all of them together: timeouts.total is ${show(timeouts.total)}`,
    )
}

/** NaN, which is neither more nor less than anything: it is not given, or is no duration. */
function msOf(duration: unknown): number {
  return typeof duration === 'string' ? (parseDuration(duration) ?? Number.NaN) : Number.NaN
}
