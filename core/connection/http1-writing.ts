/** The writing half of an HTTP/1 connection: frames what an exchange answers for this client, and keeps small pieces together. */
import type { ResponseHead } from '../net/http1/head.ts'
import type { Wire } from '../net/wire.ts'
import { httpDate } from './http-date.ts'

/** Small pieces of a response are kept together up to here, then written as one. */
const TOGETHER_BYTES = 4096
export abstract class Http1Writing {
  protected readonly wire: Wire
  /** The response being written. */
  #out = ''
  protected keepAlive = true
  #framing: 'asIs' | 'chunked' | 'none' = 'asIs'
  /** The body ends with a last chunk: the reader of the endpoint's framing keeps that back, and our own needs one. */
  #endsChunked = false
  protected http10 = false
  /** Nothing of the response follows what is in `out`. */
  #isWhole = false

  constructor(wire: Wire) {
    this.wire = wire
  }

  /** No other request of this client is to be answered. */
  protected abstract readonly isOver: boolean
  /** The wire is finished behind the response. */
  protected abstract readonly closesNext: boolean
  /** What is written has to be taken within some time. */
  protected abstract awaitTaken(): void

  get congested(): boolean {
    return this.wire.congested
  }

  sendInformational(head: ResponseHead): void {
    this.#wrote(this.wire.writeText(`HTTP/1.1 ${head.status} ${head.reason}\r\n${head.lines()}\r\n`))
  }

  sendHead(head: ResponseHead, length: number, answersHead: boolean): void {
    const bodyless = answersHead || head.status === 204 || head.status === 304
    this.#framing = 'asIs'
    this.#endsChunked = false
    this.#isWhole = false
    if (head.status === 204 && head.contentLength >= 0) head.delete('content-length')
    if (!head.hasDate) head.addLines(`Date: ${httpDate()}\r\n`)
    let framing = ''
    if (bodyless) this.#framing = 'none'
    else if (length === -1 || length === -2) framing = this.#frameUnknown(length)
    if (this.isOver) this.keepAlive = false
    if (!this.keepAlive) framing += 'Connection: close\r\n'
    else if (this.http10) framing += 'Connection: keep-alive\r\n'
    this.#out = `${head.text() + framing}\r\n`
  }

  /** A body whose length is not known: chunked for those who can read it, to the end of the connection for HTTP/1.0. */
  #frameUnknown(length: number): string {
    if (this.http10) {
      this.keepAlive = false
      return ''
    }
    this.#framing = length === -1 ? 'asIs' : 'chunked'
    this.#endsChunked = true
    return 'Transfer-Encoding: chunked\r\n'
  }

  sendBody(prefix: string, bytes: Buffer, from: number, to: number): boolean {
    const size = this.#framing === 'chunked' ? `${(prefix.length + to - from).toString(16)}\r\n` : ''
    const text = this.#out + size + prefix
    if (this.#framing === 'chunked' || to - from <= TOGETHER_BYTES) {
      this.#out = text + bytes.latin1Slice(from, to) + (this.#framing === 'chunked' ? '\r\n' : '')
      return this.#out.length <= 65536 || this.flush()
    }
    this.#out = ''
    return this.#wrote(this.wire.write(text, bytes, from, to))
  }

  sendText(text: string): void {
    if (this.#framing !== 'none') this.#out += text
  }

  endBody(trailers: string): void {
    this.#isWhole = this.wire.writeLast !== undefined
    if (this.#endsChunked) this.#out += `0\r\n${trailers}\r\n`
  }

  flush(): boolean {
    const text = this.#out
    if (text === '') return !this.wire.congested
    this.#out = ''
    return this.#wrote(this.#isWhole && this.closesNext ? this.wire.writeLast!(text) : this.wire.writeText(text))
  }

  #wrote(flowing: boolean): boolean {
    if (!flowing) this.awaitTaken()
    return flowing
  }
}
