/**
 * The ClientHello out of the first datagrams of a QUIC connection, versions 1 and 2: over any number of Initial packets, coalesced or
 * not, in any order. Nothing is answered and nothing is decrypted that is not open to everybody on the way.
 */
import { type HelloAnswer, readHelloMessage } from './hello-message.ts'
import { CryptoStream } from './quic-crypto-stream.ts'
import { InitialKeys, isKnownVersion, readLongPacket, versionAt } from './quic-packet.ts'

/** What a client pads its Initial datagrams to; smaller ones a server must discard (RFC 9000 §14.1). */
export const MIN_DATAGRAM_BYTES = 1200

/** One connection until its hello is whole. Keeps up to 64 KiB. */
export class QuicHello {
  readonly #stream = new CryptoStream()
  /** Of the first packet that could be opened; the client keeps to them until it is answered. */
  #keys: InitialKeys | null = null
  #datagrams = 0
  #answer: HelloAnswer = null

  /** A packet of its client was read: it is QUIC. */
  get isBegun(): boolean {
    return this.#keys !== null
  }

  /**
   * Null: more datagrams are needed. `malformed`: no connection begins like that. `version`: one of another version does. Once
   * packets of the client were read, datagrams that are none of its own are passed over; and what is answered then, stays.
   */
  add(datagram: Uint8Array): HelloAnswer | 'version' {
    if (this.#answer !== null) return this.#answer
    if (++this.#datagrams > MAX_DATAGRAMS) this.#answer = 'too_large'
    else this.#answer = this.#read(Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length))
    if (this.#answer !== null || this.#keys !== null) return this.#answer
    return isOfOtherVersion(datagram) ? 'version' : 'malformed'
  }

  #read(datagram: Buffer): HelloAnswer {
    if (datagram.length < MIN_DATAGRAM_BYTES) return null
    let keys = this.#keys
    let opened = 0
    for (let at = 0; at < datagram.length; ) {
      const packet = readLongPacket(datagram, at)
      if (packet === null) break
      at = packet.end
      if (!packet.isInitial) continue
      keys ??= new InitialKeys(packet)
      // All of a datagram is of one connection (RFC 9000 §12.2), and anybody may send one that is full of others: keys are costly.
      if (!keys.fits(packet) || ++opened > MAX_INITIALS) break
      const frames = keys.open(datagram, packet)
      if (frames === null) {
        if (this.#keys === null) break
        continue
      }
      this.#keys = keys
      const fault = frames === 'malformed' ? frames : this.#stream.readFrames(frames)
      if (fault !== null) return fault
    }
    return readHelloMessage(this.#stream.bytes, 0, this.#stream.ready)
  }
}

/** In one datagram. */
const MAX_INITIALS = 4

/** Enough for the largest hello in the smallest datagrams, each sent twice. */
const MAX_DATAGRAMS = 128

/** Version 0 is that of a server's list of versions (RFC 8999 §6). */
function isOfOtherVersion(datagram: Uint8Array): boolean {
  const version = versionAt(Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length))
  return version !== null && version !== 0 && !isKnownVersion(version)
}
