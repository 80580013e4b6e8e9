/**
 * Which reload runs when: one at a time, and the latest wanted wins. One that is wanted while another runs makes that one give up, if
 * it still can, and begins when it is over; whoever waited for the one that gave up is told how the latest ended.
 */

/** `stale`: given up for a newer one. */
export type Ended<Result> = Result | 'stale'

export interface Attempt {
  /** When it was first noticed that something is to be reloaded, on the clock of `performance.now()`. */
  readonly noticedAt: number
  /** A newer one waits: what can still be given up is not worth finishing. */
  readonly isStale: () => boolean
}

interface Wanted<Result> {
  noticedAt: number
  readonly waiting: ((result: Result) => void)[]
}

export class Reloads<Result> {
  readonly #run: (attempt: Attempt) => Promise<Ended<Result>>
  #running: Wanted<Result> | null = null
  #next: Wanted<Result> | null = null

  /** `run` never rejects. */
  constructor(run: (attempt: Attempt) => Promise<Ended<Result>>) {
    this.#run = run
  }

  get state(): 'idle' | 'running' | 'queued' {
    return this.#next !== null ? 'queued' : this.#running !== null ? 'running' : 'idle'
  }

  /** Resolves with the result of the first attempt that began after this call and was not given up. */
  request(noticedAt: number): Promise<Result> {
    const { promise, resolve } = Promise.withResolvers<Result>()
    this.#next ??= { noticedAt, waiting: [] }
    this.#next.waiting.push(resolve)
    if (this.#running === null) void this.#go()
    return promise
  }

  async #go(): Promise<void> {
    for (let wanted = this.#take(); wanted !== null; wanted = this.#take()) {
      this.#running = wanted
      const result = await this.#run({ noticedAt: wanted.noticedAt, isStale: () => this.#next !== null })
      this.#running = null
      if (result === 'stale') this.#handOn(wanted)
      else for (const tell of wanted.waiting) tell(result)
    }
  }

  #take(): Wanted<Result> | null {
    const next = this.#next
    this.#next = null
    return next
  }

  /** What it was to bring, the next one brings. */
  #handOn({ noticedAt, waiting }: Wanted<Result>): void {
    this.#next ??= { noticedAt, waiting: [] }
    this.#next.noticedAt = Math.min(noticedAt, this.#next.noticedAt)
    this.#next.waiting.unshift(...waiting)
  }
}
