/** When a forward listener is there for whom: windows of the week on the clocks of zones. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAYS, isOpen, parseDays, parseTimeOfDay, type Who, ZoneClock } from '../../core/forward/times.ts'
import type { AllowedTimes } from '../../core/index.ts'
import { compileTimes } from '../../core/plan/compile-times.ts'

const nobody: Who = { ip: '10.0.0.1', user: null }
const refuses = (times: AllowedTimes | readonly AllowedTimes[], at: string, who = nobody, host = 'example.com'): boolean =>
  compileTimes(times as AllowedTimes).refuse(host, who, Date.parse(at)) !== null

test('a window of working days is open from its first minute to before its last', () => {
  const office: AllowedTimes = { days: 'mon-fri', from: '08:00', to: '18:00', zone: 'UTC' }
  // A Monday.
  for (const [at, isRefused] of [
    ['2026-11-30T07:59:59Z', true],
    ['2026-11-30T08:00:00Z', false],
    ['2026-11-30T17:59:59Z', false],
    ['2026-11-30T18:00:00Z', true],
    ['2026-12-05T12:00:00Z', true],
  ] as const)
    assert.is(refuses(office, at), isRefused, at)
})

test('a window over midnight belongs to the day that it begins on', () => {
  const night: AllowedTimes = { days: 'fri', from: '22:00', to: '06:00', zone: 'UTC' }
  for (const [at, isRefused] of [
    ['2026-12-04T05:00:00Z', true],
    ['2026-12-04T22:00:00Z', false],
    ['2026-12-05T05:59:00Z', false],
    ['2026-12-05T06:00:00Z', true],
    ['2026-12-05T23:00:00Z', true],
  ] as const)
    assert.is(refuses(night, at), isRefused, at)
})

test('hours are those of the zone, also on days on which its clocks change', () => {
  const morning: AllowedTimes = { from: '02:00', to: '03:00', zone: 'Europe/Berlin' }
  // In winter 02:30 is 01:30 UTC, in summer 00:30.
  assert.is(refuses(morning, '2026-01-15T01:30:00Z'), false)
  assert.is(refuses(morning, '2026-07-15T00:30:00Z'), false)
  // On 29 March that hour is left out; on 25 October it is there twice.
  for (let minute = 0; minute < 1440; minute++)
    assert.is(refuses(morning, new Date(Date.UTC(2026, 2, 28, 23, minute)).toISOString()), true, String(minute))
  let open = 0
  for (let minute = 0; minute < 1500; minute++) if (!refuses(morning, new Date(Date.UTC(2026, 9, 24, 22, minute)).toISOString())) open++
  assert.is(open, 120)
  // Twelve hours ahead of UTC, and a half: of the day there.
  assert.is(refuses({ days: 'tue', zone: 'Pacific/Auckland' }, '2026-11-30T12:00:00Z'), false)
  assert.is(refuses({ from: '05:30', to: '05:31', zone: 'Asia/Kolkata' }, '2026-11-30T00:00:30Z'), false)
})

test('rules that name a host, a client or a user count for these alone; others for the rest', () => {
  const times: AllowedTimes[] = [
    { days: 'mon-fri', from: '08:00', to: '18:00', zone: 'UTC' },
    { hosts: ['*.video.example'], from: '12:00', to: '13:00', zone: 'UTC' },
    { hosts: 'help.example' },
    { clients: '10.9.0.0/16', from: '20:00', to: '21:00', zone: 'UTC' },
    { users: 'ann' },
  ]
  const [noon, evening] = ['2026-11-30T12:30:00Z', '2026-11-30T20:30:00Z']
  const asked = (host: string, at: string, who = nobody): boolean => refuses(times, at, who, host)
  assert.equal([asked('example.com', noon), asked('example.com', evening)], [false, true])
  assert.equal([asked('a.video.example', noon), asked('a.video.example', '2026-11-30T14:00:00Z')], [false, true])
  assert.equal([asked('help.example', noon), asked('help.example', evening)], [false, false])
  const child = { ip: '10.9.1.1', user: null }
  assert.equal([asked('example.com', noon, child), asked('example.com', evening, child)], [true, false])
  assert.is(asked('example.com', evening, { ip: '10.0.0.1', user: 'ann' }), false)
  // Without one for everything, what none names may always be.
  assert.is(refuses([{ hosts: 'video.example', from: '12:00', to: '13:00', zone: 'UTC' }], evening), false)
})

test('a refusal says which rules it was by, and when it next may be', () => {
  const times = compileTimes([{ days: ['mon', 'wed-fri'], from: '08:00', to: '18:00', zone: 'Europe/Berlin' }])
  const saturday = Date.parse('2026-12-05T12:00:00Z')
  assert.is(
    times.refuse('example.com', nobody, saturday)?.detail,
    'example.com is reached at other times: mon,wed-fri 08:00-18:00 Europe/Berlin (allow.times[0])',
  )
  assert.is(new Date(times.opensAt('example.com', nobody, saturday)!).toISOString(), '2026-12-07T07:00:00.000Z')
})

test('days are one, some, or from one to another, over the end of a week too', () => {
  assert.equal(parseDays('sat'), [6])
  assert.equal(parseDays('Mon, wed-fri'), [1, 3, 4, 5])
  assert.equal(parseDays('fri-mon'), [5, 6, 0, 1])
  for (const wrong of ['', 'monday', 'mon-', 'mon–fri', '1-5', 'mon fri', 'mon,']) assert.is(parseDays(wrong), null, wrong)
  assert.equal(['00:00', '8:30', '24:00'].map(parseTimeOfDay), [0, 510, 1440])
  for (const wrong of ['24:01', '8', '08:60', '08:00:00', '25:00', ' 08:00']) assert.is(parseTimeOfDay(wrong), null, wrong)
})

const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Pacific/Apia')
const instants = fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2035, 0) })

test('a clock shows what Intl says, in whatever order it is asked', () => {
  fc.assert(
    fc.property(zones, fc.array(instants, { minLength: 1, maxLength: 5 }), (zone, times) => {
      const clock = new ZoneClock(zone)
      const shown = new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: 'short', hour: '2-digit', minute: '2-digit' })
      for (const now of [...times, times[0]!, times[0]! + 60_000]) {
        clock.look(now)
        const [, day, hour, minute] = /^(\w{3})\D*(\d\d):(\d\d)/.exec(shown.format(now))!
        assert.equal([DAYS[clock.day], clock.minute], [day!.toLowerCase(), Number(hour) * 60 + Number(minute)])
      }
    }),
    { numRuns: 200 },
  )
})

test('two windows that share no minute and leave none out are never both open, and never both closed', () => {
  const minutes = fc.integer({ min: 0, max: 1439 })
  fc.assert(
    fc.property(zones, minutes, minutes, instants, (zone, from, to, now) => {
      fc.pre(from !== to)
      const clock = new ZoneClock(zone)
      const days = new Set([0, 1, 2, 3, 4, 5, 6])
      assert.is.not(isOpen({ days, from, to, clock }, now), isOpen({ days, from: to, to: from, clock }, now))
    }),
    { numRuns: 300 },
  )
})

test.run()
