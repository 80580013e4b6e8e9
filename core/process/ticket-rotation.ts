/** The keys of TLS session tickets as the supervisor keeps them: in memory alone, a new one each few hours, the one before still good. */
import { makeTicketKey } from '../net/ticket-keys.ts'

export const TICKET_ROTATION_MS = 8 * 3_600_000

export class TicketRotation {
  /** The newest first. */
  keys: readonly Uint8Array[] = [makeTicketKey()]
  readonly #timer: NodeJS.Timeout

  constructor(everyMs: number, changed: (keys: readonly Uint8Array[]) => void) {
    this.#timer = setInterval(() => {
      this.keys = [makeTicketKey(), this.keys[0]!]
      changed(this.keys)
    }, everyMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
