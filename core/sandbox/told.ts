/** What the log is told of one plugin: its console and its failures, each so many lines a second, and how many more there were. */
import type { Observer } from '../events.ts'
import type { StackMap } from './stack.ts'
import { type FailureWhy, LEVELS } from './wire.ts'

const LINES_A_SECOND = 100

export class Told {
  /** Of the plugin. */
  name: string
  readonly #observer: Observer
  readonly #stacks: StackMap
  readonly #console = new Allowance()
  readonly #failures = new Allowance()

  constructor(name: string, observer: Observer, stacks: StackMap) {
    this.name = name
    this.#observer = observer
    this.#stacks = stacks
  }

  /** A line of its console; `stack`: where it was printed. */
  line(level: number, text: string, stack: string): void {
    if (!this.#mayTell(this.#console, 'lines of console')) return
    const place = stack === '' ? null : this.#stacks.place(stack)
    this.#observer.pluginLogged(this.name, LEVELS[level] ?? 'info', this.#stacks.readable(text), place)
  }

  /** Every failure counts, whether its line is written or not. */
  failure(why: FailureWhy, text: string): void {
    const isTold = why === 'parked' || this.#mayTell(this.#failures, 'failures')
    this.#observer.pluginFailed(this.name, why, isTold ? text : null)
  }

  /** What the proxy itself has to say about it. */
  news(level: 'info' | 'warn' | 'error', text: string): void {
    this.#observer.pluginLogged(this.name, level, text, null)
  }

  #mayTell(allowance: Allowance, what: string): boolean {
    const missing = allowance.spend(performance.now())
    if (missing > 0) this.news('warn', `${missing} ${what} were left out`)
    if (allowance.isFirstBeyond)
      this.news('warn', `more than ${LINES_A_SECOND} ${what} within a second: what comes beyond that is counted alone`)
    return allowance.used <= LINES_A_SECOND
  }
}

/** How many lines of this second there were. */
class Allowance {
  used = 0
  #since = 0

  /** One more. Returns how many of the second before were not written. */
  spend(now: number): number {
    let missing = 0
    if (now - this.#since > 1000) {
      missing = Math.max(0, this.used - LINES_A_SECOND)
      this.#since = now
      this.used = 0
    }
    this.used++
    return missing
  }

  get isFirstBeyond(): boolean {
    return this.used === LINES_A_SECOND + 1
  }
}
