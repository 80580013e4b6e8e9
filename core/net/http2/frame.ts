/** Numbers of HTTP/2 (RFC 9113 §6, §7; RFC 8441 §3; RFC 9218 §2.1) and the writing of frames, as latin1 text like all that wires take. */

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAG = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const

export const ERROR = {
  none: 0x0,
  protocol: 0x1,
  internal: 0x2,
  flowControl: 0x3,
  streamClosed: 0x5,
  frameSize: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compression: 0x9,
  connect: 0xa,
  enhanceYourCalm: 0xb,
} as const

export const SETTING = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  enableConnectProtocol: 0x8,
  noRfc7540Priorities: 0x9,
} as const

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
export const HEAD_BYTES = 9
/** SETTINGS_MAX_FRAME_SIZE as it is where nobody says otherwise; we never do. */
export const MAX_FRAME_BYTES = 16_384
export const MAX_WINDOW = 2 ** 31 - 1
export const DEFAULT_WINDOW = 65_535
export const MAX_STREAM_ID = 2 ** 31 - 1

/** What a connection ends with: an error of RFC 9113 §5.4.1. */
export interface FrameFault {
  /** Of RFC 9113 §7. */
  readonly error: number
  readonly detail: string
}

export function frameHead(length: number, type: number, flags: number, stream: number): string {
  return String.fromCharCode(
    length >> 16,
    (length >> 8) & 255,
    length & 255,
    type,
    flags,
    stream >>> 24,
    (stream >> 16) & 255,
    (stream >> 8) & 255,
    stream & 255,
  )
}

export function uint32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255)
}

export function uint32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

/** `settings`: numbers and values. */
export function settingsFrame(settings: readonly (readonly [number, number])[]): string {
  const body = settings.map(([id, value]) => String.fromCharCode(id >> 8, id & 255) + uint32(value)).join('')
  return frameHead(body.length, TYPE.settings, 0, 0) + body
}

export const SETTINGS_ACK: string = frameHead(0, TYPE.settings, FLAG.ack, 0)

export function resetFrame(stream: number, error: number): string {
  return frameHead(4, TYPE.reset, 0, stream) + uint32(error)
}

export function windowUpdateFrame(stream: number, bytes: number): string {
  return frameHead(4, TYPE.windowUpdate, 0, stream) + uint32(bytes)
}

export function goawayFrame(lastStream: number, error: number, debug: string): string {
  return frameHead(8 + debug.length, TYPE.goaway, 0, 0) + uint32(lastStream) + uint32(error) + debug
}

/** A field block, in as many frames as the other side's largest one asks for (§4.3). */
export function headersFrames(stream: number, block: string, endsStream: boolean, maxFrameBytes: number): string {
  const flags = endsStream ? FLAG.endStream : 0
  if (block.length <= maxFrameBytes) return frameHead(block.length, TYPE.headers, flags | FLAG.endHeaders, stream) + block
  let out = frameHead(maxFrameBytes, TYPE.headers, flags, stream) + block.slice(0, maxFrameBytes)
  for (let at = maxFrameBytes; at < block.length; at += maxFrameBytes) {
    const part = block.slice(at, at + maxFrameBytes)
    const isLast = at + maxFrameBytes >= block.length
    out += frameHead(part.length, TYPE.continuation, isLast ? FLAG.endHeaders : 0, stream) + part
  }
  return out
}
