/**
 * Reads chunked framing (RFC 9112 §7.1), a piece at a time, without copying a byte: it says which ranges of what it was given may
 * go on. Chunk extensions end here (§7.1.1); trailers are validated, and those that could change framing, routing or
 * authentication are dropped (RFC 9110 §6.5.1).
 */
import { isToken, trimmed } from './fields.ts'

const state = { sizeStart: 0, size: 1, extension: 2, sizeLf: 3, data: 4, dataCr: 5, dataLf: 6, trailers: 7, done: 8 } as const

const MAX_SIZE_DIGITS = 15
const MAX_EXTENSION_BYTES = 1024
/** Of a whole body: a peer that hides bytes in extensions makes work that no limit on the body sees. */
const MAX_EXTENSIONS_BYTES = 16384
const MAX_TRAILER_BYTES = 8192

/** *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) */
const EXTENSIONS =
  /^(?:[\t ]*;[\t ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[\t ]*=[\t ]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*$/
const TRAILER_LINES = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/
/** Never taken from a trailer: a recipient that merges trailers into its fields would obey them. */
const FORBIDDEN =
  /^(?:connection|content-(?:encoding|length|range|type)|transfer-encoding|te|trailer|upgrade|host|keep-alive|proxy-.*|authorization|cookie|set-cookie|www-authenticate|forwarded|x[-_]forwarded.*|x[-_]real[-_]ip|via|expect|range|max-forwards|cache-control|location|age|date|expires|vary|retry-after|warning|if-.*)$/i

export class ChunkedReader {
  /** After `read`: ranges [start, end), … of the bytes given that may go on. */
  readonly ranges: number[] = []
  /** After `read`: goes before the ranges; a size line that was split over two reads. */
  prefix = ''
  done = false
  /** Once done: the trailer lines that may go on, each ended by CRLF. */
  trailers = ''
  /** Bytes of data seen, framing not counted. */
  dataBytes = 0
  /** Ranges hold the framing too, up to the last chunk; else data alone. */
  readonly #keepFraming: boolean
  #state: number = state.sizeStart
  #size = 0
  #digits = 0
  #extension = ''
  #extensionBytes = 0
  #trailerText = ''
  /** The size line began in an earlier read. */
  #split = false

  constructor(keepFraming: boolean) {
    this.#keepFraming = keepFraming
  }

  /** Reads bytes[from, to) and returns where it stopped: `to`, or the end of the body, or -1 for malformed framing. */
  read(bytes: Uint8Array, from: number, to: number): number {
    const { ranges } = this
    ranges.length = 0
    this.prefix = ''
    let at = from
    let lineFrom = from
    while (at < to) {
      switch (this.#state) {
        case state.sizeStart:
        case state.size: {
          const digit = hexValue(bytes[at]!)
          if (digit < 0) {
            if (this.#digits === 0) return -1
            this.#state = bytes[at] === 13 ? state.sizeLf : state.extension
            if (this.#state === state.sizeLf) at++
            break
          }
          if (this.#state === state.sizeStart) {
            this.#state = state.size
            lineFrom = at
          }
          if (++this.#digits > MAX_SIZE_DIGITS) return -1
          this.#size = this.#size * 16 + digit
          at++
          break
        }
        case state.extension: {
          const byte = bytes[at]!
          if (byte === 13) this.#state = state.sizeLf
          else if (byte === 10 || ++this.#extensionBytes > MAX_EXTENSIONS_BYTES || this.#extension.length >= MAX_EXTENSION_BYTES) return -1
          else this.#extension += String.fromCharCode(byte)
          at++
          break
        }
        case state.sizeLf:
          if (bytes[at] !== 10 || !EXTENSIONS.test(this.#extension)) return -1
          at++
          this.#startChunk(lineFrom, at)
          break
        case state.data: {
          const end = Math.min(to, at + this.#size)
          this.#emit(at, end)
          this.#size -= end - at
          this.dataBytes += end - at
          at = end
          if (this.#size === 0) this.#state = state.dataCr
          break
        }
        case state.dataCr:
          if (bytes[at] !== 13) return -1
          if (this.#keepFraming) this.#emit(at, at + 1)
          this.#state = state.dataLf
          at++
          break
        case state.dataLf:
          if (bytes[at] !== 10) return -1
          if (this.#keepFraming) this.#emit(at, at + 1)
          this.#state = state.sizeStart
          at++
          break
        default: {
          const stop = this.#readTrailers(bytes, at, to)
          if (stop < 0 || this.done) return stop
          at = stop
        }
      }
    }
    this.#split = this.#state > state.sizeStart && this.#state < state.data
    return at
  }

  /** The size line [from, to) is complete. */
  #startChunk(from: number, to: number): void {
    const plain = this.#extension === '' && !this.#split
    if (this.#size === 0) this.#state = state.trailers
    else {
      this.#state = state.data
      if (this.#keepFraming) {
        if (plain) this.#emit(from, to)
        else if (this.#split) this.prefix += `${this.#size.toString(16)}\r\n`
        else {
          this.#emit(from, from + this.#digits)
          this.#emit(to - 2, to)
        }
      }
    }
    this.#split = false
    this.#digits = 0
    this.#extension = ''
  }

  #emit(from: number, to: number): void {
    const { ranges } = this
    if (ranges.length > 0 && ranges[ranges.length - 1] === from) ranges[ranges.length - 1] = to
    else ranges.push(from, to)
  }

  /** Up to the empty line. Held back as a whole, for a last chunk promises that nothing wrong follows. */
  #readTrailers(bytes: Uint8Array, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const byte = bytes[at]!
      this.#trailerText += String.fromCharCode(byte)
      if (this.#trailerText.length > MAX_TRAILER_BYTES) return -1
      if (byte !== 10) continue
      const text = this.#trailerText
      if (text !== '\r\n' && !text.endsWith('\r\n\r\n')) {
        if (!text.endsWith('\r\n')) return -1
        continue
      }
      const lines = text.slice(0, -2)
      if (!TRAILER_LINES.test(lines)) return -1
      this.trailers = passableTrailers(lines)
      this.#state = state.done
      this.done = true
      return at + 1
    }
    return to
  }
}

/** Of valid trailer lines, each ended by CRLF, those that may go on. */
export function passableTrailers(lines: string): string {
  if (lines === '') return ''
  let kept = ''
  for (const line of lines.slice(0, -2).split('\r\n')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    if (isToken(name) && !FORBIDDEN.test(name)) kept += `${name}: ${trimmed(line, colon + 1, line.length)}\r\n`
  }
  return kept
}

function hexValue(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
