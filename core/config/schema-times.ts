/** `allow.times`: its shape, that the days, times and zones are ones, and that the users are there. */
import { isZone, parseDays, parseTimeOfDay } from '../forward/times.ts'
import type { Path } from './positions.ts'
import { isObject, type Report, show } from './report.ts'
import type { ListenerPart } from './schema-parts.ts'
import { hostPattern, network } from './schema-route.ts'
import { type UsersOf, userName, whyUnknown } from './schema-users.ts'
import { object, oneOrMany, type Schema, textThat } from './schema-values.ts'

const days = textThat((written) =>
  parseDays(written) === null ? `expected days such as 'mon-fri', 'sat' or 'mon,wed-fri', got ${show(written)}` : null,
)
const begin = textThat((written) => {
  const minutes = parseTimeOfDay(written)
  return minutes === null || minutes === 1440 ? `expected a time of day such as '08:00', got ${show(written)}` : null
})
const end = textThat((written) =>
  parseTimeOfDay(written) === null ? `expected a time of day such as '18:00', up to '24:00', got ${show(written)}` : null,
)
const zone = textThat((written) =>
  isZone(written) ? null : `there is no time zone ${show(written)}: they are called as 'Europe/Berlin', 'America/New_York' or 'UTC'`,
)

export const timesOption: Schema = oneOrMany(
  object({
    ...{ days: oneOrMany(days), from: begin, to: end, zone },
    ...{ hosts: oneOrMany(hostPattern), clients: oneOrMany(network), users: oneOrMany(userName) },
  }),
)

export function checkTimes({ options, path }: ListenerPart, report: Report, usersOf: UsersOf): void {
  const times = isObject(options.allow) ? options.allow.times : undefined
  for (const [i, one] of (Array.isArray(times) ? times : [times]).entries()) {
    if (!isObject(one)) continue
    const at: Path = [...path, 'allow', 'times', ...(Array.isArray(times) ? [i] : []), 'users']
    for (const [j, user] of (Array.isArray(one.users) ? one.users : [one.users]).entries()) {
      const problem = typeof user === 'string' ? whyUnknown(user, usersOf.get(options)) : null
      if (problem !== null) report.error(Array.isArray(one.users) ? [...at, j] : at, problem)
    }
  }
}
