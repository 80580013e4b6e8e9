/** Tokens that were verified a moment ago, so that a client's next requests cost no signature. Few, and not for long. */
import type { Claims } from './claims.ts'

/** A key that was withdrawn counts for so long at the most. */
const KEPT_MS = 60_000
const MOST = 2000

interface Entry {
  readonly claims: Claims
  readonly until: number
}

export class Verified {
  readonly #entries = new Map<string, Entry>()
  readonly #leewayMs: number
  readonly #now: () => number

  constructor({ leewayMs, now }: { readonly leewayMs: number; readonly now: () => number }) {
    this.#leewayMs = leewayMs
    this.#now = now
  }

  add(token: string, claims: Claims): void {
    const now = this.#now()
    const expires = typeof claims.exp === 'number' ? claims.exp * 1000 + this.#leewayMs : Number.POSITIVE_INFINITY
    this.#entries.set(token, { claims, until: Math.min(now + KEPT_MS, expires) })
    // A Map keeps the order of insertion: the first is the oldest.
    if (this.#entries.size > MOST) this.#entries.delete(this.#entries.keys().next().value!)
  }

  get(token: string): Claims | null {
    const entry = this.#entries.get(token)
    if (entry === undefined) return null
    if (this.#now() < entry.until) return entry.claims
    this.#entries.delete(token)
    return null
  }
}
