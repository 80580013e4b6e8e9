/** What must hold between the parts of an upstream that keep it in service. What is wrong in shape is told elsewhere, and passed over here. */
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import { parseDuration } from './units.ts'

export function checkSafeguards({ retries, timeouts, healthCheck, limits }: Plain, path: Path, report: Report): void {
  if (isObject(limits)) checkLimits(limits, [...path, 'limits'], report)
  if (isObject(healthCheck)) checkHealthCheck(healthCheck, [...path, 'healthCheck'], report)
  if (isObject(retries) && isObject(timeouts) && msOf(retries.perTry) > msOf(timeouts.total))
    report.error(
      [...path, 'retries', 'perTry'],
      `one try may take longer than all of them together: timeouts.total is ${show(timeouts.total)}`,
    )
}

function checkLimits({ connections, pending, maxWait }: Plain, path: Path, report: Report): void {
  if (connections === undefined && pending !== undefined)
    report.error([...path, 'pending'], 'nobody has to wait where connections has no limit: say how many there may be, too')
  if (maxWait !== undefined && (pending === undefined || pending === 0))
    report.error([...path, 'maxWait'], 'nobody may wait: pending says how many do')
}

function checkHealthCheck({ type, ...rest }: Plain, path: Path, report: Report): void {
  for (const name of ['path', 'host', 'status'])
    if ((type === 'tcp' || type === 'tls') && rest[name] !== undefined)
      report.error([...path, name], `a check of the type ${show(type)} asks for nothing: ${name} is for 'http'`)
}

/** NaN, which is neither more nor less than anything: it is not given, or is no duration. */
function msOf(duration: unknown): number {
  return typeof duration === 'string' ? (parseDuration(duration) ?? Number.NaN) : Number.NaN
}
