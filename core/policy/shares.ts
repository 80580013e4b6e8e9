/**
 * Rates of bytes by key, over all workers of the machine: what has the same key shares one. A key is remembered while something of it is under way, and
 * then by the table that workers share, or, without one, until it has all of its burst again. Each worker lets its part through then, and of a key that finds
 * no room in the table.
 */
import type { Deadlines } from '../deadlines.ts'
import type { UserRatePlan } from '../plan/forward-plan.ts'
import { type Counting, machineOffsetMs } from './counting.ts'
import { KeyHash } from './key-hash.ts'
import { SharedBucket } from './shared-bucket.ts'
import { type Paces, Throttle } from './throttle.ts'
import { type Bucket, type ByteRate, TokenBucket } from './token-bucket.ts'

/** Keys with nothing under way that have not got back all of their burst. */
const MOST_IDLE = 16_384
/** Of these, the last so many are kept in any case: they come again soonest. */
const KEPT_IDLE = 32

interface Share {
  readonly paces: Paces
  underWay: number
}

export interface SharesOptions {
  readonly ratesOf: (key: string) => UserRatePlan
  /** The same for whoever counts together. */
  readonly salt: string
  readonly counting: Counting
  readonly deadlines: Deadlines
}

/** `open`: see Throttle. */
export function makePaces(
  { up, down, burst }: UserRatePlan,
  deadlines: Deadlines,
  open: ((way: Way, rate: ByteRate) => Bucket) | null = null,
): Paces {
  const throttle = (bytesPerSecond: number | null, way: Way): Throttle | null => {
    if (bytesPerSecond === null) return null
    return new Throttle({ bytesPerSecond, burst: burst ?? bytesPerSecond }, deadlines, open && ((rate) => open(way, rate)))
  }
  return { request: throttle(up, 'up'), response: throttle(down, 'down') }
}

type Way = 'up' | 'down'

export class Shares {
  readonly #options: SharesOptions
  readonly #byKey = new Map<string, Share>()
  /** Of those, the ones with nothing under way; what has been so for longest is first. */
  readonly #idle = new Set<string>()
  readonly #hashes: Readonly<Record<Way, KeyHash>> | null
  #isClosed = false

  constructor(options: SharesOptions) {
    this.#options = options
    const { counting, salt } = options
    const hash = (way: Way): KeyHash => new KeyHash(counting.table.seed, `${way} ${salt}`)
    this.#hashes = counting.held === null ? null : { up: hash('up'), down: hash('down') }
  }

  /** Until it ends: `whenEnded` gets what is to be called then. */
  take(key: string, whenEnded: (ending: () => void) => void): Paces {
    let share = this.#byKey.get(key)
    if (share === undefined) {
      const { ratesOf, deadlines } = this.#options
      share = { paces: makePaces(ratesOf(key), deadlines, (way, rate) => this.#open(key, way, rate)), underWay: 0 }
      this.#byKey.set(key, share)
    }
    const taken = share
    this.#idle.delete(key)
    taken.underWay++
    whenEnded(() => {
      if (--taken.underWay === 0) this.#rest(key)
    })
    return taken.paces
  }

  /** Nothing new will come; what is under way goes on with what it has. */
  close(): void {
    this.#isClosed = true
    for (const key of this.#idle) this.#forget(key)
  }

  #open(key: string, way: Way, rate: ByteRate): Bucket {
    const { counting, deadlines } = this.#options
    const hash = this.#hashes?.[way]
    hash?.of(key)
    const shared = hash === undefined ? null : SharedBucket.open(counting.held!, hash, rate, machineOffsetMs)
    if (shared !== null) return shared
    const { parts } = counting
    return new TokenBucket({ bytesPerSecond: rate.bytesPerSecond / parts, burst: rate.burst / parts }, deadlines.read())
  }

  #rest(key: string): void {
    this.#idle.add(key)
    for (const other of this.#idle) {
      const idle = this.#isClosed ? Number.POSITIVE_INFINITY : this.#idle.size
      if (idle <= KEPT_IDLE || (idle <= MOST_IDLE && !isUnused(this.#byKey.get(other)!))) return
      this.#forget(other)
    }
  }

  #forget(key: string): void {
    const { request, response } = this.#byKey.get(key)!.paces
    this.#idle.delete(key)
    this.#byKey.delete(key)
    request?.close()
    response?.close()
  }
}

/** Another one would be the same. */
function isUnused({ paces: { request, response } }: Share): boolean {
  return request?.isUnused !== false && response?.isUnused !== false
}
