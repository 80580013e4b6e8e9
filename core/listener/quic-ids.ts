/**
 * Which connection of QUIC a datagram from an unknown address belongs to: clients change theirs (RFC 9000 §9), and their packets begin
 * with an id that the server has chosen. Only ids from the handshake are known, for later ones are encrypted.
 */

/** First bits of a packet with a short header (RFC 9000 §17.3.1). */
const SHORT = 0x40

export class QuicIds<Owner> {
  readonly #owners = new Map<string, Owner>()
  /** One id each: the last one. */
  readonly #ids = new Map<Owner, string>()
  /** How many there are of each length, for the packets do not tell it. */
  readonly #lengths = new Map<number, number>()

  set(owner: Owner, id: Buffer): void {
    const text = id.latin1Slice()
    if (this.#ids.get(owner) === text) return
    this.delete(owner)
    this.#owners.set(text, owner)
    this.#ids.set(owner, text)
    this.#lengths.set(text.length, (this.#lengths.get(text.length) ?? 0) + 1)
  }

  delete(owner: Owner): void {
    const text = this.#ids.get(owner)
    if (text === undefined) return
    this.#ids.delete(owner)
    // Another connection may have got the same id since.
    if (this.#owners.get(text) === owner) this.#owners.delete(text)
    const left = this.#lengths.get(text.length)! - 1
    if (left === 0) this.#lengths.delete(text.length)
    else this.#lengths.set(text.length, left)
  }

  find(datagram: Buffer, length: number): Owner | null {
    if ((datagram[0]! & 0xc0) !== SHORT) return null
    for (const size of this.#lengths.keys()) {
      const owner = size < length ? this.#owners.get(datagram.latin1Slice(1, 1 + size)) : undefined
      if (owner !== undefined) return owner
    }
    return null
  }
}
