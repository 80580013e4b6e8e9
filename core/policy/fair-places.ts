/** Places for work that clients cause, as one password to be checked: no client has more than half of them, so none keeps the others out. */
import { networkOf } from './request-key.ts'

export class FairPlaces {
  readonly #most: number
  #taken = 0
  /** As many as there are places. */
  readonly #byClient = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** How to give it back; null: there is none, or none for that client. */
  take(ip: string): (() => void) | null {
    const client = networkOf(ip)
    const taken = this.#byClient.get(client) ?? 0
    if (this.#taken >= this.#most || taken >= this.#most / 2) return null
    this.#taken++
    this.#byClient.set(client, taken + 1)
    return () => this.#giveBack(client)
  }

  #giveBack(client: string): void {
    this.#taken--
    const left = this.#byClient.get(client)! - 1
    if (left === 0) this.#byClient.delete(client)
    else this.#byClient.set(client, left)
  }
}
