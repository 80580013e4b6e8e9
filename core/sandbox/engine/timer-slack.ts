/**
 * How late this process lets its timers be. isolated-vm has a thread that wakes for the time limit of each crossing, also of those that
 * ended long before: thousands of times a second under load. Linux wakes it once for all that are due within its slack (proc(5),
 * timerslack_ns), which a thread has from the one that started it.
 */
import { writeFileSync } from 'node:fs'

/** A time limit, and any other timer of the process, comes this much later at the most. */
const SLACK_NS = 1_000_000

let isSet = false

/** To be called before the first crossing. Where it cannot be set, crossings cost more. */
export function loosenTimers(): void {
  if (isSet) return
  isSet = true
  try {
    writeFileSync('/proc/self/timerslack_ns', String(SLACK_NS))
  } catch {
    // Not Linux, or a /proc that is read-only.
  }
}
