/**
 * Parts of an answer that came one by one, joined as far as they are of the same representation (RFC 9111 §3.4): same strong validator, same length
 * of the whole. Once all are here they become an answer like others. What is older than what is kept puts nothing out.
 */
import { BodySource } from './body-source.ts'
import { type Conditions, isUnchanged, strongValidator, wantedRange } from './conditions.ts'
import { isSameVariant, type MemoryStore } from './memory-store.ts'
import { Pieces } from './pieces.ts'
import { tagsOf } from './purge.ts'
import { linesOfWhole, updatedLines } from './stored-lines.ts'
import { makeHead, StoredResponse } from './stored-response.ts'

export interface PartsHome {
  readonly store: MemoryStore<unknown>
  readonly objectBytes: number
  /** The whole. */
  keep(response: StoredResponse): void
}

/** Copied in one turn of the event loop. */
const TURN_BYTES = 1024 ** 2

/** What is kept of the same whole, if that is one of those parts. */
export function isOfSame(parts: StoredResponse, part: Pick<StoredResponse, 'etag' | 'lastModified' | 'date'>, length: number): boolean {
  return parts.length === length && strongValidator(parts) === strongValidator(part)
}

/** Of an answer of which only some is kept: whether that is all that a request under these conditions is sent. */
export function hasEnough(response: StoredResponse, conditions: Conditions | null, now: number): boolean {
  const { pieces, length } = response
  if (pieces === null) return true
  if (conditions === null || conditions.range === null) return false
  if (isUnchanged(conditions, response, now)) return true
  const wanted = wantedRange(conditions, length, response, now)
  return wanted === 'none' || (wanted !== 'all' && pieces.covers(wanted.from, wanted.to))
}

/** `part`: whole by itself. */
export function joinPart(home: PartsHome, part: StoredResponse): void {
  const { store } = home
  const { from, of } = part.part!
  const record = store.find(part.key)
  const isNewer = (other: StoredResponse): boolean => isSameVariant(other, part) && other.freshness.askedAt > part.freshness.askedAt
  if (record?.responses.some((other) => isSameVariant(other, part) && (isNewer(other) || isOfSame(other, part, of))) === true) return
  const known = record?.parts?.find((other) => isSameVariant(other, part)) ?? null
  const isJoined = known !== null && isOfSame(known, part, of)
  if (known !== null && !isJoined && isNewer(known)) return
  const pieces = isJoined ? known.pieces! : new Pieces(of)
  if (pieces.bytes + part.length > home.objectBytes) return
  for (const body of pieces.add(from, part.body)) store.lend(body)
  const joined =
    isJoined && isNewer(known)
      ? withPieces(known, known, known.lines, pieces)
      : withPieces(part, known, linesFor(part, isJoined ? known : null), pieces)
  store.put(joined)
  if (pieces.isWhole && !pieces.isBeingJoined) makeWhole(home, joined, pieces)
}

/** Of a 206 that was asked for by If-Range much may be missing that was told before (RFC 9110 §15.3.7). */
function linesFor(part: StoredResponse, known: StoredResponse | null): string {
  if (known === null) return linesOfWhole(part.lines)
  return updatedLines(known.lines, makeHead(206, part.lines, part.length), '')
}

function withPieces(head: StoredResponse, known: StoredResponse | null, lines: string, pieces: Pieces): StoredResponse {
  const { freshness } = head
  const lastModified = Number.isNaN(freshness.lastModified) ? (known?.lastModified ?? Number.NaN) : freshness.lastModified
  // As with its lines: what this one did not tell anew was told before.
  const tags = head === known ? known.tags : tagsOf(makeHead(200, lines, pieces.length))
  const made = new StoredResponse({
    ...head,
    ...empty(),
    ...{ status: 200, lines, tags, freshness: { ...freshness, lastModified }, length: pieces.length },
    ...{ part: null, pieces },
  })
  made.hits = known?.hits ?? 0
  if (head === known) made.purge(known.purgedAt)
  made.seal()
  return made
}

function empty() {
  const body = new BodySource(0)
  return { body, madeOf: body }
}

/** A long one over several turns. Without room for both they stay parts. */
function makeWhole(home: PartsHome, { key }: StoredResponse, pieces: Pieces): void {
  const { store } = home
  const { length } = pieces
  if (!store.reserve(length)) return
  pieces.isBeingJoined = true
  const body = new BodySource(length)
  const left = pieces.between(0, length)
  const go = (): void => {
    for (let copied = 0; left.length > 0 && copied < TURN_BYTES; ) {
      const { from, to, body: piece } = left.shift()!
      body.push(piece.bytes, 0, to - from)
      copied += to - from
    }
    if (left.length > 0) return void setImmediate(go)
    body.complete()
    pieces.isBeingJoined = false
    store.unreserve(length)
    // Purged, replaced or evicted meanwhile: then it is gone. The head may have become another.
    const parts = store.find(key)?.parts?.find((other) => other.pieces === pieces)
    if (parts === undefined) return
    const whole = new StoredResponse({ ...parts, body, madeOf: body, pieces: null })
    whole.hits = parts.hits
    whole.purge(parts.purgedAt)
    whole.seal()
    home.keep(whole)
  }
  go()
}
