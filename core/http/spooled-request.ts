/**
 * A request's body that is gathered before an endpoint is asked: all of it, or as much as there is room for. From then on it goes out as fast as the endpoint
 * takes it, and the client may send the rest.
 */
import { Spool, type SpoolOptions, type SpoolOwner } from './spool.ts'

export interface SpooledTaker {
  /** An endpoint is connected, and has been sent the head. */
  readonly takesBody: boolean
  /** It is small, and complete. */
  sendWhole(body: Buffer): void
  /** Is to be answered by `resume`. */
  sendSpooled(): void
  /** False: `resume` follows. */
  writeBody(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean
  writeEnd(text: string): void
  /** More may come from the client. */
  takeMoreBody(): void
  onSpoolBroken(detail: string): void
}

export class SpooledRequest implements SpoolOwner {
  /** Whoever sends it has sent all of it. */
  sourceDone = false
  readonly #taker: SpooledTaker
  readonly #spool: Spool
  #isSent = false
  #isBlocked = true
  #isHeldUp = false
  #isOver = false

  constructor(taker: SpooledTaker, options: SpoolOptions) {
    this.#taker = taker
    this.#spool = new Spool(options, this)
  }

  /** Framed for HTTP/1.1. False: wait for `takeMoreBody`. */
  push(prefix: string, bytes: Buffer, from: number, to: number): boolean {
    if (this.#isOver) return false
    if (prefix !== '') this.#spool.append(Buffer.from(prefix, 'latin1'))
    this.#spool.append(bytes, from, to)
    return this.#took()
  }

  #took(): boolean {
    if (this.#isSent) this.#write()
    else if (this.#spool.isFull) this.#send()
    this.#isHeldUp = !this.#isOver && !this.#spool.hasRoom
    return !this.#isHeldUp
  }

  end(text: string): void {
    if (this.#isOver) return
    this.sourceDone = true
    this.#spool.append(Buffer.from(text, 'latin1'))
    if (this.#isSent) this.#write()
    else this.#send()
  }

  #send(): void {
    this.#isSent = true
    const whole = this.sourceDone ? this.#spool.takeWhole() : null
    if (whole === null) return this.#taker.sendSpooled()
    this.close()
    this.#taker.sendWhole(whole)
  }

  /** The endpoint takes more. */
  resume(): void {
    this.#isBlocked = false
    this.#write()
  }

  onMore(): void {
    if (!this.#isOver) this.#write()
  }

  onBroken(detail: string): void {
    if (!this.#isOver) this.#taker.onSpoolBroken(detail)
  }

  #write(): void {
    if (!this.#isSent && this.#spool.isFull) this.#send()
    while (this.#isSent && !this.#isBlocked && this.#taker.takesBody && !this.#isOver) {
      const piece = this.#spool.take()
      if (piece === null) break
      this.#isBlocked = !this.#taker.writeBody('', piece, 0, piece.length, true)
    }
    if (this.#isOver) return
    if (this.sourceDone && this.#spool.isEmpty && this.#isSent && this.#taker.takesBody) {
      this.close()
      return this.#taker.writeEnd('')
    }
    if (!this.#isHeldUp || !this.#spool.hasRoom) return
    this.#isHeldUp = false
    this.#taker.takeMoreBody()
  }

  close(): void {
    this.#isOver = true
    this.#spool.close()
  }
}
