/**
 * Whether a parent is asked: one that failed so many times running is ejected for a while, then a single dial tries it, and each one that fails
 * again doubles the while. Pure: the time is a parameter.
 */

const FAILURES = 3
const FIRST_MS = 10_000
const LONGEST_MS = 120_000

/** `there`: it has said something, whatever that was. `none`: nothing is known, as when the client left. */
export type ParentOutcome = 'there' | 'failed' | 'none'

export class ParentHealth {
  isEjected = false
  /** Of the latest failure that counted. */
  why = ''
  readonly #changed: (isEjected: boolean, why: string) => void
  #failures = 0
  #pauseMs = FIRST_MS
  #until = 0
  /** Of the dial that tries; 0: none does. */
  #trying = 0
  #tickets = 0
  #isClosed = false

  constructor(changed: (isEjected: boolean, why: string) => void) {
    this.#changed = changed
  }

  mayAsk(now: number): boolean {
    return !this.isEjected || (now >= this.#until && this.#trying === 0)
  }

  /** A ticket for `settle`, which is to be called once. 0: it is ejected, and is asked for want of any other. */
  begin(now: number): number {
    if (!this.mayAsk(now)) return 0
    const ticket = ++this.#tickets
    if (this.isEjected) this.#trying = ticket
    return ticket
  }

  settle(ticket: number, outcome: ParentOutcome, now: number, why = ''): void {
    const hasTried = ticket !== 0 && ticket === this.#trying
    if (hasTried) this.#trying = 0
    if (outcome === 'there') this.#isThere()
    else if (outcome === 'failed') this.#failed(hasTried, now, why)
  }

  /** No plan names it any more. */
  close(): void {
    if (this.isEjected) this.#tell(false, 'the config does not name it any more')
    this.#isClosed = true
  }

  #isThere(): void {
    this.#failures = 0
    this.#pauseMs = FIRST_MS
    this.#trying = 0
    if (this.isEjected) this.#tell(false, 'it leads on again')
  }

  #failed(hasTried: boolean, now: number, why: string): void {
    // Others of before it was ejected tell nothing new.
    if (this.isEjected && !hasTried) return
    if (!this.isEjected && ++this.#failures < FAILURES) return
    if (this.isEjected) this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_MS)
    this.#until = now + this.#pauseMs
    this.why = why
    if (!this.isEjected) this.#tell(true, `for ${this.#pauseMs / 1000} s: it failed ${FAILURES} times running, ${why}`)
  }

  #tell(isEjected: boolean, why: string): void {
    this.isEjected = isEjected
    if (!this.#isClosed) this.#changed(isEjected, why)
  }
}
