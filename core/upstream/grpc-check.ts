/**
 * One question of `grpc.health.v1.Health/Check` on a connection of its own, by the frames of HTTP/2 that it takes and no more: a request, and the message and trailers
 * that answer it. What does not fit into a kilobyte is no answer.
 */

import { FLAG, frameHead, PREFACE, TYPE } from '../net/http2/frame.ts'
import { type FrameOwner, FrameReader } from '../net/http2/frame-reader.ts'
import { type FieldReader, HpackDecoder } from '../net/http2/hpack-decoder.ts'
import type { Field } from '../net/http2/hpack-table.ts'
import type { Wire, WireOwner } from '../net/wire.ts'

export interface GrpcCheckOptions {
  readonly host: string
  readonly isSecure: boolean
  /** `''`: the server as a whole. */
  readonly service: string
  /** Called once, while the wire is open. `why`: a few words for the log. */
  done(passed: boolean, why: string): void
  /** The wire is gone. */
  closed(): void
}

const MOST_MESSAGE = 1_024
const MOST_BLOCK = 16_384
/** HealthCheckResponse.ServingStatus. */
const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
const SERVING = 1

export class GrpcCheck implements WireOwner, FrameOwner, FieldReader {
  readonly #wire: Wire
  readonly #options: GrpcCheckOptions
  readonly #reader = new FrameReader(this, MOST_BLOCK)
  readonly #decoder = new HpackDecoder()
  #isOver = false
  #status = ''
  #grpcStatus = ''
  #message: Buffer = Buffer.alloc(0)

  constructor(wire: Wire, options: GrpcCheckOptions) {
    this.#wire = wire
    this.#options = options
    wire.owner = this
    const block = requestBlock(options)
    const message = requestMessage(options.service)
    const head = frameHead(block.length, TYPE.headers, FLAG.endHeaders, 1) + block
    wire.writeText(
      `${PREFACE}${frameHead(0, TYPE.settings, 0, 0)}${head}${frameHead(message.length, TYPE.data, FLAG.endStream, 1)}${message}`,
    )
    wire.resume()
  }

  // ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────

  onBytes(bytes: Buffer, length: number): void {
    if (this.#isOver) return
    const fault = this.#reader.read(bytes, 0, length)
    if (fault !== null) this.#end(false, `no HTTP/2: ${fault.detail}`)
  }
  onDrain(): void {}
  onEnd(): void {
    this.#end(false, 'it closed the connection')
  }
  onClose(error: string | null): void {
    this.#end(false, error ?? 'it closed the connection')
    this.#options.closed()
  }

  // ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

  onHeaders(_stream: number, ends: boolean, bytes: Buffer, from: number, to: number): void {
    if (!this.#decoder.decode(bytes, from, to, this)) return this.#end(false, 'its fields cannot be read')
    if (ends) this.#answered()
  }
  onData(): void {}
  onDataBytes(_stream: number, bytes: Buffer, from: number, to: number, ends: boolean): void {
    this.#message = Buffer.concat([this.#message, bytes.subarray(from, to)])
    if (this.#message.length > MOST_MESSAGE) return this.#end(false, 'its answer is too long')
    if (ends) this.#answered()
  }
  onReset(_stream: number, error: number): void {
    this.#end(false, `it reset the request: error ${error}`)
  }
  onSettings(): void {
    this.#wire.writeText(frameHead(0, TYPE.settings, FLAG.ack, 0))
  }
  onPing(bytes: Buffer, from: number): void {
    this.#wire.writeText(frameHead(8, TYPE.ping, FLAG.ack, 0) + bytes.latin1Slice(from, from + 8))
  }
  onGoaway(): void {}
  onWindowUpdate(): void {}
  onIdleFrame(): void {}
  onStreamFault(_stream: number, error: number): void {
    this.#end(false, `no HTTP/2: error ${error}`)
  }

  field({ name, value }: Field): void {
    if (name === ':status') this.#status = value
    else if (name === 'grpc-status') this.#grpcStatus = value
  }

  #answered(): void {
    if (this.#status !== '200') return this.#end(false, `status ${this.#status.slice(0, 3)}`)
    // Of a stream that ends without trailers nothing is known but its message.
    if (this.#grpcStatus !== '' && this.#grpcStatus !== '0') return this.#end(false, `grpc-status ${this.#grpcStatus.slice(0, 3)}`)
    const status = servingStatus(this.#message)
    if (status === null) return this.#end(false, 'its message cannot be read')
    this.#end(status === SERVING, STATUSES[status] ?? `status ${status}`)
  }

  #end(passed: boolean, why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.done(passed, why)
  }
}

/** Literals that no table keeps (RFC 7541 §6.2.2). */
function requestBlock({ host, isSecure }: GrpcCheckOptions): string {
  const fields = [
    [':method', 'POST'],
    [':scheme', isSecure ? 'https' : 'http'],
    [':path', '/grpc.health.v1.Health/Check'],
    [':authority', host],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ['user-agent', 'sluice-health-check'],
  ] as const
  return fields.map(([name, value]) => `\0${text(name)}${text(value)}`).join('')
}

/** RFC 7541 §5.2, up to 254 characters. */
function text(value: string): string {
  const { length } = value
  return (length < 127 ? String.fromCharCode(length) : `\x7f${String.fromCharCode(length - 127)}`) + value
}

/** A HealthCheckRequest, framed as gRPC does: not compressed, its length, `service` as field 1. */
function requestMessage(service: string): string {
  const field = service === '' ? '' : `\x0a${String.fromCharCode(service.length)}${service}`
  return `\0\0\0\0${String.fromCharCode(field.length)}${field}`
}

/** Field 1 of a HealthCheckResponse, a number of one byte; null: it is none. */
function servingStatus(message: Buffer): number | null {
  if (message.length < 5 || message[0] !== 0 || message.readUInt32BE(1) !== message.length - 5) return null
  if (message.length === 5) return 0
  return message.length === 7 && message[5] === 0x08 && message[6]! < 0x80 ? message[6]! : null
}
