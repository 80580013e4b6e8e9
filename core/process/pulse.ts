/** A worker's heartbeat, and what it measures about the process itself while it is at it. */
import type { Counters } from '../observe/counters.ts'

export interface PulseOptions {
  readonly slot: number
  readonly everyMs: number
  readonly beat: () => void
}

export class Pulse {
  readonly #counters: Counters
  readonly #options: PulseOptions
  readonly #slots: { readonly memory: number; readonly lag: number; readonly user: number; readonly system: number }
  #timer: NodeJS.Timeout | null = null
  #dueAt = 0
  #lagMs = 0

  constructor(counters: Counters, options: PulseOptions) {
    this.#counters = counters
    this.#options = options
    const worker = String(options.slot)
    this.#slots = {
      memory: counters.add('worker_memory_bytes', worker),
      lag: counters.add('event_loop_lag_seconds', worker),
      user: counters.add('worker_cpu_seconds_total', 'user'),
      system: counters.add('worker_cpu_seconds_total', 'system'),
    }
  }

  start(): void {
    this.#dueAt = performance.now() + this.#options.everyMs
    this.#timer = setInterval(() => {
      const now = performance.now()
      this.#lagMs = Math.max(0, now - this.#dueAt)
      this.#dueAt = now + this.#options.everyMs
      this.#options.beat()
    }, this.#options.everyMs)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  measure(): void {
    const { user, system } = process.cpuUsage()
    const values = this.#counters.values
    values[this.#slots.memory] = process.memoryUsage.rss()
    values[this.#slots.lag] = this.#lagMs / 1000
    values[this.#slots.user] = user / 1e6
    values[this.#slots.system] = system / 1e6
  }
}
