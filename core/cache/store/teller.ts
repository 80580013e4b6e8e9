/**
 * Tells a store what requests have put out: the first at once, what comes meanwhile together, and no more often than it says here. What could not be
 * told waits until the store is back.
 */
import type { Deadlines, Timed } from '../../deadlines.ts'
import { Gathered } from '../gathered.ts'
import { MOST_TOLD, MOST_URL_LENGTH } from './scripts.ts'

export interface TellerOptions {
  readonly deadlines: Deadlines
  /** Rejects if it could not be told. */
  tell(put: Gathered): Promise<void>
}

/** Waiting: of more their hosts are told. */
const WAITING = { urls: 4096, length: MOST_URL_LENGTH }
const PAUSE_MS = 100
const RETRY_MS = 1000

export class Teller implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  /** It has one during a pause. */
  slot = -1
  readonly #options: TellerOptions
  readonly #waiting = new Gathered(WAITING)
  /** Null: none is being told. */
  #telling: Gathered | null = null
  #told: Promise<boolean> = Promise.resolve(true)
  #isClosed = false

  constructor(options: TellerOptions) {
    this.#options = options
  }

  add(url: string): void {
    this.#waiting.add(url)
    if (this.slot < 0) this.#goOn()
  }

  /** Whether it may be there yet, though a request has put it out. */
  has(url: string): boolean {
    return this.#waiting.has(url) || this.#telling?.has(url) === true
  }

  /** The pause is over. */
  onDeadline(): void {
    this.#options.deadlines.remove(this)
    this.#goOn()
  }

  /** Resolves when all is told that can be told now. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#options.deadlines.remove(this)
    while ((await this.#told) && !this.#waiting.isEmpty) this.#told = this.#tell()
  }

  #goOn(): void {
    if (this.#telling === null && !this.#waiting.isEmpty && !this.#isClosed) this.#told = this.#tell()
  }

  /** Whether it could be. */
  async #tell(): Promise<boolean> {
    const telling = new Gathered(WAITING)
    this.#telling = telling
    // What one request puts out is told together.
    await Promise.resolve()
    this.#waiting.moveTo(telling, MOST_TOLD)
    const isTold = await this.#options.tell(telling).then(
      () => true,
      () => false,
    )
    if (!isTold) this.#waiting.addAll(telling)
    this.#telling = null
    this.#pause(isTold ? PAUSE_MS : RETRY_MS)
    return isTold
  }

  #pause(ms: number): void {
    if (this.#isClosed) return
    const { deadlines } = this.#options
    deadlines.add(this)
    this.dueAt = deadlines.in(ms)
  }
}
