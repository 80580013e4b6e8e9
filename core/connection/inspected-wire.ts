/**
 * A wire whose bytes go through hooks before its owner gets them: what hooks have not answered about is not read beyond, so nothing
 * piles up, and order stays.
 */

import { PassingWire } from '../net/passing-wire.ts'
import type { Wire } from '../net/wire.ts'
import type { ConnectionHooks, Decision } from './connection-hooks.ts'

/** `denied`: hooks have ended it; the wire is reset. */
export function inspected(wire: Wire, hooks: ConnectionHooks, from: 'client' | 'upstream', denied: (decision: Decision) => void): Wire {
  return new InspectedWire(wire, hooks, from, denied)
}

class InspectedWire extends PassingWire {
  /** Each read has bytes of its own. */
  readonly lends = true
  readonly #hooks: ConnectionHooks
  readonly #from: 'client' | 'upstream'
  readonly #denied: (decision: Decision) => void
  #wantsMore = false
  #isAsking = false
  /** Read although it was paused. */
  #held: Buffer[] = []
  #hasEnded = false

  constructor(wire: Wire, hooks: ConnectionHooks, from: 'client' | 'upstream', denied: (decision: Decision) => void) {
    super(wire)
    this.#hooks = hooks
    this.#from = from
    this.#denied = denied
  }

  resume(): void {
    this.#wantsMore = true
    this.#goOn()
  }
  pause(): void {
    this.#wantsMore = false
    this.wire.pause()
  }
  expectBulk(): void {}
  leaveBuffer(): void {}

  onBytes(bytes: Buffer, length: number): void {
    const copy = Buffer.from(bytes.subarray(0, length))
    if (this.#isAsking || this.#held.length > 0) this.#held.push(copy)
    else this.#ask(copy)
  }
  onEnd(): void {
    this.#hasEnded = true
    this.#goOn()
  }
  override onClose(error: string | null): void {
    this.#held = []
    super.onClose(error)
  }

  #ask(bytes: Buffer): void {
    this.#isAsking = true
    this.#hooks.inspect(bytes, this.#from, (inspected) => {
      this.#isAsking = false
      if (this.closed) return
      if ('code' in inspected) {
        this.#denied(inspected)
        return this.reset()
      }
      const { bytes: all } = inspected
      if (all.length > 0) this.owner.onBytes(Buffer.from(all.buffer, all.byteOffset, all.length), all.length)
      this.#goOn()
    })
    if (this.#isAsking) this.wire.pause()
  }

  #goOn(): void {
    if (this.#isAsking || this.closed) return
    if (!this.#wantsMore) return this.wire.pause()
    const next = this.#held.shift()
    if (next !== undefined) return this.#ask(next)
    if (!this.#hasEnded) return this.wire.resume()
    this.#hasEnded = false
    this.#wantsMore = false
    this.owner.onEnd()
  }
}
