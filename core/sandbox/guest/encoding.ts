/** `TextEncoder` and `TextDecoder`: UTF-8, and latin1 to decode. */
import { Bytes, setBytes } from './primordials.ts'
import { decodeUtf8, encodeUtf8, incompleteTail, latin1Text } from './utf8.ts'

export class TextEncoder {
  get encoding(): string {
    return 'utf-8'
  }
  encode(text = ''): Uint8Array {
    return encodeUtf8(`${text}`)
  }
}

export class TextDecoder {
  readonly encoding: string
  readonly fatal: boolean
  readonly ignoreBOM: boolean
  /** Of a character that goes on in the next piece of a stream. */
  #rest: Uint8Array = new Bytes(0)
  #isInside = false

  constructor(label = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    const name = `${label}`.trim().toLowerCase()
    if (name === 'utf-8' || name === 'utf8') this.encoding = 'utf-8'
    else if (name === 'latin1' || name === 'iso-8859-1' || name === 'ascii' || name === 'us-ascii') this.encoding = 'iso-8859-1'
    else throw new RangeError(`the encoding ${label} is not supported`)
    this.fatal = options.fatal === true
    this.ignoreBOM = options.ignoreBOM === true
  }

  decode(input: ArrayBuffer | ArrayBufferView = new Bytes(0), options: { stream?: boolean } = {}): string {
    let bytes = ArrayBuffer.isView(input) ? new Bytes(input.buffer, input.byteOffset, input.byteLength) : new Bytes(input)
    if (this.encoding !== 'utf-8') return latin1Text(bytes, 0, bytes.length)
    if (this.#rest.length > 0) bytes = joined(this.#rest, bytes)
    const isStream = options.stream === true
    const tail = isStream ? incompleteTail(bytes) : 0
    this.#rest = tail === 0 ? new Bytes(0) : new Bytes(new Bytes(bytes.buffer, bytes.byteOffset + bytes.length - tail, tail))
    const text = decodeUtf8(tail === 0 ? bytes : new Bytes(bytes.buffer, bytes.byteOffset, bytes.length - tail), this.fatal)
    const hasMark = !this.#isInside && !this.ignoreBOM && text.startsWith('\ufeff')
    this.#isInside = isStream && (this.#isInside || text !== '')
    return hasMark ? text.slice(1) : text
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Bytes(first.length + second.length)
  setBytes(all, first)
  for (let i = 0; i < second.length; i++) all[first.length + i] = second[i]!
  return all
}
