/**
 * A request body on its way through hooks: what the client's framing holds goes in, what comes out goes to the endpoint, chunk by
 * chunk, or with an exact length once all of it is known.
 */
import type { Hook, Verdict } from '../hooks.ts'
import { ChunkedReader } from '../net/http1/chunked.ts'
import { loosen } from '../net/http1/loosen.ts'
import { gathersAll, mediaType, mostTogether, tooMuchMade } from './body-hooks.ts'
import { BodyPipe, type PipeEnd } from './body-pipe.ts'
import { Together } from './body-store.ts'
import type { Coding } from './content-coding.ts'
import type { BodyTaker } from './sending.ts'

export class RequestFilter implements PipeEnd {
  /** The client has sent all of it. */
  sourceDone = false
  /** Nothing may be sent to an endpoint before all of it is known. */
  readonly gathers: boolean
  readonly #taker: BodyTaker
  readonly #pipe: BodyPipe
  /** Of the client's framing, which was found valid before. */
  readonly #chunks: ChunkedReader | null
  #left: number
  readonly #out: Together | null
  /** Ends the chunk before. */
  #chunkEnd = ''

  /** Edits the head for what will be sent. */
  constructor(
    taker: BodyTaker,
    hooks: readonly Hook[],
    { coding, maxBytes }: { readonly coding: Coding | null; readonly maxBytes: number },
  ) {
    const { request, ip } = taker
    const length = request.contentLength
    this.#taker = taker
    this.#chunks = length === -1 ? new ChunkedReader(false) : null
    this.#left = length
    this.gathers = gathersAll(hooks, 'onRequestBody')
    this.#out = this.gathers ? new Together(mostTogether(hooks, 'onRequestBody')) : null
    const type = mediaType(request)
    this.#pipe = new BodyPipe({ kind: 'requestBody', request, response: null, ip, type, coding, length, maxBytes }, hooks, this)
    loosen(request)
    if (this.gathers) request.delete('expect')
    request.contentLength = -1
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  /** What came before anybody knew that hooks want it, framed as it came. `done`: it is all. */
  begin(text: string, bytes: Buffer | null, done: boolean): void {
    const first = bytes ?? Buffer.from(text, 'latin1')
    this.sourceDone = done
    this.#read(first, 0, first.length)
    // Nothing is read until more is asked for.
    const flows = this.#pipe.settle(bytes === null ? 'own' : 'lent', done)
    if (flows && !done) this.#taker.takeMore()
  }

  push(prefix: string, bytes: Buffer, from: number, to: number, lent: boolean): boolean {
    if (this.#pipe.isClosed) return false
    if (prefix !== '') this.#chunks!.read(Buffer.from(prefix, 'latin1'), 0, prefix.length)
    this.#read(bytes, from, to)
    // A body of a known length ends with its last byte; `end`, which follows, has nothing to add.
    return this.#pipe.settle(lent ? 'lent' : 'copied', this.#left === 0)
  }

  end(text: string): void {
    this.sourceDone = true
    if (this.#chunks === null || this.#pipe.isClosed) return
    this.#chunks.read(Buffer.from(text, 'latin1'), 0, text.length)
    this.#pipe.settle('own', true)
  }

  #read(bytes: Buffer, from: number, to: number): void {
    if (this.#chunks === null) {
      this.#left -= to - from
      return this.#pipe.push(bytes, from, to)
    }
    this.#chunks.read(bytes, from, to)
    const { ranges } = this.#chunks
    for (let i = 0; i < ranges.length; i += 2) this.#pipe.push(bytes, ranges[i]!, ranges[i + 1]!)
  }

  // ── to the endpoint ──────────────────────────────────────────────────────────────────────────────────────────────

  /** There is an endpoint now, or it can take more. */
  drained(): void {
    this.#pipe.drained()
  }

  write(bytes: Buffer, isLent: boolean): boolean {
    if (this.#out !== null) {
      if (!this.#out.add(bytes, isLent)) this.#pipe.stop(tooMuchMade, null)
      return true
    }
    const prefix = `${this.#chunkEnd}${bytes.length.toString(16)}\r\n`
    this.#chunkEnd = '\r\n'
    return this.#taker.forwardBody(prefix, bytes, 0, bytes.length, true)
  }

  flush(): boolean {
    return true
  }

  finish(): void {
    const { request } = this.#taker
    if (this.#out === null) return this.#taker.forwardEnd(`${this.#chunkEnd}0\r\n${this.#chunks?.trailers ?? ''}\r\n`)
    request.contentLength = this.#out.bytes
    request.addLines(`Content-Length: ${this.#out.bytes}\r\n`)
    this.#taker.sendWhole(this.#out.take())
  }

  stopped(verdict: Verdict, by: Hook | null): void {
    this.#taker.stopBody(verdict, by)
  }

  ready(): void {
    this.#taker.takeMore()
  }

  /** Nobody waits for it any more. */
  close(): void {
    this.#pipe.close()
  }
}
