/**
 * What a stream of HTTP/2 receives: DATA within the window that the client was given. Until somebody takes it, it is kept, and the window
 * stays as it is: no more can come than fits in it.
 */
import { type SendingHome, SendingStream } from './http2-sending.ts'

export interface ReceivingHome extends SendingHome {
  /** The client may send so many more bytes on this stream. */
  credit(stream: ReceivingStream, bytes: number): void
  /** So many bytes are taken, or not wanted: the connection may have others instead. */
  creditAll(bytes: number): void
}

/** Of what nobody has taken yet, a stream. */
export const STREAM_WINDOW = 256 * 1024

/** What is kept stands together: a buffer for each of many small frames would be a hundred times what is in them. */
const BLOCK_BYTES = 16 * 1024

interface Block {
  readonly bytes: Buffer
  filled: number
}

export abstract class ReceivingStream extends SendingStream {
  declare protected readonly home: ReceivingHome
  /** Somebody wants what comes, at once or later. */
  protected isReading = false
  #hasEnded: boolean
  /** Nobody takes it now: what comes is kept. */
  #paused = true
  #held: Block[] | null = null
  /** Bytes that the client may still send. */
  #window = STREAM_WINDOW
  /** Taken, and the client does not know yet. */
  #taken = 0

  constructor(id: number, home: ReceivingHome, { window, ended }: { readonly window: number; readonly ended: boolean }) {
    super(id, home, window)
    this.#hasEnded = ended
  }

  /** `lent`: the bytes stay as they are; else they are valid inside the call only. */
  protected abstract take(bytes: Buffer, from: number, to: number, lent: boolean): void
  /** All of it was taken, and nothing more comes. */
  protected abstract takeEnd(): void
  /** The client has said its last, and all of ours was sent. */
  protected abstract bothEnded(): void

  /** The client has said that it sends nothing more. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** A DATA frame of that length begins, some of it padding. False: it is larger than the client's window. */
  mayTake(length: number, padding: number): boolean {
    this.#window -= length
    this.#taken += padding
    return this.#window >= 0
  }

  onData(bytes: Buffer, from: number, to: number, ends: boolean): void {
    if (ends) this.#hasEnded = true
    if (!this.isReading) this.home.creditAll(to - from)
    else if (this.#paused) {
      if (to > from) this.#hold(bytes, from, to)
      return
    } else if (to > from) this.#give(bytes, from, to, false)
    if (ends) this.#giveEnd()
  }

  /** The end without data. */
  protected onLast(): void {
    this.#hasEnded = true
    if (!this.#paused) this.#giveEnd()
  }

  protected pause(): void {
    this.#paused = true
  }

  protected resume(): void {
    this.#paused = false
    while (!this.#paused && this.#held !== null) {
      const { bytes, filled } = this.#held.shift()!
      if (this.#held.length === 0) this.#held = null
      this.#give(bytes, 0, filled, true)
    }
    if (!this.#paused && this.#hasEnded) this.#giveEnd()
  }

  /** What is kept, and what still comes, is thrown away. */
  protected stopReading(): void {
    this.isReading = false
    if (this.#held === null) return
    for (const { filled } of this.#held) this.home.creditAll(filled)
    this.#held = null
  }

  /** Nothing more is expected: the client is gone. */
  protected endReceiving(): void {
    this.#hasEnded = true
  }

  #hold(bytes: Buffer, from: number, to: number): void {
    if (this.#held === null) {
      this.#held = [{ bytes: Buffer.from(bytes.subarray(from, to)), filled: to - from }]
      return
    }
    for (let at = from; at < to; ) {
      let last = this.#held.at(-1)!
      if (last.filled === last.bytes.length) {
        last = { bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES), filled: 0 }
        this.#held.push(last)
      }
      const copied = bytes.copy(last.bytes, last.filled, at, to)
      last.filled += copied
      at += copied
    }
  }

  /** A stream that has ended needs no window any more; the connection does. */
  #give(bytes: Buffer, from: number, to: number, lent: boolean): void {
    this.home.creditAll(to - from)
    this.#taken += to - from
    if (!this.#hasEnded && this.#taken >= STREAM_WINDOW / 2) {
      this.home.credit(this, this.#taken)
      this.#window += this.#taken
      this.#taken = 0
    }
    this.take(bytes, from, to, lent)
  }

  #giveEnd(): void {
    if (this.isReading) this.takeEnd()
    if (this.hasSentAll) this.bothEnded()
  }
}
