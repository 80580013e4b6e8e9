/**
 * One HTTP/2 connection of a client, over any wire: each of its streams becomes an exchange, the same one that HTTP/1 has. A client that
 * breaks the rules of the connection is told so (GOAWAY) and closed, alone; so is one that makes work without asking for anything. What it
 * can make us keep is bounded: 128 streams, a window of 1 MiB for what nobody has taken yet, one read of an endpoint a stream, one field
 * block, 64 KiB of frames that it does not read.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { HopMemo } from '../http/downstream.ts'
import type { Inside } from '../http/interception.ts'
import type { Service } from '../http/service.ts'
import type { NamedDestination } from '../net/destination.ts'
import { ERROR, type FrameFault, goawayFrame, MAX_FRAME_BYTES, MAX_STREAM_ID, PREFACE, resetFrame } from '../net/http2/frame.ts'
import { FrameReader } from '../net/http2/frame-reader.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import type { Secured } from '../net/secured.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import { PrivateConnections } from '../upstream/private-connections.ts'
import { factsOf, peerOf } from './announced.ts'
import type { Accepted, ConnectionHome } from './home.ts'
import { Http2Streams } from './http2-streams.ts'

export interface Http2Options {
  readonly scheme: 'http' | 'https'
  /** What came before it. */
  readonly header: ProxyHeader | null
  /** What TLS has found out. */
  readonly secured: Secured | null
}

/** For what a client sent before it read our GOAWAY. */
const NOTICE_MS = 1000
const CLOSE_MS = 2000
/** Frames are kept together up to here, then written as one. */
const TOGETHER_BYTES = 32_768
/** Up to here bytes of a body are copied to the frames around them; TLS copies what it encrypts anyhow, so there it is all of a frame. */
const COPIED_BYTES = 4096
/** More frames than this, of a client that reads none, and it is not read either. */
const MOST_UNREAD_BYTES = 65_536

/** RFC 9113 §6.8: first it is announced that there will be an end, then new streams are refused. `over`: nothing is read any more. */
type State = 'open' | 'announced' | 'closing' | 'over' | 'closed'

export class Http2Connection implements Accepted, Timed, WireOwner {
  readonly peer: string
  readonly scheme: 'http' | 'https'
  readonly secured: Secured | null
  readonly memo: HopMemo = { host: '', minor: 1, service: 0, lines: '' }
  original: NamedDestination | null = null
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  keptAt = -1
  readonly #wire: Wire
  readonly #home: ConnectionHome
  readonly #header: ProxyHeader | null
  readonly #deadlines: Deadlines
  readonly #streams: Http2Streams
  readonly #copiedBytes: number
  readonly #reader: FrameReader
  #privates: PrivateConnections | null = null
  #state: State = 'open'
  /** Bytes of the preface that have come. */
  #preface = 0
  #served = 0
  #tunnels = 0
  /** Only tunnels are left on it, and no more comes. */
  #isTunnel = false
  /** Frames that are not written yet. */
  #out = ''
  #isDue = false
  #isReading = false
  /** Deadlines: for what must come soon, for what we wait for, and for what the client does not read. */
  #within = Number.POSITIVE_INFINITY
  #idle: number
  #unread = Number.POSITIVE_INFINITY

  /** Takes a wire over whose client speaks HTTP/2, from its first byte on. */
  constructor(wire: Wire, home: ConnectionHome, { scheme, header, secured }: Http2Options) {
    this.#wire = wire
    this.#home = home
    this.#header = header
    this.scheme = scheme
    this.#copiedBytes = scheme === 'https' ? MAX_FRAME_BYTES : COPIED_BYTES
    this.secured = secured
    this.peer = peerOf(wire.remoteAddress, header)
    const { deadlines, listener } = home.service
    this.#deadlines = deadlines
    this.#idle = deadlines.in(listener.timeouts.requestHead)
    this.#streams = new Http2Streams(this, home.service)
    // A head that is too large is answered; one that is much larger is not read to its end.
    this.#reader = new FrameReader(this.#streams, 2 * listener.limits.headBytes + MAX_FRAME_BYTES)
    deadlines.add(this)
    this.#setDue()
    wire.owner = this
    wire.expectDetach?.(false)
    this.send(this.#streams.firstFrames)
    wire.resume()
  }

  get service(): Service {
    return this.#home.service
  }
  get inside(): Inside | null {
    return this.#home.inside
  }
  get deadlines(): Deadlines {
    return this.#deadlines
  }
  get privates(): PrivateConnections {
    this.#privates ??= new PrivateConnections(() => factsOf(this.#wire.facts(), this.#header))
    return this.#privates
  }

  get hasPrivates(): boolean {
    return this.#privates !== null
  }
  get remoteAddress(): string {
    return this.#wire.remoteAddress
  }
  get remotePort(): number {
    return this.#wire.remotePort
  }
  get isCongested(): boolean {
    return this.#wire.congested
  }
  /** New streams are taken. */
  get isOpen(): boolean {
    return this.#state === 'open' || this.#state === 'announced'
  }

  facts(): ProxyFacts {
    return factsOf(this.#wire.facts(), this.#header)
  }

  /** One connection is for all hosts that its certificate is for (RFC 9113 §9.1.1), and for no others. */
  isMisdirected(host: string): boolean {
    return this.secured !== null && this.#home.isMisdirected(host, this.secured.rule, this.secured.served)
  }

  drain(): void {
    this.#announceEnd()
  }

  destroy(): void {
    this.#wire.destroy()
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  onBytes(bytes: Buffer, length: number): void {
    if (this.#state === 'over' || this.#state === 'closed') return
    let at = 0
    for (; this.#preface < PREFACE.length && at < length; this.#preface++) {
      if (bytes[at++] !== PREFACE.charCodeAt(this.#preface)) return this.fail({ error: ERROR.protocol, detail: 'no preface' })
    }
    this.#isReading = true
    const fault = this.#reader.read(bytes, at, length)
    this.#isReading = false
    if (fault !== null) return this.fail(fault)
    if (!this.#reader.isWithin) this.#within = Number.POSITIVE_INFINITY
    else if (this.#within === Number.POSITIVE_INFINITY) this.#within = this.#in(this.#home.service.listener.timeouts.requestHead)
    this.#setDue()
    this.#write()
  }

  onEnd(): void {
    // Half of a connection is of no use here: when the client ends its side, all of it ends.
    this.#wire.destroy()
  }

  /** A stream begins. */
  opened(): void {
    this.#served++
    if (this.#state === 'open') this.#idle = Number.POSITIVE_INFINITY
    if (this.#served >= this.#home.service.listener.limits.requestsPerConnection) this.#announceEnd()
  }

  streamClosed(wasTunnel: boolean): void {
    if (wasTunnel) this.#tunnels--
    if (this.#state === 'closing') this.#endIfDone()
    if (this.#streams.count > 0) return
    if (this.#state === 'open') this.#idle = this.#in(this.#home.service.listener.timeouts.keepAlive)
    this.#setDue()
  }

  becameTunnel(): void {
    this.#tunnels++
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Frames leave together when the turn of the event loop is over. */
  send(frames: string): void {
    this.#out += frames
    if (this.#isDue) return
    this.#isDue = true
    due.push(this)
    if (due.length === 1) process.nextTick(writeDue)
  }

  sendBytes(head: string, bytes: Buffer, from: number, to: number): void {
    if (to - from <= this.#copiedBytes) {
      this.send(head + bytes.latin1Slice(from, to))
      if (this.#out.length > TOGETHER_BYTES) this.#write()
      return
    }
    const text = this.#out + head
    this.#out = ''
    this.#wrote(this.#wire.write(text, bytes, from, to))
  }

  /** @internal The turn is over. */
  writeDue(): void {
    this.#isDue = false
    if (!this.#isReading) this.#write()
  }

  #write(): void {
    const text = this.#out
    if (text === '' || this.#state === 'closed') return
    if (this.#wire.congested) {
      if (text.length > MOST_UNREAD_BYTES) this.#wire.pause()
      // Nothing has told of it where the wire took what was written for gone.
      if (this.#unread === Number.POSITIVE_INFINITY) this.#wrote(false)
      return
    }
    this.#out = ''
    this.#wrote(this.#wire.writeText(text))
  }

  #wrote(isFlowing: boolean): void {
    if (isFlowing) return
    this.#unread = this.#in(this.#home.service.listener.timeouts.sendIdle)
    this.#setDue()
  }

  onDrain(): void {
    this.#unread = Number.POSITIVE_INFINITY
    this.#setDue()
    this.#write()
    if (this.#wire.congested || this.#state === 'closed') return
    this.#streams.onRoom()
    this.#write()
    if (this.#wire.closed || this.#wire.congested) return
    this.#wire.resume()
    if (this.#state === 'over') this.#wire.end()
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #announceEnd(): void {
    if (this.#state !== 'open') return
    this.#state = 'announced'
    this.#idle = this.#in(NOTICE_MS)
    this.#setDue()
    this.send(goawayFrame(MAX_STREAM_ID, ERROR.none, ''))
  }

  #refuseMore(): void {
    this.#state = 'closing'
    this.send(goawayFrame(this.#streams.last, ERROR.none, ''))
    this.#endIfDone()
  }

  #endIfDone(): void {
    if (this.#streams.count === 0) this.#finish()
    else if (this.#streams.count === this.#tunnels && !this.#isTunnel) {
      this.#isTunnel = true
      this.#home.becameTunnel()
    }
  }

  /** What was written leaves, then the connection closes; what still comes is thrown away until then. */
  #finish(): void {
    if (this.#state === 'over' || this.#state === 'closed') return
    this.#state = 'over'
    this.#reader.stopped = true
    this.#within = Number.POSITIVE_INFINITY
    this.#idle = this.#in(CLOSE_MS)
    this.#setDue()
    this.#write()
    if (!this.#wire.congested) this.#wire.end()
  }

  /** The client has broken the rules, or has made work without end: told in the log, by the exchanges it had under way or by one line. */
  fail({ error, detail }: FrameFault, reason: ErrorCode = error === ERROR.enhanceYourCalm ? 'http2_flood' : 'http2_error'): void {
    if (this.#state === 'over' || this.#state === 'closed') return
    const { last, count } = this.#streams
    this.#reader.stopped = true
    this.#out += goawayFrame(last, error, detail)
    if (count === 0) this.#streams.tell(reason, detail)
    this.#streams.endAll(reason, detail)
    this.#finish()
  }

  /** Something did not come in time, or the end was announced long enough ago. */
  onDeadline(): void {
    const { now } = this.#deadlines
    if (this.#state === 'over' || this.#unread <= now) return this.destroy()
    if (this.#within <= now || this.#reader.isWithin)
      return this.fail({ error: ERROR.protocol, detail: 'a frame that does not end' }, 'request_timeout')
    this.#idle = Number.POSITIVE_INFINITY
    if (this.#state === 'open') this.#announceEnd()
    else if (this.#state === 'announced') this.#refuseMore()
    this.#setDue()
  }

  onClose(error: string | null): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#reader.stopped = true
    this.#streams.endAll('client_gone', error)
    this.#deadlines.remove(this)
    this.#privates?.close()
    if (this.#isTunnel) this.#home.tunnelClosed(this)
    else this.#home.connectionClosed(this)
  }

  resetStream(id: number, error: number): void {
    this.send(resetFrame(id, error))
  }

  #setDue(): void {
    this.dueAt = Math.min(this.#within, this.#idle, this.#unread)
  }

  #in(ms: number): number {
    return this.#deadlines.in(ms)
  }
}

/** Connections with frames to be written at the end of this turn. */
let due: Http2Connection[] = []

function writeDue(): void {
  const connections = due
  due = []
  for (const connection of connections) connection.writeDue()
}
