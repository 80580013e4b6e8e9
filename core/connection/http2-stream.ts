/**
 * One stream of an HTTP/2 connection: reads a request, strictly, and writes what its exchange answers. What goes wrong ends this
 * stream alone, with an answer while there can be one and a reset after that.
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { Downstream, HopMemo } from '../http/downstream.ts'
import { Exchange } from '../http/exchange.ts'
import type { Service } from '../http/service.ts'
import { passableTrailers } from '../net/http1/chunked.ts'
import { RequestHead, type ResponseHead } from '../net/http1/head.ts'
import { parseRequestFields, responseFields, trailerFields, trailerLines } from '../net/http2/head.ts'
import type { Secured } from '../net/secured.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import { httpDate } from './http-date.ts'

export interface StreamHome {
  readonly peer: string
  readonly memo: HopMemo
  readonly privates: PrivateConnections
  readonly secured: Secured
  isMisdirected(host: string): boolean
  streamClosed(): void
}

/** RFC 9113 §7. */
const NO_ERROR = 0

export class Http2Stream implements Downstream, Timed {
  readonly protocol = 'HTTP/2'
  readonly scheme = 'https'
  readonly peer: string
  readonly memo: HopMemo
  /** HTTP/2 frames by itself. */
  readonly passesFraming = false
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #stream: ServerHttp2Stream
  readonly #service: Service
  readonly #home: StreamHome
  #exchange: Exchange | null = null

  #reading: 'nothing' | 'fixed' | 'chunked' = 'nothing'
  /** Bytes announced and not received yet, or that may still come. */
  #left = 0
  /** Ends the chunk before. */
  #chunkEnd = ''
  #trailers = ''

  /** The response's body, if it has one. */
  #writing = false
  #sendsTrailers = false

  constructor(stream: ServerHttp2Stream, service: Service, home: StreamHome) {
    this.#stream = stream
    this.#service = service
    this.#home = home
    this.peer = home.peer
    this.memo = home.memo
    service.deadlines.add(this)
    stream.on('drain', () => this.#onDrain())
    // What is wrong with a stream resets it, and `close` follows.
    stream.on('error', () => {})
    stream.on('close', () => this.#onClose())
  }

  get privates(): PrivateConnections {
    return this.#home.privates
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** `raw`: names and values by turns; `ended`: no body follows. */
  begin(raw: readonly string[], ended: boolean): void {
    const { limits } = this.#service.listener
    const head = parseRequestFields(raw, ended, { ...this.#service.rules, headBytes: limits.headBytes })
    if (typeof head === 'string') return this.#refuse(head)
    if (head.contentLength > limits.bodyBytes) return this.#refuse('body_too_large')
    head.clientCertificate = this.#home.secured.certificate
    const exchange = new Exchange(this.#service, this, head, this.#service.nextSerial())
    this.#exchange = exchange
    if (!ended) this.#expectBody(head)
    exchange.begin('', null, ended)
  }

  #refuse(wrong: ErrorCode): void {
    const head = new RequestHead('', 0, '-', 1)
    head.path = ''
    this.#exchange = new Exchange(this.#service, this, head, this.#service.nextSerial())
    this.#exchange.refuse(wrong, null)
  }

  #expectBody({ contentLength }: RequestHead): void {
    const chunked = contentLength === -1
    this.#reading = chunked ? 'chunked' : 'fixed'
    this.#left = chunked ? this.#service.listener.limits.bodyBytes : contentLength
    this.#stream.on('trailers', (_fields, _flags, raw: readonly string[]) => this.#onTrailers(raw))
    this.#stream.on('end', () => this.#onEnd())
  }

  get certificateLines(): string {
    return this.#home.secured.lines
  }

  isMisdirected(host: string): boolean {
    return this.#home.isMisdirected(host)
  }

  get congested(): boolean {
    return this.#stream.writableNeedDrain
  }

  pauseBody(): void {
    if (this.#reading === 'nothing') return
    this.#stream.pause()
    this.dueAt = Number.POSITIVE_INFINITY
  }

  /** Its chunks are buffers of their own. */
  bodyTaken(): void {}

  resumeBody(): void {
    if (this.#reading === 'nothing' || this.#exchange === null) return
    this.dueAt = this.#in(this.#service.listener.timeouts.requestBodyIdle)
    // Before there is a listener nothing is read, and the client's window stays as it is.
    if (this.#stream.listenerCount('data') === 0) this.#stream.on('data', (bytes: Buffer) => this.#onData(bytes))
    this.#stream.resume()
  }

  #onData(bytes: Buffer): void {
    const exchange = this.#exchange
    if (this.#reading === 'nothing' || exchange === null) return
    this.#left -= bytes.length
    if (this.#left < 0) return this.#rejectBody(this.#reading === 'fixed' ? 'bad_framing' : 'body_too_large')
    this.dueAt = this.#in(this.#service.listener.timeouts.requestBodyIdle)
    let prefix = ''
    if (this.#reading === 'chunked') {
      prefix = `${this.#chunkEnd}${bytes.length.toString(16)}\r\n`
      this.#chunkEnd = '\r\n'
    }
    if (!exchange.pushBody(prefix, bytes, 0, bytes.length, true)) this.pauseBody()
  }

  #onTrailers(raw: readonly string[]): void {
    const lines = trailerLines(raw)
    if (lines === null) this.#rejectBody('bad_body')
    else this.#trailers = passableTrailers(lines)
  }

  #onEnd(): void {
    // A reset ends the readable side too: it must not be taken for the end of the body.
    if (this.#reading === 'nothing' || this.#exchange === null || this.#stream.rstCode !== NO_ERROR) return
    if (this.#reading === 'fixed' && this.#left > 0) return this.#rejectBody('bad_framing')
    const text = this.#reading === 'chunked' ? `${this.#chunkEnd}0\r\n${this.#trailers}\r\n` : ''
    this.#reading = 'nothing'
    this.dueAt = Number.POSITIVE_INFINITY
    this.#exchange.endBody(text)
  }

  #rejectBody(wrong: ErrorCode): void {
    this.#reading = 'nothing'
    this.#exchange?.rejectBody(wrong, null)
  }

  // ── the response ─────────────────────────────────────────────────────────────────────────────────────────────────

  sendInformational(head: ResponseHead): void {
    if (this.#isGone || this.#stream.headersSent) return
    this.#attempt(() => this.#stream.additionalHeaders(responseFields(head)))
  }

  sendHead(head: ResponseHead, length: number, answersHead: boolean): void {
    if (this.#isGone) return
    const fields = responseFields(head)
    if (head.status === 204) delete fields['content-length']
    fields.date ??= httpDate()
    const bodyless = answersHead || head.status === 204 || head.status === 304 || length === 0
    this.#writing = !bodyless
    // Only where an HTTP/1.1 endpoint could send any.
    this.#sendsTrailers = this.#writing && length === -1
    const options = { endStream: bodyless, waitForTrailers: this.#sendsTrailers, sendDate: false }
    this.#attempt(() => this.#stream.respond(fields, options))
  }

  sendBody(prefix: string, bytes: Buffer, from: number, to: number): boolean {
    if (!this.#writing || this.#isGone) return true
    const copy = Buffer.allocUnsafe(prefix.length + to - from)
    copy.latin1Write(prefix, 0)
    bytes.copy(copy, prefix.length, from, to)
    if (this.#stream.write(copy)) return true
    this.dueAt = this.#in(this.#service.listener.timeouts.sendIdle)
    return false
  }

  sendText(text: string): void {
    if (this.#writing && !this.#isGone) this.#stream.write(text, 'latin1')
  }

  endBody(trailers: string): void {
    if (!this.#writing || this.#isGone) return
    if (this.#sendsTrailers) {
      this.#stream.once('wantTrailers', () => this.#attempt(() => this.#stream.sendTrailers(trailerFields(trailers))))
    }
    this.#stream.end()
  }

  flush(): boolean {
    return !this.congested
  }

  finished(): void {
    const unread = this.#reading !== 'nothing'
    this.#exchange = null
    this.#reading = 'nothing'
    this.dueAt = this.#in(this.#service.listener.timeouts.sendIdle)
    // RFC 9113 §8.1: the rest of the request is not wanted; the response leaves whole before the reset.
    if (unread) this.#stream.close(NO_ERROR)
    this.#stream.resume()
  }

  abort(): void {
    this.#exchange = null
    this.#reset()
  }

  /** RST_STREAM INTERNAL_ERROR. Not `close(code)`: that ends the body in good order first, as if it were complete. */
  #reset(): void {
    this.#stream.destroy(new Error('reset'))
  }

  /** An HTTP/2 request has no Connection field, so it never asks for this. */
  becomeTunnel(_head: ResponseHead, upstream: UpstreamConnection, _rest: Buffer, ended: (bytesIn: number, bytesOut: number) => void): void {
    upstream.wire.destroy()
    this.abort()
    ended(0, 0)
  }

  /** What node:http2 will not send (a status above 599) resets the stream. */
  #attempt(send: () => void): void {
    try {
      send()
    } catch {
      this.#reset()
    }
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onDrain(): void {
    if (this.#exchange === null) return
    this.dueAt = Number.POSITIVE_INFINITY
    this.#exchange.onReceivable()
  }

  onDeadline(): void {
    const exchange = this.#exchange
    if (exchange !== null && this.#reading !== 'nothing' && !exchange.replying) {
      this.#reading = 'nothing'
      return exchange.rejectBody('request_timeout', 'body idle')
    }
    this.#reset()
  }

  #onClose(): void {
    const exchange = this.#exchange
    this.#exchange = null
    this.#reading = 'nothing'
    this.#service.deadlines.remove(this)
    exchange?.abandon('client_gone', `stream reset (${this.#stream.rstCode})`)
    this.#home.streamClosed()
  }

  #in(ms: number): number {
    return this.#service.deadlines.in(ms)
  }
}
