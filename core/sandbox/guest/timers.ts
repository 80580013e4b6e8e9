/** `setTimeout` of the sandbox. The host is told when the next timer is due and enters the guest for each one alone. */
import { OWNER, TIMER } from '../wire.ts'
import { now } from './clock.ts'
import { apply, Failure, max } from './primordials.ts'

interface Timer {
  readonly id: number
  readonly due: number
  readonly owner: number
  readonly callback: (...args: unknown[]) => void
  readonly args: unknown[]
}

const MOST_TIMERS = 10_000
let timers: Timer[] = []
let lastId = 0
let shared: Int32Array

export function createTimers(tape: Int32Array): Record<string, unknown> {
  shared = tape
  return {
    setTimeout(callback: unknown, ms?: unknown, ...args: unknown[]): number {
      if (typeof callback !== 'function') throw new Failure('setTimeout takes a function')
      if (timers.length >= MOST_TIMERS) throw new Failure('too many timers are waiting')
      const delay = Number(ms)
      const due = now() + (delay > 0 && delay < 2 ** 31 ? delay : 0)
      timers[timers.length] = { id: ++lastId, due, owner: tape[OWNER]!, callback: callback as Timer['callback'], args }
      tellNext()
      return lastId
    },
    clearTimeout(id: unknown): void {
      remove(Number(id))
      tellNext()
    },
  }
}

/** Runs one timer, if one is due; `claim` is told on whose behalf. */
export function runDueTimer(claim: (owner: number) => void): void {
  const time = now()
  let next: Timer | null = null
  for (let i = 0; i < timers.length; i++) {
    const timer = timers[i]!
    if (timer.due <= time && (next === null || timer.due < next.due)) next = timer
  }
  if (next !== null) remove(next.id)
  tellNext()
  if (next === null) return
  claim(next.owner)
  apply(next.callback, undefined, next.args)
}

function remove(id: number): void {
  const kept: Timer[] = []
  let n = 0
  for (let i = 0; i < timers.length; i++) if (timers[i]!.id !== id) kept[n++] = timers[i]!
  timers = kept
}

/** When the next one is due: the clock may have been put forward. */
export function tellNext(): void {
  let next = -1
  for (let i = 0; i < timers.length; i++) if (next < 0 || timers[i]!.due < next) next = timers[i]!.due
  shared[TIMER] = next < 0 ? -1 : max(0, next - now())
}
