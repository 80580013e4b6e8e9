/**
 * Changes of a disk's index, a few in one transaction and one transaction a turn of the event loop; who finds another process writing comes
 * again a little later. What a change puts out is deleted afterwards.
 */
import { type DiskIndex, isBusy } from './disk-index.ts'

/** What it puts out, by the names of their files. */
export type Change = (index: DiskIndex) => readonly { readonly file: string }[]

export interface WritesOptions {
  readonly index: DiskIndex
  /** Never rejects. */
  readonly delete: (file: string) => Promise<void>
  /** There is more than there may be, and it is made less by this; null: there is not. */
  readonly excess: () => Change | null
  /** A change that was given up: the index cannot be written. */
  readonly onError: (error: unknown) => void
  /** One that is not made, because too many wait. */
  readonly onDropped: () => void
}

interface Waiting {
  readonly change: Change
  readonly done: ((isMade: boolean) => void) | null
}

/** In one transaction: about 10 µs each. */
const MOST_AT_ONCE = 12
/** Of what may as well not happen. */
const MOST_WAITING = 4096
/** Of all others, while another process does not let anybody write. */
const MOST_AT_ALL = 16_384
const GATHER_MS = 10
const AFTER_ERROR_MS = 1000

export class DiskWrites {
  readonly #options: WritesOptions
  #waiting: Waiting[] = []
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null
  #isDeleting = false
  #idle: (() => void)[] = []

  constructor(options: WritesOptions) {
    this.#options = options
  }

  /** For what may as well not happen: when too much waits, it does not. */
  mayMake(change: Change, done: ((isMade: boolean) => void) | null = null): void {
    if (this.#waiting.length < MOST_WAITING) this.make(change, done)
    else done?.(false)
  }

  /** `done`: told when it is made, or given up. Made in the order in which they were asked for. */
  make(change: Change, done: ((isMade: boolean) => void) | null = null): void {
    if (this.#waiting.length < MOST_AT_ALL) return this.mustMake(change, done)
    this.#options.onDropped()
    done?.(false)
  }

  /** For who waits for each before the next. */
  mustMake(change: Change, done: ((isMade: boolean) => void) | null = null): void {
    this.#waiting.push({ change, done })
    if (!this.#isDeleting) this.#timer ??= setTimeout(() => this.#run(), GATHER_MS)
  }

  /** Resolves when nothing is left to do. */
  settled(): Promise<void> {
    return this.#timer === null && !this.#isDeleting ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  #run(): void {
    this.#timer = null
    const some = this.#waiting.slice(0, MOST_AT_ONCE)
    const { index, excess } = this.#options
    let gone: { readonly file: string }[]
    try {
      gone = index.write(() => {
        const out = some.flatMap(({ change }) => change(index))
        const less = excess()
        return less === null ? out : [...out, ...less(index)]
      })
    } catch (error) {
      // Not in step with the others who wait.
      if (isBusy(error)) return this.#later(2 + Math.random() * 8)
      this.#options.onError(error)
      this.#end(some, false)
      return this.#waiting.length > 0 || this.#options.excess() !== null ? this.#later(AFTER_ERROR_MS) : this.#goOn()
    }
    this.#end(some, true)
    if (gone.length === 0) return this.#goOn()
    // No more of them are under way than one transaction put out.
    this.#isDeleting = true
    void Promise.all(gone.map(({ file }) => this.#options.delete(file))).then(() => {
      this.#isDeleting = false
      this.#goOn()
    })
  }

  #end(some: readonly Waiting[], isMade: boolean): void {
    this.#waiting.splice(0, some.length)
    for (const { done } of some) done?.(isMade)
  }

  #goOn(): void {
    if (this.#timer !== null) return
    if (this.#waiting.length > 0 || this.#options.excess() !== null) this.#timer = setImmediate(() => this.#run())
    else for (const tell of this.#idle.splice(0)) tell()
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => this.#run(), ms)
  }
}
