/** A hook's call whose late answer is seen before the exchange gets it. */

import type { CacheSide } from '../cache/cache-side.ts'
import type { HookCall, Verdict } from '../hooks.ts'

export class WatchedCall implements HookCall {
  readonly resume: (verdict: Verdict | null) => void
  readonly #call: HookCall

  constructor(call: HookCall, resume: (verdict: Verdict | null) => void) {
    this.#call = call
    this.resume = resume
  }

  get request(): HookCall['request'] {
    return this.#call.request
  }
  get response(): HookCall['response'] {
    return this.#call.response
  }
  get ip(): string {
    return this.#call.ip
  }
  get id(): string {
    return this.#call.id ?? ''
  }
  get scheme(): 'http' | 'https' {
    return this.#call.scheme ?? 'http'
  }
  get part(): HookCall['part'] {
    return this.#call.part
  }
  get ended(): boolean {
    return this.#call.ended
  }
  get passage(): HookCall['passage'] {
    return this.#call.passage
  }
  get cacheSide(): HookCall['cacheSide'] {
    const side = this.#call.cacheSide
    return side === undefined ? undefined : watched(side, this.resume)
  }
}

/** The exchange itself, but for how it is resumed. */
function watched(side: CacheSide, resume: HookCall['resume']): CacheSide {
  return new Proxy(side, {
    get(target, name) {
      if (name === 'resume') return resume
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  })
}
