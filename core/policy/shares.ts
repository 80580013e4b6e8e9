/**
 * Rates of bytes by key: what has the same key shares one. A key is remembered while something of it is under way, and then until it has all of its
 * burst again.
 */
import type { Deadlines } from '../deadlines.ts'
import type { UserRatePlan } from '../plan/forward-plan.ts'
import { type Paces, Throttle } from './throttle.ts'

/** Keys with nothing under way that have not got back all of their burst. */
const MOST_IDLE = 16_384

interface Share {
  readonly paces: Paces
  underWay: number
}

export function makePaces({ up, down, burst }: UserRatePlan, deadlines: Deadlines): Paces {
  const throttle = (bytesPerSecond: number | null): Throttle | null =>
    bytesPerSecond === null ? null : new Throttle({ bytesPerSecond, burst: burst ?? bytesPerSecond }, deadlines)
  return { request: throttle(up), response: throttle(down) }
}

export class Shares {
  readonly #make: (key: string) => Paces
  readonly #byKey = new Map<string, Share>()
  /** Of those, the ones with nothing under way; what has been so for longest is first. */
  readonly #idle = new Set<string>()

  constructor(make: (key: string) => Paces) {
    this.#make = make
  }

  /** Until it ends: `whenEnded` gets what is to be called then. */
  take(key: string, whenEnded: (ending: () => void) => void): Paces {
    let share = this.#byKey.get(key)
    if (share === undefined) {
      share = { paces: this.#make(key), underWay: 0 }
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

  #rest(key: string): void {
    this.#idle.add(key)
    for (const other of this.#idle) {
      if (this.#idle.size <= MOST_IDLE && !isUnused(this.#byKey.get(other)!)) return
      this.#idle.delete(other)
      this.#byKey.delete(other)
    }
  }
}

/** Another one would be the same. */
function isUnused({ paces: { request, response } }: Share): boolean {
  return request?.isUnused !== false && response?.isUnused !== false
}
