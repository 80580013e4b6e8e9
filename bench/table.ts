/** Results as a table a lane: medians over the rounds, ratios as the median of the ratios inside each round. */
import { type Lane, lanes, type SubjectName } from './lanes.ts'
import { DISTURBED, type Measured, median, type Round } from './measure.ts'

export function tables(results: readonly Measured[]): string {
  return lanes
    .flatMap((lane) => [false, true].map((accessLog) => ({ lane, accessLog })))
    .map(({ lane, accessLog }) =>
      table(
        lane,
        accessLog,
        results.filter((one) => one.lane === lane.name && one.accessLog === accessLog),
      ),
    )
    .filter(Boolean)
    .join('\n\n')
}

/** What makes the figures doubtful, one line each; empty when every answer was good and nobody disturbed. */
export function faults(results: readonly Measured[]): string[] {
  const rounds = results.flatMap((one) => one.rounds)
  const disturbed = rounds.filter((round) => round.others > DISTURBED).length
  const noise = `${disturbed} of ${rounds.length} rounds were disturbed: other processes took more than ${DISTURBED * 100} % of a core`
  return [...(disturbed > 0 ? [noise] : []), ...errorsOf(results), ...strayed(results)]
}

function errorsOf(results: readonly Measured[]): string[] {
  return results.flatMap((one) => {
    const errors = one.rounds.reduce((sum, round) => sum + round.errors, 0)
    return errors === 0 ? [] : [`${one.lane}, log ${one.accessLog ? 'on' : 'off'}: ${one.subject}: ${errors} errors`]
  })
}

/** Cached lanes whose answers did not come from where the lane says. */
function strayed(results: readonly Measured[]): string[] {
  return results.flatMap((one) => {
    const { cached, asks } = lanes.find((lane) => lane.name === one.lane)!
    const percent = median(one.rounds.map((round) => round.originPercent))
    // What was under way when the load ended has reached the origin too: up to 64 requests more than wrk counts.
    const [least, most] = asks === 'new' ? [99, 110] : asks === 'zipf' ? [9, 20] : [0, 1]
    if (!cached || (percent >= least && percent <= most)) return []
    return [`${one.lane}: ${one.subject}: ${percent.toFixed(1)} % of the requests reached the origin, ${least} to ${most} are expected`]
  })
}

function table(lane: Lane, accessLog: boolean, measured: readonly Measured[]): string {
  if (measured.length === 0) return ''
  const second = lane.plugin ? bestOf(measured, ['nginx+njs', 'nginx+Lua']) : bestOf(measured, ['HAProxy', 'Varnish'])
  const columns = ['', 'µs CPU', 'user', 'system', '× nginx', `× ${second?.subject ?? '-'}`, 'requests/s', 'p50 ms', 'p99 ms', 'MB']
  if (lane.cached) columns.push('origin %')
  const rows = measured.map((one) => row(one, lane, [bestOf(measured, ['nginx']), second]))
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map((cells) => cells[i]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [`${lane.title} · access log ${accessLog ? 'on' : 'off'}`, line(columns), ...rows.map(line)]
    .map((text) => `  ${text}`)
    .join('\n')
    .trimStart()
}

/** The cheapest of these, by its median. */
function bestOf(measured: readonly Measured[], names: readonly SubjectName[]): Measured | undefined {
  const cpu = (one: Measured): number => median(one.rounds.map((round) => round.cpuUs))
  return measured.filter((one) => names.includes(one.subject)).sort((a, b) => cpu(a) - cpu(b))[0]
}

function row(one: Measured, lane: Lane, others: readonly (Measured | undefined)[]): string[] {
  const of = (key: keyof Round): number => median(one.rounds.map((round) => round[key]))
  const first = of('firstUs')
  return [
    one.subject,
    of('cpuUs').toFixed(2) + (first > 0.05 ? ` (${first.toFixed(2)})` : ''),
    of('userUs').toFixed(1),
    of('systemUs').toFixed(1),
    ...others.map((other) => (other === undefined ? '' : ratio(one, other))),
    Math.round(of('perSecond')).toLocaleString('en'),
    of('p50Ms').toFixed(2),
    of('p99Ms').toFixed(2),
    `${one.rssMb.toFixed(0)} (${one.firstRssMb.toFixed(0)})`,
    ...(lane.cached ? [of('originPercent').toFixed(1)] : []),
  ]
}

function ratio(one: Measured, other: Measured): string {
  return median(one.rounds.map((round, i) => round.cpuUs / other.rounds[i]!.cpuUs)).toFixed(2)
}
