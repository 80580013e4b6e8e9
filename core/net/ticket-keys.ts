/**
 * The keys that TLS session tickets are sealed with: the newest seals, the ones before still open. All workers have the same, so a
 * client resumes wherever it comes back to. A change is for the next ticket on, of every context that uses them.
 */
import { randomBytes } from 'node:crypto'
import type { SecureContext } from 'node:tls'

/** Its name, a key of HMAC-SHA-256 and one of AES-128, 16 bytes each. */
export const TICKET_KEY_BYTES = 48

/** What node:tls has beneath a context. Used by Node's own tests, told by no documentation; `ticketKeys`, which is, knows one key alone. */
interface NativeContext {
  enableTicketKeyCallback?(): void
  setTicketKeys(keys: Uint8Array): void
  onticketkeycallback?: (name: Buffer, iv: Buffer, seals: boolean) => TicketAnswer
}

/** [found, HMAC key, AES key], and when a ticket is to be sealed: name, IV. */
type TicketAnswer = readonly [number, Buffer, Buffer] | readonly [number, Buffer, Buffer, Buffer, Buffer]

export const UNKNOWN = 0
export const SEALED = 1
/** And to be replaced by another one: else a TLS 1.3 client, which uses each ticket once, would be left without. */
export const OPENED = 2

export function makeTicketKey(): Uint8Array {
  return randomBytes(TICKET_KEY_BYTES)
}

export class TicketKeys {
  #keys: readonly TicketKey[]

  /** The newest first, at least one. */
  constructor(keys: readonly Uint8Array[]) {
    this.#keys = keys.map(split)
  }

  replace(keys: readonly Uint8Array[]): void {
    this.#keys = keys.map(split)
  }

  applyTo(context: SecureContext): void {
    const native = context.context as NativeContext
    if (native.enableTicketKeyCallback === undefined) {
      const { name, hmac, aes } = this.#keys[0]!
      native.setTicketKeys(Buffer.concat([name, hmac, aes]))
      return
    }
    native.onticketkeycallback = (name, _, seals) => (seals ? this.#seal() : this.#open(name))
    native.enableTicketKeyCallback()
  }

  /** Seals from now on. */
  get newest(): TicketKey {
    return this.#keys[0]!
  }

  find(name: Uint8Array): TicketKey | null {
    return this.#keys.find((key) => key.name.equals(name)) ?? null
  }

  #seal(): TicketAnswer {
    const { name, hmac, aes } = this.newest
    return [SEALED, hmac, aes, name, randomBytes(16)]
  }

  #open(name: Buffer): TicketAnswer {
    const key = this.find(name)
    const { hmac, aes } = key ?? this.newest
    return [key === null ? UNKNOWN : OPENED, hmac, aes]
  }
}

export interface TicketKey {
  readonly name: Buffer
  readonly hmac: Buffer
  readonly aes: Buffer
}

function split(bytes: Uint8Array): TicketKey {
  const key = Buffer.from(bytes)
  return { name: key.subarray(0, 16), hmac: key.subarray(16, 32), aes: key.subarray(32, TICKET_KEY_BYTES) }
}
