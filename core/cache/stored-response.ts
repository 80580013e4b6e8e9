/**
 * An answer as it is kept: its head as text, made for leaving again, beside its body. What of it changes with time (Age, Cache-Status)
 * is written once a second, whoever asks. It is there from the head on; its body may still come.
 */
import { ResponseHead } from '../net/http1/head.ts'
import { reasonPhrases } from '../net/http1/reason.ts'
import type { BodySource } from './body-source.ts'
import { hitStatus } from './cache-status.ts'
import type { ContentRange, Validators } from './conditions.ts'
import type { LargeFile } from './disk/large-file.ts'
import type { Encodings } from './encodings.ts'
import { flat } from './flat-text.ts'
import type { Freshness } from './freshness.ts'
import type { Pieces } from './pieces.ts'
import type { Kept } from './sieve.ts'
import { linesOf304 } from './stored-lines.ts'

/** What an answer takes beside its texts and its body, a body with a buffer of its own, a tag, and the head of a hit beside its lines: measured by bench/micro/cache.ts. */
const OVERHEAD_BYTES = 912
const BUFFER_BYTES = 384
const TAG_BYTES = 32
const HIT_BYTES = 96

/** What is from further ahead is from before the clock was set back, and has an age that nobody knows. Clocks of machines differ by less. */
const MOST_AHEAD_MS = 60_000

export interface StoredParts {
  /** What it is found under. */
  readonly key: string
  readonly url: string
  /** Null: every request for the key gets it. */
  readonly vary: readonly string[] | null
  /** vary.ts: the same for requests that get it. */
  readonly variant: string
  readonly status: number
  /** Field lines, each ended by CRLF, with Date, without Content-Length and Age. */
  readonly lines: string
  readonly freshness: Freshness
  readonly etag: string | null
  readonly tags: readonly string[]
  /** Who asks with credentials may get it, too (RFC 9111 §3.5). */
  readonly isForAll: boolean
  readonly body: BodySource
  /** Bytes of the body; -1: not known yet. */
  readonly length: number
  /** What is given a coding on the way to `body`. Default: nothing is. */
  readonly madeOf?: BodySource
  /** Of a 206 on its way: what its body is of the whole. Default: it is the whole. */
  readonly part?: ContentRange | null
  /** In the place of a body, of which some is kept. Default: there is a body. */
  readonly pieces?: Pieces | null
}

export class StoredResponse implements Kept, Validators {
  visited = false
  newer: Kept | null = null
  older: Kept | null = null
  readonly key: string
  readonly url: string
  readonly vary: readonly string[] | null
  readonly variant: string
  readonly status: number
  readonly lines: string
  readonly freshness: Freshness
  readonly etag: string | null
  readonly tags: readonly string[]
  readonly isForAll: boolean
  readonly body: BodySource
  readonly madeOf: BodySource
  readonly part: ContentRange | null
  readonly pieces: Pieces | null
  /** Its body is in a file, and `body` is empty: it is never in the memory. */
  large: LargeFile | null = null
  length: number
  /** As others get it: encodings.ts. Null: nobody has asked for another coding. */
  encodings: Encodings | null = null
  size = 0
  heapSize = 0
  hits = 0
  /** `kept`: it is in the memory, and found there; `gone`: it was. */
  stage: 'new' | 'kept' | 'gone' = 'new'
  /** Somebody asks the origin about it. */
  isBeingChecked = false
  /** Purged softly then: it has been stale since. Infinity: it was not. */
  purgedAt = Number.POSITIVE_INFINITY
  #second = -1
  #cache = ''
  #text = ''
  #unchanged = ''

  constructor(parts: StoredParts) {
    this.key = parts.key
    this.url = parts.url
    this.vary = parts.vary
    this.variant = flat(parts.variant)
    this.status = parts.status
    this.lines = flat(parts.lines)
    this.freshness = parts.freshness
    this.etag = parts.etag === null ? null : flat(parts.etag)
    this.tags = parts.tags.length === 0 ? parts.tags : parts.tags.map(flat)
    this.isForAll = parts.isForAll
    this.body = parts.body
    this.madeOf = parts.madeOf ?? parts.body
    this.part = parts.part ?? null
    this.pieces = parts.pieces ?? null
    this.length = parts.length
  }

  /** Its body is complete, or of known length: from now on it is known what it takes. */
  seal(): void {
    if (this.body.state === 'complete') this.length = this.body.filled
    let heapSize = OVERHEAD_BYTES + this.key.length + this.url.length + this.variant.length + this.lines.length
    for (const tag of this.tags) heapSize += TAG_BYTES + tag.length
    for (const name of this.vary ?? []) heapSize += name.length
    heapSize += (this.etag?.length ?? 0) + (this.encodings?.bytes ?? 0)
    if (this.hits > 0) heapSize += this.hitBytes
    const bodySize = this.pieces === null ? this.length + this.body.codedBytes : this.pieces.size
    if (this.body.text !== null) heapSize += this.length
    this.heapSize = heapSize
    this.size = this.body.text !== null ? heapSize + this.body.codedBytes : heapSize + BUFFER_BYTES + bodySize
  }

  /** What it takes more once it has been asked for. */
  get hitBytes(): number {
    return HIT_BYTES + this.lines.length
  }

  get lastModified(): number {
    return this.freshness.lastModified
  }
  get date(): number {
    return this.freshness.date
  }

  /** Whole seconds, at `now` in milliseconds. */
  age(now: number): number {
    return Math.max(0, Math.floor((now - this.freshness.bornAt) / 1000))
  }

  /** Seconds it will be fresh; 0 or less: it is stale. */
  ttl(now: number): number {
    const { lifetime, bornAt } = this.freshness
    const left = bornAt - now > MOST_AHEAD_MS ? Math.min(0, lifetime) : lifetime - this.age(now)
    return this.purgedAt === Number.POSITIVE_INFINITY ? left : Math.min(left, -Math.max(0, Math.floor((now - this.purgedAt) / 1000)))
  }

  /** All of it, for somebody who asks under no conditions. `cache`: the name in Cache-Status. */
  hit(now: number, cache: string): ResponseHead {
    this.#begin(now, cache)
    const { status, length } = this
    if (this.#text === '') this.#text = flat(`${startLine(status)}${this.lines}${lengthLine(length)}${this.#hitNote(now, cache)}`)
    return headOf(this.#text, status, length)
  }

  /** For somebody who has it already. */
  unchanged(now: number, cache: string): ResponseHead {
    this.#begin(now, cache)
    if (this.#unchanged === '')
      this.#unchanged = flat(startLine(304) + linesOf304(this.lines, this.etag !== null) + this.#hitNote(now, cache))
    return headOf(this.#unchanged, 304, 0)
  }

  /** What was written in another second, or for another cache, is not true any more. */
  #begin(now: number, cache: string): void {
    const second = Math.floor(now / 1000)
    if (this.#second === second && this.#cache === cache) return
    this.#second = second
    this.#cache = cache
    this.#text = ''
    this.#unchanged = ''
  }

  #hitNote(now: number, cache: string): string {
    return this.note(now, hitStatus(cache, this.ttl(now)))
  }

  /** The lines that tell of this cache. */
  note(now: number, status: string): string {
    return `Age: ${this.age(now)}\r\nCache-Status: ${status}\r\n`
  }

  /** It is stale from now on, and stays to be asked about. */
  purge(now: number): void {
    this.purgedAt = Math.min(this.purgedAt, now)
    this.#second = -1
  }
}

/** A head that a connection can send; `length`: of its body. */
export function makeHead(status: number, lines: string, length: number): ResponseHead {
  return headOf(startLine(status) + lines, status, length)
}

export function lengthLine(length: number): string {
  return length < 0 ? '' : `Content-Length: ${length}\r\n`
}

/** By status: as many as there are. */
const startLines: string[] = []

function startLine(status: number): string {
  startLines[status] ??= `HTTP/1.1 ${status} ${reasonPhrases[status] ?? ''}\r\n`
  return startLines[status]
}

function headOf(text: string, status: number, length: number): ResponseHead {
  const head = new ResponseHead(text, startLine(status).length, status, reasonPhrases[status] ?? '', 1)
  head.keepLine(0)
  head.endFields(text.length)
  head.contentLength = length
  head.hasDate = true
  return head
}
