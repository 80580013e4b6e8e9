/**
 * When a listener of the forward side is there for whom: windows of the week on the clock of a zone, asked with plain values. What the clock of a zone shows is
 * worked out once a minute; daylight saving is the zone's business, so an hour that is left out never comes, and one that is there twice counts twice.
 */
import type { CidrSet } from '../net/cidr.ts'
import type { HostCondition } from '../route/conditions.ts'
import type { Refusal } from './access.ts'

/** Who asks. `ip`: `''` is who came by a unix socket; `user`: null, nobody asked. */
export interface Who {
  readonly ip: string
  readonly user: string | null
}

export interface TimeRule {
  /** `allow.times[0]`. */
  readonly name: string
  /** As it was written, for people: `mon-fri 08:00-18:00 Europe/Berlin`. */
  readonly text: string
  readonly zone: string
  readonly window: Window
  /** What it is for; null: everything, as for the other two. */
  readonly hosts: HostCondition | null
  readonly clients: CidrSet | null
  readonly users: ReadonlySet<string> | null
}

/** Minutes of a day, from 0 to 1440. Where `to` is not after `from` it ends on the next day. */
export interface Window {
  /** Those that it begins on, from 0, a Sunday, to 6. */
  readonly days: ReadonlySet<number>
  readonly from: number
  readonly to: number
  readonly clock: ZoneClock
}

const MINUTE_MS = 60_000
/** Longer than a week, for a window may begin in an hour that is left out. */
const LOOKED_AHEAD = 15 * 1440

export class Times {
  readonly rules: readonly TimeRule[]
  readonly #named: readonly TimeRule[]
  readonly #others: readonly TimeRule[]

  constructor(rules: readonly TimeRule[]) {
    this.rules = rules
    const names = ({ hosts, clients, users }: TimeRule): boolean => hosts !== null || clients !== null || users !== null
    this.#named = rules.filter(names)
    this.#others = rules.filter((rule) => !names(rule))
  }

  /** Those that count: the ones that name what it is, or else the ones that name nothing. None: it may always be. */
  rulesFor(host: string, who: Who): readonly TimeRule[] {
    const own = this.#named.filter((rule) => isFor(rule, host, who))
    return own.length > 0 ? own : this.#others
  }

  /** `now`: milliseconds since the epoch. */
  refuse(host: string, who: Who, now: number): Refusal | null {
    let isNamed = false
    for (const rule of this.#named) {
      if (!isFor(rule, host, who)) continue
      if (isOpen(rule.window, now)) return null
      isNamed = true
    }
    if (!isNamed) {
      for (const { window } of this.#others) if (isOpen(window, now)) return null
      if (this.#others.length === 0) return null
    }
    return { code: 'time_refused', detail: `${host} is reached at other times: ${this.rulesFor(host, who).map(shown).join(', ')}` }
  }

  /** The minute in which it next may be, for who is refused now; null: none comes. */
  opensAt(host: string, who: Who, now: number): number | null {
    const rules = this.rulesFor(host, who)
    const first = Math.floor(now / MINUTE_MS) + 1
    for (let minute = first; minute < first + LOOKED_AHEAD; minute++)
      if (rules.some(({ window }) => isOpen(window, minute * MINUTE_MS))) return minute * MINUTE_MS
    return null
  }
}

export function shown({ text, name }: TimeRule): string {
  return `${text} (${name})`
}

function isFor({ hosts, clients, users }: TimeRule, host: string, { ip, user }: Who): boolean {
  if (hosts !== null && !hosts.passes({ host })) return false
  if (clients !== null && !clients.has(ip)) return false
  return users === null || (user !== null && users.has(user))
}

export function isOpen({ days, from, to, clock }: Window, now: number): boolean {
  clock.look(now)
  const { day, minute } = clock
  if (from < to) return minute >= from && minute < to && days.has(day)
  return minute >= from ? days.has(day) : minute < to && days.has((day + 6) % 7)
}

/** What a clock on the wall of a zone shows. */
export class ZoneClock {
  /** From 0, a Sunday. */
  day = 0
  /** Since midnight. */
  minute = 0
  readonly #format: Intl.DateTimeFormat
  #seen = Number.NaN

  /** Throws if there is no such zone. */
  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone: zone, hourCycle: 'h23', weekday: 'short', hour: '2-digit', minute: '2-digit' },
    })
  }

  /** Then `day` and `minute` are those of `now`. */
  look(now: number): void {
    const seen = Math.floor(now / MINUTE_MS)
    if (seen === this.#seen) return
    this.#seen = seen
    let hour = 0
    for (const { type, value } of this.#format.formatToParts(now)) {
      if (type === 'weekday') this.day = DAYS.indexOf(value.toLowerCase())
      else if (type === 'hour') hour = Number(value)
      else if (type === 'minute') this.minute = Number(value)
    }
    this.minute += hour * 60
  }
}

export const DAYS: readonly string[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** `mon-fri`, `sat`, and lists of them: `mon,wed-fri`. Null: it is none. */
export function parseDays(written: string): number[] | null {
  const days: number[] = []
  for (const part of written.toLowerCase().split(',')) {
    const [, first, last = first] = /^\s*([a-z]{3})(?:\s*-\s*([a-z]{3}))?\s*$/.exec(part) ?? []
    const [from, to] = [DAYS.indexOf(first ?? ''), DAYS.indexOf(last ?? '')]
    if (from < 0 || to < 0) return null
    for (let day = from; ; day = (day + 1) % 7) {
      days.push(day)
      if (day === to) break
    }
  }
  return days
}

/** `08:00`, `24:00` → minutes; null: it is none. */
export function parseTimeOfDay(written: string): number | null {
  const [, hours, minutes] = /^(\d{1,2}):([0-5]\d)$/.exec(written) ?? []
  const total = Number(hours) * 60 + Number(minutes)
  return hours !== undefined && total <= 1440 ? total : null
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** In words that both people and `--at` read: `2026-11-30 08:00`, by the clock of that zone. */
export function wallTime(ms: number, zone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' }).format(ms)
}
