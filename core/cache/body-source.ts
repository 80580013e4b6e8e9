/**
 * A body that several read while it still comes: bytes that were written once and never change, and those who wait for more of them. What
 * a reader was lent stays as it is, also when the buffer has grown out of it.
 */
// Also for programs that import types of hooks and do not list that one.
/// <reference path="../net/latin1.d.ts" />
export interface BodyReader {
  /** There is more, or it is complete. */
  onMore(): void
  /** The rest will not come. */
  onBroken(): void
}

const FIRST_BYTES = 16_384
const EMPTY = Buffer.alloc(0)

export class BodySource {
  bytes: Buffer
  /** Valid are [0, filled). */
  filled = 0
  state: 'growing' | 'complete' | 'broken' = 'growing'
  /** As many as wait for this body. */
  readonly #readers = new Set<BodyReader>()
  /** Those who are sent it: as long as there are any it takes its room, kept or not. */
  #holders = 0
  #freed: (() => void)[] = []
  /** The same in other codings, by their names; null: in none. */
  coded: Map<string, BodySource> | null = null

  /** `length`: exact; -1: not known. */
  constructor(length: number) {
    this.bytes = length > 0 ? Buffer.allocUnsafeSlow(length) : EMPTY
  }

  get hasReaders(): boolean {
    return this.#readers.size > 0
  }

  get isHeld(): boolean {
    return this.#holders > 0
  }

  /** Of those in other codings that are complete. */
  get codedBytes(): number {
    let bytes = 0
    if (this.coded !== null) for (const { state, filled } of this.coded.values()) bytes += state === 'complete' ? filled : 0
    return bytes
  }

  hold(): void {
    this.#holders++
  }

  release(): void {
    if (--this.#holders > 0) return
    for (const tell of this.#freed.splice(0)) tell()
  }

  /** Told once nobody holds it. */
  whenFree(tell: () => void): void {
    this.#freed.push(tell)
  }

  /** Tells it from now on. */
  join(reader: BodyReader): void {
    if (this.state === 'growing') this.#readers.add(reader)
  }

  leave(reader: BodyReader): void {
    this.#readers.delete(reader)
  }

  push(bytes: Buffer, from: number, to: number): void {
    this.#makeRoom(to - from)
    bytes.copy(this.bytes, this.filled, from, to)
    this.filled += to - from
  }

  /** The same as latin1. */
  pushText(text: string): void {
    this.#makeRoom(text.length)
    this.bytes.latin1Write(text, this.filled)
    this.filled += text.length
  }

  /** So many bytes more were written into `bytes` where the filled ones end. */
  fill(count: number): void {
    this.filled += count
  }

  /** What was pushed is there for all. */
  advance(): void {
    for (const reader of [...this.#readers]) if (this.#readers.has(reader)) reader.onMore()
  }

  complete(): void {
    this.state = 'complete'
    // A quarter of a buffer is not left empty for as long as the body is kept.
    if (this.bytes.length - this.filled > this.filled >> 2) {
      const exact = Buffer.allocUnsafeSlow(this.filled)
      this.bytes.copy(exact, 0, 0, this.filled)
      this.bytes = exact
    }
    this.#tell((reader) => reader.onMore())
  }

  break(): void {
    if (this.state !== 'growing') return
    this.state = 'broken'
    this.#tell((reader) => reader.onBroken())
  }

  #tell(say: (reader: BodyReader) => void): void {
    const readers = [...this.#readers]
    this.#readers.clear()
    for (const reader of readers) say(reader)
  }

  #makeRoom(more: number): void {
    const needed = this.filled + more
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, this.bytes.length * 2, needed))
    this.bytes.copy(grown, 0, 0, this.filled)
    this.bytes = grown
  }
}
