/** The clock that a plugin sees. It is the machine's, but in a simulation, which puts it forward: `Date` and timers then follow. */
import { defineProperty, floor } from './primordials.ts'

const Native = Date
const machineNow = Native.now
let shiftMs = 0
let isShifted = false

export function now(): number {
  return machineNow() + shiftMs
}

/** From now on it is so much later than the machine says. */
export function shiftClock(ms: number): void {
  shiftMs = floor(ms)
  if (!isShifted) install()
  isShifted = true
}

/** Not before somebody asks for it: who reads the machine's clock pays for nothing. */
function install(): void {
  const Shifted = new Proxy(Native, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
    apply: () => new Native(now()).toString(),
  })
  const put = (target: object, name: string, value: unknown) =>
    defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false })
  put(Native, 'now', () => now())
  put(Native.prototype, 'constructor', Shifted)
  put(globalThis, 'Date', Shifted)
}
