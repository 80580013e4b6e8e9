/**
 * A response body on its way through hooks, and the head that waits for as much of it as is needed to be true: for the first piece
 * of it, if one has come, so that a hook may still have it replaced by an error; for all of it, if a hook wants it whole.
 */
import type { Hook, Verdict } from '../hooks.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import { gathersAll, mostTogether, tooMuchMade } from './body-hooks.ts'
import { BodyPipe, type PipeBody, type PipeEnd, type Whose } from './body-pipe.ts'
import { Together } from './body-store.ts'
import type { Detour } from './detour.ts'

/** Whose response it is. */
export interface ResponseTaker {
  /** `length`: exact, or -1 if it is not known. */
  sendFilteredHead(head: ResponseHead, length: number): void
  sendFiltered(bytes: Buffer): boolean
  flushFiltered(): boolean
  endFiltered(trailers: string): void
  stopResponse(verdict: Verdict, by: Hook | null): void
  takeMoreResponse(): void
}

export class ResponseFilter implements PipeEnd, Detour {
  readonly isShared = false
  readonly #taker: ResponseTaker
  readonly #head: ResponseHead
  readonly #pipe: BodyPipe
  #headSent = false
  /** What was pushed last; several pushes are joined, and nobody's. */
  #whose: Whose = 'own'
  /** What hooks made, while all of it is waited for. */
  readonly #out: Together | null
  #trailers = ''

  constructor(taker: ResponseTaker, hooks: readonly Hook[], body: PipeBody & { readonly response: ResponseHead }) {
    this.#taker = taker
    this.#head = body.response
    this.#out = gathersAll(hooks, 'onResponseBody') ? new Together(mostTogether(hooks, 'onResponseBody')) : null
    this.#pipe = new BodyPipe(body, hooks, this)
  }

  // ── from the endpoint ────────────────────────────────────────────────────────────────────────────────────────────

  push(bytes: Buffer, from: number, to: number): void {
    this.#whose = 'lent'
    this.#pipe.push(bytes, from, to)
  }

  /** The same as latin1. */
  pushText(text: string): void {
    this.#whose = 'own'
    this.#pipe.push(Buffer.from(text, 'latin1'), 0, text.length)
  }

  /** A read is over. False: no more until `takeMoreResponse`. */
  readEnd(last: boolean, trailers: string): boolean {
    this.#trailers = trailers
    const flows = this.#pipe.settle(this.#whose, last)
    // No hook is thinking about the beginning: nobody can object to it, and a client may want to see that it has been answered.
    if (!last && !this.#headSent && this.#out === null && !this.#pipe.isClosed && this.#pipe.isQuiet) {
      this.#sendHead(-1)
      return this.#pipe.settle('own', false)
    }
    return flows
  }

  /** More may be read. */
  get flows(): boolean {
    return this.#pipe.flows
  }

  /** Somebody still has bytes of the buffer that was read into. */
  get isLent(): boolean {
    return this.#pipe.isLent
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  drained(): void {
    this.#pipe.drained()
  }

  write(bytes: Buffer, isLent: boolean): boolean {
    if (this.#out !== null) {
      if (!this.#out.add(bytes, isLent)) this.#pipe.stop(tooMuchMade, null)
      return true
    }
    if (!this.#headSent) this.#sendHead(-1)
    return this.#taker.sendFiltered(bytes)
  }

  flush(): boolean {
    return !this.#headSent || this.#taker.flushFiltered()
  }

  finish(): void {
    const body = this.#out?.take() ?? null
    if (!this.#headSent) this.#sendHead(body === null && this.#trailers !== '' ? -1 : (body?.length ?? 0))
    if (body !== null) this.#taker.sendFiltered(body)
    this.#taker.endFiltered(this.#trailers)
  }

  stopped(verdict: Verdict, by: Hook | null): void {
    this.#taker.stopResponse(verdict, by)
  }

  ready(): void {
    this.#taker.takeMoreResponse()
  }

  leave(): void {}

  /** Nobody waits for it any more. */
  close(): void {
    this.#pipe.close()
  }

  #sendHead(length: number): void {
    this.#headSent = true
    if (length >= 0) this.#head.addLines(`Content-Length: ${length}\r\n`)
    this.#taker.sendFilteredHead(this.#head, length)
  }
}
