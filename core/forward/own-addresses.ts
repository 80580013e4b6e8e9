/** The addresses of this machine's interfaces, read anew every few seconds: one that comes up later is known too. */
import { networkInterfaces } from 'node:os'
import { canonicalAddress } from '../net/destination.ts'

/** One look costs about 50 µs. */
const FRESH_MS = 5_000

export class OwnAddresses {
  readonly #read: () => readonly string[]
  readonly #clock: () => number
  #known: ReadonlySet<string> = new Set()
  #readAt = Number.NEGATIVE_INFINITY

  constructor(read: () => readonly string[] = readInterfaces, clock: () => number = () => performance.now()) {
    this.#read = read
    this.#clock = clock
  }

  has(address: string): boolean {
    const now = this.#clock()
    if (now - this.#readAt >= FRESH_MS) {
      this.#readAt = now
      this.#known = new Set(this.#read().map((one) => canonicalAddress(withoutZone(one)) ?? one))
    }
    return this.#known.has(canonicalAddress(withoutZone(address)) ?? address)
  }
}

function readInterfaces(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
}

function withoutZone(address: string): string {
  return address.replace(/%.*$/, '')
}
