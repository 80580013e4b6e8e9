/**
 * Datagrams that go one way no faster than a throttle lets them, each whole: one may go into debt. What has to wait does so in order, as far as there is
 * room for it; for more there is none, and whoever brings it drops it, as a network would.
 */
import type { Throttle, Throttled } from './throttle.ts'

export interface PacedDatagram {
  readonly payload: Buffer
}

const MOST_BYTES = 65_536
/** For those with little in them. */
const MOST = 64

export class PacedDatagrams<D extends PacedDatagram> implements Throttled {
  readonly #throttle: Throttle
  readonly #send: (datagram: D) => void
  readonly #held: D[] = []
  #bytes = 0

  /** `send`: its turn has come. */
  constructor(throttle: Throttle, send: (datagram: D) => void) {
    this.#throttle = throttle
    this.#send = send
  }

  /** Whether one of so many bytes goes on at once. */
  passes(bytes: number): boolean {
    if (this.#held.length > 0 || this.#throttle.free === 0) return false
    this.#throttle.spend(bytes)
    return true
  }

  /** One that does not pass waits for its turn. False: there is no room. */
  hold(datagram: D): boolean {
    const { length } = datagram.payload
    if (this.#held.length >= MOST || this.#bytes + length > MOST_BYTES) return false
    this.#bytes += length
    if (this.#held.push(datagram) === 1) this.#throttle.wait(this)
    return true
  }

  onTurn(most: number): void {
    for (let left = most; left > 0; ) {
      const next = this.#held.shift()
      if (next === undefined) return
      const { length } = next.payload
      left -= Math.max(1, length)
      this.#bytes -= length
      this.#throttle.spend(length)
      this.#send(next)
    }
    if (this.#held.length > 0) this.#throttle.wait(this)
  }

  /** What waits goes nowhere. */
  close(): void {
    this.#held.length = 0
    this.#bytes = 0
    this.#throttle.leave(this)
  }
}
