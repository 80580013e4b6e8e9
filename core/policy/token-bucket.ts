/**
 * A token bucket of bytes: so many a second, and so many at once for who has not had any lately. What passes may be more than there is,
 * and is owed then. Pure: the time is a parameter.
 */

export interface ByteRate {
  readonly bytesPerSecond: number
  /** At once. */
  readonly burst: number
}

/** On one clock, in milliseconds. */
export interface Bucket {
  /** Whole bytes that may pass now; 0 while any are owed. */
  available(now: number): number
  /** Of those, what this process may take for who waits in it. */
  mayTake(now: number): number
  /** So many have passed, whether there were as many or not. */
  spend(bytes: number, now: number): void
  /** Milliseconds until who waits may have so many, or a whole burst if that is less. 0: now. */
  waitMs(bytes: number, now: number): number
  /** Another one, made now for the same key, would be the same. */
  isUnused(now: number): boolean
  /** Who waits elsewhere comes first. */
  readonly othersWait: boolean
  /** So many wait in this process. */
  tellWaiting(count: number): void
  /** Nobody has it any more. */
  close(): void
}

/** Of this process alone. */
export class TokenBucket implements Bucket {
  readonly othersWait = false
  readonly #perMs: number
  readonly #burst: number
  /** Negative: owed. */
  #bytes: number
  #at: number

  constructor({ bytesPerSecond, burst }: ByteRate, now: number) {
    this.#perMs = bytesPerSecond / 1000
    this.#burst = burst
    this.#bytes = burst
    this.#at = now
  }

  available(now: number): number {
    this.#fill(now)
    return Math.max(0, Math.floor(this.#bytes))
  }

  mayTake(now: number): number {
    return this.available(now)
  }

  spend(bytes: number, now: number): void {
    this.#fill(now)
    this.#bytes -= bytes
  }

  waitMs(bytes: number, now: number): number {
    this.#fill(now)
    return Math.max(0, (Math.min(bytes, this.#burst) - this.#bytes) / this.#perMs)
  }

  isUnused(now: number): boolean {
    this.#fill(now)
    return this.#bytes >= this.#burst
  }

  tellWaiting(): void {}
  close(): void {}

  /** A clock that went back adds nothing. */
  #fill(now: number): void {
    if (now <= this.#at) return
    this.#bytes = Math.min(this.#burst, this.#bytes + (now - this.#at) * this.#perMs)
    this.#at = now
  }
}
