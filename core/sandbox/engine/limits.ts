/** What a crossing may take of the clock on the wall, what its thread has worked, and what its end is called. */
import type { FailureWhy } from '../wire.ts'
import { LOAD_TIMEOUT_MS } from './engine.ts'
import type { Ending, Room } from './room.ts'

/**
 * A turn that awaits, or goes on after that, cannot be tried again when it is cut short: on the wall's clock it gets the time that a busy
 * machine takes for it.
 */
export function patient(timeoutMs: number): number {
  return timeoutMs + Math.min(9 * timeoutMs, 100)
}

export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

export function whyOf(ending: Ending): FailureWhy {
  return ending === 'broken' ? 'threw' : ending === 'returned' ? 'crashed' : ending
}

export function expectReturn(ending: Ending, isolate: Room): string {
  if (ending === 'returned') return isolate.output
  if (ending === 'timeout') throw new Error(`it ran longer than ${LOAD_TIMEOUT_MS} ms while it was loaded`)
  if (ending === 'memory') throw new Error('it ran out of memory while it was loaded')
  throw new Error(isolate.output)
}
