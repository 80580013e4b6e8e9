/**
 * What a stream of HTTP/2 has to send: DATA within the client's windows, what they do not let out waits in order, and the end behind it.
 * What waits is lent by whoever sends it, who stops at once: it is no more than one read of an endpoint.
 */
import { FLAG, frameHead, HEAD_BYTES, headersFrames, MAX_FRAME_BYTES, TYPE } from '../net/http2/frame.ts'

export interface SendingHome {
  /** Of the connection: what it may still send. */
  sendWindow: number
  /** What was written has not left: no more is. */
  readonly isCongested: boolean
  /** Frames, as text. */
  send(frames: string): void
  /** A DATA frame: its head, then bytes [from, to). */
  sendBytes(head: string, bytes: Buffer, from: number, to: number): void
  /** `onRoom` will be called, in turn with those of others. */
  wait(stream: SendingStream): void
}

/** With its head it fills one record of TLS, not one and a bit (RFC 8446 §5.1). */
const MAX_DATA = MAX_FRAME_BYTES - HEAD_BYTES

export abstract class SendingStream {
  readonly id: number
  protected readonly home: SendingHome
  /** The last frame of it was sent. */
  protected hasSentAll = false
  #window: number
  #queue: Buffer[] = []
  /** Bytes of a body whose length is known and that are not sent yet: the last of them end the stream. -1: not known. */
  #left = -1
  /** Nothing more comes; the trailers that go last, as a field block. */
  #end: string | null = null

  constructor(id: number, home: SendingHome, window: number) {
    this.id = id
    this.home = home
    this.#window = window
  }

  /** All that was given has left, or can. */
  protected abstract drained(): void
  /** The end of the stream was sent. */
  protected abstract sentAll(): void

  get isWaiting(): boolean {
    return this.#queue.length > 0 || (this.#end !== null && !this.hasSentAll)
  }

  protected get isSendable(): boolean {
    return this.#queue.length === 0 && !this.home.isCongested
  }

  /** `length`: bytes of body that follow; -1: not known. */
  protected sendHeaders(block: string, ends: boolean, length: number): void {
    this.#left = ends ? 0 : length
    this.home.send(headersFrames(this.id, block, ends, MAX_FRAME_BYTES))
    if (ends) this.#sent()
  }

  protected sendData(bytes: Buffer, from: number, to: number): void {
    let at = from
    if (this.#queue.length === 0) while (at < to && this.#room > 0) at = this.#frame(bytes, at, to)
    if (at === to) return
    this.#queue.push(bytes.subarray(at, to))
    this.home.wait(this)
  }

  protected sendDataText(text: string): void {
    const { length } = text
    if (this.#queue.length > 0 || length > this.#room) return this.sendData(Buffer.from(text, 'latin1'), 0, length)
    this.#window -= length
    this.home.sendWindow -= length
    this.home.send(this.#head(length) + text)
    if (this.#left === 0) this.#sent()
  }

  /** Nothing more comes. `trailers`: a field block, or `''`. */
  protected sendEnd(trailers: string): void {
    if (this.hasSentAll || this.#end !== null) return
    this.#end = trailers
    if (this.#queue.length === 0) this.#putEnd()
  }

  /** What waits will not be sent. */
  protected dropQueue(): void {
    this.#queue = []
    this.#end = null
    this.hasSentAll = true
  }

  /** False: the window would be larger than there may be one (RFC 9113 §6.9.1). */
  widen(bytes: number): boolean {
    this.#window += bytes
    return this.#window <= 0x7fffffff
  }

  /** There may be room: sends one frame of what waits. Returns whether it could. */
  onRoom(): boolean {
    const bytes = this.#queue[0]
    if (bytes === undefined) return false
    if (this.#room <= 0) return false
    const at = this.#frame(bytes, 0, bytes.length)
    if (at < bytes.length) this.#queue[0] = bytes.subarray(at)
    else this.#queue.shift()
    if (this.#queue.length === 0 && this.#end !== null) this.#putEnd()
    return true
  }

  /** Once nothing waits any more: whoever was held up goes on. */
  tellDrained(): void {
    this.drained()
  }

  get #room(): number {
    return this.home.isCongested ? 0 : Math.min(this.#window, this.home.sendWindow)
  }

  /** Sends one frame of bytes[at, to), of which there is room for some; returns where it ends. */
  #frame(bytes: Buffer, at: number, to: number): number {
    const end = at + Math.min(to - at, this.#room, MAX_DATA)
    this.#window -= end - at
    this.home.sendWindow -= end - at
    this.home.sendBytes(this.#head(end - at), bytes, at, end)
    if (this.#left === 0) this.#sent()
    return end
  }

  #head(length: number): string {
    if (this.#left > 0) this.#left -= length
    return frameHead(length, TYPE.data, this.#left === 0 ? FLAG.endStream : 0, this.id)
  }

  #putEnd(): void {
    if (this.hasSentAll) return
    const trailers = this.#end!
    if (trailers !== '') this.home.send(headersFrames(this.id, trailers, true, MAX_FRAME_BYTES))
    else this.home.send(frameHead(0, TYPE.data, FLAG.endStream, this.id))
    this.#sent()
  }

  #sent(): void {
    this.hasSentAll = true
    this.sentAll()
  }
}
