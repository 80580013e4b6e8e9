/**
 * A wire: one byte stream to a peer, whatever carries it. Its carriers keep one contract: a descriptor (kernel-wire.ts), a
 * bare TCP or pipe handle (handle-wire.ts), the handle of a TLS socket (tls-wire.ts), a `net.Socket` (socket-wire.ts). Nothing is buffered here beyond what the peer has not taken yet.
 */
import type { Socket } from 'node:net'
import type { StreamHandle } from './bindings.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'

export interface WireOwner {
  /**
   * Bytes [0, length) of `bytes` arrived. They are valid inside the call only; if `wire.lends` they may go on into another
   * wire's `write`, which tells whether they must stay untouched: then the wire is to be paused, or its buffer left, inside the call.
   */
  onBytes(bytes: Buffer, length: number): void
  /** Everything written has left; said once after a write returned false. */
  onDrain(): void
  /** The peer sends nothing more. Not said after onClose. */
  onEnd(): void
  /** The wire is gone, both ways; said exactly once, also after `destroy`. `error`: errno name such as `ECONNRESET`, or null. */
  onClose(error: string | null): void
}

/** Of a wire that nobody owns yet, or any more. */
export const nobody: WireOwner = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} }

export interface Wire {
  owner: WireOwner
  /** What it is paused or left with in `onBytes` stays as it is until the wire is resumed: it may be lent to a write. Else others are read into it. */
  readonly lends: boolean
  readonly closed: boolean
  /** Written, but not yet taken by the peer. */
  readonly congested: boolean
  readonly remoteAddress: string
  readonly remotePort: number
  /** Both ends, and what TLS agreed on, as far as the carrier knows. */
  facts(): ProxyFacts
  /** Latin1 text, copied at once. False: wait for `onDrain` before writing more. */
  writeText(text: string): boolean
  /** The same, where `finish` follows at once: a carrier that can has both leave together. */
  writeLast?(text: string): boolean
  /** `text`, then bytes [from, to), as one write. False: wait for `onDrain`, and leave the bytes untouched until then. */
  write(text: string, bytes: Buffer, from: number, to: number): boolean
  /** Starts or goes on reading. */
  resume(): void
  pause(): void
  /** Many bytes will come: from the next read on they can be lent. */
  expectBulk(): void
  /** False: nobody will detach it, so what arrives may be taken from the kernel before it is read. True: it may be again. */
  expectDetach?(isExpected: boolean): void
  /** What was read last stays lent although reading goes on: from now on, read into another buffer. */
  leaveBuffer(): void
  /** What it has read is nobody's any more, lent or not: it is closed, and so is all that it was lent to. */
  recycle?(): void
  /** Sends FIN once everything written has left. */
  end(): void
  /** Like end, for a peer that has nothing more to say: a carrier that can closes both ways then, and does not wait for the peer. */
  finish(): void
  /** Closes both ways at once; what was written and has not left is lost. */
  destroy(): void
  /** Like destroy, with RST where the carrier has one: the peer must not take what it got for complete. */
  reset(): void
}

/** A wire that a listener accepted, and may still be put under TLS. */
export interface AcceptedWire extends Wire {
  /** Of its socket; -1: there is none to be had. */
  readonly descriptor: number
  /** What has been read of it already, and is told to nobody from now on: whoever detaches it asks before. Null: nothing. */
  takeKept?(): Buffer | null
  /**
   * Before anything was written: gives the connection up to a socket that TLS can be put on, with `unread` (copied) still to be
   * read. The wire is dead, and `onClose` is not said.
   */
  detach(unread: Uint8Array): Socket
  /** Like detach, to the bare handle; null if there is none, and nothing has happened. */
  detachHandle(): StreamHandle | null
}
