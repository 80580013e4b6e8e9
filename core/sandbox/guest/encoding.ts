/** `TextEncoder` and `TextDecoder`: UTF-8, and latin1 to decode. */
import { decodeUtf8, encodeUtf8 } from './utf8.ts'

export class TextEncoder {
  get encoding(): string {
    return 'utf-8'
  }
  encode(text = ''): Uint8Array {
    return new Uint8Array(encodeUtf8(`${text}`))
  }
}

export class TextDecoder {
  readonly encoding: string
  readonly fatal: boolean
  readonly ignoreBOM: boolean

  constructor(label = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    const name = `${label}`.trim().toLowerCase()
    if (name === 'utf-8' || name === 'utf8') this.encoding = 'utf-8'
    else if (name === 'latin1' || name === 'iso-8859-1' || name === 'ascii' || name === 'us-ascii') this.encoding = 'iso-8859-1'
    else throw new RangeError(`the encoding ${label} is not supported`)
    this.fatal = options.fatal === true
    this.ignoreBOM = options.ignoreBOM === true
  }

  decode(input?: ArrayBuffer | ArrayBufferView): string {
    if (input === undefined) return ''
    const bytes = ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input)
    if (this.encoding !== 'utf-8') {
      let out = ''
      for (const byte of bytes) out += String.fromCharCode(byte)
      return out
    }
    const text = decodeUtf8(bytes, this.fatal)
    return !this.ignoreBOM && text.startsWith('\ufeff') ? text.slice(1) : text
  }
}
