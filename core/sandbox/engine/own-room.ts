/** Bytes of a batch on the worker's side of a process engine's pair, which grow as they are needed, up to what the plugin host has room for. */
import type { ByteRoom } from '../batch.ts'
import { LEAST_BYTES_IN } from '../wire.ts'

export class OwnRoom implements ByteRoom {
  bytes = new Uint8Array(0)
  readonly #needed: { readonly bytes: number }

  constructor(needed: { readonly bytes: number }) {
    this.#needed = needed
  }

  get most(): number {
    return this.#needed.bytes
  }

  ensure(size: number): boolean {
    if (size > this.most) return false
    if (size > this.bytes.length) {
      const larger = new Uint8Array(Math.max(size, LEAST_BYTES_IN))
      larger.set(this.bytes)
      this.bytes = larger
    }
    return true
  }
}
