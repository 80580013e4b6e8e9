/**
 * A wire whose bytes go both ways no faster than throttles let them, for whatever relays bytes over it. Its owner is held up as by a slow peer:
 * what waits is the read that it came in, and what the owner has lent to a write.
 */
import { PassingWire } from '../net/passing-wire.ts'
import type { Wire } from '../net/wire.ts'
import { PacedPieces } from './paced-pieces.ts'
import type { Paces, Throttle } from './throttle.ts'

export interface WirePaces {
  /** Of what is read from it. Empty: as fast as it comes. */
  readonly read: readonly Throttle[]
  /** Of what is written to it. */
  readonly write: readonly Throttle[]
}

export class PacedWire extends PassingWire {
  readonly #reads: PacedPieces
  readonly #writes: PacedPieces
  /** The owner wants no more for now. */
  #isPaused = true
  /** What is said once all that was read has gone on. */
  #hasEnded = false
  #hasClosed = false
  #hasSaidClosed = false
  #error: string | null = null
  /** Said once all that was written has left. */
  #atEnd: 'end' | 'finish' | null = null

  constructor(wire: Wire, { read, write }: WirePaces) {
    super(wire)
    this.#reads = new PacedPieces({
      throttles: read,
      write: (_, bytes, from, to) => this.#give(bytes, from, to),
      flush: () => true,
      emptied: () => this.#readOn(),
    })
    this.#writes = new PacedPieces({
      throttles: write,
      write: (text, bytes, from, to) => this.wire.write(text, bytes, from, to),
      flush: () => true,
      emptied: () => this.#written(),
    })
  }

  /** What waits is lent until it has gone on, or has bytes of its own. */
  get lends(): boolean {
    return true
  }
  override get closed(): boolean {
    return this.#hasClosed || this.wire.closed
  }
  override get congested(): boolean {
    return this.#writes.holds || this.wire.congested
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#reads.holds) this.#reads.drained()
    else this.#readOn()
  }
  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#reads.block()
    this.wire.pause()
  }
  expectBulk(): void {
    this.wire.expectBulk()
  }
  /** What waits is in the buffer that is left. */
  leaveBuffer(): void {
    this.wire.leaveBuffer()
  }

  onBytes(bytes: Buffer, length: number): void {
    const lasting = this.wire.lends ? bytes : Buffer.from(bytes.subarray(0, length))
    if (!this.#reads.push('', lasting, 0, length)) this.wire.pause()
  }
  onEnd(): void {
    this.#hasEnded = true
    if (!this.#reads.waits) this.#readOn()
  }
  override onClose(error: string | null): void {
    this.#hasClosed = true
    this.#error = error
    this.#writes.close()
    // What had come before goes on, unless the peer takes it back.
    if (error !== null || !this.#reads.waits) this.#sayClosed()
  }

  #give(bytes: Buffer, from: number, to: number): boolean {
    this.owner.onBytes(from === 0 ? bytes : bytes.subarray(from), to - from)
    return !this.#isPaused
  }

  #readOn(): void {
    if (this.#isPaused) return
    if (this.#hasEnded) {
      this.#hasEnded = false
      this.owner.onEnd()
    }
    if (this.#hasClosed) this.#sayClosed()
    else if (!this.#isPaused) this.wire.resume()
  }

  #sayClosed(): void {
    if (this.#hasSaidClosed) return
    this.#hasSaidClosed = true
    this.#reads.close()
    this.owner.onClose(this.#error)
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  override writeText(text: string): boolean {
    return this.#writes.push(text, NOTHING, 0, 0)
  }
  override write(text: string, bytes: Buffer, from: number, to: number): boolean {
    return this.#writes.push(text, bytes, from, to)
  }
  override onDrain(): void {
    this.#writes.drained()
  }
  override end(): void {
    if (this.#writes.holds) this.#atEnd = 'end'
    else this.wire.end()
  }
  override finish(): void {
    if (this.#writes.holds) this.#atEnd = 'finish'
    else this.wire.finish()
  }
  override destroy(): void {
    this.#reads.close()
    if (this.wire.closed) this.#sayClosed()
    else this.wire.destroy()
  }
  override reset(): void {
    this.#reads.close()
    if (this.wire.closed) this.#sayClosed()
    else this.wire.reset()
  }

  #written(): void {
    if (this.#atEnd === 'end') this.wire.end()
    else if (this.#atEnd === 'finish') this.wire.finish()
    this.owner.onDrain()
  }
}

const NOTHING = Buffer.alloc(0)

/** Stands in front of the endpoint; null: nothing does. */
export function pacedBy(paces: Paces | null): ((endpoint: Wire) => Wire) | null {
  if (paces === null) return null
  const list = (throttle: Paces['request']) => (throttle === null ? [] : [throttle])
  return (endpoint) => new PacedWire(endpoint, { read: list(paces.response), write: list(paces.request) })
}
