/** `allow.times` → Times: windows in minutes, on one clock for each zone. */
import { toList } from '../config/lists.ts'
import { parseDays, parseTimeOfDay, type TimeRule, Times, ZoneClock } from '../forward/times.ts'
import type { AllowedTimes, OneOrMany } from '../index.ts'
import { CidrSet } from '../net/cidr.ts'
import { hostCondition } from './forward-hosts.ts'

export function compileTimes(written: OneOrMany<AllowedTimes>): Times {
  const clocks = new Map<string, ZoneClock>()
  const all = toList(written)
  return new Times(
    all.map((one, i) => {
      const zone = one.zone ?? ownZone()
      const clock = clocks.get(zone) ?? new ZoneClock(zone)
      clocks.set(zone, clock)
      return compileRule(one, Array.isArray(written) ? `allow.times[${i}]` : 'allow.times', { zone, clock })
    }),
  )
}

function compileRule(
  { days, from = '00:00', to = '24:00', hosts, clients, users }: AllowedTimes,
  name: string,
  { zone, clock }: { readonly zone: string; readonly clock: ZoneClock },
): TimeRule {
  const every = toList(days ?? 'sun-sat')
  const text = `${days === undefined ? 'every day' : every.join(',')} ${from}-${to} ${zone}`
  return Object.freeze({
    ...{ name, text, zone },
    window: { days: new Set(every.flatMap((one) => parseDays(one)!)), from: parseTimeOfDay(from)!, to: parseTimeOfDay(to)!, clock },
    hosts: hosts === undefined ? null : hostCondition(hosts),
    clients: clients === undefined ? null : new CidrSet(toList(clients)),
    users: users === undefined ? null : new Set(toList(users)),
  })
}

function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone
}
