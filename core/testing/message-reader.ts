/**
 * Reads whole HTTP/1 messages as a client or an endpoint gets them: start line, fields as they were sent, body. It trusts its writer,
 * which is this program, and keeps bodies in memory.
 */
// Also for programs that import this file and do not list that one.
/// <reference path="../net/latin1.d.ts" />
import { ChunkedReader } from '../net/http1/chunked.ts'
import type { Fields } from './messages.ts'

export interface Message {
  readonly startLine: string
  readonly fields: Fields
  readonly body: Buffer
}

const HEAD_END = Buffer.from('\r\n\r\n')

/** How a body ends: after so many bytes, with its last chunk, or with the connection. */
type Framing = { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' } | { readonly kind: 'close' }

interface Head {
  readonly startLine: string
  readonly fields: Fields
  readonly framing: Framing
}

export class MessageReader {
  /** A response to HEAD has no body whatever its fields say; nor has one that opens a tunnel. */
  readonly #answers: string
  #head: Head | null = null
  #held: Buffer = Buffer.alloc(0)
  #body: Buffer[] = []
  #bodyBytes = 0
  #chunks: ChunkedReader | null = null

  /** `answers`: the method of the request that its messages answer. */
  constructor(answers = 'GET') {
    this.#answers = answers
  }

  /** A message was begun and is not complete. */
  get isInside(): boolean {
    return this.#head !== null || this.#held.length > 0
  }

  /** Takes what was read; gives each message that is complete with it. Interim responses are left out. */
  *read(bytes: Buffer): Generator<Message> {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    while (this.#head !== null || this.#readHead()) {
      if (!this.#readBody(this.#head!.framing)) return
      const message = this.#finish()
      if (!/^HTTP\/1\.1 1(?!01)/.test(message.startLine)) yield message
    }
  }

  /** The connection has ended: the message that only this could end, or null. */
  readEnd(): Message | null {
    return this.#head?.framing.kind === 'close' ? this.#finish() : null
  }

  #readHead(): boolean {
    const end = this.#held.indexOf(HEAD_END)
    if (end < 0) return false
    const [startLine = '', ...lines] = this.#held.latin1Slice(0, end).split('\r\n')
    const fields = lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
    })
    this.#held = Buffer.from(this.#held.subarray(end + HEAD_END.length))
    const framing = this.#framingOf(startLine, fields)
    this.#head = { startLine, fields, framing }
    this.#chunks = framing.kind === 'chunked' ? new ChunkedReader(false) : null
    return true
  }

  #framingOf(startLine: string, fields: Fields): Framing {
    const isResponse = startLine.startsWith('HTTP/')
    const isTunnel = this.#answers === 'CONNECT' && startLine.startsWith('HTTP/1.1 2')
    if (isResponse && (isTunnel || this.#answers === 'HEAD' || /^HTTP\/1\.1 (?:1..|204|304)/.test(startLine)))
      return { kind: 'length', bytes: 0 }
    const value = (lower: string): string | undefined => fields.find(([name]) => name.toLowerCase() === lower)?.[1]
    if (value('transfer-encoding') !== undefined) return { kind: 'chunked' }
    const length = value('content-length')
    if (length === undefined && isResponse) return { kind: 'close' }
    return { kind: 'length', bytes: Number(length ?? 0) }
  }

  /** Returns whether it is complete. */
  #readBody(framing: Framing): boolean {
    const bytes = this.#held
    if (framing.kind === 'chunked') {
      const chunks = this.#chunks!
      const end = chunks.read(bytes, 0, bytes.length)
      if (end < 0) throw new Error('malformed chunked framing')
      for (let i = 0; i < chunks.ranges.length; i += 2) this.#keep(bytes, chunks.ranges[i]!, chunks.ranges[i + 1]!)
      this.#held = bytes.subarray(end)
      return chunks.done
    }
    const wanted = framing.kind === 'close' ? bytes.length : Math.min(bytes.length, framing.bytes - this.#bodyBytes)
    this.#keep(bytes, 0, wanted)
    this.#held = bytes.subarray(wanted)
    return framing.kind === 'length' && this.#bodyBytes === framing.bytes
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (to > from) this.#body.push(bytes.subarray(from, to))
    this.#bodyBytes += to - from
  }

  #finish(): Message {
    const { startLine, fields } = this.#head!
    const body = Buffer.concat(this.#body)
    this.#head = null
    this.#body = []
    this.#bodyBytes = 0
    return { startLine, fields, body }
  }
}
