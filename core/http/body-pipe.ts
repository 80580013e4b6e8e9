/**
 * A body on its way through the hooks that want it: each is asked about one piece at a time, in order, and what it answers goes to
 * the next. Memory is bounded by two pieces a hook: whoever cannot go on makes the one before it wait, and in the end the source.
 *
 *   push, settle:  bytes of a read, joined → decoded, if they are coded → a stage a hook → the end
 */
import { type ErrorCode, ProxyError } from '../errors.ts'
import { type BodyHook, type BodyPart, type Hook, type HookCall, nextState, PENDING, type Verdict } from '../hooks.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import { ask } from './ask.ts'
import { type BodyStore, copyOf, PIECE_BYTES, Pieces, Whole } from './body-store.ts'
import { type Coding, Decoder, type DecoderOwner } from './content-coding.ts'

/** Where a body ends up. */
export interface PipeEnd {
  /** False: no more until the pipe is told `drained`. `isLent`: the bytes stay as they are until then, and no longer. */
  write(bytes: Buffer, isLent: boolean): boolean
  /** What was written in one go is to leave. False as in `write`. */
  flush(): boolean
  /** That was all. */
  finish(): void
  /** A hook has ended it, or it could not be read; the pipe is closed. `by`: null, if it was no hook. */
  stopped(verdict: Verdict, by: Hook | null): void
  /** The source may go on. */
  ready(): void
}

export interface PipeBody {
  readonly kind: BodyPart['kind']
  readonly request: RequestHead
  readonly response: ResponseHead | null
  readonly ip: string
  readonly type: string
  readonly coding: Coding | null
  /** More bytes than that, decoded, are refused. */
  readonly maxBytes: number
  /** Bytes as announced; negative if nobody has. */
  readonly length: number
}

/** Bytes that are pushed: nobody else's; the source's, to be left alone as long as it waits; the source's, at once used again. */
export type Whose = 'own' | 'lent' | 'copied'

interface Place {
  readonly hasRoom: boolean
  accept(bytes: Buffer, isLent: boolean, last: boolean): void
}

const EMPTY = Buffer.alloc(0)
/** Those that have let a body wait. */
const slow = new WeakSet<BodyHook>()

export class BodyPipe implements Place, DecoderOwner {
  isClosed = false
  /** A hook has once let us wait: what is lent is copied then, so that reading goes on while it thinks. */
  mayWait: boolean
  /** Hooks that have bytes of the source's buffer. */
  lent = 0
  readonly #stages: readonly Stage[]
  readonly #end: PipeEnd
  readonly #decoder: Decoder | null
  readonly #wrong: ErrorCode
  /** That may still come of a coded body. */
  #decodable: number
  /** What was pushed since `settle`: a view, or copies of several. */
  #view: Buffer | null = null
  #joined: Pieces | null = null
  #isCongested = false
  /** The end has bytes of the source's buffer. */
  #isEndLent = false
  /** The source was told to wait. */
  #isPaused = false

  constructor(body: PipeBody, hooks: readonly Hook[], end: PipeEnd) {
    this.#end = end
    this.#decoder = body.coding === null ? null : new Decoder(body.coding, this)
    this.#wrong = body.kind === 'requestBody' ? 'bad_body' : 'response_content_coding'
    this.#decodable = body.maxBytes
    const stages: Stage[] = []
    let next: Place = this
    for (let i = hooks.length - 1; i >= 0; i--) {
      const stage: Stage = new Stage(this, hooks[i]!, body, next)
      stages.push(stage)
      next = stage
    }
    // The last one first: it makes room for those before it.
    this.#stages = stages
    this.mayWait = stages.some((stage) => stage.isSlow)
  }

  // ── the source ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes [from, to) of the body, which may be overwritten unless `settle` returns false. */
  push(bytes: Buffer, from: number, to: number): void {
    if (to <= from || this.isClosed) return
    const view = bytes.subarray(from, to)
    if (this.#view === null && this.#joined === null) {
      this.#view = view
      return
    }
    this.#joined ??= new Pieces()
    if (this.#view !== null) this.#joined.add(this.#view, true)
    this.#view = null
    this.#joined.add(view, true)
  }

  /** What was pushed is asked about. False: no more until `ready`, and bytes that are lent stay untouched. */
  settle(whose: Whose, last: boolean): boolean {
    const view = this.#view
    const joined = this.#joined
    this.#view = null
    this.#joined = null
    if (joined !== null) {
      for (let piece = joined.take(); piece !== null; piece = joined.take()) this.#feed(piece, false, last && joined.bytes === 0)
    } else if (view !== null) this.#feed(whose === 'copied' ? copyOf(view) : view, whose === 'lent', last)
    else if (last) this.#feed(EMPTY, false, true)
    this.#flush()
    this.#isPaused = !this.flows
    return !this.#isPaused
  }

  /** Somebody still has bytes of the source's buffer. */
  get isLent(): boolean {
    return this.lent > 0 || this.#isEndLent
  }

  /** No hook is being asked, nor is going to be about something that has come, and none keeps the beginning back. */
  get isQuiet(): boolean {
    return this.#decoder?.hasBegun !== true && this.#stages.every((stage) => !stage.isAsking && !stage.isHolding)
  }

  /** Nobody waits for the body any more. */
  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#decoder?.destroy()
    for (const stage of this.#stages) stage.forget()
  }

  #feed(bytes: Buffer, isLent: boolean, last: boolean): void {
    if (this.isClosed) return
    if (this.#decoder !== null) this.#decoder.feed(bytes, isLent, last)
    else this.#first.accept(bytes, isLent, last)
  }

  get #first(): Stage {
    return this.#stages[this.#stages.length - 1]!
  }

  get flows(): boolean {
    return this.#decoder === null ? this.#hasRoom : this.#decoder.hasRoom
  }

  get #hasRoom(): boolean {
    return !this.#isCongested && !this.isLent && this.#first.hasRoom
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get hasRoom(): boolean {
    return !this.#isCongested
  }

  accept(bytes: Buffer, isLent: boolean, last: boolean): void {
    if (this.isClosed) return
    if (bytes.length > 0 && !this.#end.write(bytes, isLent)) {
      this.#isCongested = true
      if (isLent) this.#isEndLent = true
    }
    if (last && !this.isClosed) this.#end.finish()
  }

  /** The end can take more. */
  drained(): void {
    this.#isCongested = false
    this.#isEndLent = false
    this.goOn()
  }

  /** Something has moved. */
  goOn(): void {
    for (const stage of this.#stages) stage.pump()
    this.#flush()
    if (this.isClosed) return
    if (this.#hasRoom) this.#decoder?.resume()
    this.#release()
  }

  /** `by` has ended it. */
  stop(verdict: Verdict, by: Hook | null): void {
    if (this.isClosed) return
    this.close()
    this.#end.stopped(verdict, by)
  }

  #flush(): void {
    if (!this.isClosed && !this.#end.flush()) this.#isCongested = true
  }

  #release(): void {
    if (!this.#isPaused || this.isClosed || !this.flows) return
    this.#isPaused = false
    this.#end.ready()
  }

  // ── the decoder ──────────────────────────────────────────────────────────────────────────────────────────────────

  decoded(bytes: Buffer): void {
    this.#decodable -= bytes.length
    if (this.#decodable < 0) return this.stop({ kind: 'fail', error: new ProxyError('body_too_large', 'decoded') }, null)
    this.#first.accept(bytes, false, false)
    this.#flush()
    if (!this.#hasRoom) this.#decoder!.pause()
  }

  decodedAll(): void {
    this.#first.accept(EMPTY, false, true)
    this.#flush()
  }

  decoderHasRoom(): void {
    this.#release()
  }

  decoderFailed(detail: string): void {
    this.stop({ kind: 'fail', error: new ProxyError(this.#wrong, detail) }, null)
  }
}

/** One hook's place in the pipe; to the hook it is the call. */
class Stage implements HookCall, Place {
  readonly request: RequestHead
  readonly response: ResponseHead | null
  readonly ip: string
  part: BodyPart | null = null
  readonly #pipe: BodyPipe
  readonly #hook: Hook
  readonly #wish: BodyHook
  readonly #next: Place
  readonly #kind: BodyPart['kind']
  readonly #type: string
  readonly #state = nextState()
  readonly #waiting: BodyStore
  readonly #gathers: boolean
  /** What is being asked about. */
  #bytes: Buffer = EMPTY
  #isLent = false
  isAsking = false
  /** Its hook wants the head to wait. */
  isHolding = false
  /** Nothing comes after what waits. */
  #hasAll = false
  #askedLast = false

  constructor(pipe: BodyPipe, hook: Hook, body: PipeBody, next: Place) {
    this.request = body.request
    this.response = body.response
    this.ip = body.ip
    this.#pipe = pipe
    this.#hook = hook
    this.#wish = body.kind === 'requestBody' ? hook.onRequestBody! : hook.onResponseBody!
    this.#next = next
    this.#kind = body.kind
    this.#type = body.type
    this.#gathers = this.#wish.mode === 'buffer'
    const known = body.coding === null && body.length >= 0 ? body.length : PIECE_BYTES
    this.#waiting = this.#gathers ? new Whole(Math.min(known, this.#wish.maxBytes)) : new Pieces()
  }

  get isSlow(): boolean {
    return slow.has(this.#wish)
  }

  get ended(): boolean {
    return this.#pipe.isClosed
  }

  get hasRoom(): boolean {
    return this.#gathers || this.#waiting.bytes < PIECE_BYTES
  }

  accept(bytes: Buffer, isLent: boolean, last: boolean): void {
    if (last) this.#hasAll = true
    if (!this.#gathers && bytes.length <= PIECE_BYTES && this.#isFree) return this.#ask(bytes, isLent)
    if (this.#gathers && this.#waiting.bytes + bytes.length > this.#wish.maxBytes) return this.#overflow()
    this.#waiting.add(bytes, isLent)
    this.pump()
  }

  get #isFree(): boolean {
    return !this.isAsking && this.#waiting.bytes === 0 && this.#next.hasRoom
  }

  /** Asks about what waits, as long as answers come at once and there is somewhere to put them. */
  pump(): void {
    if (this.#gathers && !this.#hasAll) return
    while (!this.isAsking && !this.#askedLast && !this.#pipe.isClosed && this.#next.hasRoom) {
      const bytes = this.#waiting.take()
      if (bytes === null && !this.#hasAll) return
      this.#ask(bytes ?? EMPTY, false)
    }
  }

  #ask(bytes: Buffer, isLent: boolean): void {
    const isOwn = !isLent || this.#pipe.mayWait
    this.#bytes = isLent && isOwn ? copyOf(bytes) : bytes
    this.#isLent = !isOwn
    this.#askedLast = this.#hasAll && this.#waiting.bytes === 0
    this.part = { kind: this.#kind, bytes: this.#bytes, last: this.#askedLast, type: this.#type, state: this.#state }
    const answer = ask(this.#wish.ask, this)
    if (answer !== PENDING) return this.#apply(answer)
    this.isAsking = true
    this.#pipe.mayWait = true
    slow.add(this.#wish)
    if (this.#isLent) this.#pipe.lent++
  }

  resume(verdict: Verdict | null): void {
    if (!this.isAsking || this.#pipe.isClosed) return
    this.isAsking = false
    if (this.#isLent) this.#pipe.lent--
    this.#apply(verdict)
    this.#pipe.goOn()
  }

  #apply(verdict: Verdict | null): void {
    const bytes = this.#bytes
    const last = this.#askedLast
    this.#bytes = EMPTY
    this.isHolding = verdict?.kind === 'bytes' && verdict.holdsHead === true
    if (verdict === null) return this.#pass(bytes, this.#isLent, last)
    // It may be a part of what was asked about.
    if (verdict.kind === 'bytes') return this.#pass(verdict.bytes, this.#isLent && verdict.bytes.buffer === bytes.buffer, last)
    this.#pipe.stop(verdict, this.#hook)
  }

  #pass(bytes: Buffer, isLent: boolean, last: boolean): void {
    if (bytes.length > 0 || last) this.#next.accept(bytes, isLent, last)
  }

  #overflow(): void {
    const code = this.#kind === 'requestBody' ? 'body_too_large' : 'response_body_too_large'
    this.#pipe.stop(
      { kind: 'fail', error: new ProxyError(code, `more than the ${this.#wish.maxBytes} bytes that a hook takes`) },
      this.#hook,
    )
  }

  forget(): void {
    if (this.part !== null && !this.#askedLast) this.#hook.forget(this.#state)
  }
}
