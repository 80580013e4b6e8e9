/**
 * A rate of bytes that several share fairly: who has to wait is given a part in turn, each 50 ms, and nobody overtakes. Without anybody
 * waiting it has no timer. Nothing is kept here but who waits.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import { type Bucket, type ByteRate, TokenBucket } from './token-bucket.ts'

/** Of one exchange; null: as fast as may be. */
export interface Paces {
  readonly request: Throttle | null
  readonly response: Throttle | null
}

/** Who waits for its part. */
export interface Throttled {
  /** So many bytes may pass now. What passes is told by `spend`; who then wants more waits again. */
  onTurn(most: number, by: Throttle): void
}

/** A turn is no larger, so that others have one soon; and no smaller, for each is a write. */
const LARGEST_TURN = 16_384
const SMALLEST_TURN = 1_024
/** Of its rate: what passes at once is no less than what comes together between two looks at the clock. */
const LEAST_BURST_SECONDS = 0.2

export class Throttle implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #bucket: Bucket
  readonly #deadlines: Deadlines
  /** In turn. As many as there are exchanges and tunnels that share it. */
  readonly #waiting = new Set<Throttled>()

  /** `open`: the bucket, which others may share. Default: one of its own. */
  constructor({ bytesPerSecond, burst }: ByteRate, deadlines: Deadlines, open: ((rate: ByteRate) => Bucket) | null = null) {
    const least = Math.ceil(bytesPerSecond * LEAST_BURST_SECONDS)
    const rate = { bytesPerSecond, burst: Math.max(burst, least) }
    this.#bucket = open?.(rate) ?? new TokenBucket(rate, deadlines.read())
    this.#deadlines = deadlines
  }

  /** How many bytes may pass at once; 0: others wait for theirs, or some are owed. */
  get free(): number {
    return this.#waiting.size > 0 || this.#bucket.othersWait ? 0 : this.#bucket.available(this.#deadlines.read())
  }

  /** Nobody has had any of it lately, and nobody wants any: another one would be the same. */
  get isUnused(): boolean {
    return this.#waiting.size === 0 && this.#bucket.isUnused(this.#deadlines.read())
  }

  spend(bytes: number): void {
    this.#bucket.spend(bytes, this.#deadlines.read())
  }

  /** `onTurn` will be called, once. */
  wait(who: Throttled): void {
    this.#waiting.add(who)
    if (this.slot < 0) {
      this.#deadlines.add(this)
      this.#bucket.tellWaiting(this.#waiting.size)
    }
    if (this.dueAt === Number.POSITIVE_INFINITY) this.#setDue()
  }

  leave(who: Throttled): void {
    this.#waiting.delete(who)
    if (this.#waiting.size === 0) this.#rest()
  }

  /** Nobody has it any more. */
  close(): void {
    this.#bucket.close()
  }

  onDeadline(): void {
    // As many turns as wait now, again and again while any of them made use of theirs.
    for (let turns = this.#waiting.size, left = this.#left(); turns > 0 && left > 0; turns--) {
      const [who] = this.#waiting
      if (who === undefined) break
      this.#waiting.delete(who)
      const part = Math.max(SMALLEST_TURN, Math.floor(left / (this.#waiting.size + 1)))
      who.onTurn(Math.min(left, part, LARGEST_TURN), this)
      const after = this.#left()
      if (after < left) turns = this.#waiting.size + 1
      left = after
    }
    if (this.#waiting.size === 0) return this.#rest()
    this.#bucket.tellWaiting(this.#waiting.size)
    this.#setDue()
  }

  #rest(): void {
    this.#deadlines.remove(this)
    this.#bucket.tellWaiting(0)
  }

  #left(): number {
    return this.#bucket.mayTake(this.#deadlines.now)
  }

  #setDue(): void {
    const now = this.#deadlines.read()
    this.dueAt = now + this.#bucket.waitMs(SMALLEST_TURN, now)
  }
}

/** One who is given a part of one of several. */
export interface Turn {
  readonly most: number
  readonly by: Throttle
}

/** How many of `wanted` bytes may pass all of them; so many are spent. `turn`: of the one whose turn it is; null: nobody's. */
export function takeOfAll(throttles: readonly Throttle[], wanted: number, turn: Turn | null): number {
  let most = wanted
  for (const throttle of throttles) most = Math.min(most, throttle === turn?.by ? turn.most : throttle.free)
  if (most > 0) for (const throttle of throttles) throttle.spend(most)
  return most
}

/** Waits for one that has none left, rather for another than `had`, whose turn was of no use; returns it. */
export function waitForOne(throttles: readonly Throttle[], who: Throttled, had: Throttle | null): Throttle {
  const throttle = throttles.find((one) => one !== had && one.free === 0) ?? had ?? throttles[0]!
  throttle.wait(who)
  return throttle
}
