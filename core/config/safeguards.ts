/** What must hold between the parts of an upstream that keep it in service. What is wrong in shape is told elsewhere, and passed over here. */
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import { parseDuration } from './units.ts'

export function checkSafeguards(options: Plain, path: Path, report: Report): void {
  const { retries, timeouts, healthCheck, limits, hedging, sticky, endpoints } = options
  if (isObject(retries)) checkRetries(retries, [...path, 'retries'], { report, isHedged: hedging !== undefined })
  if (hedging !== undefined && sticky !== undefined)
    report.error([...path, 'hedging'], 'clients stay with their endpoint (sticky): a second one knows nothing of them', 'key')
  if (
    hedging !== undefined &&
    Array.isArray(endpoints) &&
    endpoints.filter((one) => one !== false && one !== null && one !== undefined).length === 1
  )
    report.warn([...path, 'hedging'], 'there is no second endpoint to ask', 'key')
  if (isObject(limits)) checkLimits(limits, [...path, 'limits'], report)
  if (isObject(healthCheck)) checkHealthCheck(healthCheck, [...path, 'healthCheck'], report)
  if (isObject(retries) && isObject(timeouts) && msOf(retries.perTry) > msOf(timeouts.total))
    report.error(
      [...path, 'retries', 'perTry'],
      `one try may take longer than all of them together: timeouts.total is ${show(timeouts.total)}`,
    )
}

/** Alone, one attempt is a number as others: nothing is tried again. */
function checkRetries({ attempts, on, budget }: Plain, path: Path, { report, isHedged }: { report: Report; isHedged: boolean }): void {
  if (attempts !== 1) return
  const what = on !== undefined ? 'on' : budget !== undefined && !isHedged ? 'budget' : null
  if (what === null) return
  const message = `the first try counts, so with 1 nothing is tried again, and ${what} says nothing: 2 is for one more`
  report.error([...path, 'attempts'], message)
}

function checkLimits({ connections, pending, maxWait, adaptive }: Plain, path: Path, report: Report): void {
  if (connections === undefined && adaptive === undefined && pending !== undefined)
    report.error([...path, 'pending'], 'nobody has to wait where connections has no limit: say how many there may be, or adaptive: {}')
  if (isObject(adaptive) && Number(adaptive.min) > Number(adaptive.max ?? 1000))
    report.error([...path, 'adaptive', 'min'], `more than max, which is ${adaptive.max ?? 1000}`)
  if (maxWait !== undefined && (pending === undefined || pending === 0))
    report.error([...path, 'maxWait'], 'nobody may wait: pending says how many do')
}

function checkHealthCheck({ type, ...rest }: Plain, path: Path, report: Report): void {
  if (rest.service !== undefined && type !== 'grpc')
    report.error([...path, 'service'], "only a check of the type 'grpc' asks about a service", 'key')
  for (const name of ['path', 'status'])
    if (type === 'grpc' && rest[name] !== undefined)
      report.error([...path, name], `a check of the type 'grpc' asks grpc.health.v1.Health/Check: ${name} is for 'http'`)
  for (const name of ['path', 'host', 'status'])
    if ((type === 'tcp' || type === 'tls') && rest[name] !== undefined)
      report.error([...path, name], `a check of the type ${show(type)} asks for nothing: ${name} is for 'http'`)
}

/** NaN, which is neither more nor less than anything: it is not given, or is no duration. */
function msOf(duration: unknown): number {
  return typeof duration === 'string' ? (parseDuration(duration) ?? Number.NaN) : Number.NaN
}
