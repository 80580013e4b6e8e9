/**
 * The cache on the way of a route's requests: answers out of what is kept, lets those wait who ask for what is being fetched, and sends
 * the rest on, each with what becomes of its answer (turn.ts).
 */
import { ProxyError } from '../errors.ts'
import { type Answer, PENDING, type Verdict } from '../hooks.ts'
import { NameSet, type RequestHead } from '../net/http1/head.ts'
import { type Giving, hitAnswer, makeAnswer, type StoredAnswer, unchangedAnswer } from './answers.ts'
import type { Cache } from './cache.ts'
import type { CacheOutcome, CacheSide } from './cache-side.ts'
import { type Forwarded, forwardedStatus, hitStatus } from './cache-status.ts'
import type { HeldCache, WantedLimits } from './caches.ts'
import { asksForAll, type Conditions, isOneRange, isUnchanged, readConditions, wantedRange } from './conditions.ts'
import { copyRequest } from './copied-request.ts'
import { hasCredentials } from './credentials.ts'
import { type RequestDirectives, readRequestDirectives } from './directives.ts'
import { inCoding } from './encodings.ts'
import type { Flight } from './flight.ts'
import { allowsStale } from './freshness.ts'
import { hasEnough } from './joined-parts.ts'
import { keyOf, markOf, urlOf } from './key.ts'
import { selectVariant } from './memory-store.ts'
import { RecallWaiter } from './recall.ts'
import type { CacheRules } from './rules.ts'
import type { StoredResponse } from './stored-response.ts'
import { Turn } from './turn.ts'
import { variantOf } from './vary.ts'

/** Frameworks take these for another URL, host or method than the one in the key: what comes of them is for who sent them. */
const UNKEYED = new NameSet([
  ...['x-original-url', 'x-rewrite-url', 'x-original-host', 'x-host', 'x-http-host-override', 'x-http-method-override', 'x-http-method'],
  ...['x-method-override', 'x-original-uri', 'x-envoy-original-path', 'x-scheme', 'x-url-scheme', 'front-end-https'],
  // Next.js.
  ...['x-middleware-subrequest', 'x-middleware-prefetch', 'x-matched-path', 'x-now-route-matches'],
  ...['x-invoke-path', 'x-invoke-query', 'x-invoke-status', 'x-invoke-output', 'x-invoke-error'],
])
/** RFC 9110 §13.1.1: whether it holds is for the origin to say. */
const PRECONDITIONS = new NameSet(['if-match', 'if-unmodified-since'])
/** More requests in a row are not let wait for one that may fail, too. */
const MOST_ROUNDS = 2
/** Nor do they look behind the memory more often: what another one's look brought may be for that one alone. */
const MOST_RECALLS = 2

/** What a request finds. */
interface Found {
  readonly key: string
  readonly url: string
  /** Null: nothing that it may get. */
  readonly response: StoredResponse | null
  /** There is something, for other requests. */
  readonly hasOthers: boolean
  /** The same, of parts of answers. */
  readonly hasParts: boolean
  readonly directives: RequestDirectives | null
}

interface Forwarding {
  readonly why: Forwarded
  readonly rounds: number
  readonly outcome: CacheOutcome
}

export class CachePoint {
  readonly cache: Cache
  readonly rules: CacheRules
  readonly clock: () => number
  readonly #wanted: WantedLimits

  constructor({ cache, wanted }: HeldCache, rules: CacheRules, clock: () => number) {
    this.cache = cache
    this.rules = rules
    this.clock = clock
    this.#wanted = wanted
  }

  ask(side: CacheSide): Answer {
    const { request } = side
    const { rules } = this
    if (request.upgrade !== null || request.method === 'CONNECT' || (rules.when !== null && !rules.when(side.view()))) return null
    if (this.#wanted.plan > this.cache.newestPlan) this.cache.use(this.#wanted)
    if (request.method !== 'GET' && request.method !== 'HEAD') return this.#passMethod(side)
    return this.look(side, 0)
  }

  /** What an endpoint answered, or the proxy itself, to a request that went past here. */
  answer(side: CacheSide): Answer {
    // Null: it was answered from here, or the cache had no part in it.
    return side.caching instanceof Turn ? side.caching.judge(side) : null
  }

  /** The same in the place of a call of the exchange's own: a function of the config that throws is an error of this exchange alone. */
  lookAgain(side: CacheSide, rounds: number, recalls: number, large: StoredResponse | null = null): Answer {
    try {
      return this.look(side, rounds, recalls, large)
    } catch (error) {
      return { kind: 'fail', error: new ProxyError('hook_failed', error instanceof Error ? error.message : String(error), error) }
    }
  }

  /** `rounds`: how often it has waited already; `recalls`: and looked behind the memory, where there was `large`. */
  look(side: CacheSide, rounds: number, recalls = 0, large: StoredResponse | null = null): Answer {
    const now = this.clock()
    const found = this.#find(side, large)
    const { response, directives } = found
    // What those hooks make of it is for who asked, and nothing of it is kept.
    if (side.hasBodyHooks) return this.#pass(side, found, { why: 'bypass', detail: 'hooks' })
    if (response !== null && this.#isFree(side, directives) && response.ttl(now) > 0) {
      side.cacheOutcome = 'hit'
      return this.#serve(response, side, now)
    }
    if (this.cache.tiers.length > 0 && recalls < MOST_RECALLS && this.#mayRecall(side, found, now)) {
      const recall = this.cache.recall({ key: found.key, url: found.url, request: side.request, than: response })
      const isFirst = recall?.wanted.request === side.request
      if (recall?.isOver === true) return this.look(side, rounds, MOST_RECALLS)
      if (recall !== null) {
        side.caching = new RecallWaiter(recall, side, (large) =>
          this.lookAgain(side, rounds, isFirst || large !== null ? MOST_RECALLS : recalls + 1, large),
        )
        return PENDING
      }
    }
    return response === null ? this.#miss(side, found, rounds) : this.#judge(side, { ...found, response }, { now, rounds })
  }

  #find(side: CacheSide, large: StoredResponse | null): Found {
    const { request } = side
    const url = urlOf(side.scheme, request, this.rules.query)
    const key = keyOf(url, side, this.rules)
    const record = this.cache.store.find(key)
    const responses = record === undefined ? [] : record.responses
    const field = this.rules.obeysClients ? request.get('cache-control') : null
    const kept = responses.length === 0 ? null : selectVariant(responses, request)
    return {
      key,
      url,
      response: this.#ofLarge(large, request, kept) ?? kept ?? partsFor(record?.parts ?? null, request, this.clock),
      hasOthers: responses.length > 0,
      hasParts: record !== undefined && record.parts !== null && selectVariant(record.parts, request) !== null,
      directives: field === null ? this.#pragma(request) : readRequestDirectives(field),
    }
  }

  /** It was looked for because there was nothing better. */
  #ofLarge(large: StoredResponse | null, request: RequestHead, kept: StoredResponse | null): StoredResponse | null {
    if (large === null || (kept !== null && kept.freshness.bornAt >= large.freshness.bornAt) || this.cache.isPurgedLately(large))
      return null
    return selectVariant([large], request)
  }

  /** RFC 9111 §5.4: of clients that know nothing else. */
  #pragma(request: RequestHead): RequestDirectives | null {
    if (!this.rules.obeysClients || !request.has('pragma')) return null
    return /(?:^|,)\s*no-cache\s*(?:,|$)/i.test(request.get('pragma')!) ? readRequestDirectives('no-cache') : null
  }

  /** It wants what the memory has not, and may get it without asking; and nobody is about to bring it. */
  #mayRecall({ request }: CacheSide, { key, response }: Found, now: number): boolean {
    if ((response !== null && response.ttl(now) > 0) || request.contentLength !== 0 || this.cache.isMarked(key)) return false
    return response?.isBeingChecked !== true && findFlight(this.cache.store.find(key)?.pending, request, null) === null
  }

  /** It asks for nothing in particular, as mostly. */
  #isFree(side: CacheSide, directives: RequestDirectives | null): boolean {
    return directives === null && this.rules.bypass === null && !hasCredentials(side.request) && side.request.contentLength === 0
  }

  #serve(response: StoredResponse, side: CacheSide, now: number, status: string | null = null): StoredAnswer {
    response.visited = true
    if (response.hits++ === 0) this.cache.store.grow(response, response.hitBytes, response.hitBytes)
    const conditions = readConditions(side.request)
    if (status === null && (conditions === null || conditions.range === null)) {
      const wanted = inCoding(response, side, this.cache, false)
      if (conditions === null) return hitAnswer(wanted, now, side.cacheName)
      if (wanted.status === 200 && isUnchanged(conditions, wanted, now)) return unchangedAnswer(wanted, now, side.cacheName)
    }
    const said = status ?? hitStatus(side.cacheName, response.ttl(now))
    return this.give(side, response, { conditions, now, status: said, validators: null })
  }

  /** What this client gets of it. */
  give(side: CacheSide, response: StoredResponse, giving: Giving): StoredAnswer {
    const { conditions } = giving
    return makeAnswer(inCoding(response, side, this.cache, conditions !== null && conditions.range !== null), giving)
  }

  /** Something is kept for it: may it be used? */
  #judge(side: CacheSide, found: Found & { readonly response: StoredResponse }, { now, rounds }: { now: number; rounds: number }): Answer {
    const { response, directives } = found
    const { request } = side
    if (request.contentLength !== 0) return this.#pass(side, found, { why: 'bypass', detail: 'body' })
    if (this.rules.bypass?.(side.view()) === true)
      return this.#forward(side, { ...found, response: null }, { why: 'bypass', rounds, outcome: 'refresh' })
    if (hasCredentials(request) && !response.isForAll) return this.#pass(side, found, { why: 'uri-miss', detail: 'authorization' })
    const ttl = response.ttl(now)
    const isWanted = directives === null || mayUse(response, directives, ttl, now)
    if (isWanted && ttl > 0) {
      side.cacheOutcome = 'hit'
      return this.#serve(response, side, now)
    }
    if (isWanted && directives !== null && directives.maxStale >= 0 && allowsStale(response.freshness) && -ttl <= directives.maxStale)
      return this.#stale(side, response, now, 'max-stale')
    if (isWanted && -ttl < response.freshness.staleWhileRevalidate) {
      if (!response.isBeingChecked) this.#checkBeside(side, found)
      return this.#stale(side, response, now, 'stale-while-revalidate')
    }
    return this.#forward(side, found, { why: isWanted ? 'stale' : 'request', rounds, outcome: isWanted ? 'expired' : 'refresh' })
  }

  #stale(side: CacheSide, response: StoredResponse, now: number, detail: string): Answer {
    side.cacheOutcome = 'stale'
    return this.#serve(response, side, now, hitStatus(side.cacheName, response.ttl(now), detail))
  }

  #miss(side: CacheSide, found: Found, rounds: number): Answer {
    const why = found.hasOthers ? 'vary-miss' : 'uri-miss'
    if (side.request.contentLength !== 0) return this.#pass(side, found, { why: 'bypass', detail: 'body' })
    const isBypassed = this.rules.bypass?.(side.view()) === true
    return this.#forward(side, found, { why: isBypassed ? 'bypass' : why, rounds, outcome: isBypassed ? 'refresh' : 'miss' })
  }

  // ── on to the endpoint ───────────────────────────────────────────────────────────────────────────────────────────

  /** Waits for the same, or fetches it for all. */
  #forward(side: CacheSide, found: Found, { why: because, rounds, outcome }: Forwarding): Answer {
    const { request } = side
    const { key, url, directives } = found
    const why = because === 'uri-miss' && found.hasParts ? 'partial' : because
    if (directives?.onlyIfCached === true) return this.#refuse(side, found)
    if (request.method !== 'GET') return this.#pass(side, found, { why, outcome, detail: null })
    if (request.hasAny(UNKEYED)) return this.#pass(side, found, { why, outcome, detail: 'unkeyed' })
    if (request.hasAny(PRECONDITIONS)) return this.#pass(side, found, { why: 'bypass', detail: 'precondition' })
    const conditions = readConditions(request)
    const range = rangeOf(conditions)
    if (this.#asksAlone(found, conditions, request)) return this.#forwardAlone(side, found, { why, outcome, rounds })
    const coming = range === null || why === 'bypass' ? null : this.#comingFor(found.key, request, conditions!)
    if (coming !== null) return this.#join(side, coming, why)
    if (range !== null && !this.#mayAskForPart(conditions!, found.response))
      return this.#pass(side, found, { why, outcome, detail: 'range' })
    const record = this.cache.store.find(key)
    const mayWait = rounds < MOST_ROUNDS && !this.cache.isMarked(markOf(key, range)) && why !== 'bypass'
    const flight = mayWait ? findFlight(record?.pending, request, range) : null
    if (flight?.isStreaming === true) return this.#join(side, flight.response!, why)
    const turn = new Turn(this, side, { key, url, why, rounds, conditions, range, asked: copyRequest(request) })
    side.caching = turn
    if (flight !== null) {
      side.cacheOutcome = 'collapsed'
      turn.waitFor(flight)
      return PENDING
    }
    side.cacheOutcome = outcome
    const vary = (record?.responses[0] ?? record?.parts?.[0])?.vary ?? null
    const launched = this.cache.launch({ key, url, vary, variant: variantOf(vary, request), range }, mayWait)
    turn.lead(launched, { response: found.response, ...wishesOf(directives), isAlone: false, request })
    return null
  }

  /** What it may have is not known here: who it is, or whether it has already what is not for keeping, its endpoint knows. */
  #asksAlone({ key, response }: Found, conditions: Conditions | null, request: RequestHead): boolean {
    if (hasCredentials(request)) return true
    return response === null && conditions !== null && conditions.range === null && this.cache.isMarked(key)
  }

  /** As it is, and nobody waits for it; its answer is kept if it is for all. */
  #forwardAlone(side: CacheSide, found: Found, { why, outcome, rounds }: Forwarding): Answer {
    const { request } = side
    if (request.has('range')) return this.#pass(side, found, { why, outcome, detail: 'authorization' })
    const { key, url, directives } = found
    const turn = new Turn(this, side, { key, url, why, rounds, conditions: null, range: null, asked: copyRequest(request) })
    side.caching = turn
    side.cacheOutcome = outcome
    const launched = this.cache.launch({ key, url, vary: null, variant: '', range: null }, false)
    turn.lead(launched, { response: null, ...wishesOf(directives), isAlone: true, request })
    return null
  }

  /** All of it is being fetched, and has come to where the range begins. */
  #comingFor(key: string, request: RequestHead, conditions: Conditions): StoredResponse | null {
    const response = findFlight(this.cache.store.find(key)?.pending, request, null)?.response ?? null
    if (response === null || response.length < 0) return null
    const wanted = wantedRange(conditions, response.length, response, this.clock())
    const come = response.large === null ? response.body.filled : response.large.readable
    return typeof wanted === 'object' && wanted.from < come ? response : null
  }

  /** What is kept is asked about whatever is asked of it; else the answer has to be good for others. */
  #mayAskForPart({ range, noneMatch, modifiedSince }: Conditions, kept: StoredResponse | null): boolean {
    if (!isOneRange(range!)) return false
    return kept !== null || (this.rules.partial && noneMatch === null && modifiedSince === null)
  }

  /** It is on its way, and its head is here. */
  #join(side: CacheSide, response: StoredResponse, why: Forwarded): StoredAnswer {
    side.cacheOutcome = 'collapsed'
    const status = forwardedStatus(side.cacheName, { why, stored: false, collapsed: true })
    return this.give(side, response, { conditions: readConditions(side.request), now: this.clock(), status, validators: null })
  }

  /** What is kept goes out stale, and is asked about. */
  #checkBeside(side: CacheSide, { key, url, response }: Found): void {
    const request = copyRequest(side.request)
    request.method = 'GET'
    if (request.hasAny(UNKEYED) || hasCredentials(request)) return
    const conditions = readConditions(request)
    // For some bytes not all of them are fetched.
    const range = response!.pieces === null ? null : rangeOf(conditions)
    const turn = new Turn(this, side, { key, url, why: 'stale', rounds: 0, conditions: null, range, asked: copyRequest(request) })
    turn.isBeside = true
    const launched = this.cache.launch({ key, url, vary: response!.vary, variant: response!.variant, range }, true)
    turn.lead(launched, { response, ...wishesOf(null), isAlone: false, request })
    side.fetchBeside(request, turn)
  }

  /** Its answer is for it alone, and is not kept. */
  #pass(side: CacheSide, found: Found, how: { why: Forwarded; detail: string | null; outcome?: CacheOutcome }): Answer {
    if (found.directives?.onlyIfCached === true) return this.#refuse(side, found)
    const { key, url } = found
    const turn = new Turn(this, side, { key, url, why: how.why, rounds: 0, conditions: null, range: null, asked: null })
    turn.detail = how.detail
    side.caching = turn
    side.cacheOutcome = how.outcome ?? 'bypass'
    return null
  }

  /** RFC 9111 §5.2.1.7. */
  #refuse(side: CacheSide, { key, url }: Found): Answer {
    const turn = new Turn(this, side, { key, url, why: null, rounds: 0, conditions: null, range: null, asked: null })
    turn.detail = 'only-if-cached'
    side.caching = turn
    side.cacheOutcome = 'miss'
    return NOT_KEPT
  }

  #passMethod(side: CacheSide): null {
    const url = urlOf(side.scheme, side.request, this.rules.query)
    const turn = new Turn(this, side, { key: '', url, why: 'method', rounds: 0, conditions: null, range: null, asked: null })
    turn.changes = !SAFE.has(side.request.method)
    side.caching = turn
    side.cacheOutcome = 'bypass'
    return null
  }
}

/** RFC 9110 §9.2.1. */
const SAFE = new Set(['OPTIONS', 'TRACE'])

const NOT_KEPT: Verdict = { kind: 'fail', error: new ProxyError('not_cached') }

function wishesOf(directives: RequestDirectives | null): { readonly noStore: boolean; readonly staleIfError: number } {
  return { noStore: directives?.noStore === true, staleIfError: directives?.staleIfError ?? -1 }
}

/** What the client says of its freshness; whether it is stale is another question (RFC 9111 §5.2.1). */
function mayUse(response: StoredResponse, directives: RequestDirectives, ttl: number, now: number): boolean {
  if (directives.noCache) return false
  if (directives.minFresh >= 0 && ttl < directives.minFresh) return false
  if (directives.maxAge < 0) return true
  // RFC 8246: a reload, which says max-age=0, does not change what never changes.
  if (response.freshness.directives.immutable && ttl > 0) return true
  const age = response.age(now)
  return age <= directives.maxAge || (directives.maxStale >= 0 && age <= directives.maxAge + directives.maxStale)
}

/** The same for requests for the same bytes; null: all are wanted. */
function rangeOf(conditions: Conditions | null): string | null {
  if (conditions === null || conditions.range === null || asksForAll(conditions.range)) return null
  return conditions.ifRange === null ? conditions.range : `${conditions.range}\n${conditions.ifRange}`
}

/** Of an answer of which only some is kept, if that is enough for this request. */
function partsFor(kept: readonly StoredResponse[] | null, request: RequestHead, clock: () => number): StoredResponse | null {
  const parts = kept === null ? null : selectVariant(kept, request)
  return parts !== null && hasEnough(parts, readConditions(request), clock()) ? parts : null
}

/** One that will have the answer to this request, as far as is known. */
function findFlight(pending: readonly Flight[] | undefined, request: RequestHead, range: string | null): Flight | null {
  if (pending === undefined) return null
  return pending.find((flight) => flight.mayBeFor(request, range)) ?? null
}
