/** A connection between two stages, or on its way out: nobody reads it, and its end is told. */
import type { Accepted } from '../connection/home.ts'
import type { Wire, WireOwner } from '../net/wire.ts'

export class Interim implements Accepted, WireOwner {
  keptAt = -1
  readonly #wire: Wire
  readonly #home: { connectionClosed(connection: Accepted): void }

  constructor(wire: Wire, home: { connectionClosed(connection: Accepted): void }) {
    this.#wire = wire
    this.#home = home
    wire.owner = this
  }

  drain(): void {}

  destroy(): void {
    this.#wire.destroy()
  }

  onBytes(): void {}
  onDrain(): void {}
  onEnd(): void {}

  onClose(): void {
    this.#home.connectionClosed(this)
  }
}
