/**
 * One answer that is being fetched, and those who asked for the same meanwhile. They get it as it comes if its length is known, else
 * once it is complete. If it may not be kept, or does not come, they ask again.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { BodySource } from './body-source.ts'
import type { Inflow } from './cache-side.ts'
import type { LargeFile } from './disk/large-file.ts'
import type { StoredResponse } from './stored-response.ts'
import { variantOf } from './vary.ts'

/** Who waits. */
export interface Waiter {
  readonly request: RequestHead
  /** It gets this one. */
  serve(response: StoredResponse): void
  /** It has to look again; `alone`: and not to wait again. */
  retry(alone: boolean): void
}

export interface FlightHome {
  readonly deadlines: Deadlines
  /** Nobody is to join it any more. */
  unlist(flight: Flight): void
  /** It is complete. */
  keep(response: StoredResponse): void
  /** Takes room for more of a body whose length is not known; false: there is none. */
  reserve(flight: Flight, bytes: number): boolean
  unreserve(bytes: number): void
  readonly objectBytes: number
}

export type FlightParts = Pick<Flight, 'key' | 'url' | 'vary' | 'variant' | 'range'>

/** Taken at a time for a body of no known length. */
const ROOM_BYTES = 65_536

export class Flight implements Inflow, Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly key: string
  readonly url: string
  /** Of the request, by the fields that chose the last answer to it. */
  readonly vary: readonly string[] | null
  readonly variant: string
  /** What it asks for, as `rangeOf` says; null: all. */
  readonly range: string | null
  /** It was purged on its way: those who wait get it, nobody after them. */
  isPurged = false
  /** Once its head has come and it is to be kept. */
  response: StoredResponse | null = null
  reserved = 0
  #isOver = false
  readonly #home: FlightHome
  /** As many as there are exchanges that wait for it. */
  #waiters: Set<Waiter> | null = null

  constructor(home: FlightHome, { key, url, vary, variant, range }: FlightParts) {
    this.#home = home
    this.key = key
    this.url = url
    this.vary = vary
    this.variant = variant
    this.range = range
  }

  // ── those who wait ───────────────────────────────────────────────────────────────────────────────────────────────

  /** `waitMs`: for its head, or for all of it if its length is not known. */
  wait(waiter: Waiter, waitMs: number): void {
    if (this.slot < 0) this.#home.deadlines.add(this)
    if (this.dueAt === Number.POSITIVE_INFINITY) this.dueAt = this.#home.deadlines.in(waitMs)
    this.#waiters ??= new Set()
    this.#waiters.add(waiter)
  }

  /** As far as is known before its head has come, or after. */
  mayBeFor(request: RequestHead, range: string | null): boolean {
    if (this.isPurged || this.range !== range || this.response?.large?.state === 'broken') return false
    const { vary, variant } = this.response ?? this
    return variant === variantOf(vary, request)
  }

  leave(waiter: Waiter): void {
    this.#waiters?.delete(waiter)
  }

  /** Who comes now gets it as it comes. */
  get isStreaming(): boolean {
    return this.response !== null && this.response.length >= 0
  }

  get isShared(): boolean {
    const { response } = this
    if (this.#waiters !== null && this.#waiters.size > 0) return true
    return response !== null && (response.large === null ? response.body.hasReaders : response.large.isShared)
  }

  /** It takes too long: they go their own way. */
  onDeadline(): void {
    this.#release((waiter) => waiter.retry(true))
  }

  // ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────────

  get source(): BodySource {
    return this.response!.body
  }

  /** The head has come, and it is to be kept. `matches`: whether it is the answer to that request, too. */
  begin(response: StoredResponse, matches: (request: RequestHead) => boolean): void {
    this.response = response
    if (response.length >= 0)
      return this.#release((waiter) => (matches(waiter.request) ? waiter.serve(response) : waiter.retry(false)), response.body)
    if (this.#waiters === null) return
    const others = [...this.#waiters].filter((waiter) => !matches(waiter.request))
    for (const waiter of others) this.#waiters.delete(waiter)
    later(others, (waiter) => waiter.retry(false))
  }

  /** It is what is kept already, which was asked about: it is good for all. */
  confirm(response: StoredResponse, matches: (request: RequestHead) => boolean): void {
    this.#close((waiter) => (matches(waiter.request) ? waiter.serve(response) : waiter.retry(false)), response.body)
  }

  /** It is not for others; its body may still flow. `alone`: nor will the next one be. */
  refuse(alone: boolean): void {
    this.#home.unlist(this)
    this.#release((waiter) => waiter.retry(alone))
    this.#home.deadlines.remove(this)
  }

  push(bytes: Buffer, from: number, to: number): boolean {
    const { large } = this.response!
    if (large !== null) {
      large.push(bytes, from, to)
      return true
    }
    if (!this.#mayGrow(to - from)) return false
    this.source.push(bytes, from, to)
    return true
  }

  pushText(text: string): boolean {
    if (this.response!.large !== null) return this.push(Buffer.from(text, 'latin1'), 0, text.length)
    if (!this.#mayGrow(text.length)) return false
    this.source.pushText(text)
    return true
  }

  advance(): void {
    this.source.advance()
  }

  complete(): void {
    const response = this.response!
    if (response.large !== null) return this.#completeLarge(response.large, response)
    this.source.complete()
    response.seal()
    this.#giveBack()
    if (!this.isPurged) this.#home.keep(response)
    this.#close((waiter) => waiter.serve(response), response.body)
  }

  break(): void {
    if (this.#isOver) return
    this.response?.body.break()
    this.response?.large?.break()
    this.#giveBack()
    this.#close((waiter) => waiter.retry(false))
  }

  /** Until it can be found, those who want it get it from here. */
  #completeLarge(large: LargeFile, response: StoredResponse): void {
    this.#isOver = true
    large.finish()
    void large.settled.then(() => this.#close((waiter) => waiter.serve(response)))
  }

  /** Of a body of known length the room was taken with its head. */
  #mayGrow(more: number): boolean {
    if (this.response!.length >= 0) return true
    const { filled } = this.source
    const fits = filled + more <= this.#home.objectBytes
    if (fits && (filled + more <= this.reserved || this.#home.reserve(this, Math.max(more, ROOM_BYTES)))) return true
    // It is too long, and the next one will be, too. Its room is taken until those who are sent what came so far have it.
    this.#giveBackLater()
    this.refuse(true)
    return false
  }

  #giveBackLater(): void {
    const { source, reserved } = this
    if (!source.isHeld) return this.#giveBack()
    this.reserved = 0
    source.whenFree(() => this.#home.unreserve(reserved))
  }

  #giveBack(): void {
    if (this.reserved > 0) this.#home.unreserve(this.reserved)
    this.reserved = 0
  }

  #close(say: (waiter: Waiter) => void, body: BodySource | null = null): void {
    this.#isOver = true
    this.#home.unlist(this)
    this.#release(say, body)
    this.#home.deadlines.remove(this)
  }

  /** `body`: what they are told of. */
  #release(say: (waiter: Waiter) => void, body: BodySource | null = null): void {
    this.dueAt = Number.POSITIVE_INFINITY
    if (this.#waiters === null) return
    const waiters = [...this.#waiters]
    this.#waiters = null
    later(waiters, say, body)
  }
}

/** Not inside the call that made it known: each of them may go a long way. In the order in which they came. */
function later(waiters: readonly Waiter[], say: (waiter: Waiter) => void, body: BodySource | null = null): void {
  if (waiters.length === 0) return
  body?.hold()
  queueMicrotask(() => {
    for (const waiter of waiters) say(waiter)
    body?.release()
  })
}
