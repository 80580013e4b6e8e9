/**
 * What the cache keeps of one exchange that it did not answer at once: for whom it waits or what it fetches, and how its answer is
 * judged: kept, used to renew what is kept (RFC 9111 §4.3.3), replaced by a stale one (RFC 5861 §4), or passed on.
 */

import { type Answer, PENDING } from '../hooks.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import type { StoredAnswer } from './answers.ts'
import { BodySource } from './body-source.ts'
import type { CachePoint } from './cache-point.ts'
import type { CacheSide, Caching } from './cache-side.ts'
import { type Forwarded, forwardedStatus } from './cache-status.ts'
import {
  askUnder,
  type Conditions,
  type ContentRange,
  isSameTag,
  readConditions,
  readContentRange,
  strongValidator,
  type Validators,
} from './conditions.ts'
import { hasCredentials } from './credentials.ts'
import type { Flight, Waiter } from './flight.ts'
import { allowsStale, areForAll, type Freshness, readFreshness } from './freshness.ts'
import { parseHttpDate } from './http-dates.ts'
import { hasEnough, isOfSame } from './joined-parts.ts'
import { markOf } from './key.ts'
import { selectVariant } from './memory-store.ts'
import { MOST_PIECES } from './pieces.ts'
import { pointedUrls } from './pointed-urls.ts'
import { tagsOf } from './purge.ts'
import { type Refusal, refusalOf } from './storable.ts'
import { linesToKeep, updatedLines } from './stored-lines.ts'
import { makeHead, StoredResponse } from './stored-response.ts'
import { readVary, variantOf } from './vary.ts'

export interface TurnParts {
  readonly key: string
  readonly url: string
  /** Null: it does not go on. */
  readonly why: Forwarded | null
  /** How often it has waited before. */
  readonly rounds: number
  /** What the client asks of an answer; the endpoint is not told, for all of it is wanted. */
  readonly conditions: Conditions | null
  /** The one range that the endpoint is asked for, as `Flight.range`; null: all. */
  readonly range: string | null
  /** The request as it was here; null: its answer is not for keeping. */
  readonly asked: RequestHead | null
}

interface Leading {
  /** What is kept, and asked about; null: nothing. */
  readonly response: StoredResponse | null
  readonly noStore: boolean
  /** Seconds that the client takes a stale one for, in the place of an error (RFC 5861 §4); -1: it does not say. */
  readonly staleIfError: number
  /** It shows credentials, or nothing is known that could be asked about: what the client asks under goes on, and is answered by the endpoint. */
  readonly isAlone: boolean
  /** What is sent. */
  readonly request: RequestHead
}

/** Statuses in whose place a stale answer may be used (RFC 5861 §4). */
const ERRORS = new Set([500, 502, 503, 504])

export class Turn implements Caching, Waiter {
  inflow: Flight | null = null
  /** Why its answer was not kept, or what else is to be said of it. */
  detail: string | null = null
  /** The request may change what is behind its URL. */
  changes = false
  /** There is no client. */
  isBeside = false
  readonly #point: CachePoint
  readonly #side: CacheSide
  readonly #parts: TurnParts
  /** For whom it waits. */
  #awaited: Flight | null = null
  /** What it fetches. */
  #flight: Flight | null = null
  #checked: StoredResponse | null = null
  #noStore = false
  #staleIfError = -1
  #askedAt = 0

  constructor(point: CachePoint, side: CacheSide, parts: TurnParts) {
    this.#point = point
    this.#side = side
    this.#parts = parts
  }

  // ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get request(): RequestHead {
    return this.#side.request
  }

  waitFor(flight: Flight): void {
    this.#awaited = flight
    flight.wait(this, this.#point.rules.waitMs)
  }

  serve(response: StoredResponse): void {
    this.#awaited = null
    if (this.#side.ended) return
    const status = forwardedStatus(this.#side.cacheName, { why: this.#parts.why, stored: false, collapsed: true })
    response.visited = true
    this.#side.caching = null
    this.#side.resume(this.#give(this.#side, response, status))
  }

  retry(alone: boolean): void {
    this.#awaited = null
    if (this.#side.ended) return
    this.#side.caching = null
    // What stands behind the memory was asked before.
    const answer = this.#point.lookAgain(this.#side, alone ? Number.POSITIVE_INFINITY : this.#parts.rounds + 1, Number.POSITIVE_INFINITY)
    if (answer !== PENDING) this.#side.resume(answer)
  }

  // ── fetching ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All of the answer is wanted, unless what is kept is still good. */
  lead(flight: Flight, { response, noStore, staleIfError, isAlone, request }: Leading): void {
    this.#flight = flight
    this.#noStore = noStore
    this.#staleIfError = staleIfError
    this.#askedAt = this.#point.clock()
    this.#point.cache.asks(this.#askedAt)
    if (isAlone) return
    askUnder(request, this.#parts.range, response)
    if (response === null) return
    this.#checked = response
    response.isBeingChecked = true
    response.body.hold()
    response.large?.hold()
  }

  /** The head of the answer is here. */
  judge(side: CacheSide): Answer {
    const head = side.response!
    const flight = this.#flight
    if (flight === null) return this.#passOn(side, head)
    const checked = this.#checked
    if (this.#point.rules.partial) this.#forgetOthers(head)
    if (checked !== null && (ERRORS.has(head.status) || (side.isLocal && head.status >= 500)) && this.#mayStandIn(checked))
      return this.#standIn(side, flight, checked)
    if (side.isLocal) return this.#giveUp(side, head, flight)
    if (head.status === 304 && checked !== null) return this.#renew(side, head, flight, checked)
    return this.#judgeNew(side, head, flight)
  }

  ended(): void {
    if (this.#awaited !== null) {
      this.#awaited.leave(this)
      this.#awaited = null
      this.#side.resume(null)
    }
    const flight = this.#flight
    this.#close()
    flight?.break()
  }

  #judgeNew(side: CacheSide, head: ResponseHead, flight: Flight): Answer {
    const now = this.#point.clock()
    const freshness = readFreshness(head, this.#askedAt, now, this.#point.rules)
    const vary = readVary(head.get('vary'))
    const part = head.status === 206 ? readContentRange(head.get('content-range')) : null
    const refusal = (part === null ? null : this.#refusalOfPart(head, freshness, part)) ?? this.#refusal(side, head, freshness, vary)
    if (refusal !== null || vary === '*') return this.#refuse(side, head, flight, refusal)
    const asked = this.#parts.asked!
    const response = this.#makeResponse(head, { freshness, vary, part, lines: linesToKeep(head, now) })
    const isForOthers = response.ttl(now) > 0
    const { cache } = this.#point
    if (!isForOthers) {
      cache.mark(markOf(flight.key, flight.range), flight.url)
      flight.refuse(true)
    }
    const { variant } = response
    if (response.length > cache.objectBytes) {
      response.large = cache.createLarge(response, flight)
    }
    flight.begin(response, (request) => request === asked || variantOf(vary, request) === variant)
    this.inflow = flight
    const stored = !flight.isPurged
    const status = this.#forwarded(side, this.#checked === null ? { stored } : { stored, status: head.status })
    return this.#give(side, response, status)
  }

  /** Null: it may be kept, and there is room. */
  #refusal(side: CacheSide, head: ResponseHead, freshness: Freshness, vary: readonly string[] | '*' | null): string | null {
    const { asked, range } = this.#parts
    const hasAuthorization = hasCredentials(asked!)
    const refusal = refusalOf(
      {
        method: asked!.method,
        noStore: this.#noStore,
        hasAuthorization,
        inPart: this.#mayBePart(head),
        namesStatus: this.#point.rules.ttl.has(head.status),
      },
      head,
      freshness,
    )
    if (refusal !== null) return refusal
    // What is said of a range is not said of all.
    if (range !== null && head.status !== 200 && head.status !== 206) return 'range'
    if (vary === '*') return 'vary'
    // Credentials are no name of anything.
    if (hasAuthorization && vary?.includes('authorization') === true) return 'authorization'
    if (side.hasBodyHooks) return 'hooks'
    const { cache } = this.#point
    const length = head.status === 204 ? 0 : head.contentLength
    // Whether a body that ends with its connection is complete, nobody can tell.
    if (length === -2) return 'no-length'
    if (length > cache.objectBytes) return head.status !== 206 && cache.takesLarge(length) ? null : 'too-large'
    return length > 0 && !cache.reserve(this.#flight!, length) ? 'no-room' : null
  }

  #mayBePart(head: ResponseHead): boolean {
    return this.#parts.range !== null && this.#point.rules.partial && readContentRange(head.get('content-range')) !== null
  }

  /** Why that part is not kept with others of the same (RFC 9111 §3.4). */
  #refusalOfPart(head: ResponseHead, { lastModified, date }: Freshness, { from, to, of }: ContentRange): Refusal | null {
    const { cache } = this.#point
    if (head.contentLength !== to - from) return 'range'
    const validators = { etag: head.get('etag'), lastModified, date }
    if (strongValidator(validators) === null) return 'no-validator'
    const known = this.#knownParts()
    const pieces = known !== null && isOfSame(known, validators, of) ? known.pieces : null
    // RFC 9110 §15.3.7: of what was asked for by If-Range, less is told.
    if (pieces === null && this.#parts.conditions?.ifRange != null) return 'range'
    if ((pieces?.bytes ?? 0) + to - from > cache.objectBytes) return 'too-large'
    return pieces !== null && pieces.count >= MOST_PIECES ? 'too-many-parts' : null
  }

  #knownParts(): StoredResponse | null {
    const parts = this.#point.cache.store.find(this.#parts.key)?.parts ?? null
    return parts === null ? null : selectVariant(parts, this.#parts.asked!)
  }

  /** Parts of what the endpoint has no more: another one is there, or nothing. */
  #forgetOthers(head: ResponseHead): void {
    const known = this.#side.isLocal ? null : this.#knownParts()
    if (known === null || known.freshness.askedAt > this.#askedAt) return
    const { status } = head
    const now = this.#point.clock()
    const lastModified = parseHttpDate(head.get('last-modified') ?? '', now)
    const date = parseHttpDate(head.get('date') ?? '', now) || now
    const isOther = strongValidator({ etag: head.get('etag'), lastModified, date }) !== strongValidator(known)
    if (status === 404 || status === 410 || ((status === 200 || status === 206) && isOther)) this.#point.cache.store.remove(known)
  }

  #makeResponse(
    head: ResponseHead,
    { freshness, vary, part, lines }: { freshness: Freshness; vary: readonly string[] | null; part: ContentRange | null; lines: string },
  ): StoredResponse {
    const { key, url, asked } = this.#parts
    const length = head.status === 204 ? 0 : head.contentLength
    return new StoredResponse({
      key,
      url,
      vary,
      lines,
      freshness,
      length,
      part,
      variant: variantOf(vary, asked!),
      status: head.status,
      etag: head.get('etag'),
      tags: tagsOf(head),
      isForAll: areForAll(freshness.directives),
      body: new BodySource(length > this.#point.cache.objectBytes ? 0 : length),
    })
  }

  /** What is kept is still good: it gets the fields of the 304, and goes to the client (RFC 9111 §4.3.4). */
  #renew(side: CacheSide, head: ResponseHead, flight: Flight, checked: StoredResponse): Answer {
    const now = this.#point.clock()
    const tag = head.get('etag')
    side.cacheOutcome = 'revalidated'
    // One that speaks of another version is no word about this one, but that there is another: the next request gets that.
    const isSame = tag === null || checked.etag === null || isSameTag(tag, checked.etag)
    const renewed = isSame ? this.#renewed(checked, head, now) : checked
    const vary = readVary(head.get('vary'))
    const staysForOthers = isSame && mayStay(renewed.freshness) && (vary === null || String(vary) === String(checked.vary))
    const { cache } = this.#point
    const stored = staysForOthers && !flight.isPurged
    const status = this.#forwarded(side, { status: 304, stored })
    if (!stored) cache.drop(checked)
    else if (!cache.hasNewer(checked)) cache.keep(renewed)
    this.#close()
    if (staysForOthers) flight.confirm(renewed, (request) => this.#isFor(request, renewed))
    else flight.refuse(isSame)
    // What this client asks was held against what was kept, and of parts no more than that has to be there.
    return this.#give(side, renewed, status, checked.pieces === null ? null : checked)
  }

  #renewed(checked: StoredResponse, head: ResponseHead, now: number): StoredResponse {
    const lines = updatedLines(checked.lines, head, new Date(now).toUTCString())
    // A cache on the way may have had that 304 for a while.
    const age = head.has('age') ? `Age: ${head.get('age')}\r\n` : ''
    const renewedHead = makeHead(checked.status, lines + age, checked.length)
    const freshness = readFreshness(renewedHead, this.#askedAt, now, this.#point.rules)
    const { key, url, vary, variant, status, etag, body, length, pieces } = checked
    const tags = tagsOf(renewedHead)
    const isForAll = areForAll(freshness.directives)
    const renewed = new StoredResponse({ key, url, vary, variant, status, lines, freshness, etag, tags, isForAll, body, length, pieces })
    renewed.hits = checked.hits
    renewed.large = checked.large
    renewed.seal()
    return renewed
  }

  #mayStandIn(checked: StoredResponse): boolean {
    const { freshness } = checked
    const most = Math.max(freshness.staleIfError, allowsStale(freshness) ? this.#staleIfError : 0)
    return -checked.ttl(this.#point.clock()) < most
  }

  /** Of no client: what is kept stays as it is. */
  #standIn(side: CacheSide, flight: Flight, checked: StoredResponse): Answer {
    const { status } = side.response!
    const said = this.#forwarded(side, { ...(side.isLocal ? {} : { status }), stored: false, detail: 'stale-if-error' })
    side.cacheOutcome = 'stale'
    this.#close()
    flight.confirm(checked, (request) => this.#isFor(request, checked))
    return this.#give(side, checked, said)
  }

  #isFor(request: RequestHead, response: StoredResponse): boolean {
    return variantOf(response.vary, request) === response.variant && hasEnough(response, readConditions(request), this.#point.clock())
  }

  /** An answer of the proxy's own. After an error somebody else may try; what a hook said holds for who was asked about. */
  #giveUp(side: CacheSide, head: ResponseHead, flight: Flight): Answer {
    this.detail = 'local'
    this.#tell(side, head)
    this.#close()
    if (head.status >= 500) flight.break()
    else flight.refuse(true)
    return null
  }

  #refuse(side: CacheSide, head: ResponseHead, flight: Flight, refusal: string | null): Answer {
    const { cache } = this.#point
    this.detail = refusal
    this.#tell(side, head)
    // There is a newer one, which is not kept; an error says nothing of it (RFC 9111 §4.3.3).
    if (this.#checked !== null && head.status < 500) cache.drop(this.#checked)
    // What is not for keeping when it is asked for with credentials may be without.
    if (!this.#noStore && !hasCredentials(this.#parts.asked!)) cache.mark(markOf(flight.key, flight.range), flight.url)
    this.#close()
    flight.refuse(!this.#noStore)
    return null
  }

  #passOn(side: CacheSide, head: ResponseHead): Answer {
    this.#tell(side, head)
    // RFC 9111 §4.4: an answer that is no error.
    if (!this.changes || side.isLocal || head.status >= 400) return null
    const { cache, rules } = this.#point
    const { url } = this.#parts
    cache.invalidate(url)
    for (const other of pointedUrls(head, url, rules.query)) if (other !== url) cache.invalidate(other)
    return null
  }

  #give(side: CacheSide, response: StoredResponse, status: string, validators: Validators | null = null): StoredAnswer {
    return this.#point.give(side, response, { conditions: this.#parts.conditions, now: this.#point.clock(), status, validators })
  }

  #tell(side: CacheSide, head: ResponseHead): void {
    head.append('Cache-Status', this.#forwarded(side, { stored: false, detail: this.detail }))
  }

  #forwarded(side: CacheSide, said: { readonly status?: number; readonly stored: boolean; readonly detail?: string | null }): string {
    return forwardedStatus(side.cacheName, { why: this.#parts.why, ...said })
  }

  /** Nothing of it is the cache's any more, but for a body that flows in. */
  #close(): void {
    this.#flight = null
    const checked = this.#checked
    if (checked === null) return
    this.#checked = null
    checked.isBeingChecked = false
    checked.body.release()
    checked.large?.releaseLater()
  }
}

function mayStay({ directives }: Freshness): boolean {
  return !directives.noStore && !directives.isPrivate
}
