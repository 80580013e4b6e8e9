/** `quota` and `bandwidth` of a listener of the forward side → what they say of each user, in numbers. */
import { parseDuration, parseSize } from '../config/units.ts'
import type { Quota, UserBandwidth } from '../index.ts'
import type { QuotaPlan, UserRatePlan, UserRatesPlan } from './forward-plan.ts'

export function compileQuota({ bytes, per, byUser: written = {} }: Quota): QuotaPlan {
  const byUser = new Map(
    Object.entries(written).map(([user, size]) => [user, size === false ? Number.POSITIVE_INFINITY : parseSize(size)!]),
  )
  return Object.freeze({
    bytes: bytes === undefined ? Number.POSITIVE_INFINITY : parseSize(bytes)!,
    periodMs: parseDuration(per)!,
    byUser,
    per,
  })
}

export function compileUserRates({ byUser: written = {}, ...each }: UserBandwidth): UserRatesPlan {
  const byUser = new Map(Object.entries(written).map(([user, rate]) => [user, rate === false ? ratesOf({}) : ratesOf(rate)]))
  return Object.freeze({ each: ratesOf(each), byUser, key: JSON.stringify([each, written]) })
}

function ratesOf({ up, down, burst }: Omit<UserBandwidth, 'byUser'>): UserRatePlan {
  const bytes = (size: string | undefined): number | null => (size === undefined ? null : parseSize(size))
  return Object.freeze({ up: bytes(up), down: bytes(down), burst: bytes(burst) })
}
