/**
 * A token bucket of bytes: so many a second, and so many at once for who has not had any lately. What passes may be more than there is,
 * and is owed then. Pure: the time is a parameter.
 */

export interface ByteRate {
  readonly bytesPerSecond: number
  /** At once. */
  readonly burst: number
}

export class TokenBucket {
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

  /** Whole bytes that may pass now; 0 while any are owed. */
  available(now: number): number {
    this.#fill(now)
    return Math.max(0, Math.floor(this.#bytes))
  }

  /** So many have passed, whether there were as many or not. */
  spend(bytes: number, now: number): void {
    this.#fill(now)
    this.#bytes -= bytes
  }

  /** Milliseconds until so many may pass, or a whole burst if that is less. 0: now. */
  waitMs(bytes: number, now: number): number {
    this.#fill(now)
    return Math.max(0, (Math.min(bytes, this.#burst) - this.#bytes) / this.#perMs)
  }

  /** As if nothing had passed for long: it need not be remembered. */
  isFull(now: number): boolean {
    this.#fill(now)
    return this.#bytes >= this.#burst
  }

  /** A clock that went back adds nothing. */
  #fill(now: number): void {
    if (now <= this.#at) return
    this.#bytes = Math.min(this.#burst, this.#bytes + (now - this.#at) * this.#perMs)
    this.#at = now
  }
}
