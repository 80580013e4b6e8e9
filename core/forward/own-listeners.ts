/** Where this proxy itself takes clients that choose where they go, or is administered: never a place to go to, or it would call itself until nothing is left. */
import { isIP } from 'node:net'
import { canonicalAddress } from '../net/destination.ts'

/** `host` null: every address of this machine. */
export interface ListenedPlace {
  readonly host: string | null
  readonly port: number
}

export class OwnListeners {
  readonly #isLocal: (address: string) => boolean
  readonly #opened: () => Iterable<ListenedPlace>
  #planned: readonly ListenedPlace[] = []

  /** `isLocal`: one of this machine's, loopback too. `opened`: where this process listens, for ports that no plan tells. */
  constructor(isLocal: (address: string) => boolean, opened: () => Iterable<ListenedPlace>) {
    this.#isLocal = isLocal
    this.#opened = opened
  }

  /** Those of a plan. Port 0: which one it is will be told by `opened`. */
  use(planned: readonly ListenedPlace[]): void {
    this.#planned = planned.map(normal)
  }

  has(address: string, port: number): boolean {
    for (const place of this.#planned) if (place.port === port && this.#isAt(address, place)) return true
    for (const place of this.#opened()) if (place.port === port && this.#isAt(address, normal(place))) return true
    return false
  }

  #isAt(address: string, { host }: ListenedPlace): boolean {
    return host === null ? this.#isLocal(address) : (canonicalAddress(address) ?? address) === host
  }
}

/** What is listened on by name, `localhost`, is taken for every address. */
function normal({ host, port }: ListenedPlace): ListenedPlace {
  const address = host === null || isIP(host) === 0 ? null : (canonicalAddress(host) ?? host)
  return { host: address === '0.0.0.0' || address === '::' ? null : address, port }
}
