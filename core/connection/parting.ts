/**
 * The end of a connection that is told something before: it is written, the sending side is closed, and what the client still sends is
 * read and dropped until it closes too, for no more than a second. Closed at once, unread bytes would make the system take the answer back.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import type { Accepted } from './home.ts'

const LINGER_MS = 1_000

export interface PartingHome {
  connectionClosed(connection: Accepted): void
}

export class Parting implements Accepted, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly #wire: Wire
  readonly #home: PartingHome
  readonly #deadlines: Deadlines

  constructor(wire: Wire, home: PartingHome, deadlines: Deadlines) {
    this.#wire = wire
    this.#home = home
    this.#deadlines = deadlines
    this.dueAt = deadlines.in(LINGER_MS)
    deadlines.add(this)
    wire.owner = this
  }

  /** Apart from making it, for it may be over at once. */
  say(bytes: Buffer): void {
    this.#wire.write('', bytes, 0, bytes.length)
    this.#wire.end()
    if (!this.#wire.closed) this.#wire.resume()
  }

  drain(): void {}

  destroy(): void {
    this.#wire.destroy()
  }

  onDeadline(): void {
    this.#wire.destroy()
  }

  onBytes(): void {}
  onDrain(): void {}

  onEnd(): void {
    if (!this.#wire.congested) this.#wire.destroy()
  }

  onClose(): void {
    this.#deadlines.remove(this)
    this.#home.connectionClosed(this)
  }
}
