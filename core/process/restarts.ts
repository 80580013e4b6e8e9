/**
 * When a dead worker is replaced: at once, unless workers of that slot die again and again soon after they were born; then ever
 * later, so that a crash loop does not take the CPU that healthy workers need.
 */
import type { LogEntry } from './messages.ts'

export interface RestartOptions {
  readonly slots: number
  readonly restart: (slot: number) => void
  readonly tell: (entry: LogEntry) => void
  readonly now?: () => number
}

/** A worker that lived so long was not in a crash loop. */
const soundAfterMs = 5_000
/** So many early deaths in a row are replaced at once. */
const patience = 5
const firstDelayMs = 250
const longestDelayMs = 10_000

interface DeadWorker {
  readonly slot: number
  readonly pid: number
  readonly bornAt: number
  readonly killedFor: string | null
}

export class Restarts {
  /** Replacements so far, by what ended the worker: `hang`, `SIGKILL`, `exit 1`. */
  readonly counts: Record<string, number> = {}
  readonly #options: RestartOptions
  readonly #earlyDeaths: number[]
  readonly #timers = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(options: RestartOptions) {
    this.#options = options
    this.#earlyDeaths = Array.from({ length: options.slots }, () => 0)
  }

  ended(worker: DeadWorker, why: string): void {
    if (this.#stopped) return
    const { slot, pid, bornAt, killedFor } = worker
    const lived = (this.#options.now ?? (() => performance.now()))() - bornAt
    const early = lived < soundAfterMs ? this.#earlyDeaths[slot]! + 1 : 0
    this.#earlyDeaths[slot] = early
    const delayMs = delayAfter(early)
    const cause = killedFor === null ? why : 'hang'
    this.counts[cause] = (this.counts[cause] ?? 0) + 1
    const again = delayMs === 0 ? '' : `; ${early} died soon after their start, the next one starts in ${delayMs / 1000} s`
    this.#options.tell({ level: 'error', text: `worker ${slot} ended: ${killedFor ?? why}${again}`, fields: { pid } })
    if (delayMs === 0) this.#options.restart(slot)
    else this.#later(slot, delayMs)
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #later(slot: number, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#options.restart(slot)
    }, delayMs)
    this.#timers.add(timer)
  }
}

export function delayAfter(earlyDeaths: number): number {
  if (earlyDeaths <= patience) return 0
  return Math.min(longestDelayMs, firstDelayMs * 2 ** (earlyDeaths - patience - 1))
}
