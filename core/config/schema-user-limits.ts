/** `quota` and `bandwidth` of a listener of the forward side: their shape, that the period is one, and that the users are there. */
import { isObject, type Report, show } from './report.ts'
import type { ListenerPart } from './schema-parts.ts'
import { type UsersOf, whyUnknown } from './schema-users.ts'
import { chosen, duration, object, oneOf, record, type Schema, size, speed, textThat } from './schema-values.ts'
import { parseDuration } from './units.ts'

const MINUTE_MS = 60_000
const MOST_MS = 30 * 86_400_000

const userName = textThat(() => null)
const period = chosen((value) => (typeof value === 'string' && parseDuration(value) !== null ? wholeMinutes : duration))
const wholeMinutes = textThat((written) => {
  const ms = parseDuration(written) ?? 0
  return ms >= MINUTE_MS && ms <= MOST_MS && ms % MINUTE_MS === 0
    ? null
    : `a period is whole minutes, up to 30 days, such as '1h' or '1d', got ${show(written)}`
})
const unlimited = oneOf(false)
const rate = object({ up: speed, down: speed, burst: size })

export const quotaOptions: Schema = object(
  {
    bytes: size,
    per: period,
    byUser: record(
      chosen((value) => (value === false ? unlimited : size)),
      userName,
    ),
  },
  ['per'],
)
export const userBandwidthOptions: Schema = object({
  ...{ up: speed, down: speed, burst: size },
  byUser: record(
    chosen((value) => (value === false ? unlimited : rate)),
    userName,
  ),
})

export function checkUserLimits({ options, path }: ListenerPart, report: Report, usersOf: UsersOf): void {
  const known = usersOf.get(options)
  for (const name of ['quota', 'bandwidth']) {
    const limits = options[name]
    if (!isObject(limits)) continue
    const users = isObject(limits.byUser) ? Object.keys(limits.byUser) : []
    for (const user of users) {
      const problem = whyUnknown(user, known)
      if (problem !== null) report.error([...path, name, 'byUser', user], problem, 'key')
    }
    const { up, down, bytes } = limits
    if (up === undefined && down === undefined && bytes === undefined && users.length === 0)
      report.warn(
        [...path, name],
        `this ${name} limits nothing: it has neither ${name === 'quota' ? 'bytes' : 'up, down'} nor byUser`,
        'key',
      )
  }
}
