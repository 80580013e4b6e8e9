/** A worker's log lines on their way to the supervisor, which writes them: in batches, and never more than a bounded number a second. */
import type { LogEntry } from './messages.ts'

const perSecond = 200

export class ForwardedLog {
  readonly #forward: (entries: readonly LogEntry[]) => void
  #entries: LogEntry[] = []
  #left = perSecond
  #skipped = 0
  #second: NodeJS.Timeout | null = null
  #soon: NodeJS.Immediate | null = null

  constructor(forward: (entries: readonly LogEntry[]) => void) {
    this.#forward = forward
  }

  write(entry: LogEntry): void {
    this.#second ??= setTimeout(this.#nextSecond, 1000).unref()
    if (this.#left === 0) {
      this.#skipped++
      return
    }
    this.#left--
    this.#entries.push(entry)
    this.#soon ??= setImmediate(() => this.flush())
  }

  flush(): void {
    if (this.#soon !== null) clearImmediate(this.#soon)
    this.#soon = null
    const entries = this.#entries
    if (entries.length === 0) return
    this.#entries = []
    this.#forward(entries)
  }

  readonly #nextSecond = (): void => {
    this.#second = null
    this.#left = perSecond
    const skipped = this.#skipped
    this.#skipped = 0
    if (skipped > 0) this.write({ level: 'warn', text: `${skipped} log lines of a worker were left out`, fields: {} })
  }
}
