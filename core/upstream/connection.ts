/**
 * One HTTP/1.1 connection to an endpoint: sends a request, reads its response strictly, and is either kept for the next one or
 * closed. Bytes that nobody asked for close it, for they would be taken for the answer to somebody else's request.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { Parent } from '../forward/parent.ts'
import { ChunkedReader } from '../net/http1/chunked.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import { readResponseHead } from '../net/http1/response.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import type { PrivateConnections } from './private-connections.ts'

const NOTHING = Buffer.alloc(0)
/** Most heads end here; more is turned into text only for those that do not. */
const FIRST_LOOK = 4096

/** Who waits for a response. Calls come from inside one read, in this order, and `onReadEnd` closes each read. */
export interface ResponseSink {
  /** The response has no body whatever its fields say: it answers HEAD. */
  readonly answersHead: boolean
  /** Chunk framing is passed on as it is; asked after `onHead`. */
  readonly keepsFraming: boolean
  /** 100, 102, 103. */
  onInformational(head: ResponseHead): void
  /** `length`: bytes of body, -1 chunked, -2 until the connection closes. */
  onHead(head: ResponseHead, length: number): void
  /** `prefix`: framing that goes before the bytes. */
  onBody(prefix: string, bytes: Buffer, from: number, to: number): void
  /** Body that came with its head, as latin1 text: a slice of what was read, where bytes would have to be copied. */
  onBodyText(text: string): void
  onBodyEnd(trailers: string): void
  onReadEnd(): void
  /** 101: the connection is the sink's from now on; `rest` came after the head. */
  onUpgraded(head: ResponseHead, connection: UpstreamConnection, rest: Buffer): void
  /** What was written has left. */
  onSendable(): void
  /** The attempt is over without a complete response. */
  onFailed(code: ErrorCode, detail: string | null): void
}

export interface ConnectionHome {
  readonly headBytes: number
  readonly fields: number
  /** After a complete response on a connection that may be kept. */
  release(connection: UpstreamConnection): void
  /** The wire closed. */
  closed(connection: UpstreamConnection): void
}

type Reading = 'nothing' | 'head' | 'fixed' | 'chunked' | 'toClose'

export class UpstreamConnection implements WireOwner, Timed {
  /** Another one, once it is used for something else than HTTP: see `onUpgraded`. */
  wire: Wire
  readonly deadlines: Deadlines
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  /** It has answered before: a failure may only mean that it was closed while idle. */
  reused = false
  /** The whole request is written; until then an answer makes the connection unusable for others. */
  requestSent = false
  /** Between two reads of a body. */
  idleMs = 60_000
  /** Whoever had it opened wants to know that it is gone. */
  onGone: (() => void) | null = null
  /** Those of the client that it speaks for; null: it speaks for anybody. */
  privates: PrivateConnections | null = null
  /** The parent that it ends at, and is asked for whole URLs; null: it leads to the endpoint. */
  asksWhole: Parent | null = null
  /** It is not kept: a parent was asked in place of another, or it speaks for a user who cannot be told from others. */
  isForOnce = false
  readonly #home: ConnectionHome
  #sink: ResponseSink | null = null
  #reading: Reading = 'nothing'
  #held: Buffer = NOTHING
  /** Of interim heads, for this exchange: an endpoint that sends them without end is not waited for. */
  #interimBytes = 0
  #left = 0
  #chunks: ChunkedReader | null = null
  #keepAlive = false
  #answered = false
  /** Stopped by the sink: what was read last may still be lent to a client that takes its time. */
  #paused = false

  constructor(wire: Wire, home: ConnectionHome, deadlines: Deadlines) {
    this.wire = wire
    this.#home = home
    this.deadlines = deadlines
    wire.owner = this
    // What is read goes into writes of clients, who may take their time with it: it must not be read into again meanwhile.
    if (!wire.lends) wire.expectBulk()
    wire.expectDetach?.(false)
    deadlines.add(this)
  }

  /** Whom it is lent to; null: nobody. */
  get sink(): ResponseSink | null {
    return this.#sink
  }

  /** Lends the connection to one exchange. */
  start(sink: ResponseSink): void {
    this.#sink = sink
    this.#reading = 'head'
    this.#answered = false
    this.#interimBytes = 0
    this.requestSent = false
    this.dueAt = Number.POSITIVE_INFINITY
    this.wire.resume()
  }

  /** Keeps an idle connection: reading goes on, to see it close. */
  rest(keepAliveMs: number): void {
    this.dueAt = this.deadlines.in(keepAliveMs)
    if (!this.#paused) return
    this.#paused = false
    this.wire.leaveBuffer()
    this.wire.resume()
  }

  /** Gives up the exchange under way: nobody is told, the endpoint sees the connection close. */
  abort(): void {
    this.#sink = null
    this.wire.reset()
  }

  /** To be called inside of `onHead`: nobody wants this response. What is left of it is read if it has come already; else the connection closes. */
  discard(): void {
    this.#sink = new Unwanted(this)
  }

  /** Stops and goes on reading the response; while stopped no deadline runs, for it is not the endpoint that is slow. */
  pause(): void {
    this.#paused = true
    this.wire.pause()
    this.dueAt = Number.POSITIVE_INFINITY
  }

  resume(): void {
    this.#paused = false
    this.dueAt = this.deadlines.in(this.idleMs)
    this.wire.resume()
  }

  onBytes(bytes: Buffer, length: number): void {
    let sink = this.#sink
    if (sink === null) return this.wire.destroy()
    let at = 0
    if (this.#reading === 'head') {
      at = this.#readHead(sink, bytes, length)
      if (this.#sink instanceof Unwanted) sink = this.#sink
    }
    if (at >= 0 && this.#sink === sink && this.#reading !== 'head') this.#readBody(sink, bytes, at, length)
    if (this.#sink === sink || this.#answered) {
      this.#answered = false
      sink.onReadEnd()
    }
  }

  onDrain(): void {
    this.#sink?.onSendable()
  }

  onEnd(): void {
    const sink = this.#sink
    if (sink !== null && this.#reading === 'toClose') {
      this.#finish(sink, '')
      this.#answered = false
      sink.onReadEnd()
      return
    }
    this.#fail(this.#reading === 'head' && this.#held.length === 0 ? 'upstream_closed' : 'response_incomplete', 'connection closed')
  }

  onClose(error: string | null): void {
    this.deadlines.remove(this)
    this.#home.closed(this)
    const clean = this.#reading === 'head' && this.#held.length === 0
    this.#fail(clean ? 'upstream_closed' : 'response_incomplete', error ?? 'connection closed')
  }

  onDeadline(): void {
    this.#fail('response_timeout', null)
    this.wire.destroy()
  }

  /** Instead of `start`: takes the wire out, for something else than HTTP. */
  takeWire(): Wire {
    this.deadlines.remove(this)
    return this.wire
  }

  /** After `onUpgraded` or `takeWire`: whoever took the wire says that it is closed. */
  left(): void {
    this.#home.closed(this)
  }

  #fail(code: ErrorCode, detail: string | null): void {
    const sink = this.#sink
    this.#sink = null
    this.#reading = 'nothing'
    this.wire.destroy()
    sink?.onFailed(code, detail)
  }

  /** Returns where the body starts, or -1 if there is nothing more to do. */
  #readHead(sink: ResponseSink, read: Buffer, readLength: number): number {
    const { headBytes, fields } = this.#home
    const before = this.#held.length
    const bytes = before === 0 ? read : Buffer.concat([this.#held, read.subarray(0, readLength)])
    const length = before + readLength
    // A body of 64 KiB need not become text; a head that goes on behind the first look is looked at again as a whole.
    let text = bytes.latin1Slice(0, Math.min(length, FIRST_LOOK))
    for (let start = 0; ; ) {
      let head = readResponseHead(text, bytes, start, Math.min(length, text.length), fields)
      if (head === null && text.length < length && text.length < start + headBytes) {
        text = bytes.latin1Slice(0, Math.min(length, start + headBytes))
        head = readResponseHead(text, bytes, start, text.length, fields)
      }
      if (head === null) {
        if (length - start >= headBytes) this.#fail('response_head_too_large', null)
        else this.#held = Buffer.from(bytes.subarray(start, length))
        return -1
      }
      if (typeof head === 'string') {
        this.#fail(head, null)
        return -1
      }
      const headStart = start
      start = head.end
      if (head.status >= 200) {
        this.#held = NOTHING
        this.#begin(sink, head)
        if (this.#reading === 'fixed' && this.#sink === sink && text.length === length) return this.#readBodyText(sink, text, start)
        return start - before
      }
      if (head.status === 101) {
        this.#upgrade(sink, head, bytes, start, length)
        return -1
      }
      this.#interimBytes += start - headStart
      if (this.#interimBytes > headBytes) {
        this.#fail('response_head_too_large', 'interim responses')
        return -1
      }
      sink.onInformational(head)
      if (this.#sink !== sink) return -1
    }
  }

  /** All that was read is text already. Returns -1: there is nothing more to do. */
  #readBodyText(sink: ResponseSink, text: string, from: number): number {
    const end = Math.min(text.length, from + this.#left)
    this.#left -= end - from
    if (end > from) sink.onBodyText(text.slice(from, end))
    if (this.#left === 0 && this.#sink === sink) {
      if (end < text.length) this.#keepAlive = false
      this.#finish(sink, '')
    }
    return -1
  }

  #begin(sink: ResponseSink, head: ResponseHead): void {
    const bodyless = sink.answersHead || head.status === 204 || head.status === 304
    const length = bodyless ? 0 : head.contentLength
    this.#keepAlive = head.keepAlive && length !== -2
    this.dueAt = this.deadlines.in(this.idleMs)
    if (length === -1) this.#reading = 'chunked'
    else if (length === -2) this.#reading = 'toClose'
    else this.#reading = 'fixed'
    this.#left = length
    sink.onHead(head, length)
    if (length === -1) this.#chunks = new ChunkedReader(sink.keepsFraming)
  }

  #upgrade(sink: ResponseSink, head: ResponseHead, bytes: Buffer, from: number, to: number): void {
    this.#sink = null
    this.#reading = 'nothing'
    this.deadlines.remove(this)
    sink.onUpgraded(head, this, Buffer.from(bytes.subarray(from, to)))
  }

  #readBody(sink: ResponseSink, bytes: Buffer, from: number, to: number): void {
    this.dueAt = this.deadlines.in(this.idleMs)
    if (this.#reading === 'toClose') {
      if (to > from) sink.onBody('', bytes, from, to)
      return
    }
    if (this.#reading === 'chunked') return this.#readChunks(sink, bytes, from, to)
    const end = Math.min(to, from + this.#left)
    this.#left -= end - from
    if (end > from) sink.onBody('', bytes, from, end)
    if (this.#left === 0 && this.#sink === sink) {
      if (end < to) this.#keepAlive = false
      this.#finish(sink, '')
    }
  }

  #readChunks(sink: ResponseSink, bytes: Buffer, from: number, to: number): void {
    const chunks = this.#chunks!
    const end = chunks.read(bytes, from, to)
    if (end < 0) return this.#fail('response_malformed', 'chunked framing')
    const { ranges } = chunks
    if (ranges.length === 0 && chunks.prefix !== '') sink.onBody(chunks.prefix, bytes, from, from)
    for (let i = 0; i < ranges.length && this.#sink === sink; i += 2)
      sink.onBody(i === 0 ? chunks.prefix : '', bytes, ranges[i]!, ranges[i + 1]!)
    if (!chunks.done || this.#sink !== sink) return
    if (end < to) this.#keepAlive = false
    this.#finish(sink, chunks.trailers)
  }

  #finish(sink: ResponseSink, trailers: string): void {
    this.#sink = null
    this.#reading = 'nothing'
    this.#chunks = null
    this.#answered = true
    this.dueAt = Number.POSITIVE_INFINITY
    const keep = this.#keepAlive && this.requestSent && !this.wire.closed && !this.wire.congested
    sink.onBodyEnd(trailers)
    this.reused = true
    if (keep) this.#home.release(this)
    else this.wire.destroy()
  }
}

/** In the place of a sink that has begun another attempt. */
class Unwanted implements ResponseSink {
  readonly answersHead = false
  readonly keepsFraming = false
  readonly #connection: UpstreamConnection
  #isOver = false

  constructor(connection: UpstreamConnection) {
    this.#connection = connection
  }

  onInformational(): void {}
  onHead(): void {}
  onBody(): void {}
  onBodyText(): void {}
  onBodyEnd(): void {
    this.#isOver = true
  }
  onReadEnd(): void {
    if (!this.#isOver) this.#connection.abort()
  }
  onUpgraded(): void {}
  onSendable(): void {}
  onFailed(): void {}
}
