/** What a client gets of an answer that is kept: all of it, the word that it has it already, or a part of it (RFC 9110 §13, §14). Pure. */
import type { ResponseHead } from '../net/http1/head.ts'
import type { BodySource } from './body-source.ts'
import { type Conditions, isUnchanged, type Validators, wantedRange } from './conditions.ts'
import type { LargeFile } from './disk/large-file.ts'
import type { Piece } from './pieces.ts'
import { linesOf304, linesOf416 } from './stored-lines.ts'
import { lengthLine, makeHead, type StoredResponse } from './stored-response.ts'

/** An answer out of a cache: bytes [from, to) of a body behind a head; `to` -1: as far as the body goes. */
export interface StoredAnswer {
  readonly kind: 'stored'
  readonly head: ResponseHead
  readonly body: BodySource
  /** The same, or what is given a coding on the way to `body`. */
  readonly madeOf: BodySource
  readonly from: number
  readonly to: number
  /** In the place of `body`, which is empty: what has those bytes, without a gap. Null: `body` has them. */
  readonly pieces: readonly Piece[] | null
  /** The same in a file. */
  readonly large: LargeFile | null
}

/** For the most frequent case: it is fresh, and the client wants it whatever it is. */
export function hitAnswer(response: StoredResponse, now: number, cache: string): StoredAnswer {
  return {
    kind: 'stored',
    head: response.hit(now, cache),
    body: response.body,
    madeOf: response.madeOf,
    from: 0,
    to: response.length,
    pieces: null,
    large: response.large,
  }
}

/** The same, and the client has it already. */
export function unchangedAnswer(response: StoredResponse, now: number, cache: string): StoredAnswer {
  const { body, madeOf, large } = response
  return { kind: 'stored', head: response.unchanged(now, cache), body, madeOf, from: 0, to: 0, pieces: null, large }
}

export interface Giving {
  readonly conditions: Conditions | null
  readonly now: number
  /** Of Cache-Status. */
  readonly status: string
  /** What the conditions are held against; null: the answer itself. */
  readonly validators: Validators | null
}

export function makeAnswer(response: StoredResponse, { conditions, now, status, validators }: Giving): StoredAnswer {
  const { lines, body, madeOf, length, pieces, large } = response
  const note = response.note(now, status)
  if (conditions !== null && response.status === 200) {
    if (isUnchanged(conditions, validators ?? response, now)) {
      const head = makeHead(304, linesOf304(lines, response.etag !== null) + note, 0)
      return { kind: 'stored', head, body, madeOf, from: 0, to: 0, pieces: null, large }
    }
    const wanted = length < 0 ? 'all' : wantedRange(conditions, length, validators ?? response, now)
    if (wanted === 'none') {
      const head = makeHead(416, `${linesOf416(lines)}Content-Range: bytes */${length}\r\n${lengthLine(0)}${note}`, 0)
      return { kind: 'stored', head, body, madeOf, from: 0, to: 0, pieces: null, large }
    }
    if (wanted !== 'all') {
      const { from, to } = wanted
      const range = `Content-Range: bytes ${from}-${to - 1}/${length}\r\n${lengthLine(to - from)}`
      const head = makeHead(206, lines + range + note, to - from)
      return { kind: 'stored', head, body, madeOf, from, to, pieces: pieces === null ? null : pieces.between(from, to), large }
    }
  }
  const head = makeHead(response.status, lines + lengthLine(length) + note, length)
  return { kind: 'stored', head, body, madeOf, from: 0, to: length, pieces: null, large }
}
