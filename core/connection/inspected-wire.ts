/**
 * A wire whose bytes go through hooks before its owner gets them: what hooks have not answered about is not read beyond, so nothing
 * piles up, and order stays.
 */
import type { Wire, WireOwner } from '../net/wire.ts'
import { nobody } from '../net/wire.ts'
import type { ConnectionHooks, Decision } from './connection-hooks.ts'

/** `denied`: hooks have ended it; the wire is reset. */
export function inspected(wire: Wire, hooks: ConnectionHooks, from: 'client' | 'upstream', denied: (decision: Decision) => void): Wire {
  return new InspectedWire(wire, hooks, from, denied)
}

class InspectedWire implements Wire, WireOwner {
  owner: WireOwner = nobody
  /** Each read has bytes of its own. */
  readonly lends = true
  readonly #wire: Wire
  readonly #hooks: ConnectionHooks
  readonly #from: 'client' | 'upstream'
  readonly #denied: (decision: Decision) => void
  #wantsMore = false
  #isAsking = false
  /** Read although it was paused. */
  #held: Buffer[] = []
  #hasEnded = false

  constructor(wire: Wire, hooks: ConnectionHooks, from: 'client' | 'upstream', denied: (decision: Decision) => void) {
    this.#wire = wire
    this.#hooks = hooks
    this.#from = from
    this.#denied = denied
    wire.owner = this
  }

  get closed(): boolean {
    return this.#wire.closed
  }
  get congested(): boolean {
    return this.#wire.congested
  }
  get remoteAddress(): string {
    return this.#wire.remoteAddress
  }
  get remotePort(): number {
    return this.#wire.remotePort
  }
  facts() {
    return this.#wire.facts()
  }
  writeText(text: string): boolean {
    return this.#wire.writeText(text)
  }
  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    return this.#wire.write(text, bytes, from, to)
  }
  resume(): void {
    this.#wantsMore = true
    this.#goOn()
  }
  pause(): void {
    this.#wantsMore = false
    this.#wire.pause()
  }
  expectBulk(): void {}
  leaveBuffer(): void {}
  end(): void {
    this.#wire.end()
  }
  finish(): void {
    this.#wire.finish()
  }
  destroy(): void {
    this.#wire.destroy()
  }
  reset(): void {
    this.#wire.reset()
  }

  onBytes(bytes: Buffer, length: number): void {
    const copy = Buffer.from(bytes.subarray(0, length))
    if (this.#isAsking || this.#held.length > 0) this.#held.push(copy)
    else this.#ask(copy)
  }
  onDrain(): void {
    this.owner.onDrain()
  }
  onEnd(): void {
    this.#hasEnded = true
    this.#goOn()
  }
  onClose(error: string | null): void {
    this.#held = []
    this.owner.onClose(error)
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
    if (this.#isAsking) this.#wire.pause()
  }

  #goOn(): void {
    if (this.#isAsking || this.closed) return
    if (!this.#wantsMore) return this.#wire.pause()
    const next = this.#held.shift()
    if (next !== undefined) return this.#ask(next)
    if (!this.#hasEnded) return this.#wire.resume()
    this.#hasEnded = false
    this.#wantsMore = false
    this.owner.onEnd()
  }
}
