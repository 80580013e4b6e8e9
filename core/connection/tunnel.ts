/** A tunnel: bytes both ways between two wires, unread, with half-close passed on, backpressure, and one idle deadline. */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import type { Meter } from '../policy/quota.ts'

/** Without a byte from the side that still may send. */
const HALF_CLOSED_IDLE_MS = 30_000

export interface TunnelOptions {
  readonly deadlines: Deadlines
  readonly idleMs: number
  /** What passes is counted by it; null: there is no quota. */
  readonly meter: Meter | null
  /** Called once, when both wires are closed. `cut`: no byte came for so long, or more than the quota; null: the sides ended it. */
  readonly ended: (fromLeft: number, fromRight: number, cut: 'tunnel_idle' | 'quota_exceeded' | null) => void
}

export class Tunnel implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #left: Side
  readonly #right: Side
  readonly #deadlines: Deadlines
  readonly #idleMs: number
  readonly #ended: TunnelOptions['ended']
  #open = 2
  #isHalfClosed = false
  #cut: 'tunnel_idle' | 'quota_exceeded' | null = null
  readonly meter: Meter | null

  /** Takes both wires over and starts reading them. */
  constructor(wires: { readonly left: Wire; readonly right: Wire }, options: TunnelOptions) {
    this.#deadlines = options.deadlines
    this.#idleMs = options.idleMs
    this.#ended = options.ended
    this.meter = options.meter
    this.#left = new Side(this, wires.left, wires.right)
    this.#right = new Side(this, wires.right, wires.left)
    this.#left.other = this.#right
    this.#right.other = this.#left
    this.#deadlines.add(this)
    this.active()
    for (const wire of [wires.left, wires.right]) {
      wire.expectBulk()
      wire.expectDetach?.(false)
      if (!(wire === wires.left ? wires.right : wires.left).congested) wire.resume()
    }
  }

  /** A byte passed. */
  active(): void {
    this.dueAt = this.#deadlines.in(this.#isHalfClosed ? Math.min(this.#idleMs, HALF_CLOSED_IDLE_MS) : this.#idleMs)
  }

  /** One side has said all it had: most often it is gone, and the other one does not care. */
  halfClosed(): void {
    this.#isHalfClosed = true
    this.active()
  }

  onDeadline(): void {
    this.#cut = 'tunnel_idle'
    this.#left.wire.destroy()
    this.#right.wire.destroy()
  }

  /** Nobody may take what has passed for all there is. */
  onSpent(): void {
    this.#cut = 'quota_exceeded'
    this.#left.wire.reset()
    this.#right.wire.reset()
  }

  closed(): void {
    if (--this.#open > 0) return
    this.#deadlines.remove(this)
    this.#recycle()
    this.#ended(this.#left.bytes, this.#right.bytes, this.#cut)
  }

  /** A wire with something in front of it, which may still look at what it got, keeps what it has. */
  #recycle(): void {
    const [left, right] = [this.#left.wire, this.#right.wire]
    if (left.recycle === undefined || right.recycle === undefined) return
    left.recycle()
    right.recycle()
  }
}

/** One direction: what `wire` sends goes to `to`. */
class Side implements WireOwner {
  readonly wire: Wire
  readonly #tunnel: Tunnel
  readonly #to: Wire
  other: Side | null = null
  /** Bytes that came from this side. */
  bytes = 0
  #finished = false

  constructor(tunnel: Tunnel, wire: Wire, to: Wire) {
    this.#tunnel = tunnel
    this.wire = wire
    this.#to = to
    wire.owner = this
  }

  onBytes(bytes: Buffer, length: number): void {
    this.bytes += length
    this.#tunnel.active()
    const { meter } = this.#tunnel
    if (meter !== null && !meter.pass(length)) return this.#tunnel.onSpent()
    if (!this.#to.write('', bytes, 0, length)) this.wire.pause()
  }

  /** What went to this side has left: its source may go on. */
  onDrain(): void {
    this.#tunnel.active()
    if (!this.other!.#finished) this.other!.wire.resume()
    else if (this.#finished) this.#destroyBoth()
  }

  onEnd(): void {
    this.#finished = true
    if (this.other!.#finished) {
      this.#to.finish()
      return this.#destroyBoth()
    }
    this.#to.end()
    this.#tunnel.halfClosed()
  }

  onClose(error: string | null): void {
    this.#finished = true
    // Nothing can reach this side any more: what the other one still says has nowhere to go.
    this.other!.#finished = true
    if (error === null) this.#to.finish()
    else this.#to.reset()
    if (!this.#to.congested) this.#to.destroy()
    this.#tunnel.closed()
  }

  #destroyBoth(): void {
    // Both have said all they had; what is still being written leaves before the close.
    if (!this.#to.congested) this.#to.destroy()
    if (!this.wire.congested) this.wire.destroy()
  }
}
