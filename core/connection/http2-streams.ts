/**
 * The streams of one HTTP/2 connection: what each frame means for them (RFC 9113 §5, §6), the windows, and how often a client may do what
 * only makes work. A rule that one stream broke ends that stream; one that the connection broke is told to it.
 */
import type { ErrorCode } from '../errors.ts'
import type { Downstream, HopMemo } from '../http/downstream.ts'
import type { Inside } from '../http/interception.ts'
import type { Service } from '../http/service.ts'
import {
  DEFAULT_WINDOW,
  ERROR,
  FLAG,
  frameHead,
  MAX_WINDOW,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
  TYPE,
  uint32At,
  windowUpdateFrame,
} from '../net/http2/frame.ts'
import type { FrameOwner } from '../net/http2/frame-reader.ts'
import { type FieldReader, HpackDecoder } from '../net/http2/hpack-decoder.ts'
import { HpackEncoder } from '../net/http2/hpack-encoder.ts'
import { RequestFields, TrailerFields } from '../net/http2/request.ts'
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import type { Secured } from '../net/secured.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import { Allowance } from './allowance.ts'
import type { Http2Connection } from './http2.ts'
import { type ReceivingStream, STREAM_WINDOW } from './http2-receiving.ts'
import type { SendingStream } from './http2-sending.ts'
import { Http2Stream } from './http2-stream.ts'
import type { StreamHome } from './http2-stream-home.ts'

const MAX_STREAMS = 128
/** Of all request bodies that nobody has taken yet. */
const CONNECTION_WINDOW = 1024 * 1024
/** Streams that end by a reset, the client's or one that it has caused (CVE-2023-44487, CVE-2025-8671): a page that is left, twice. */
const RESETS = { most: 400, perSecond: 40 }
/** Frames that ask for nothing: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA (CVE-2019-9512 to 9518) … */
const IDLE_FRAMES = { most: 1000, perSecond: 100 }
/** … of which each request, and each half KiB that is sent, allow some more. */
const IDLE_FRAMES_A_REQUEST = 10
const SETTINGS_AN_IDLE_FRAME = 32
const SENT_BYTES_AN_IDLE_FRAME = 512
/** Streams that we have reset: what the client had sent before it knew is no fault of its. */
const MOST_REMEMBERED = 256

export class Http2Streams implements FrameOwner, StreamHome {
  readonly encoder = new HpackEncoder()
  sendWindow = DEFAULT_WINDOW
  /** The highest that a client has opened. */
  last = 0
  /** What a server says first (§3.4). */
  readonly firstFrames: string
  readonly #connection: Http2Connection
  readonly #decoder = new HpackDecoder()
  readonly #fields = new RequestFields()
  readonly #open = new Map<number, Http2Stream>()
  readonly #waiting = new Set<SendingStream>()
  readonly #resetByUs = new Set<number>()
  readonly #resets: Allowance
  readonly #idleFrames: Allowance
  /** Of each new stream: what we may send. */
  #initialWindow = DEFAULT_WINDOW
  /** What the client may still send, and what it does not know yet. */
  #window = CONNECTION_WINDOW
  #taken = 0

  constructor(connection: Http2Connection, { deadlines, listener }: Service) {
    this.#connection = connection
    this.#resets = new Allowance(RESETS.most, RESETS.perSecond, deadlines.now)
    this.#idleFrames = new Allowance(IDLE_FRAMES.most, IDLE_FRAMES.perSecond, deadlines.now)
    const settings = settingsFrame([
      [SETTING.maxConcurrentStreams, MAX_STREAMS],
      [SETTING.initialWindowSize, STREAM_WINDOW],
      [SETTING.maxHeaderListSize, listener.limits.headBytes],
      [SETTING.enableConnectProtocol, 1],
      [SETTING.noRfc7540Priorities, 1],
    ])
    this.firstFrames = settings + windowUpdateFrame(0, CONNECTION_WINDOW - DEFAULT_WINDOW)
  }

  get count(): number {
    return this.#open.size
  }

  /** All of them end, and their exchanges are told why. */
  endAll(code: ErrorCode, detail: string | null): void {
    for (const stream of [...this.#open.values()]) stream.gone(code, detail)
  }

  /** A line of the log for a connection that ends with nothing under way. */
  tell(code: ErrorCode, detail: string): void {
    new Http2Stream(0, this, 0, { service: this.#connection.service, ended: true }).neverBegan(code, detail)
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

  onHeaders(id: number, ends: boolean, bytes: Buffer, from: number, to: number): void {
    const stream = this.#open.get(id)
    if (stream !== undefined) return this.#trailers(stream, ends, bytes, from, to)
    if (id <= this.last) {
      if (!this.#resetByUs.has(id)) return this.#fail(ERROR.streamClosed, 'HEADERS on a stream that has ended')
      this.#decode(bytes, from, to, new TrailerFields())
      return this.#idleFrame()
    }
    if (id % 2 === 0) return this.#fail(ERROR.protocol, 'a stream with an even number')
    this.last = id
    const { service } = this.#connection
    const { limits } = service.listener
    this.#fields.begin(service.rules, limits.headBytes)
    if (!this.#decode(bytes, from, to, this.#fields)) return
    if (this.#open.size >= MAX_STREAMS || !this.#connection.isOpen) return this.#refuse(id)
    this.#idleFrames.give(IDLE_FRAMES_A_REQUEST)
    const made = new Http2Stream(id, this, this.#initialWindow, { service, ended: ends })
    this.#open.set(id, made)
    this.#connection.opened()
    made.begin(this.#fields.finish(ends))
  }

  #refuse(id: number): void {
    this.#remember(id)
    this.#connection.resetStream(id, ERROR.refusedStream)
    this.#countReset()
  }

  /** They end the request (§8.1). */
  #trailers(stream: Http2Stream, ends: boolean, bytes: Buffer, from: number, to: number): void {
    const fields = new TrailerFields()
    if (!this.#decode(bytes, from, to, fields)) return
    if (stream.hasEnded) return this.#streamFault(stream, ERROR.streamClosed, 'HEADERS after the end of the request')
    if (!ends) return this.#streamFault(stream, ERROR.protocol, 'trailers that are not the end')
    stream.onTrailers(fields.lines)
  }

  /** False: the connection has ended. */
  #decode(bytes: Buffer, from: number, to: number, reader: FieldReader): boolean {
    if (this.#decoder.decode(bytes, from, to, reader)) return true
    this.#fail(ERROR.compression, 'HPACK')
    return false
  }

  // ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────

  onData(id: number, length: number, padding: number): void {
    this.#window -= length
    if (this.#window < 0) return this.#fail(ERROR.flowControl, 'more DATA than the window of the connection')
    const stream = this.#open.get(id)
    if (padding > 0) this.creditAll(padding)
    if (stream === undefined) return this.#isGone(id) ? this.#idleFrame() : undefined
    if (stream.hasEnded) return this.#streamFault(stream, ERROR.streamClosed, 'DATA after the end of the request')
    if (!stream.mayTake(length, padding)) this.#streamFault(stream, ERROR.flowControl, 'more DATA than the window of its stream')
  }

  onDataBytes(id: number, bytes: Buffer, from: number, to: number, ends: boolean): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return this.creditAll(to - from)
    if (from === to && !ends) this.#idleFrame()
    else stream.onData(bytes, from, to, ends)
  }

  /** A frame for a stream that is not open: whether it was, and we have ended it. Else the connection has ended. */
  #isGone(id: number): boolean {
    if (id > this.last || id % 2 === 0) this.#fail(ERROR.protocol, 'a frame for a stream that was never opened')
    else if (!this.#resetByUs.has(id)) this.#fail(ERROR.streamClosed, 'DATA on a stream that has ended')
    else return true
    return false
  }

  creditAll(bytes: number): void {
    this.#taken += bytes
    if (this.#taken < CONNECTION_WINDOW / 2) return
    this.#connection.send(windowUpdateFrame(0, this.#taken))
    this.#window += this.#taken
    this.#taken = 0
  }

  credit(stream: ReceivingStream, bytes: number): void {
    this.#connection.send(windowUpdateFrame(stream.id, bytes))
  }

  // ── what the client says of itself ───────────────────────────────────────────────────────────────────────────────

  onReset(id: number, error: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) {
      if (id > this.last || id % 2 === 0) return this.#fail(ERROR.protocol, 'RST_STREAM for a stream that was never opened')
      return this.#idleFrame()
    }
    stream.gone('client_gone', `stream reset (${error})`)
    this.#countReset()
  }

  onSettings(bytes: Buffer, from: number, to: number): void {
    // One that sets a window again and again is as much work as many.
    for (let at = from; at <= to; at += 6 * SETTINGS_AN_IDLE_FRAME) this.#idleFrame()
    for (let at = from; at < to; at += 6) {
      const wrong = this.#setting((bytes[at]! << 8) | bytes[at + 1]!, uint32At(bytes, at + 2))
      if (wrong !== 0) return this.#fail(wrong, 'SETTINGS')
    }
    this.#connection.send(SETTINGS_ACK)
    this.onRoom()
  }

  /** The error that it is (§6.5.2), or 0. */
  #setting(id: number, value: number): number {
    switch (id) {
      case SETTING.headerTableSize:
        this.encoder.limit(value)
        return 0
      case SETTING.enablePush:
      case SETTING.enableConnectProtocol:
        return value > 1 ? ERROR.protocol : 0
      case SETTING.initialWindowSize: {
        if (value > MAX_WINDOW) return ERROR.flowControl
        const change = value - this.#initialWindow
        this.#initialWindow = value
        for (const stream of this.#open.values()) if (!stream.widen(change)) return ERROR.flowControl
        return 0
      }
      case SETTING.maxFrameSize:
        return value < 16_384 || value > 16_777_215 ? ERROR.protocol : 0
    }
    return 0
  }

  onPing(bytes: Buffer, from: number): void {
    this.#idleFrame()
    this.#connection.send(frameHead(8, TYPE.ping, FLAG.ack, 0) + bytes.latin1Slice(from, from + 8))
  }

  /** It opens no more streams, and closes the connection when it likes. */
  onGoaway(): void {
    this.#idleFrame()
  }

  onWindowUpdate(id: number, bytes: number): void {
    this.#idleFrame()
    if (id === 0) {
      this.sendWindow += bytes
      if (bytes === 0) return this.#fail(ERROR.protocol, 'WINDOW_UPDATE by nothing')
      if (this.sendWindow > MAX_WINDOW) return this.#fail(ERROR.flowControl, 'too large a window')
      return this.onRoom()
    }
    const stream = this.#open.get(id)
    if (stream === undefined) {
      if (id > this.last || id % 2 === 0) this.#fail(ERROR.protocol, 'WINDOW_UPDATE for a stream that was never opened')
      return
    }
    if (bytes === 0) return this.#streamFault(stream, ERROR.protocol, 'WINDOW_UPDATE by nothing')
    if (!stream.widen(bytes)) return this.#streamFault(stream, ERROR.flowControl, 'too large a window')
    if (stream.isWaiting) this.onRoom()
  }

  onIdleFrame(): void {
    this.#idleFrame()
  }

  onStreamFault(id: number, error: number): void {
    const stream = this.#open.get(id)
    if (stream !== undefined) this.#streamFault(stream, error, 'a frame of the wrong size')
  }

  // ── for streams ──────────────────────────────────────────────────────────────────────────────────────────────────

  get peer(): string {
    return this.#connection.peer
  }
  get scheme(): 'http' | 'https' {
    return this.#connection.scheme
  }
  get memo(): HopMemo {
    return this.#connection.memo
  }
  get privates(): PrivateConnections {
    return this.#connection.privates
  }
  get hasPrivates(): boolean {
    return this.#connection.hasPrivates
  }
  get inside(): Inside | null {
    return this.#connection.inside
  }
  get secured(): Secured | null {
    return this.#connection.secured
  }
  get original(): Downstream['original'] {
    return this.#connection.original
  }
  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }
  get remotePort(): number {
    return this.#connection.remotePort
  }
  get isCongested(): boolean {
    return this.#connection.isCongested
  }
  facts(): ProxyFacts {
    return this.#connection.facts()
  }
  isMisdirected(host: string): boolean {
    return this.#connection.isMisdirected(host)
  }
  becameTunnel(): void {
    this.#connection.becameTunnel()
  }

  send(frames: string): void {
    this.#connection.send(frames)
  }

  sendBytes(head: string, bytes: Buffer, from: number, to: number): void {
    this.#idleFrames.give((to - from) / SENT_BYTES_AN_IDLE_FRAME)
    this.#connection.sendBytes(head, bytes, from, to)
  }

  wait(stream: SendingStream): void {
    this.#waiting.add(stream)
  }

  /** By turns, a frame each: none has to wait for another to be done. */
  onRoom(): void {
    for (let sent = this.#waiting.size > 0; sent; ) {
      sent = false
      for (const stream of [...this.#waiting]) {
        if (this.isCongested) return
        if (stream.onRoom()) sent = true
        if (stream.isWaiting) continue
        this.#waiting.delete(stream)
        if (!this.isCongested) stream.tellDrained()
        else this.#waiting.add(stream)
      }
    }
  }

  reset(stream: Http2Stream, error: number): void {
    if (!stream.hasEnded) this.#remember(stream.id)
    this.#connection.resetStream(stream.id, error)
    // An endpoint that broke off is not the client's fault.
    if (error !== ERROR.internal) this.#countReset()
  }

  /** A client that makes its own requests fail costs as much as one that resets them (CVE-2025-8671). */
  faulted(): void {
    this.#countReset()
  }

  streamClosed(stream: Http2Stream): void {
    this.#waiting.delete(stream)
    if (this.#open.delete(stream.id)) this.#connection.streamClosed(stream.isTunnel)
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #streamFault(stream: Http2Stream, error: number, detail: string): void {
    this.reset(stream, error)
    stream.gone('http2_error', detail)
  }

  #remember(id: number): void {
    this.#resetByUs.add(id)
    if (this.#resetByUs.size <= MOST_REMEMBERED) return
    for (const oldest of this.#resetByUs) {
      this.#resetByUs.delete(oldest)
      return
    }
  }

  #countReset(): void {
    if (!this.#resets.take(this.#connection.deadlines.now)) this.#fail(ERROR.enhanceYourCalm, 'too many streams reset')
  }

  #idleFrame(): void {
    if (!this.#idleFrames.take(this.#connection.deadlines.now)) this.#fail(ERROR.enhanceYourCalm, 'too many frames that ask for nothing')
  }

  #fail(error: number, detail: string): void {
    this.#connection.fail({ error, detail })
  }
}
