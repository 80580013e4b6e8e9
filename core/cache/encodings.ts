/**
 * The same answer in the codings that clients take, where a hook on the way gives bodies one: each is made once, from what is kept, for all who want
 * it, and goes out while it is made.
 */
import type { Hook } from '../hooks.ts'
import { BodyCoding } from './body-coding.ts'
import { BodyCopy } from './body-copy.ts'
import { BodySource, CODED_BYTES } from './body-source.ts'
import type { Cache } from './cache.ts'
import type { CacheSide } from './cache-side.ts'
import { flat } from './flat-text.ts'
import { Recall } from './recall.ts'
import { linesInCoding } from './stored-lines.ts'
import { makeHead, StoredResponse } from './stored-response.ts'

/** What clients accept in so many words is remembered of one answer; browsers need about 25 characters for it. */
const MOST_WORDS = 16
const MOST_LENGTH = 64
/** What the tables take, a word in them, and beside its texts the head of an answer in no coding (in one it counts with its body): measured. */
const TABLES_BYTES = 512
const WORD_BYTES = 96
const HEAD_BYTES = 640

export class Encodings {
  readonly encoder: Hook
  /** What is here takes so much, beside bodies. */
  bytes = 0
  /** By what clients accept, as they say it. */
  readonly chosen = new Map<string, StoredResponse>()
  /** By coding; `''`: in none. */
  readonly made = new Map<string, StoredResponse>()

  constructor(encoder: Hook) {
    this.encoder = encoder
  }
}

/** As this client gets it. `wantsPart`: of what is kept itself, for a coding is made anew now and then, and its bytes may be others then. */
export function inCoding(response: StoredResponse, side: CacheSide, cache: Cache, wantsPart: boolean): StoredResponse {
  const { encoder } = side
  if (encoder === null) return response
  let encodings = response.encodings
  if (encodings?.encoder !== encoder) {
    count(response, cache, -(encodings?.bytes ?? 0))
    encodings = new Encodings(encoder)
    response.encodings = encodings
    count(response, cache, TABLES_BYTES)
  }
  const accepts = wantsPart || response.large !== null || side.request.minor === 0 ? '' : (side.accepts ?? '')
  const known = encodings.chosen.get(accepts)
  if (known !== undefined && known.body.state !== 'broken') return known
  const chosen = choose(response, encodings, { side, cache, accepts })
  // One whose length is known by now has another head.
  if (chosen.length < 0 || accepts.length > MOST_LENGTH) return chosen
  if (encodings.chosen.size >= MOST_WORDS) {
    count(response, cache, -WORD_BYTES * encodings.chosen.size)
    encodings.chosen.clear()
  }
  if (!encodings.chosen.has(accepts)) count(response, cache, WORD_BYTES)
  encodings.chosen.set(flat(accepts), chosen)
  return chosen
}

/** In what the memory may hold. */
function count(response: StoredResponse, cache: Cache, bytes: number): void {
  if (response.encodings === null) return
  response.encodings.bytes += bytes
  cache.store.grow(response, bytes, bytes)
}

interface Choosing {
  readonly side: CacheSide
  readonly cache: Cache
  readonly accepts: string
}

function choose(response: StoredResponse, { encoder, made }: Encodings, { side, cache, accepts }: Choosing): StoredResponse {
  const head = makeHead(response.status, response.lines, response.length)
  const varied = head.get('vary')
  let coding = encoder.onResponseBody!.encode!({ request: side.request, response: head }, { length: response.length, accepts })
  if (coding === null && head.get('vary') === varied) return response
  let body = coding === null ? response.body : codedBody(response, { coding, encoder, cache })
  if (body === null) {
    coding = null
    body = response.body
  }
  const known = made.get(coding ?? '')
  const isSame = known?.body === body && known.length === lengthOf(body, response)
  if (isSame) return known
  const other = new StoredResponse({
    ...response,
    lines: linesInCoding(head, coding),
    etag: head.get('etag'),
    ...{ body, madeOf: response.body, length: lengthOf(body, response) },
  })
  other.large = response.large
  if (known === undefined && coding === null) count(response, cache, HEAD_BYTES + 2 * other.lines.length)
  made.set(coding ?? '', other)
  return other
}

function lengthOf(body: BodySource, response: StoredResponse): number {
  if (body === response.body) return response.length
  return body.state === 'complete' ? body.filled : -1
}

/** Null: there is no room, or nobody knows how long it becomes. */
function codedBody(
  response: StoredResponse,
  { coding, encoder, cache }: { coding: string; encoder: Hook; cache: Cache },
): BodySource | null {
  const { body } = response
  const known = body.coded?.get(coding)
  if (known !== undefined && known.state !== 'broken') return known
  if (response.length < 0 || !cache.store.reserve(response.length)) return null
  const made = new BodySource(-1)
  body.coded ??= new Map()
  body.coded.set(coding, made)
  const end = (bytes: number, isNew: boolean): void => {
    cache.store.unreserve(response.length)
    const kept = cache.store.find(response.key)?.responses.find((one) => one.body === body)
    if (bytes === 0 || kept === undefined) return
    cache.store.grow(kept, CODED_BYTES + bytes, CODED_BYTES)
    if (isNew) for (const tier of cache.tiers) tier.keepCoded(kept, coding)
  }
  const make = (): void => void new BodyCoding({ source: body, made }, encoder.onResponseBody!.begin!(coding), (bytes) => end(bytes, true))
  if (cache.tiers.length === 0) make()
  else
    recallCoded({ cache, body, coding, key: response.key }, (found) =>
      found === null ? make() : void new BodyCopy(found, made, (bytes) => end(bytes, false)),
    )
  return made
}

interface Coded {
  readonly cache: Cache
  readonly body: BodySource
  readonly coding: string
  readonly key: string
}

/** Made before, by another worker or before a restart. */
function recallCoded({ cache, body, coding, key }: Coded, taker: (found: BodySource | null) => void): void {
  const { deadlines, tiers } = cache
  const home = { deadlines, tiers, recalled: (_: Recall, found: StoredResponse | null) => taker(found?.body ?? null), take() {} }
  new Recall(home, { key, url: '', request: NOTHING, than: null, coding: { of: body, name: coding } }).start()
}

const NOTHING = { get: () => null }
