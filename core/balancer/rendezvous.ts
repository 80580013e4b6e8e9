/**
 * Which of several weighted places a key belongs to (rendezvous hashing): the same one as long as it is there, and of the keys of one that
 * goes each gets its own next. Pure.
 */
import { hashText } from './hash.ts'

export interface Weighted {
  /** What it is hashed by. */
  readonly address: string
  /** 0 takes nothing. */
  readonly weight: number
}

/** Indexes, the place of the key first, then where it would be without that one, and so on. */
export function ranked(places: readonly Weighted[], key: string): number[] {
  return places
    .map(({ address, weight }, index) => ({ index, score: scoreOf(hashText(key, hashText(address)), weight) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ index }) => index)
}

/** Each place gets a share of the keys that is its weight's ("Weighted Distributed Hash Tables", Schindelhauer and Schomaker, 2005). */
function scoreOf(hashed: number, weight: number): number {
  return weight <= 0 ? 0 : weight / -Math.log((hashed + 0.5) / 2 ** 32)
}
